//! The PostgreSQL image: Debian 12's packages and an entry point with the contract of the well-known image. Made once; where it cannot be made, the well-known one is copied.

use std::path::PathBuf;

use anyhow::Result;

use super::pack::{Config, Content, Image};
use crate::{Cluster, command, packages, paths, progress};

/// Bump when the options below change: the file system is kept by this name.
const ROOTFS: &str = "postgres-15-bookworm-1.tar";

// Documentation, translations and the just-in-time compiler are two thirds of the packages' size.
const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/lib/*/libLLVM*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
    "/usr/lib/postgresql/*/lib/llvmjit*",
];

/// The server's user has the number that it has in the well-known image, and no cluster is made at installation.
const BEFORE_PACKAGES: &str = "echo postgres:x:999: >> \"$1/etc/group\"
echo postgres:x:999:999::/var/lib/postgresql:/bin/bash >> \"$1/etc/passwd\"
mkdir -p \"$1/etc/postgresql-common\" && echo create_main_cluster=false > \"$1/etc/postgresql-common/createcluster.conf\"";

/// Makes sure that the registry has the image.
pub fn ensure(cluster: &Cluster) -> Result<()> {
    if !rustix::process::geteuid().is_root() || !packages::on_path("mmdebstrap") {
        let reference = format!("{}/postgres:15", cluster.registry);
        return progress::step("copied the image postgres:15", || {
            command::output(command::within(600, paths::tool("crane")).args([
                "copy",
                "--insecure",
                "postgres:15",
                &reference,
            ]))?;
            Ok(())
        });
    }
    image(rootfs()?).push(&cluster.registry)
}

fn image(rootfs: PathBuf) -> Image {
    let entrypoint = "/usr/local/bin/docker-entrypoint.sh".to_owned();
    let from = paths::checkout().join("e2e/image/docker-entrypoint.sh");
    Image {
        name: "postgres".to_owned(),
        tag: "15".to_owned(),
        content: vec![Content {
            from,
            to: entrypoint.clone(),
            mode: "755",
        }],
        rootfs: Some(rootfs),
        config: Config {
            user: "999:999".to_owned(),
            entrypoint: vec![entrypoint],
            command: vec!["postgres".to_owned()],
            env: vec![
                "PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin".to_owned(),
                "LANG=C.UTF-8".to_owned(),
                "PGDATA=/var/lib/postgresql/data".to_owned(),
            ],
            labels: Vec::new(),
        },
    }
}

fn rootfs() -> Result<PathBuf> {
    let done = paths::state("images").join(ROOTFS);
    if done.exists() {
        return Ok(done);
    }
    std::fs::create_dir_all(paths::state("images"))?;
    let unfinished = done.with_extension("unfinished.tar");
    progress::step(
        "made PostgreSQL's file system from Debian's packages",
        || {
            let mut mmdebstrap = command::within(1200, "mmdebstrap");
            mmdebstrap.args([
                "--variant=essential",
                "--include=postgresql-15,postgresql-client-15",
            ]);
            mmdebstrap.args(
                LEFT_OUT
                    .iter()
                    .map(|path| format!("--dpkgopt=path-exclude={path}")),
            );
            mmdebstrap
                .arg(format!("--essential-hook={BEFORE_PACKAGES}"))
                .arg("bookworm")
                .arg(&unfinished);
            command::logged(
                mmdebstrap.env("SOURCE_DATE_EPOCH", "0"),
                &paths::log("mmdebstrap"),
            )?;
            std::fs::rename(&unfinished, &done)?;
            Ok(())
        },
    )?;
    Ok(done)
}
