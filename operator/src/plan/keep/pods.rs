//! The last words of pods of a service that did not get ready, for the finding and for the ConfigMap of the release.

use super::{Keep, KeptStep, ask};
use crate::api::status::Stage;
use crate::desired::{names, reports};
use crate::kept::{compressed, log};
use crate::observed::{ContainerState, LogPart, PodView};
use crate::plan::draft::Draft;
use crate::report::clipped;

/// The container of a pod of a service.
const SERVICE: &str = "service";
/// Bytes of a log in a finding.
const WORDS_BYTES: usize = 300;
/// Characters of why it could not be read.
const WHY_LIMIT: usize = 120;

/// The last words of the worst of these pods in one line, if any of them has ever run; nothing as long as its log has to be read first.
pub(in crate::plan) fn last_words(
    draft: &mut Draft<'_>,
    (id, stage): (&str, Stage),
    pods: &[&PodView],
) -> Option<Option<String>> {
    let ran = pods.iter().filter(|pod| has_run(pod));
    let Some(pod) = ran.max_by_key(|pod| (breaks(pod), pod.created)) else {
        return Some(None);
    };
    let part = match pod.state {
        // It was started again and has not broken yet: what broke it stands in the run before.
        ContainerState::Running if pod.restarts > 0 => LogPart::EndBefore,
        _ => LogPart::End,
    };
    let what = match pod.restarts {
        0 => format!("pod {} (not ready)", pod.name),
        restarts => format!("pod {} (restarts: {restarts})", pod.name),
    };
    let text = match draft.log(ask(pod, SERVICE, part))? {
        Ok(bytes) => log::legible(&bytes),
        Err(why) => {
            let why = clipped(&why, WHY_LIMIT);
            return Some(Some(format!("{what}, its log could not be read: {why}")));
        }
    };
    if text.is_empty() {
        return Some(Some(format!("{what}, its log is empty")));
    }
    let step = KeptStep {
        release: id.to_owned(),
        stage,
        step: format!("{}-pods", pod.service),
    };
    push(draft, step, &text);
    let lines = log::tail(&text).replace('\n', " | ");
    let end = log::last(&lines, WORDS_BYTES);
    Some(Some(format!("{what}, its log ends with: {end}")))
}

fn has_run(pod: &PodView) -> bool {
    breaks(pod) || pod.state == ContainerState::Running
}

/// Whether its container has ended at least once.
fn breaks(pod: &PodView) -> bool {
    pod.restarts > 0 || matches!(pod.state, ContainerState::Terminated { .. })
}

fn push(draft: &mut Draft<'_>, step: KeptStep, text: &str) {
    let record = draft.observed.record_uids.get(&step.release);
    let release = draft.release(&step.release);
    let (Some(record), Some(release)) = (record, release) else {
        return;
    };
    let key = format!("{}.log.gz", names::kept(step.stage, &step.step, None));
    let kept = vec![(key, compressed(text.as_bytes()))];
    let scope = draft.scope(&step.release, &release);
    let object = Box::new(reports::config_map(scope, record, kept));
    draft.keeps.push(Keep { object, step });
}
