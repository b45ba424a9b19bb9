//! `crm-service` of the previous release, built once from the commit named in `e2e/previous-release`. In: the history of this clone. Out: a static binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::binaries::{keep, kept, prepared};
use crate::{command, paths, progress};

/// Fails when the previous release is still to be built and its commit is not here, as in a shallow clone.
pub fn refuse_without_commit() -> Result<()> {
    match commit()? {
        Some(commit) if !kept(&name(&commit)).exists() => find(&commit, paths::checkout()),
        _ => Ok(()),
    }
}

/// Builds it, unless it was built before; nothing when no commit is named.
pub fn build() -> Result<Option<PathBuf>> {
    let Some(commit) = commit()? else {
        return Ok(None);
    };
    let path = kept(&name(&commit));
    if path.exists() {
        return Ok(Some(path));
    }
    let short = &commit[..10];
    let what = format!("building crm-service of the previous release, commit {short}");
    let log = paths::log("cargo-previous");
    progress::step_with_log(&what, &log, || {
        let tree = checked_out(&commit)?;
        let mut cargo = command::within(3600, "cargo");
        let cargo = prepared(&mut cargo, &tree, &["--bin", "crm-service"]);
        command::logged(cargo, &log)?;
        keep("crm-service", &name(&commit))?;
        Ok(Some(path))
    })
}

/// What the binary of a commit is kept as.
fn name(commit: &str) -> String {
    format!("crm-service-{commit}")
}

/// The commit that is named, if one is.
fn commit() -> Result<Option<String>> {
    let Ok(text) = fs::read_to_string(paths::checkout().join("e2e/previous-release")) else {
        return Ok(None);
    };
    let commit = text.trim();
    ensure!(
        commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "e2e/previous-release must hold one full commit id, but holds {commit:?}"
    );
    Ok(Some(commit.to_owned()))
}

/// Fails when `clone` has no such commit.
fn find(commit: &str, clone: &Path) -> Result<()> {
    let mut git = command::within(60, "git");
    git.current_dir(clone)
        .args(["cat-file", "-e", &format!("{commit}^{{commit}}")]);
    command::output(&mut git).with_context(|| {
        format!("the previous release's commit {commit} is not in this clone, which must be a full one: run `git fetch --unshallow` in it")
    })?;
    Ok(())
}

/// The sources of a commit in a folder of their own; an archive, because a second work tree would be registered in the repository.
fn checked_out(commit: &str) -> Result<PathBuf> {
    let folder = paths::state("previous");
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder)?;
    let archive = paths::state("previous.tar");
    let mut git = command::within(60, "git");
    git.current_dir(paths::checkout())
        .args(["archive", "--format=tar", "--output"])
        .arg(&archive)
        .arg(commit);
    command::output(&mut git)?;
    command::output(
        command::within(60, "tar")
            .arg("-C")
            .arg(&folder)
            // As new: by the commit's date cargo would take a build of an earlier pin, made since, for fresh.
            .arg("--touch")
            .arg("-xf")
            .arg(&archive),
    )?;
    fs::remove_file(archive)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, words: &[&str]) -> String {
        let mut git = command::within(20, "git");
        git.current_dir(folder)
            .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
            .args(words);
        command::output(&mut git).unwrap()
    }

    #[test]
    fn a_shallow_clone_is_told_how_to_become_a_full_one() {
        let folder = paths::state("test-previous");
        fs::remove_dir_all(&folder).ok();
        let (full, shallow) = (folder.join("full"), folder.join("shallow"));
        fs::create_dir_all(&full).unwrap();
        git(&full, &["init", "--quiet"]);
        for message in ["released", "since"] {
            git(&full, &["commit", "--allow-empty", "-m", message]);
        }
        let released = git(&full, &["rev-parse", "HEAD^"]);
        let from = format!("file://{}", full.display());
        git(&folder, &["clone", "--depth", "1", &from, "shallow"]);

        find(released.trim(), &full).unwrap();
        let error = find(released.trim(), &shallow).unwrap_err();
        assert!(format!("{error:#}").contains("git fetch --unshallow"));
        git(&shallow, &["fetch", "--unshallow"]);
        find(released.trim(), &shallow).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
