//! How a Job ended: the one place where a pass is found. Fail closed: what is not plainly a pass is not one.
//!
//! In: our Job, its pods, the clock's reading. Out: an [`Ending`], or nothing while it goes on. Rests on terminal conditions, pod phases and exit codes; never
//! on counters.

mod performance;
mod summary;
mod test;

use k8s_openapi::jiff::Timestamp;

use summary::Summary;
pub(super) use summary::{BackupSummary, SchemaSummary};
use test::Asked;

use crate::api::status::{Report, Verdict};
use crate::cost::seconds;
use crate::desired::report;
use crate::observed::{ContainerState, JobEnd, JobView, PodView};
use crate::report::clipped;

/// Seconds to wait for a pod's own words after its Job has ended: two watches may arrive in any order.
const WORDS_WITHIN: f64 = 10.0;
/// Seconds after the end of a test within which its report must be collected: the kubelet gives the container 30 to end, then ends it.
const COLLECTED_WITHIN: f64 = 60.0;
/// Seconds an image may fail to be pulled, or a container to be made.
const STUCK_AFTER: f64 = 20.0;
/// Seconds a pod may find no node.
const UNPLACED_AFTER: f64 = 45.0;
/// Waiting reasons that do not mend themselves.
const STUCK: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];
/// Longest message kept.
const MESSAGE_LIMIT: usize = 500;
/// How the end of a Job is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Exit 1 = failed, 2 = could not run; and what its report must say.
    Test {
        /// Whether a report is declared.
        report: bool,
        /// Fewest tests in it.
        min_tests: i32,
        /// Percent by which the candidate may be slower than stable, of a test that compares them.
        budget: Option<i32>,
    },
    /// Exit 10 = nothing to do, 30 and 40 = failed, 20 and 50 = could not be found out.
    Migration,
    /// The same of a release that serves, where 30 = not yet: pods that were killed count as alive for a while, and what is left over stays.
    Optimisation,
    /// As a migration, and its own words must be read: whether rows are masked rests on what it offers.
    Offering,
    /// As preparation, and its words must tell of a dump.
    Backup,
    /// Preparation: anything but success means that nothing could be found out.
    Preparation,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub verdict: Verdict,
    pub message: Option<String>,
    pub report: Option<Report>,
    /// The last lines of its log.
    pub log_tail: Option<String>,
    /// Bytes that are kept of its report and log.
    pub kept_bytes: Option<i64>,
    pub pending: Option<Vec<String>>,
    pub schema: Option<SchemaSummary>,
    pub backup: Option<BackupSummary>,
    pub offers: Vec<String>,
    /// Level of the application that migrated.
    pub app_level: Option<i64>,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    /// When its report was read.
    pub recorded: Option<Timestamp>,
}

impl Ending {
    pub fn inconclusive(message: String) -> Self {
        Self::new(Verdict::Inconclusive, message)
    }

    fn new(verdict: Verdict, message: String) -> Self {
        Self {
            verdict,
            message: Some(bounded(&message)),
            report: None,
            log_tail: None,
            kept_bytes: None,
            pending: None,
            schema: None,
            backup: None,
            offers: Vec::new(),
            app_level: None,
            started: None,
            finished: None,
            recorded: None,
        }
    }
}

/// Judges a Job of ours.
pub(super) fn judge(
    job: &JobView,
    pods: &[&PodView],
    kind: &Kind,
    now: Timestamp,
) -> Option<Ending> {
    if let Some(pod) = pods.iter().find(|pod| pod.phase == "Succeeded") {
        return is_told(pod, kind, now).then(|| spoken(pod, 0, kind));
    }
    let recently = job
        .ended
        .is_some_and(|ended| seconds(ended, now) < WORDS_WITHIN);
    match &job.end {
        Some(JobEnd::Complete) if recently => None,
        Some(JobEnd::Complete) => Some(silent(kind)),
        Some(JobEnd::Failed { reason, message }) if reason == "DeadlineExceeded" => {
            let what = format!(
                "it did not end before its deadline: see in its log what it waited for, or raise its deadlineSeconds ({message})"
            );
            Some(Ending::inconclusive(what))
        }
        Some(JobEnd::Failed { reason, message }) => match last_words(pods) {
            Some((_, 0)) => Some(Ending::inconclusive(format!(
                "its container ended with exit code 0, but the Job failed: {reason}: {message}"
            ))),
            Some((pod, code)) => is_told(pod, kind, now).then(|| spoken(pod, code, kind)),
            None if recently => None,
            None => {
                let why = disruption(pods).unwrap_or_else(|| format!("{reason}: {message}"));
                Some(Ending::inconclusive(why))
            }
        },
        None => None,
    }
}

