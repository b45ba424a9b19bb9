//! The states of a platform as they come, from one kubectl that watches. To ask again and again took a fifth of the machine from what is tested.

use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Deserializer, Value};

use super::Platform;
use crate::process::end_child;

/// A watch; dropping it ends kubectl.
pub(super) struct Stream {
    kubectl: Child,
    states: Receiver<Value>,
}

impl Platform {
    /// Begins to watch, with the platform as it is now.
    ///
    /// # Errors
    /// When kubectl cannot be started.
    pub(super) fn stream(&self, seconds: u32) -> Result<Stream> {
        let mut kubectl = self.cluster.kubectl(seconds);
        kubectl.args(["--namespace", &self.namespace, "get", "crmplatform"]);
        // A list of one: of an object by its name kubectl leaves out the first that its watch shows, which may be newer than what it has read before.
        let only = format!("metadata.name={}", self.name);
        kubectl.args(["--field-selector", &only, "--watch", "--output=json"]);
        let mut kubectl = kubectl
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start kubectl")?;
        let output = kubectl.stdout.take().expect("standard output is piped");
        let (sender, states) = channel();
        std::thread::spawn(move || pass_on(output, &sender));
        Ok(Stream { kubectl, states })
    }
}

impl Stream {
    /// The next state; nothing when none comes within `limit`.
    ///
    /// # Errors
    /// When kubectl has ended: the API server did not answer, or its time is over.
    pub(super) fn next(&self, limit: Duration) -> Result<Option<Value>> {
        match self.states.recv_timeout(limit) {
            Ok(state) => Ok(Some(state)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("kubectl ended its watch"),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        end_child(&mut self.kubectl);
    }
}

fn pass_on(output: ChildStdout, states: &Sender<Value>) {
    let objects = Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
    for object in objects.map_while(Result::ok) {
        if states.send(object).is_err() {
            return;
        }
    }
}
