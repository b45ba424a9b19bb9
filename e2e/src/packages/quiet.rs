//! Keeps Debian's packages quiet while they are installed: nothing of them is started, nothing stays enabled, no database cluster is made.
//! What was enabled before stays so. What goes in is the moment before the installation; dropping [`Quiet`] is the moment after it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{command, progress};

/// Debian asks this program before it starts a service; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const FORBID: &str = "#!/bin/sh\n# Of cargo e2e, for the time of an installation.\nexit 101\n";
const SAVED: &str = "/usr/sbin/policy-rc.d.before-crm-e2e";
/// Read when the package of a PostgreSQL server is configured.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.d";
const NO_CLUSTER: &str = "create_main_cluster = false\n";

/// Held during an installation.
pub struct Quiet {
    enabled: BTreeSet<PathBuf>,
}

impl Quiet {
    /// Forbids services to start and PostgreSQL to make a cluster.
    pub fn begin() -> Result<Self> {
        let quiet = Self { enabled: enabled() };
        // Ours may be there already, from an installation that was killed.
        let policy = fs::read(POLICY).ok();
        if policy.is_some_and(|policy| policy != FORBID.as_bytes()) {
            fs::rename(POLICY, SAVED).with_context(|| format!("cannot move {POLICY}"))?;
        }
        fs::write(POLICY, FORBID).with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, Permissions::from_mode(0o755))?;
        fs::create_dir_all(CLUSTERS).with_context(|| format!("cannot make {CLUSTERS}"))?;
        fs::write(no_cluster(), NO_CLUSTER)?;
        Ok(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let restored = if Path::new(SAVED).exists() {
            fs::rename(SAVED, POLICY)
        } else {
            fs::remove_file(POLICY)
        };
        if let Err(error) = restored {
            progress::note(&format!("remove {POLICY} by hand: {error}"));
        }
        fs::remove_file(no_cluster()).ok();
        // Both only when they are empty: then no package has them.
        fs::remove_dir(CLUSTERS).ok();
        Path::new(CLUSTERS).parent().map(fs::remove_dir);
        for link in enabled().difference(&self.enabled) {
            if let Err(error) = disable(link) {
                progress::note(&format!("remove {} by hand: {error:#}", link.display()));
            }
        }
    }
}

fn no_cluster() -> PathBuf {
    Path::new(CLUSTERS).join("crm-e2e.conf")
}

/// The links by which systemd and the older init scripts start services at boot.
fn enabled() -> BTreeSet<PathBuf> {
    let of_systemd = entries("/etc/systemd/system").filter(|path| ends_with(path, ".wants"));
    let wanted = of_systemd.flat_map(entries);
    let levels = entries("/etc").filter(|path| is_runlevel(path));
    let started = levels
        .flat_map(entries)
        .filter(|path| service(path).is_some());
    wanted.chain(started).collect()
}

fn entries(folder: impl AsRef<Path>) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn disable(link: &Path) -> Result<()> {
    match service(link) {
        // All its levels at once, in the way that later installations respect.
        Some(service) => {
            command::output(command::within(30, "update-rc.d").args([service, "disable"]))?;
        }
        None => fs::remove_file(link)?,
    }
    Ok(())
}

/// The service of a link such as `/etc/rc3.d/S01postgresql`.
fn service(link: &Path) -> Option<&str> {
    let name = link.file_name()?.to_str()?.strip_prefix('S')?;
    let service = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
    (is_runlevel(link.parent()?) && service.len() + 2 == name.len()).then_some(service)
}

fn is_runlevel(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| matches!(name.as_bytes(), [b'r', b'c', b'2'..=b'5', b'.', b'd']))
}

fn ends_with(path: &Path, end: &str) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .ends_with(end.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_its_links() {
        assert_eq!(
            service(Path::new("/etc/rc3.d/S01postgresql")),
            Some("postgresql")
        );
        assert_eq!(service(Path::new("/etc/rc3.d/K01postgresql")), None);
        let of_systemd = "/etc/systemd/system/multi-user.target.wants/S01containerd.service";
        assert_eq!(service(Path::new(of_systemd)), None);
        assert!(!is_runlevel(Path::new("/etc/rcS.d")));
    }
}
