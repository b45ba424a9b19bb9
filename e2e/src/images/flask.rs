//! The image of a small service in Python: Debian 12's Flask, a program of some lines, and traffic for it. Nothing of it comes from this project but these files.

use anyhow::Result;

use super::debian::FileSystem;
use super::pack::{Config, Content, Image};
use crate::{Cluster, paths, progress};

/// Python and Flask of Debian 12.
pub const FILE_SYSTEM: FileSystem = FileSystem {
    kept_as: "flask-bookworm-1.tar",
    of: "flask",
    packages: "python3-flask",
    left_out: &[],
    before: "",
};

/// Makes sure that the registry has the image.
pub fn ensure(cluster: &Cluster) -> Result<()> {
    if !FileSystem::can_be_made() {
        progress::note(
            "skipped the image flask: it is made by mmdebstrap as root, and the tests with the small service cannot pass without it",
        );
        return Ok(());
    }
    let content = ["app.py", "load.py"].map(|file| Content {
        from: paths::checkout().join("e2e/image/flask").join(file),
        to: format!("/{file}"),
        mode: "644",
    });
    let image = Image {
        name: "flask".to_owned(),
        tag: "1".to_owned(),
        content: content.into(),
        rootfs: Some(FILE_SYSTEM.tar()?),
        config: Config {
            user: "65532:65532".to_owned(),
            entrypoint: vec!["/usr/bin/python3".to_owned()],
            command: vec!["/app.py".to_owned()],
            env: vec![
                "PATH=/usr/bin:/bin".to_owned(),
                "LANG=C.UTF-8".to_owned(),
                "PYTHONUNBUFFERED=1".to_owned(),
            ],
            labels: Vec::new(),
        },
    };
    image.push(&cluster.registry)
}
