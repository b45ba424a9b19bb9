//! The PostgreSQL image: Debian 12's packages and an entry point with the contract of the well-known image. Made once; where it cannot be made, the well-known one is copied.

use std::path::PathBuf;

use anyhow::Result;

use super::debian::FileSystem;
use super::pack::{Config, Content, Image};
use crate::{Cluster, command, paths, progress};

const FILE_SYSTEM: FileSystem = FileSystem {
    kept_as: "postgres-15-bookworm-1.tar",
    of: "postgres",
    packages: "postgresql-15,postgresql-client-15",
    // With documentation and translations these are two thirds of the packages' size.
    left_out: &[
        "/usr/lib/*/libLLVM*",
        "/usr/lib/postgresql/*/lib/bitcode/*",
        "/usr/lib/postgresql/*/lib/llvmjit*",
    ],
    // The server's user has the number that it has in the well-known image, and no cluster is made at installation.
    before: "echo postgres:x:999: >> \"$1/etc/group\"
echo postgres:x:999:999::/var/lib/postgresql:/bin/bash >> \"$1/etc/passwd\"
mkdir -p \"$1/etc/postgresql-common\" && echo create_main_cluster=false > \"$1/etc/postgresql-common/createcluster.conf\"",
};

/// Makes sure that the registry has the image.
pub fn ensure(cluster: &Cluster) -> Result<()> {
    if !FileSystem::can_be_made() {
        let reference = format!("{}/postgres:15", cluster.registry);
        return progress::step("copying the image postgres:15", || {
            command::output(command::within(600, paths::tool("crane")).args([
                "copy",
                "--insecure",
                "postgres:15",
                &reference,
            ]))?;
            Ok(())
        });
    }
    image(FILE_SYSTEM.tar()?).push(&cluster.registry)
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
