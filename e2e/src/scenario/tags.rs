//! A repository of a test's own, into which it pushes versions. In: images of this run. Out: the same images under other tags.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::digest;
use crate::{Cluster, command, paths};

/// A repository that nobody else follows.
pub struct Repository(String);

impl Repository {
    /// An empty one. Its name is a new one each time: tags of an earlier run must not be found.
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs();
        Self(format!("{}/{name}-{seconds}", cluster.registry))
    }

    /// The reference of a tag.
    pub fn image(&self, tag: &str) -> String {
        format!("{}:{tag}", self.0)
    }

    /// Pushes an image under a tag; answers its digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push(&self, image: &str, tag: &str) -> Result<String> {
        let mut crane = command::within(120, paths::tool("crane"));
        crane.args(["copy", "--insecure", image, &self.image(tag)]);
        command::output(&mut crane)?;
        digest(&self.image(tag))
    }

    /// As [`Repository::push`], as an image that does the same and has another digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push_rebuilt(&self, image: &str, tag: &str) -> Result<String> {
        // First under a tag that is no version: one that was found is not looked at again.
        let copy = format!("copy-for-{tag}");
        self.push(image, &copy)?;
        let (reference, label) = (self.image(tag), format!("rebuilt={tag}"));
        let mut crane = command::within(120, paths::tool("crane"));
        crane.args(["mutate", "--insecure", "--label", &label]);
        crane.args(["--tag", &reference, &self.image(&copy)]);
        command::output(&mut crane)?;
        digest(&reference)
    }
}
