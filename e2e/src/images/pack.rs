//! Makes an image out of files and pushes it. The same content gives the same digest: no times, one owner, sorted names.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{command, paths, progress};

/// A file of the image.
pub struct Content {
    pub from: PathBuf,
    /// Absolute path in the image.
    pub to: String,
    pub mode: &'static str,
}

/// What the image says of itself.
#[derive(Default)]
pub struct Config {
    pub user: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub labels: Vec<(String, String)>,
}

impl Config {
    /// As the final stages of the Dockerfile say it; a test compares the two.
    pub fn rust(name: &str, version: &str) -> Self {
        let label =
            |key: &str, value: &str| (format!("org.opencontainers.image.{key}"), value.to_owned());
        Self {
            user: "65532:65532".to_owned(),
            entrypoint: vec![format!("/{name}")],
            labels: vec![
                label("title", name),
                label("version", version),
                label("licenses", "Apache-2.0"),
            ],
            ..Self::default()
        }
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: String| flags.extend([format!("--{name}"), value]);
        if !self.user.is_empty() {
            flag("user", self.user.clone());
        }
        flag("entrypoint", self.entrypoint.join(","));
        if !self.command.is_empty() {
            flag("cmd", self.command.join(","));
        }
        self.env.iter().for_each(|pair| flag("env", pair.clone()));
        self.labels
            .iter()
            .for_each(|(key, value)| flag("label", format!("{key}={value}")));
        flags
    }
}

/// An image to be made.
pub struct Image {
    pub name: String,
    pub tag: String,
    pub content: Vec<Content>,
    /// A tar file that becomes the lowest layer.
    pub rootfs: Option<PathBuf>,
    pub config: Config,
}

impl Image {
    /// Makes the image unless the same one was made before, and pushes it unless the registry has it.
    pub fn push(&self, registry: &str) -> Result<()> {
        let saved = Saved::of(&self.name, &self.tag);
        let mark = self.mark()?;
        let reference = format!("{registry}/{}:{}", self.name, self.tag);
        if !saved.holds(&mark) {
            progress::step(
                &format!("making the image {}:{}", self.name, self.tag),
                || {
                    self.make(&reference)?;
                    saved.keep(&reference, &mark)
                },
            )?;
        }
        saved.push(&reference)
    }

    /// Identifies what the image is made of.
    fn mark(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for content in &self.content {
            hash.update(format!("{} {}\n", content.to, content.mode));
            let mut file = File::open(&content.from)
                .with_context(|| format!("cannot read {}", content.from.display()))?;
            std::io::copy(&mut file, &mut hash)?;
        }
        if let Some(rootfs) = &self.rootfs {
            // Large, and never changed under its name.
            hash.update(rootfs.as_os_str().as_encoded_bytes());
        }
        hash.update(self.config.flags().join("\n"));
        Ok(format!("{:x}", hash.finalize()))
    }

    fn make(&self, reference: &str) -> Result<()> {
        let layer = self.layer()?;
        let mut crane = command::within(300, paths::tool("crane"));
        crane.args([
            "append",
            "--insecure",
            "--oci-empty-base",
            "--new_tag",
            reference,
        ]);
        for layer in self.rootfs.iter().chain([&layer]) {
            crane.arg("--new_layer").arg(layer);
        }
        command::output(&mut crane)?;
        let mut crane = command::within(120, paths::tool("crane"));
        crane
            .args(["mutate", "--insecure", "--tag", reference])
            .args(self.config.flags())
            .arg(reference);
        command::output(&mut crane)?;
        fs::remove_file(layer)?;
        Ok(())
    }

    fn layer(&self) -> Result<PathBuf> {
        let stage = paths::state("images").join(format!("{}-{}.stage", self.name, self.tag));
        fs::remove_dir_all(&stage).ok();
        for content in &self.content {
            let to = stage.join(content.to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().expect("an absolute path has a parent"))?;
            fs::copy(&content.from, &to)
                .with_context(|| format!("cannot read {}", content.from.display()))?;
            command::output(command::within(10, "chmod").arg(content.mode).arg(&to))?;
        }
        let layer = stage.with_extension("tar");
        let mut tar = command::within(120, "tar");
        tar.args([
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-cf",
        ]);
        // Without the folder itself: its mode is this machine's.
        let names = fs::read_dir(&stage)?
            .flatten()
            .map(|entry| entry.file_name());
        command::output(tar.arg(&layer).arg("-C").arg(&stage).args(names))?;
        fs::remove_dir_all(stage)?;
        Ok(layer)
    }
}

