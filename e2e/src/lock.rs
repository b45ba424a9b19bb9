//! One change of the cluster at a time: a lock file that the kernel frees when the process ends, however it ends.

use std::fs::{File, TryLockError};

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