/// Whether all there is to know of a pod is there: its report is collected only after the test has ended. What takes longer than it may was lost.
fn is_told(pod: &PodView, kind: &Kind, now: Timestamp) -> bool {
    let collects = matches!(kind, Kind::Test { report: true, .. });
    let collected = matches!(pod.collector, ContainerState::Terminated { .. });
    let ended = match pod.state {
        ContainerState::Terminated { finished, .. } => finished.or(pod.created),
        _ => pod.created,
    };
    !collects || collected || ended.is_none_or(|ended| seconds(ended, now) > COLLECTED_WITHIN)
}

/// The last pod that ended by itself, and its exit code.
fn last_words<'p>(pods: &[&'p PodView]) -> Option<(&'p PodView, i32)> {
    let ended = pods
        .iter()
        .filter(|pod| !pod.disrupted)
        .filter_map(|pod| match pod.state {
            ContainerState::Terminated { exit_code, .. } => Some((*pod, exit_code)),
            _ => None,
        });
    ended.max_by_key(|(pod, _)| pod.created)
}

/// The pod whose words a verdict rests on; of a Job that was ended, the last pod that ran.
pub(super) fn speaker<'p>(pods: &[&'p PodView]) -> Option<&'p PodView> {
    let passed = pods.iter().find(|pod| pod.phase == "Succeeded").copied();
    let ended = last_words(pods).map(|(pod, _)| pod);
    let has_run = |state: &ContainerState| {
        matches!(
            state,
            ContainerState::Running | ContainerState::Terminated { .. }
        )
    };
    let ran = pods.iter().filter(|pod| has_run(&pod.state)).copied();
    let last = ran.max_by_key(|pod| pod.created);
    passed.or(ended).or(last)
}

/// A Job that is complete, but whose pod is gone: enough only where no report is asked for.
fn silent(kind: &Kind) -> Ending {
    match kind {
        Kind::Test { report: true, .. } => Ending::inconclusive(
            "it is complete, but its pod was removed before its report was read".to_owned(),
        ),
        Kind::Test {
            budget: Some(_), ..
        } => Ending::inconclusive(
            "it is complete, but its pod was removed before its p95s were read".to_owned(),
        ),
        Kind::Offering => Ending::inconclusive(
            "it is complete, but its pod was removed before it could be read whether its image masks personal data"
                .to_owned(),
        ),
        Kind::Backup => Ending::inconclusive(
            "it is complete, but its pod was removed before the checksum of its dump was read"
                .to_owned(),
        ),
        _ => Ending {
            message: None,
            ..Ending::new(Verdict::Passed, String::new())
        },
    }
}

fn spoken(pod: &PodView, code: i32, kind: &Kind) -> Ending {
    let ContainerState::Terminated {
        message,
        reason,
        started,
        finished,
        ..
    } = &pod.state
    else {
        return silent(kind);
    };
    let summary = Summary::read(message);
    let mut ending = match kind {
        Kind::Test {
            report,
            min_tests,
            budget,
        } => {
            let asked = Asked {
                report: *report,
                min_tests: *min_tests,
                budget: *budget,
            };
            test::ended(pod, (code, message), asked)
        }
        Kind::Optimisation if code == 30 => {
            Ending::inconclusive(said(summary.as_ref(), "exit code 30: refused".to_owned()))
        }
        Kind::Migration | Kind::Optimisation | Kind::Offering => migration(code, summary.as_ref()),
        Kind::Backup if code == 0 => dumped(summary.as_ref()),
        Kind::Preparation if code == 0 => Ending {
            message: None,
            ..Ending::new(Verdict::Passed, String::new())
        },
        Kind::Preparation | Kind::Backup => {
            Ending::inconclusive(format!("exit code {code}: {}", tail(message)))
        }
    };
    if reason == "OOMKilled" {
        ending = Ending::inconclusive(
            "it was killed for want of memory: raise the limit of the service".to_owned(),
        );
    }
    let judged = matches!(kind, Kind::Test { .. });
    if !judged && ending.verdict != Verdict::Passed && summary.is_none() && !message.is_empty() {
        ending.message = Some(bounded(&format!("exit code {code}: {}", tail(message))));
    }
    ending.started = *started;
    ending.finished = *finished;
    ending.recorded = match &pod.collector {
        ContainerState::Terminated { finished, .. } => *finished,
        _ => None,
    };
    if let Some(summary) = summary {
        ending.pending = summary.pending;
        ending.offers = summary.offers;
        ending.app_level = summary.app_level;
        ending.schema = summary.schema;
    }
    ending
}

