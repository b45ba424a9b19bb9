//! A release that changes only the configuration of services: its code is that of stable, which passed its gate, so neither gate nor migration is done anew.
//!
//! In: the candidate that has just begun. Out: what is remembered of it. Fails closed: any other difference, and a stable release that no test of ours let through,
//! makes it a release like any other.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::{record, rollback};
use crate::api::status::{Stage, Verdict};
use crate::platform::release::Release;

/// Stages that are about code and leave a record of why they were not done.
const SKIPPED: [Stage; 2] = [Stage::Rehearse, Stage::Gate];

/// Remembers whose gate counts for the candidate, if any does.
pub(super) fn begin(draft: &mut Draft<'_>, release: &Release) {
    let Some(of) = proven(draft, release) else {
        return;
    };
    let now = Time(draft.now);
    let Some(candidate) = &mut draft.memory.candidate else {
        return;
    };
    candidate.code_of = Some(of.clone());
    let id = candidate.release.clone();
    if let Some(record) = record::of(&mut draft.memory.releases, &id) {
        record.code_of = Some(of.clone());
    }
    for stage in SKIPPED {
        record::enter(&mut draft.memory.releases, &id, stage, now.clone());
        if let Some(record) = record::stage(&mut draft.memory.releases, &id, stage) {
            record.verdict = Some(Verdict::Skipped);
            record.finished_at = Some(now.clone());
            record.message = Some(format!(
                "only configuration differs from release {of}, whose code passed its gate"
            ));
        }
    }
}

/// The release whose gate counts for stable, if stable has the same code.
fn proven(draft: &Draft<'_>, release: &Release) -> Option<String> {
    let stable = draft.memory.stable.as_ref()?;
    let code = draft.release(&stable.release)?;
    let passed = !stable.untested && rollback::has_served(&draft.memory, &stable.release);
    (passed && release.has_code_of(&code)).then(|| record::code_of(&draft.memory, &stable.release))
}
