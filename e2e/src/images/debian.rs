//! A file system out of Debian 12's packages, made once by mmdebstrap. In: which packages, and what of them is left out. Out: a tar file.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, packages, paths, progress};

/// What no container needs.
const LEFT_OUT: [&str; 3] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
];

/// A file system of packages.
pub struct FileSystem {
    /// Name of the file that keeps it; bump it when the other fields change.
    pub kept_as: &'static str,
    /// For progress: whose file system it is.
    pub of: &'static str,
    /// Names of packages, with commas between them.
    pub packages: &'static str,
    /// Paths that are left out, beyond documentation and translations.
    pub left_out: &'static [&'static str],
    /// Shell commands before the packages are installed; the root is `$1`.
    pub before: &'static str,
}

impl FileSystem {
    /// Whether one can be made here.
    pub fn can_be_made() -> bool {
        rustix::process::geteuid().is_root() && packages::on_path("mmdebstrap")
    }

    /// The tar file; made unless it is there.
    ///
    /// # Errors
    /// When mmdebstrap fails.
    pub fn tar(&self) -> Result<PathBuf> {
        let done = paths::state("images").join(self.kept_as);
        if done.exists() {
            return Ok(done);
        }
        std::fs::create_dir_all(paths::state("images"))?;
        let unfinished = done.with_extension("unfinished.tar");
        let what = format!(
            "making the file system of {} from Debian's packages",
            self.of
        );
        let log = paths::log(&format!("mmdebstrap-{}", self.of));
        progress::step_with_log(&what, &log, || {
            let mut mmdebstrap = command::within(1200, "mmdebstrap");
            mmdebstrap.arg("--variant=essential");
            mmdebstrap.arg(format!("--include={}", self.packages));
            let left_out = LEFT_OUT.iter().chain(self.left_out);
            mmdebstrap.args(left_out.map(|path| format!("--dpkgopt=path-exclude={path}")));
            if !self.before.is_empty() {
                mmdebstrap.arg(format!("--essential-hook={}", self.before));
            }
            mmdebstrap.arg("bookworm").arg(&unfinished);
            command::logged(mmdebstrap.env("SOURCE_DATE_EPOCH", "0"), &log)?;
            std::fs::rename(&unfinished, &done)?;
            Ok(())
        })?;
        Ok(done)
    }
}
