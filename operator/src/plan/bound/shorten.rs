//! The single ways to make a memory smaller; each may be used twice without doing more. None touches what a decision needs.

use std::collections::BTreeSet;

use super::Known;
use crate::api::status::{
    HandledToken, JobRecord, Memory, ReleaseRecord, ServiceImage, Stage, StageRecord, Verdict,
    shortened,
};
use crate::plan::{closing, record};

/// Characters of a message whose detail goes.
const SHORT: usize = 160;
/// Characters of a message of which nearly all goes.
const VERY_SHORT: usize = 40;
/// Interventions of a release that are kept.
const INTERVENTIONS: usize = 1;
/// Days of delivery that are kept in the end.
const DAYS: usize = 5;
/// Characters of a digest with its algorithm, by which an image is known again.
const DIGEST: usize = "sha256:".len() + 16;

// --- of a release

/// What containers said at length.
pub fn quotes(record: &mut ReleaseRecord, _: &Known<'_>) {
    for job in all_jobs(record) {
        unquote(job);
    }
}

pub fn quotes_of_ended_stages(record: &mut ReleaseRecord, known: &Known<'_>) {
    for job in ended_stages(record, known).flat_map(|stage| &mut stage.jobs) {
        unquote(job);
    }
}

/// A field that quotes a container at length goes here.
fn unquote(job: &mut JobRecord) {
    if let Some(report) = &mut job.report {
        report.first_failures.truncate(1);
        if let Some(performance) = &mut report.performance {
            performance.parts.clear();
        }
    }
    job.log_tail = None;
    clip(&mut job.message, 2 * SHORT);
}

/// All Jobs of a release that is history.
pub fn jobs(record: &mut ReleaseRecord, known: &Known<'_>) {
    for stage in &mut record.stages {
        retain(stage, |_, job| is_running(job, known));
    }
}

/// All stages of a release that is history but the one by which a person may go back to it.
pub fn stages(record: &mut ReleaseRecord, known: &Known<'_>) {
    let runs = |stage: &StageRecord| stage.jobs.iter().any(|job| is_running(job, known));
    let kept = |stage: &StageRecord| stage.name == Stage::Gate || runs(stage);
    record.stages.retain(kept);
    for stage in &mut record.stages {
        clip(&mut stage.message, SHORT);
    }
    if let Some(finding) = &mut record.finding {
        clip_text(&mut finding.message, SHORT);
    }
}

pub fn interventions(record: &mut ReleaseRecord, _: &Known<'_>) {
    let surplus = record.interventions.len().saturating_sub(INTERVENTIONS);
    record.interventions.drain(..surplus);
}

pub fn words_of_earlier_tries(record: &mut ReleaseRecord, _: &Known<'_>) {
    for stage in &mut record.stages {
        for (index, place) in places(&stage.jobs).into_iter().enumerate() {
            if !place.last {
                hush(&mut stage.jobs[index]);
            }
        }
    }
}

pub fn earlier_tries(record: &mut ReleaseRecord, known: &Known<'_>) {
    for stage in &mut record.stages {
        let is_gate = stage.name == Stage::Gate;
        retain(stage, |place, job| {
            place.last || (place.first && is_gate) || is_running(job, known)
        });
    }
}

pub fn words_of_ended_stages(record: &mut ReleaseRecord, known: &Known<'_>) {
    for stage in ended_stages(record, known) {
        clip(&mut stage.message, 2 * SHORT);
        for job in &mut stage.jobs {
            match job.verdict {
                Some(Verdict::Passed) => hush(job),
                _ => clip(&mut job.message, SHORT),
            }
        }
    }
}

pub fn words(record: &mut ReleaseRecord, _: &Known<'_>) {
    for stage in &mut record.stages {
        clip(&mut stage.message, SHORT);
        for job in &mut stage.jobs {
            clip(&mut job.message, SHORT);
        }
    }
}

// --- of a release, in the last resort

/// Jobs of stages that have ended. What expand said on the scratch database stays: the gate asks what was pending there, the next release what could be masked.
pub fn jobs_of_ended_stages(record: &mut ReleaseRecord, known: &Known<'_>) {
    let gate = known.lives.contains(&Stage::Gate);
    for stage in ended_stages(record, known) {
        let is_rehearsal = stage.name == Stage::Rehearse;
        retain(stage, |place, job| {
            let is_asked = gate || !job.offers.is_empty();
            let told = is_rehearsal && place.last && job.step.starts_with("expand-") && is_asked;
            told || is_running(job, known)
        });
        let told = stage.jobs.iter_mut().filter(|_| is_rehearsal && !gate);
        told.for_each(|job| job.pending = None);
    }
}

