//! One change of the cluster at a time: a lock file that the kernel frees when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};

use crate::{paths, progress};

/// Held while the cluster is changed.
pub struct Lock(#[expect(dead_code, reason = "dropping the file frees the lock")] File);

/// Takes the lock; says so when another invocation holds it, and waits for that one.
pub fn take() -> Result<Lock> {
    let path = paths::state("lock");
    std::fs::create_dir_all(paths::state(""))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            progress::note(
                "another cargo e2e is at work on this cluster: waiting for it to finish",
            );
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.lock()?;
    Ok(Lock(file))
}

/// Whether another invocation holds the lock now.
pub fn is_taken() -> bool {
    is_locked(&paths::state("lock"))
}

/// Shared and for a moment only: whoever comes meanwhile waits for that moment.
fn is_locked(path: &Path) -> bool {
    let tried = File::open(path).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        std::fs::create_dir_all(paths::state("")).unwrap();
        let path = paths::state("test-lock");
        let file = File::create(&path).unwrap();
        assert!(!is_locked(&path));
        file.lock().unwrap();
        assert!(is_locked(&path));
        file.unlock().unwrap();
        assert!(!is_locked(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_locked(&path));
    }
}
