//! Where things are: the checkout and its `target/e2e`. Computes names only, touches no file.

use std::path::{Path, PathBuf};

/// The root of the checkout this program was built from.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in a folder of the checkout")
}

/// A path under `target/e2e`.
pub fn state(relative: &str) -> PathBuf {
    checkout().join("target/e2e").join(relative)
}

/// The folder of the programs that this tool builds: `kubectl`, `helm`, `crane` and the cluster's own.
pub fn bin() -> PathBuf {
    state("bin")
}

/// One of the programs that this tool builds.
pub fn tool(name: &str) -> PathBuf {
    bin().join(name)
}

/// The log file of a component or a step.
pub fn log(name: &str) -> PathBuf {
    state("logs").join(format!("{name}.log"))
}
