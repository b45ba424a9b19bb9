//! What a policy does to releases that were begun under another one: the candidate, the one that serves, and one that somebody wants back.

use super::*;
use crate::api::status::Verdict;
use crate::observed::{WorkloadView, content_hash};
use crate::plan::action::{Object, Target, TargetKind, Write};

#[test]
fn what_serves_is_kept_under_a_policy_that_forbids_it() {
    for policy in [allowing("other.example"), signed_by(1)] {
        let seen = observed(None, &[]);
        let stable = seen.memory.stable.clone();
        let planned = look(policy, &seen);
        assert_eq!(planned.memory.stable, stable);
        let live = |write: &Write| match write {
            Write::Apply(Object::Deployment(written)) => Some(written.metadata.name.clone()),
            _ => None,
        };
        let mut writes = planned.actions.iter().map(|action| &action.write);
        assert_eq!(
            writes.clone().find_map(live).flatten().as_deref(),
            Some("acme-sales"),
            "it is made again if somebody removed it"
        );
        let of_history = |target: &Target| target.kind == TargetKind::Revision;
        assert!(writes.all(|write| !matches!(write, Write::Delete(target) if !of_history(target))));
    }
}

#[test]
fn a_candidate_that_a_stricter_policy_forbids_is_ended_before_it_serves() {
    let policies = [allowing("other.example"), signed_by(1)];
    for (policy, stage) in policies.iter().flat_map(|policy| {
        [Stage::Rehearse, Stage::Gate, Stage::Approve].map(|stage| (policy, stage))
    }) {
        let planned = look(policy.clone(), &observed(Some(stage), &[]));
        assert!(
            planned.actions.is_empty(),
            "{stage:?}: {:?}",
            planned.actions
        );
        assert!(planned.memory.candidate.is_none(), "{stage:?}");
        let ended = &planned.memory.releases[0];
        assert_eq!(ended.verdict, Some(Verdict::Superseded));
        let why = ended.finding.clone().unwrap().message;
        assert!(
            why.contains("image policy does not allow it any more"),
            "{why}"
        );
        assert!(
            planned.memory.rejected.is_empty(),
            "it may begin again under another policy"
        );
    }
    for stage in [Stage::Rollout, Stage::Verify] {
        let after = look(allowing("other.example"), &observed(Some(stage), &[])).memory;
        assert!(after.candidate.unwrap().returning.is_some(), "{stage:?}");
    }
}

/// The rule for any newer release: what migrates live data ends by itself, and nothing follows.
#[test]
fn a_migration_that_runs_is_not_ended_by_a_stricter_policy_and_nothing_follows_it() {
    let planned = look(
        allowing("other.example"),
        &observed(Some(Stage::Migrate), &[]),
    );
    let mut writes = planned.actions.iter().map(|action| &action.write);
    assert!(
        !writes.any(|write| matches!(write, Write::Create(_) | Write::Delete(_))),
        "{:?}",
        planned.actions
    );
}

#[test]
fn a_candidate_that_is_allowed_goes_on() {
    let signers = [fingerprint(1)];
    for policy in [
        allowing("registry.example"),
        signed_by(1),
        ImagePolicy::default(),
    ] {
        let after = look(policy, &observed(Some(Stage::Gate), &signers)).memory;
        assert!(after.candidate.is_some());
    }
}

#[test]
fn a_rollback_to_a_release_that_the_policy_forbids_is_refused() {
    let back = release("b").id();
    let request = Some(("crmplatform.io/rollback-to", back.as_str()));
    let look = |policy, signers: &[String]| {
        let mut seen = observed(Some(Stage::Verify), signers);
        seen.memory.candidate = None;
        seen.memory.images[0].image = digest("c");
        // Of the spec's own image all is known: only the earlier release stands in question.
        seen.memory.images[0].signed_by = Some(fingerprint(1));
        plan(&platform(policy, request), &seen, now()).memory
    };
    let both = ImagePolicy::new(
        &["registry.example".into()],
        false,
        Some(Signer::new(1).keys()),
    );
    for (policy, signers) in [
        (signed_by(1), vec![]),
        (signed_by(1), vec![fingerprint(2)]),
        (both.clone().unwrap(), vec![]),
    ] {
        let after = look(policy, &signers);
        // The spec's own release may begin in its place.
        let begun = after.candidate.map(|begun| begun.release);
        assert_ne!(begun.as_ref(), Some(&back), "{signers:?}");
    }
    let after = look(both.unwrap(), &[fingerprint(1)]);
    let begun = after.candidate.unwrap();
    assert_eq!(
        (begun.release, begun.rollback.is_some()),
        (back.clone(), true)
    );
    assert_eq!(
        after.releases[0].signed_by,
        [fingerprint(1)],
        "it holds for the next look too"
    );
}

/// It is on its way already, and waits for stable's pods: nobody waits for the candidate's place.
#[test]
fn a_return_that_has_begun_is_not_cut_short_by_a_policy() {
    let mut seen = observed(Some(Stage::Rollout), &[]);
    if let Some(candidate) = &mut seen.memory.candidate {
        candidate.returning = Some(Finding::new(conditions::ROLLOUT_FAILED, "no pod is ready"));
    }
    for action in look(ImagePolicy::default(), &seen).actions {
        match action.write {
            Write::Apply(Object::Deployment(written)) => {
                let mut view = WorkloadView::from(&*written);
                view.complete = false;
                seen.deployments.insert(view.name.clone(), view);
            }
            Write::Apply(Object::Service(written)) => {
                let name = written.metadata.name.clone().unwrap_or_default();
                let hash = content_hash(&written.metadata);
                seen.others.insert(format!("Service/{name}"), hash);
            }
            _ => {}
        }
    }
    let planned = look(allowing("other.example"), &seen);
    assert_eq!(planned.memory.candidate, seen.memory.candidate);
    assert!(
        planned
            .waiting
            .is_some_and(|what| what.contains("back at stable"))
    );
}