/// Jobs of the rehearsal whose whole group has passed, and tests of steps that a canary has left behind. Expand stays, because it told what is pending; stable's
/// own until the candidate's has passed.
pub fn passed_groups(record: &mut ReleaseRecord, known: &Known<'_>) {
    for stage in &mut record.stages {
        let is_gate = stage.name == Stage::Gate;
        let passed = std::mem::take(&mut stage.passed);
        let is_over = |step: &str| {
            let of = |group: &String| {
                step.strip_prefix(group.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
            };
            let is_left = passed.iter().any(|group| group == "expand");
            let is_needed = step.starts_with("expand-") || (step.contains("expand-") && !is_left);
            let grouped = passed.iter().any(of) && !is_needed;
            let weight = step
                .strip_prefix("canary-")
                .and_then(|rest| rest.split_once('-'));
            let weight = weight.and_then(|(weight, _)| weight.parse::<i32>().ok());
            grouped || weight.is_some_and(|weight| weight < known.weight)
        };
        retain(stage, |place, job| {
            let passed = job.verdict == Some(Verdict::Passed) && is_over(&job.step);
            let begins_gate = place.first && is_gate;
            !passed || begins_gate || is_running(job, known)
        });
        stage.passed = passed;
    }
}

/// Of Jobs that passed and have ended, all but what is decided by: their names follow from release, stage, step and number, their UIDs nobody asks for, and what
/// is pending is told by expand. What they took and cost is counted in their stage.
pub fn details_of_passed_jobs(record: &mut ReleaseRecord, known: &Known<'_>) {
    for stage in &mut record.stages {
        for (index, place) in places(&stage.jobs).into_iter().enumerate() {
            let job = stage.jobs[index].clone();
            if job.verdict != Some(Verdict::Passed) || is_running(&job, known) {
                continue;
            }
            closing::forget(stage, &job);
            let expands = job.step.contains("expand-");
            let begins_gate = place.first && stage.name == Stage::Gate;
            stage.jobs[index] = JobRecord {
                step: job.step,
                attempt: job.attempt,
                verdict: job.verdict,
                started_at: job.started_at.filter(|_| begins_gate),
                pending: job.pending.filter(|_| expands),
                offers: match expands && stage.name == Stage::Rehearse {
                    true => job.offers,
                    false => Vec::new(),
                },
                ..JobRecord::default()
            };
        }
    }
}

/// Everything about a release that is only to be read.
pub fn all_but_verdicts(record: &mut ReleaseRecord, known: &Known<'_>) {
    let is_history = known.lives.is_empty();
    interventions(record, known);
    if is_history {
        record.interventions.clear();
        record.asked_at = None;
    }
    for intervention in &mut record.interventions {
        clip_text(&mut intervention.reason, VERY_SHORT);
    }
    record.delivery = record.delivery.take().filter(|_| !is_history);
    if let Some(finding) = &mut record.finding {
        match is_history {
            true => finding.message.clear(),
            false => clip_text(&mut finding.message, VERY_SHORT),
        }
    }
    for stage in ended_stages(record, known) {
        stage.passed.clear();
        // Of the roll-out it says whether its pods have a price in the verification too.
        stage.ready_at = stage
            .ready_at
            .take()
            .filter(|_| stage.name == Stage::Rollout);
    }
    for stage in &mut record.stages {
        stage.message = None;
        if is_history {
            *stage = StageRecord {
                verdict: stage.verdict,
                jobs: std::mem::take(&mut stage.jobs),
                ..record::begun(stage.name, stage.started_at.clone())
            };
        }
        for job in &mut stage.jobs {
            job.report = None;
            clip(&mut job.message, VERY_SHORT);
        }
    }
}

// --- of the rest

/// Words and images of all rejections but the newest.
pub fn rejections(memory: &mut Memory) {
    for rejected in memory.rejected.iter_mut().skip(1) {
        digest_only(&mut rejected.images);
        clip_text(&mut rejected.message, SHORT);
    }
}

pub fn levels_of_old_backups(memory: &mut Memory) {
    for backup in memory.backups.iter_mut().skip(1) {
        backup.levels.clear();
    }
}

/// Migrations of the live database but the last of each service.
pub fn earlier_migrations(memory: &mut Memory) {
    let mut later = BTreeSet::new();
    memory
        .schema
        .retain(|record| later.insert(record.service.clone()));
}

pub fn words_of_rest(memory: &mut Memory) {
    for rejected in &mut memory.rejected {
        digest_only(&mut rejected.images);
        clip_text(&mut rejected.message, VERY_SHORT);
    }
    for rejected in memory.rejected.iter_mut().skip(1) {
        rejected.message.clear();
    }
    for backup in &mut memory.backups {
        backup.levels.clear();
    }
    let handled = &mut memory.last_handled;
    let all = [
        &mut handled.abort,
        &mut handled.rollback_to,
        &mut handled.retry,
        &mut handled.approve,
        &mut handled.skip_gate,
    ];
    for HandledToken { result, .. } in all.into_iter().flatten() {
        clip_text(result, VERY_SHORT);
    }
    memory.delivery_days.truncate(DAYS);
    if let Some(candidate) = &mut memory.candidate {
        let findings = [
            &mut candidate.held,
            &mut candidate.returning,
            &mut candidate.aborting,
        ];
        for finding in findings.into_iter().flatten() {
            clip_text(&mut finding.message, VERY_SHORT);
        }
        if let Some(left) = &mut candidate.rollback {
            digest_only(&mut left.images);
            clip_text(&mut left.message, VERY_SHORT);
        }
    }
}

/// The recorded inputs of a release name its images too.
pub fn recorded_images(memory: &mut Memory) {
    if let Some(candidate) = &mut memory.candidate {
        candidate.images.clear();
    }
    if let Some(stable) = &mut memory.stable {
        stable.images.clear();
    }
}

/// Leaves of the images of a rejected release the digest that most services have, which is that of `spec.image`: by it a new tag of the same image is passed over.
fn digest_only(images: &mut Vec<ServiceImage>) {
    let count = |image: &str| images.iter().filter(|own| own.image == image).count();
    let most = images.iter().rev().max_by_key(|own| count(&own.image));
    let digest = most.and_then(|own| Some(own.image.rsplit_once('@')?.1));
    let digest = digest.map(|digest| digest.chars().take(DIGEST).collect());
    let digest = digest.map(|image| ServiceImage {
        service: String::new(),
        image,
    });
    // What was shortened before has no repository any more.
    if let Some(digest) = digest {
        *images = vec![digest];
    }
    images.truncate(1);
}

// --- what these have in common

fn all_jobs(record: &mut ReleaseRecord) -> impl Iterator<Item = &mut JobRecord> {
    record.stages.iter_mut().flat_map(|stage| &mut stage.jobs)
}

fn ended_stages<'r>(
    record: &'r mut ReleaseRecord,
    known: &'r Known<'_>,
) -> impl Iterator<Item = &'r mut StageRecord> {
    let stages = record.stages.iter_mut();
    stages.filter(|stage| !known.lives.contains(&stage.name))
}

