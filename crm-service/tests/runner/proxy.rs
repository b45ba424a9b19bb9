//! Stands between a runner and its database, counts what the runner asks for, and says when it is to be killed: before
//! a request reaches the server, or after the server is done but before the runner hears of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Where the runner dies; requests are counted from 1 over all its connections.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Before(u32),
    After(u32),
}

/// A running proxy. Dropping it closes all its connections, as the end of the runner's process does.
pub struct Proxy {
    pub port: u16,
    cut: mpsc::Receiver<()>,
    _accept: JoinSet<()>,
}

struct Shared {
    server: SocketAddr,
    cut: Cut,
    requests: AtomicU32,
    kill: mpsc::Sender<()>,
}

impl Proxy {
    pub async fn start(server: SocketAddr, cut: Cut) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (kill, killed) = mpsc::channel(8);
        let shared = Arc::new(Shared {
            server,
            cut,
            requests: AtomicU32::new(0),
            kill,
        });
        let mut accept = JoinSet::new();
        accept.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                connections.spawn(async move { connection(client, &shared).await });
            }
        });
        Proxy {
            port,
            cut: killed,
            _accept: accept,
        }
    }

    /// Ends when the runner is to be killed; never, if it asks for less.
    pub async fn reached(&mut self) {
        self.cut
            .recv()
            .await
            .expect("the proxy runs as long as its value");
    }
}

async fn connection(client: TcpStream, shared: &Shared) {
    let server = TcpStream::connect(shared.server).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let last = AtomicBool::new(false);
    // When one side closes, so does the other: both halves are dropped together.
    tokio::select! {
        _ = requests(client_reads, server_writes, shared, &last) => {}
        _ = answers(server_reads, client_writes, shared, &last) => {}
    }
}

async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    shared: &Shared,
    last: &AtomicBool,
) -> io::Result<()> {
    // The first message has no type.
    let length = client.read_u32().await?;
    server.write_u32(length).await?;
    relay(&mut client, &mut server, length - 4).await?;
    loop {
        let kind = client.read_u8().await?;
        // A simple query, or the end of an extended one.
        if kind == b'Q' || kind == b'S' {
            let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
            match shared.cut {
                Cut::Before(at) if number >= at => return die(shared).await,
                Cut::After(at) if number >= at => last.store(true, Ordering::SeqCst),
                Cut::Before(_) | Cut::After(_) => {}
            }
        }
        message(kind, &mut client, &mut server).await?;
    }
}

async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    shared: &Shared,
    last: &AtomicBool,
) -> io::Result<()> {
    loop {
        let kind = server.read_u8().await?;
        // The server is ready for the next request, so this one took effect.
        if kind == b'Z' && last.load(Ordering::SeqCst) {
            return die(shared).await;
        }
        message(kind, &mut server, &mut client).await?;
    }
}

/// Asks for the kill and keeps the connection until it has come.
async fn die(shared: &Shared) -> io::Result<()> {
    shared.kill.send(()).await.ok();
    std::future::pending().await
}

async fn message(kind: u8, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
    let length = from.read_u32().await?;
    to.write_u8(kind).await?;
    to.write_u32(length).await?;
    relay(from, to, length - 4).await
}

async fn relay(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, length: u32) -> io::Result<()> {
    let mut part = from.take(length.into());
    tokio::io::copy(&mut part, to).await?;
    Ok(())
}
