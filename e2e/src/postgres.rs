//! A PostgreSQL server of our own on loopback for the tests of the services: empty at every start, thrown away afterwards.
//! A server given by `E2E_DATABASE_URL` is used instead. The usual `DATABASE_URL` is not read: it may name a database that somebody needs.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Background;
use crate::{command, packages, paths, progress};

const NAME: &str = "postgres";
const GIVEN: &str = "E2E_DATABASE_URL";

/// A running server; dropping it stops it.
pub struct Server {
    /// How to reach it, as superuser.
    pub url: String,
    ours: bool,
}

impl Server {
    /// Starts an empty server, or takes the one that `E2E_DATABASE_URL` names.
    pub fn start() -> Result<Self> {
        if let Ok(url) = std::env::var(GIVEN) {
            progress::note(&format!(
                "the tests of the services use the server of {GIVEN}"
            ));
            return Ok(Self { url, ours: false });
        }
        packages::ensure(packages::POSTGRES)?;
        progress::step(
            "starting an empty PostgreSQL for the tests of the services",
            || {
                stop();
                start()
            },
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ours {
            stop();
        }
    }
}

/// Stops the server that an earlier run may have left, and removes its data. Tells whether there was one.
pub fn stop() -> bool {
    Background::named(NAME).stop(Duration::from_secs(5));
    fs::remove_dir_all(paths::state(NAME)).is_ok()
}

fn start() -> Result<Server> {
    let programs = programs()?;
    let folder = paths::state(NAME);
    fs::create_dir_all(&folder)?;
    let as_user = words_to_leave_root();
    if !as_user.is_empty() {
        command::output(command::within(10, "chown").arg(USER).arg(&folder))?;
    }
    let data = folder.join("data");
    let mut initdb = command::within(60, "env");
    initdb.args(&as_user).arg(programs.join("initdb")).args([
        "--no-sync",
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--pgdata",
    ]);
    command::output(initdb.arg(&data))?;
    let port = free_port()?;
    let mut words = as_user;
    words.push(programs.join("postgres").to_string_lossy().into_owned());
    let settings = format!(
        "-D {} -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=300",
        data.display()
    );
    words.extend(settings.split(' ').map(str::to_owned));
    let server = Background::named(NAME);
    server.start(&words)?;
    let ready = || {
        let ask = &mut command::within(5, programs.join("pg_isready"));
        command::output(ask.args(["-h", "127.0.0.1", "-p", &port.to_string()])).is_ok()
    };
    server.wait_until(Duration::from_secs(30), ready)?;
    Ok(Server {
        url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        ours: true,
    })
}

/// The user `postgres` of the package.
const USER: &str = "postgres:postgres";

/// PostgreSQL refuses to run as root; its own user may have no right to enter the folders above the checkout, so it gets exactly that capability.
fn words_to_leave_root() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let search = "+dac_read_search";
    [
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        format!("--inh-caps={search}"),
        format!("--ambient-caps={search}"),
    ])
    .collect()
}

/// The folder of the newest server that is installed.
fn programs() -> Result<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not where Debian's packages put it; set E2E_DATABASE_URL to a server of your own")?;
    let folders = entries.flatten().map(|entry| entry.path().join("bin"));
    let newest = folders
        .filter(|folder| folder.join("initdb").exists())
        .max();
    newest.context("no PostgreSQL server is installed: install the package postgresql")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
