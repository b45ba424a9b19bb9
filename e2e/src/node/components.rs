//! The processes of the node: their command lines, how each shows that it is ready, and the order in which they start.

mod arguments;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::facts::NODE_IP;
use super::namespaces;
use crate::process::Background;
use crate::{images, paths, progress};

/// The node's processes in the order of their start; each has a log of this name.
pub const NAMES: &[&str] = &[
    "registry",
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
];

/// A process of the node.
pub struct Component {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
    /// Port and path on the node's address that answer 200 when it is ready.
    health: Option<(u16, &'static str)>,
}

impl Component {
    /// The command line as it runs inside the namespaces.
    pub fn words(&self) -> Vec<String> {
        // Memory is there; Go need not tidy it up so often.
        let mut words = vec!["env".to_owned(), "GOGC=400".to_owned()];
        words.push(self.program.clone());
        words.extend_from_slice(&self.arguments);
        words
    }

    fn start(&self, holder: i32) -> Result<()> {
        let process = Background::named(self.name);
        if process.pid().is_some() {
            return Ok(());
        }
        let mut words = namespaces::enter(holder);
        words.extend(self.words());
        process.start(&words)?;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        let ready = || match self.health {
            Some((port, path)) => answers(port, path),
            None if self.name == "kube-apiserver" => serves_the_api(),
            None if self.name == "containerd" => listens(),
            None => true,
        };
        Background::named(self.name).wait_until(Duration::from_secs(60), ready)
    }
}

/// All components, in the order of their start.
pub fn all() -> Vec<Component> {
    NAMES
        .iter()
        .map(|name| arguments::component(name))
        .collect()
}

/// Starts what does not run, and waits until each is ready.
pub fn start() -> Result<()> {
    let holder = namespaces::holder().context("the node's namespaces are gone")?;
    let missing: Vec<_> = NAMES
        .iter()
        .filter(|name| Background::named(name).pid().is_none())
        .copied()
        .collect();
    let all = all();
    if missing.is_empty() && has_node_images() {
        return all.iter().try_for_each(Component::wait);
    }
    let what = if missing.is_empty() {
        "pushing the node's images".to_owned()
    } else {
        format!("starting {}", missing.join(", "))
    };
    progress::step(&what, || {
        for component in &all[..3] {
            component.start(holder)?;
        }
        all[..3].iter().try_for_each(Component::wait)?;
        all[3].start(holder)?;
        if !has_node_images() {
            images::push_node_images()?;
        }
        all[3].wait()?;
        for component in &all[4..] {
            component.start(holder)?;
        }
        all[4..].iter().try_for_each(Component::wait)
    })
}

/// Fails when a component ended after it had started.
pub fn check() -> Result<()> {
    for name in NAMES {
        let process = Background::named(name);
        if process.pid().is_none() {
            bail!(
                "{name} has ended; the end of {}:\n{}",
                paths::log(name).display(),
                process.log_end()
            );
        }
    }
    Ok(())
}

/// One line per component.
pub fn status() -> Vec<String> {
    let line = |name: &&str| match Background::named(name).pid() {
        Some(pid) => format!("{name:<24} pid {pid}"),
        None => format!("{name:<24} does not run"),
    };
    NAMES.iter().map(line).collect()
}

/// The registry keeps blobs on disk, but tags in its memory: after a restart it has none.
fn has_node_images() -> bool {
    answers(5000, "/v2/pause/manifests/1") && answers(5000, "/v2/coredns/manifests/local")
}

/// Whether containerd takes connections; its socket lies in the node's own `/run`.
fn listens() -> bool {
    namespaces::holder().is_some_and(|holder| {
        UnixStream::connect(format!(
            "/proc/{holder}/root/run/containerd/containerd.sock"
        ))
        .is_ok()
    })
}

fn serves_the_api() -> bool {
    let kubectl = &mut crate::cluster::kubectl(&paths::state("kubeconfig"), 5);
    crate::command::output(kubectl.args(["get", "--raw", "/readyz"])).is_ok()
}

/// Whether a plain HTTP GET on the node's address is answered by 200.
fn answers(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(1);
        let address = SocketAddr::new(
            NODE_IP.parse().expect("the node's address is an address"),
            port,
        );
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {NODE_IP}\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
