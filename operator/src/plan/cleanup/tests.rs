//! Which Jobs are kept for people to read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::observed::JobView;
use crate::plan::action::Write;
use crate::plan::tests::{fresh, now};
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
