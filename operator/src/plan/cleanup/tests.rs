//! Which Jobs are kept for people to read, and when a scratch database is dropped.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::observed::{JobView, PodView};
use crate::plan::action::Write;
use crate::plan::tests::{Case, fresh, look, now, resting};
use crate::plan::{plan, record};

#[test]
fn only_the_last_three_releases_keep_their_jobs() {
    let (platform, mut observed) = fresh();
    for id in ["r1", "r2", "r3", "r4", "r5"] {
        let releases = &mut observed.memory.releases;
        record::open(releases, id, 1, Time(now()));
        record::conclude(releases, id, Verdict::Failed, None, Time(now()));
        let view = JobView {
            name: format!("job-of-{id}"),
            uid: id.into(),
            owner: platform.uid.clone(),
            release: id.into(),
            end: Some(JobEnd::Complete),
            ..JobView::default()
        };
        observed.jobs.insert(view.name.clone(), view);
    }
    // The release of the spec begins first; then there is room for nothing but what is kept.
    observed.memory = plan(&platform, &observed, now()).memory;
    let removed: Vec<_> = plan(&platform, &observed, now())
        .actions
        .into_iter()
        .filter_map(|action| match action.write {
            Write::Delete(target) => Some(target.name),
            _ => None,
        })
        .collect();
    assert_eq!(removed, ["job-of-r1", "job-of-r2", "job-of-r3"]);
}

#[test]
fn a_scratch_database_is_dropped_when_no_pod_may_be_connected_any_more() {
    let case = Case {
        wanted: false,
        stable: true,
        recorded: true,
        history: true,
        ..resting()
    };
    let (platform, mut observed) = look(&case).unwrap();
    let stable = observed.memory.stable.clone().unwrap().release;
    let mut others = observed.releases.keys().filter(|id| **id != stable);
    let tried = others.next().unwrap().clone();
    observed.memory.scratch = vec![tried.clone()];
    let pod = PodView {
        controller: "replica-set".into(),
        release: tried,
        service: "sales".into(),
        track: labels::CANDIDATE.into(),
        phase: "Running".into(),
        // For as long as it was waited for.
        unready_since: Some(now() - SignedDuration::from_secs(600)),
        ..PodView::default()
    };
    let due = |seconds| PodView {
        ends_by: Some(now() + SignedDuration::from_secs(seconds)),
        ..pod.clone()
    };
    let beside = PodView {
        track: labels::BESIDE_STABLE.into(),
        ..pod.clone()
    };
    let live = PodView {
        track: labels::STABLE.into(),
        ..pod.clone()
    };
    let other = PodView {
        release: stable,
        ..pod.clone()
    };
    let ended = PodView {
        phase: "Failed".into(),
        ..pod.clone()
    };
    let of_nobody = PodView {
        controller: String::new(),
        ..pod.clone()
    };
    let of_a_job = PodView {
        controller: "seed".into(),
        ..pod.clone()
    };
    let job = JobView {
        name: "seed".into(),
        uid: "seed".into(),
        ..JobView::default()
    };
    observed.jobs.insert(job.name.clone(), job);
    for (pods, drops) in [
        (vec![], true),
        (vec![pod.clone()], false),
        (vec![beside], false),
        (vec![ended.clone(), due(45)], false),
        (vec![due(-14)], false),
        (vec![due(-15)], true),
        (vec![ended], true),
        (vec![live, other, of_nobody, of_a_job], true),
    ] {
        observed.pods = pods;
        let plan = plan(&platform, &observed, now());
        let created = plan.actions.iter().any(|action| {
            matches!(&action.write, Write::Create(Created::Job(job)) if job.metadata.name.as_ref().unwrap().contains("remove-scratch"))
        });
        assert_eq!(created, drops, "{:?}", observed.pods);
    }
}