/// Where a Job stands in its stage.
struct Place {
    /// No later Job was made for its step.
    last: bool,
    /// It was the first to start: a pod of the candidate that is younger was replaced while it was tested.
    first: bool,
}

fn places(all: &[JobRecord]) -> Vec<Place> {
    let started = all.iter().enumerate();
    let started = started.filter_map(|(index, job)| Some((job.started_at.as_ref()?.0, index)));
    let first = started.min().map(|(_, index)| index);
    let mut later = BTreeSet::new();
    let mut places: Vec<_> = all
        .iter()
        .enumerate()
        .rev()
        .map(|(index, job)| Place {
            last: later.insert(job.step.as_str()),
            first: first == Some(index),
        })
        .collect();
    places.reverse();
    places
}

/// Removes Jobs from a stage; what they cost stays with it.
fn retain(stage: &mut StageRecord, keeps: impl Fn(&Place, &JobRecord) -> bool) {
    let all = std::mem::take(&mut stage.jobs);
    let places = places(&all);
    for (job, place) in all.into_iter().zip(places) {
        if keeps(&place, &job) {
            stage.jobs.push(job);
        } else {
            closing::forget(stage, &job);
        }
    }
}

fn is_running(job: &JobRecord, known: &Known<'_>) -> bool {
    job.verdict.is_none()
        || job
            .uid
            .as_ref()
            .is_some_and(|uid| known.running.contains(uid))
}

/// Takes from a Job all that is only to be read.
fn hush(job: &mut JobRecord) {
    job.message = None;
    if let Some(report) = &mut job.report {
        report.first_failures.clear();
    }
}

fn clip(message: &mut Option<String>, limit: usize) {
    if let Some(text) = message {
        clip_text(text, limit);
    }
}

fn clip_text(text: &mut String, limit: usize) {
    if let Some(short) = shortened(text, limit) {
        *text = short;
    }
}
