//! What is kept of a Job or of pods that did not get ready, before they go: the whole report of a test, and the end of the log of what did not pass.
//!
//! In: an ending, pods, and the logs that were read. Out: what to keep, and a few words for people. A plan that has to know a log first asks for it (`Plan::asks`) and finds no
//! verdict; it is made again with the answer. What cannot be read is an answer too, so that no verdict waits for a log. Must not judge.

mod pods;

use k8s_openapi::api::core::v1::ConfigMap;

pub(super) use pods::last_words;

use super::draft::Draft;
use super::judge::{self, Ending, Kind};
use super::record;
use super::steps::Work;
use crate::api::status::{Memory, Stage, Verdict};
use crate::desired::{names, report, reports};
use crate::kept::{RELEASE_BYTES, compressed, log, whole};
use crate::observed::{Ask, ContainerState, LogPart, PodView};
use crate::report::{Collected, clipped};

/// The container of a Job that does its work.
const MAIN: &str = "main";
/// Most characters of the reason why something was not kept.
const WHY_LIMIT: usize = 200;
/// Longest message of a Job with that reason.
const MESSAGE_LIMIT: usize = 750;

/// Something to keep. It is written before the verdict is saved, again after a crash, and its loss stops nothing.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Keys of one step, in the ConfigMap of its release.
    pub object: Box<ConfigMap>,
    /// Whose keys they are.
    pub step: KeptStep,
}

/// The step of a release whose report and log are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStep {
    /// Release id.
    pub release: String,
    /// Stage.
    pub stage: Stage,
    /// Step of the stage, or pods of a service in it.
    pub step: String,
}

impl KeptStep {
    /// Says in the record of its Job that nothing was kept after all.
    pub fn is_lost(&self, memory: &mut Memory, why: &str) {
        if let Some(job) = record::job(&mut memory.releases, &self.release, self.stage, &self.step)
        {
            job.kept_bytes = None;
            job.message = added(job.message.take(), &not_kept(why));
        }
    }
}

/// Keeps what there is of a Job of ours that ended; nothing as long as a log of it has to be read first.
pub(super) fn job(
    draft: &mut Draft<'_>,
    work: &Work<'_>,
    (mut ending, pods): (Ending, &[&PodView]),
) -> Option<Ending> {
    let pod = judge::speaker(pods);
    let reported = pod.filter(|pod| has_report(pod, &work.kind));
    let whole = reported.map(|pod| draft.log(ask(pod, report::CONTAINER, LogPart::Report)));
    let unclear = pod.filter(|_| ending.verdict != Verdict::Passed);
    let end = unclear.map(|pod| draft.log(ask(pod, MAIN, LogPart::End)));
    // Both are asked for before either is waited for.
    if matches!(whole, Some(None)) || matches!(end, Some(None)) {
        return None;
    }
    let mut room = Room::new(draft, work);
    match end.flatten() {
        Some(Ok(bytes)) => {
            let text = log::legible(&bytes);
            ending.log_tail = Some(log::tail(&text)).filter(|tail| !tail.is_empty());
            room.keep_log(&text);
        }
        Some(Err(why)) => {
            let why = clipped(&why, WHY_LIMIT);
            ending.log_tail = Some(format!("(its log could not be read: {why})"));
        }
        None => {}
    }
    match whole.flatten().map(|log| whole::read(&log?)) {
        Some(Ok(packed)) => room.keep("xml.gz", packed),
        Some(Err(why)) => room.lost = Some(why),
        None => {}
    }
    if let Some(why) = &room.lost {
        ending.message = added(ending.message, &not_kept(why));
    }
    ending.kept_bytes = room.push(draft);
    Some(ending)
}

fn ask(pod: &PodView, container: &'static str, part: LogPart) -> Ask {
    Ask {
        pod: pod.name.clone(),
        container,
        part,
    }
}