fn dumped(summary: Option<&Summary>) -> Ending {
    let made = summary.and_then(|summary| summary.backup.clone());
    let Some(made) = made.filter(BackupSummary::is_sound) else {
        let words = "exit code 0, but its termination message tells of no dump: is the PostgreSQL image of the operator's configuration a sound one?";
        return Ending::inconclusive(words.to_owned());
    };
    Ending {
        backup: Some(made),
        ..Ending::new(Verdict::Passed, said(summary, "dumped".to_owned()))
    }
}

fn migration(code: i32, summary: Option<&Summary>) -> Ending {
    let words = |otherwise: &str| said(summary, format!("exit code {code}: {otherwise}"));
    match code {
        0 => Ending::new(Verdict::Passed, words("done")),
        10 => Ending::new(Verdict::Passed, words("nothing to do")),
        20 => Ending::inconclusive(words(
            "another migration holds the lock, or the database was out of reach",
        )),
        30 => Ending::new(Verdict::Failed, words("refused")),
        50 => Ending::inconclusive(words("it failed and needs attention")),
        126 | 127 => Ending::inconclusive(words("it could not run")),
        _ => Ending::new(Verdict::Failed, words("failed and rolled back")),
    }
}

fn said(summary: Option<&Summary>, otherwise: String) -> String {
    summary
        .and_then(|summary| summary.message.clone())
        .unwrap_or(otherwise)
}

/// How its last pod was taken away, if it was.
fn disruption(pods: &[&PodView]) -> Option<String> {
    let lost = pods.iter().filter(|pod| pod.disrupted);
    let pod = lost.max_by_key(|pod| pod.created)?;
    let words =
        "was evicted or drained: look at memory and disk of its node, and at how much it writes";
    Some(format!("its pod {} {words} ({})", pod.name, pod.disruption))
}

/// Why a Job that has not ended will not end by itself, as far as its pods tell.
pub(super) fn stuck(pods: &[&PodView], now: Timestamp) -> Option<String> {
    let age = |since: Option<Timestamp>| since.map_or(0.0, |since| seconds(since, now));
    pods.iter().find_map(|pod| match unstarted(pod) {
        _ if age(pod.created) > UNPLACED_AFTER
            && let Some(why) = &pod.unschedulable =>
        {
            let claims = ["persistent volume", "PersistentVolumeClaim"];
            let remedy = match claims.iter().any(|word| why.contains(word)) {
                true => {
                    "its claim has no volume (kubectl get pvc): provide one, or write a smaller storage into the spec and delete the claim that is Pending"
                }
                false => "make room or let it ask for less",
            };
            Some(format!("its pod {} finds no node, {remedy}: {why}", pod.name))
        }
        Some(why) if age(pod.created) > STUCK_AFTER => {
            let remedy = match why.contains("Image") {
                true => "see that the image is there and that the nodes can pull it",
                false => "see that its command, and the Secrets and keys that it names, are there",
            };
            Some(format!(
                "its pod {} cannot start, {remedy}: {why}",
                pod.name
            ))
        }
        _ => None,
    })
}

/// Why pods of a service cannot even start, if that is why they are not ready.
pub(super) fn unstartable(pods: &[&PodView]) -> Option<String> {
    pods.iter().find_map(|pod| match unstarted(pod) {
        Some(why) => Some(format!("pod {} cannot start: {why}", pod.name)),
        None => pod
            .unschedulable
            .as_ref()
            .map(|why| format!("pod {} finds no node: {why}", pod.name)),
    })
}

/// What keeps a container of a pod from starting, in the kubelet's words.
fn unstarted(pod: &PodView) -> Option<String> {
    let why = |state: &ContainerState| match state {
        ContainerState::Waiting { reason, message } if STUCK.contains(&reason.as_str()) => {
            Some(format!("{reason}: {message}"))
        }
        _ => None,
    };
    // The one that collects is started first: as long as it cannot, the other only waits.
    let collector = why(&pod.collector);
    let named = collector.map(|why| format!("container {}: {why}", report::CONTAINER));
    named.or_else(|| why(&pod.state))
}

fn tail(text: &str) -> &str {
    let lines = text.trim_end();
    let start = lines.len().saturating_sub(MESSAGE_LIMIT - 40);
    let start = (start..lines.len())
        .find(|index| lines.is_char_boundary(*index))
        .unwrap_or(0);
    &lines[start..]
}

fn bounded(text: &str) -> String {
    clipped(text, MESSAGE_LIMIT)
}

#[cfg(test)]
mod tests;