/// An image as it is kept on disk, in the OCI layout.
struct Saved {
    folder: PathBuf,
}

impl Saved {
    fn of(name: &str, tag: &str) -> Self {
        Self {
            folder: paths::state("images").join(format!("{name}@{tag}")),
        }
    }

    fn holds(&self, mark: &str) -> bool {
        fs::read_to_string(self.folder.join("mark")).is_ok_and(|saved| saved == mark)
    }

    fn keep(&self, reference: &str, mark: &str) -> Result<()> {
        fs::remove_dir_all(&self.folder).ok();
        let mut crane = command::within(120, paths::tool("crane"));
        crane
            .args(["pull", "--insecure", "--format=oci", reference])
            .arg(&self.folder);
        command::output(&mut crane)?;
        // Last: a folder without it does not count.
        fs::write(self.folder.join("mark"), mark)?;
        Ok(())
    }

    fn digest(&self) -> Result<String> {
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(self.folder.join("index.json"))?)?;
        let digest = index["manifests"][0]["digest"].as_str();
        Ok(digest
            .context("the saved image has no manifest")?
            .to_owned())
    }

    fn push(&self, reference: &str) -> Result<()> {
        let mut crane = command::within(30, paths::tool("crane"));
        let there = command::output(crane.args(["digest", "--insecure", reference]));
        if there.is_ok_and(|digest| digest.trim() == self.digest().unwrap_or_default()) {
            return Ok(());
        }
        let mut crane = command::within(300, paths::tool("crane"));
        command::output(
            crane
                .args(["push", "--insecure"])
                .arg(&self.folder)
                .arg(reference),
        )?;
        progress::note(&format!("pushed {reference}"));
        Ok(())
    }
}

/// Pushes every image that is kept on disk.
pub fn push_saved(registry: &str) -> Result<()> {
    let Ok(entries) = fs::read_dir(paths::state("images")) else {
        return Ok(());
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if let Some((name, tag)) = name_and_tag(&path)
            && path.join("mark").exists()
        {
            Saved {
                folder: path.clone(),
            }
            .push(&format!("{registry}/{name}:{tag}"))?;
        }
    }
    Ok(())
}

fn name_and_tag(folder: &Path) -> Option<(&str, &str)> {
    folder.file_name()?.to_str()?.split_once('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the Dockerfile's stage of that name.
    fn stage(name: &str) -> Vec<String> {
        let text = fs::read_to_string(paths::checkout().join("Dockerfile")).unwrap();
        let mut lines = text
            .lines()
            .skip_while(|line| *line != format!("FROM scratch AS {name}"));
        assert!(lines.next().is_some(), "the Dockerfile has no stage {name}");
        lines
            .take_while(|line| !line.starts_with("FROM"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_dockerfile_makes_the_same_images() {
        for (target, name) in [("operator", "crm-operator"), ("crm-service", "crm-service")] {
            let lines = stage(target);
            let config = Config::rust(name, "$VERSION");
            assert!(
                lines.contains(&format!("USER {}", config.user)),
                "{lines:?}"
            );
            assert!(
                lines.contains(&format!("ENTRYPOINT [\"{}\"]", config.entrypoint[0])),
                "{lines:?}"
            );
            let copied = lines.iter().any(|line| {
                line.starts_with("COPY --from=build") && line.ends_with(&format!(" /{name}"))
            });
            assert!(copied, "{lines:?}");
            for (key, value) in config.labels {
                let wanted = format!("{key}=\"{value}\"");
                assert!(
                    lines.iter().any(|line| line.contains(&wanted)),
                    "{wanted} is not in {lines:?}"
                );
            }
            assert!(
                !lines.iter().any(|line| line.starts_with("RUN")),
                "a final stage has nothing to run with"
            );
        }
    }
}