/// Whether the container beside a test has read files, which it prints then.
fn has_report(pod: &PodView, kind: &Kind) -> bool {
    let Kind::Test { report: true, .. } = kind else {
        return false;
    };
    match &pod.collector {
        ContainerState::Terminated {
            exit_code: 0,
            message,
            ..
        } => Collected::read(message).is_some_and(|all| all.files > 0),
        _ => false,
    }
}

/// The keys of one step, as far as there is room for them in the ConfigMap of its release.
struct Room {
    step: KeptStep,
    name: String,
    /// UID of the record of its release.
    record: Option<String>,
    left: usize,
    kept: Vec<(String, Vec<u8>)>,
    /// Why something is not kept.
    lost: Option<String>,
}

impl Room {
    fn new(draft: &mut Draft<'_>, work: &Work<'_>) -> Self {
        let attempt = work.record(draft).map_or(1, |open| open.attempt);
        let step = KeptStep {
            release: work.release.to_owned(),
            stage: work.stage,
            step: work.step.clone(),
        };
        let taken = taken(&mut draft.memory, &step);
        Self {
            name: names::kept(step.stage, &step.step, Some(attempt)),
            record: draft.observed.record_uids.get(work.release).cloned(),
            left: RELEASE_BYTES.saturating_sub(taken),
            kept: Vec::new(),
            lost: None,
            step,
        }
    }

    fn keep_log(&mut self, text: &str) {
        if !text.is_empty() {
            self.keep("log.gz", compressed(text.as_bytes()));
        }
    }

    fn keep(&mut self, form: &str, bytes: Vec<u8>) {
        if self.record.is_none() {
            self.lost = Some("the record of its release is not there".to_owned());
        } else if bytes.len() > self.left {
            self.lost = Some("those of other tests fill the ConfigMap of its release".to_owned());
        } else {
            self.left -= bytes.len();
            self.kept.push((format!("{}.{form}", self.name), bytes));
        }
    }

    /// Plans to keep it all, in the place of what an earlier try left; answers how many bytes that is.
    fn push(self, draft: &mut Draft<'_>) -> Option<i64> {
        let bytes: usize = self.kept.iter().map(|(_, bytes)| bytes.len()).sum();
        let record = self.record.filter(|_| bytes > 0)?;
        let release = draft.release(&self.step.release)?;
        let scope = draft.scope(&self.step.release, &release);
        let object = reports::config_map(scope, &record, self.kept);
        forget_earlier(&mut draft.memory, &self.step);
        draft.keeps.push(Keep {
            object: Box::new(object),
            step: self.step,
        });
        i64::try_from(bytes).ok()
    }
}

/// Bytes that the other steps of a release have in its ConfigMap.
fn taken(memory: &mut Memory, step: &KeptStep) -> usize {
    let record = record::of(&mut memory.releases, &step.release);
    let stages = record.into_iter().flat_map(|record| &record.stages);
    let jobs = stages.flat_map(|stage| stage.jobs.iter().map(move |job| (stage.name, job)));
    let others = jobs.filter(|(stage, job)| *stage != step.stage || job.step != step.step);
    let bytes: i64 = others.filter_map(|(_, job)| job.kept_bytes).sum();
    usize::try_from(bytes).unwrap_or(RELEASE_BYTES)
}

/// What an earlier try of a step left goes when this one is applied under the same field manager.
fn forget_earlier(memory: &mut Memory, step: &KeptStep) {
    if let Some(stage) = record::stage(&mut memory.releases, &step.release, step.stage) {
        let earlier = stage.jobs.iter_mut().filter(|job| job.step == step.step);
        earlier.for_each(|job| job.kept_bytes = None);
    }
}

fn not_kept(why: &str) -> String {
    format!(
        "its report or log was not kept: {}",
        clipped(why, WHY_LIMIT)
    )
}

/// A message with one more sentence.
fn added(message: Option<String>, more: &str) -> Option<String> {
    let all = match message {
        Some(message) => format!("{message}; {more}"),
        None => more.to_owned(),
    };
    Some(clipped(&all, MESSAGE_LIMIT))
}

#[cfg(test)]
mod tests;
