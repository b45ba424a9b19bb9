//! The listening side of HTTP: a port and an application in, answers out, until it is told to close. As the usual server of
//! the framework, but connections that say nothing do not stay for ever.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// How long a connection may take to bring the head of its next request. Longer than the minute for which the usual
/// proxies keep an idle connection, so that they close it and not we, while their next request is on its way.
pub const PATIENCE: Duration = Duration::from_secs(75);

/// Answers until `closed`, then accepts no more and ends when the last request is answered.
pub async fn serve(
    mut listener: TcpListener,
    app: Router,
    patience: Duration,
    closed: impl Future<Output = ()>,
) {
    let mut closed = pin!(closed);
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            // Waits after an error, such as too many open files, and tries again.
            (stream, _) = Listener::accept(&mut listener) => stream,
            () = &mut closed => break,
        };
        // Losing the option costs latency, not correctness.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn start(patience: Duration) -> (TcpStream, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(|| async { "here" }));
        let (close, closed) = oneshot::channel();
        tokio::spawn(serve(listener, app, patience, async {
            let _ = closed.await;
        }));
        (TcpStream::connect(address).await.unwrap(), close)
    }

    /// All that comes until the connection ends.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .expect("the connection ends")
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_or_not_enough_ends() {
        for said in ["", "GET / HTTP/1.1\r\nhost:"] {
            let (mut stream, _close) = start(Duration::from_millis(200)).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            assert!(!rest(&mut stream).await.contains("200 OK"));
        }
    }

    #[tokio::test]
    async fn a_connection_in_use_stays_and_is_closed_when_the_server_leaves() {
        let (mut stream, close) = start(Duration::from_millis(800)).await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            stream.write_all(ASK).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"here") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "it ended");
            }
        }
        let left = tokio::time::Instant::now();
        close.send(()).unwrap();
        rest(&mut stream).await;
        assert!(
            left.elapsed() < Duration::from_millis(700),
            "idle, so at once"
        );
    }
}
