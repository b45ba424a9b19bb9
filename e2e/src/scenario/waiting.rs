//! Waits for a platform, and tells the whole story when it waited in vain. Every wait has a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::stream::Stream;
use super::{CALL, Platform, SYSTEM, condition, reason};
use crate::command;

/// After so long a test that looks elsewhere looks again.
const PAUSE: Duration = Duration::from_millis(300);
/// Seconds of one watch; then it is begun again.
const WATCH: u32 = 600;

impl Platform {
    /// Waits until `holds` is true of the platform and answers it.
    ///
    /// # Errors
    /// After `seconds`, with the platform's conditions, its pods and the operator's last words. A watch that fails before is begun again.
    pub fn wait(&self, what: &str, seconds: u64, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        self.watch(what, seconds, |platform| Ok(holds(platform)))
    }

    /// As [`Platform::wait`], for a test that looks elsewhere too or tells what it sees: `holds` is asked about every state, and again while none comes.
    ///
    /// # Errors
    /// After `seconds`, or when `holds` fails.
    pub fn watch(
        &self,
        what: &str,
        seconds: u64,
        mut holds: impl FnMut(&Value) -> Result<bool>,
    ) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let (mut stream, mut seen) = (None, None);
        loop {
            if let Some(platform) = self.next(&mut stream)? {
                seen = Some(platform);
            }
            if let Some(platform) = &seen
                && holds(platform)?
            {
                return Ok(platform.clone());
            }
            if Instant::now() > deadline {
                let now = self.get().ok();
                if let Some(now) = &now
                    && holds(now)?
                {
                    return Ok(now.clone());
                }
                let seen = now.or(seen).unwrap_or_default();
                let place = format!("{}/{}", self.namespace, self.name);
                let story = self.story(&seen);
                bail!("{place}: waited {seconds} s for: {what}\n{story}");
            }
        }
    }

    /// The next state, if one comes soon. A stream that ended is begun again: the API server may be busy for a moment.
    fn next(&self, stream: &mut Option<Stream>) -> Result<Option<Value>> {
        let open = match stream.take() {
            Some(open) => open,
            None => self.stream(WATCH)?,
        };
        match open.next(PAUSE) {
            Ok(state) => {
                *stream = Some(open);
                Ok(state)
            }
            Err(_) => {
                std::thread::sleep(PAUSE);
                Ok(None)
            }
        }
    }

    /// Waits until the release of the present spec serves.
    ///
    /// # Errors
    /// After `seconds`.
    pub fn wait_ready(&self, seconds: u64) -> Result<Value> {
        self.wait("Ready for the present spec", seconds, |platform| {
            platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
                && condition(platform, "Ready") == "True"
        })
    }

    /// Waits until the operator gave the present spec up, and answers the reason.
    ///
    /// # Errors
    /// After `seconds`.
    pub fn wait_stalled(&self, seconds: u64) -> Result<(Value, String)> {
        let platform = self.wait("Stalled for the present spec", seconds, |platform| {
            platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
                && condition(platform, "Stalled") == "True"
        })?;
        let reason = reason(&platform, "Stalled");
        Ok((platform, reason))
    }

    /// Everything a failed test should show.
    fn story(&self, platform: &Value) -> String {
        let status = &platform["status"];
        let conditions: Vec<_> = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| {
                format!(
                    "  {} {} {}: {}",
                    c["type"], c["status"], c["reason"], c["message"]
                )
            })
            .collect();
        let pods = self
            .kubectl(&["get", "pods,jobs,deployments", "--output=wide"])
            .unwrap_or_default();
        let events = self
            .kubectl(&["get", "events", "--sort-by=.lastTimestamp"])
            .unwrap_or_default();
        let words = command::output(self.cluster.kubectl(CALL).args([
            "--namespace",
            SYSTEM,
            "logs",
            "--selector=app.kubernetes.io/name=crm-operator",
            "--prefix",
            "--tail=1000",
        ]))
        .unwrap_or_default();
        let own = format!("/{}.{}\"", self.name, self.namespace);
        let words: String = words
            .split_inclusive('\n')
            .filter(|line| line.contains(&own) || line.contains("\"ERROR\""))
            .collect();
        let rejected = &status["rejected"];
        format!(
            "stage {}\n{}\nrejected {rejected}\n{pods}\n{}\n{}",
            status["stage"],
            conditions.join("\n"),
            command::last_lines(&events, 15),
            command::last_lines(&words, 15)
        )
    }
}
