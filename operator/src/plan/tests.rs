//! What must hold of a plan whatever the memory says: also of a memory that an older operator, a person or a defect has left behind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::*;
use crate::api::status::{ALL, Candidate, ReleaseRecord, ResolvedImage, Shift, Slot, Stable};
use crate::api::{CrmPlatform, CrmPlatformSpec};
use crate::cost::Prices;
use crate::observed::Unresolved;
use crate::platform::Settings;
use crate::platform::release::Release;

/// Plans after which a memory must have stopped changing while the cluster does not.
const REST_WITHIN: usize = 20;

pub(super) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub tests: &'static str,
    pub gate: &'static str,
    pub database: &'static str,
    pub stage: Option<Stage>,
    pub held: bool,
    pub returning: bool,
    /// Whether the candidate is what the spec asks for.
    pub wanted: bool,
    pub stable: bool,
    pub recorded: bool,
    /// Whether the history has their records.
    pub history: bool,
    pub strategy: &'static str,
    pub shift: Option<Shift>,
}

/// A shift that a memory may hold, also one that the spec knows no step for any more.
fn shift() -> impl Strategy<Value = Option<Shift>> {
    let from = prop::sample::select(vec![0, 25, 70]);
    let weight = prop::sample::select(vec![25, 60, ALL]);
    prop::option::of((from, weight, any::<bool>(), any::<bool>()).prop_map(
        |(from, weight, ready, routed)| Shift {
            slot: Slot::Green,
            from,
            weight,
            seconds: 5,
            since: Time(now()),
            ready_at: ready.then(|| Time(now())),
            unready_since: None,
            restarts: 0,
            routed,
        },
    ))
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let tests = prop::sample::select(vec!["[Gate]", "[Verify]", "[Gate, Verify]"]);
    let gate = prop::sample::select(vec!["Required", "None"]);
    let database = prop::sample::select(vec!["{embedded: {}}", "{secret: db}"]);
    let stage = prop::option::of(prop::sample::select(Stage::ALL.to_vec()));
    let strategy = prop::sample::select(vec![
        "{}",
        "{type: BlueGreen}",
        "{type: Canary, steps: [{weight: 25, seconds: 5}, {weight: 50}]}",
    ]);
    let spec = (tests, gate, database, strategy);
    (spec, stage, shift(), any::<[bool; 6]>()).prop_map(
        |(
            (tests, gate, database, strategy),
            stage,
            shift,
            [held, returning, wanted, stable, recorded, history],
        )| {
            Case {
                tests,
                gate,
                database,
                stage,
                held,
                returning: returning && !held,
                wanted,
                stable,
                recorded,
                history,
                strategy,
                shift,
            }
        },
    )
}

fn platform(case: &Case) -> Option<Platform> {
    let spec = format!(
        "{{image: registry.example/crm:1, services: [{{name: customer}}, {{name: sales, migrate: {{args: [migrate]}}}}],
          database: {}, tests: [{{name: smoke, when: {}}}], gate: {}, release: {{strategy: {}}}}}",
        case.database, case.tests, case.gate, case.strategy
    );
    let spec: CrmPlatformSpec = serde_saphyr::from_str(&spec).unwrap();
    let mut object = CrmPlatform::new("acme", spec);
    object.metadata.namespace = Some("crm".into());
    object.metadata.uid = Some("0a1b2c3d-0000".into());
    let settings = Settings {
        postgres_image: "postgres:15".into(),
        operator_image: Some("registry.example/crm-operator:1".into()),
        images: Default::default(),
        prices: Prices {
            cpu_hour: 1.0,
            memory_gib_hour: 1.0,
        },
    };
    Platform::parse(&object, &settings).ok()
}

fn image(digest: &str) -> ResolvedImage {
    ResolvedImage {
        reference: "registry.example/crm:1".into(),
        image: format!("registry.example/crm@sha256:{digest}"),
        signed_by: None,
    }
}

/// The records of stable in its last stage, and of a candidate in `stage`.
fn history(stage: Option<Stage>, (candidate, stable): (&str, &str)) -> Vec<ReleaseRecord> {
    let mut releases = Vec::new();
    let mut open = |id: &str, stage: Stage| {
        record::open(&mut releases, id, 1, Time(now()));
        if stage > Stage::Resolve {
            record::enter(&mut releases, id, stage, Time(now()));
        }
    };
    open(stable, Stage::Optimise);
    if let Some(stage) = stage {
        open(candidate, stage);
    }
    releases
}

/// What is remembered when `candidate` is at work and `stable` serves.
fn memory(case: &Case, candidate: &Release, stable: &Release) -> Memory {
    let finding = || Finding {
        reason: conditions::TESTS_FAILED.into(),
        message: "a test failed".into(),
    };
    let releases = history(case.stage, (&candidate.id(), &stable.id()));
    Memory {
        images: vec![image("aa")],
        releases: releases.into_iter().filter(|_| case.history).collect(),
        stable: case.stable.then(|| Stable {
            release: stable.id(),
            since: Time(now()),
            images: stable.service_images(),
            optimised: false,
            untested: false,
            slot: Slot::Blue,
        }),
        candidate: case.stage.map(|stage| Candidate {
            release: candidate.id(),
            stage,
            since: Time(now()),
            generation: 1,
            images: candidate.service_images(),
            held: case.held.then(finding),
            returning: case.returning.then(finding),
            aborting: None,
            approved: false,
            thawed_until: None,
            ungated: false,
            code_of: None,
            rollback: None,
            shift: case.shift.clone().filter(|_| case.stable),
        }),
        ..Memory::default()
    }
}

/// The platform of a case, and what is seen of it.
pub(super) fn look(case: &Case) -> Option<(Platform, Observed)> {
    let platform = platform(case)?;
    let spec = platform.wanted(&[image("aa")])?;
    let other = platform.wanted(&[image("bb")])?;
    let (candidate, stable) = if case.wanted {
        (&spec, &other)
    } else {
        (&other, &spec)
    };
    let memory = memory(case, candidate, stable);
    let recorded = [spec.clone(), other.clone()].map(|release| (release.id(), release));
    let releases = recorded.into_iter().filter(|_| case.recorded).collect();
    let observed = Observed {
        secrets: Some([("db".to_owned(), "1".to_owned())].into()),
        memory,
        releases,
        ..Observed::default()
    };
    Some((platform, observed))
}

/// A platform of which nothing is remembered but its images.
pub(super) fn fresh() -> (Platform, Observed) {
    let (platform, mut observed) = look(&resting()).unwrap();
    observed.memory = Memory {
        images: vec![image("aa")],
        ..Memory::default()
    };
    observed.releases.clear();
    (platform, observed)
}

pub(super) fn resting() -> Case {
    Case {
        tests: "[Gate]",
        gate: "Required",
        database: "{embedded: {}}",
        stage: None,
        held: false,
        returning: false,
        wanted: true,
        stable: false,
        recorded: false,
        history: false,
        strategy: "{}",
        shift: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// A stage that is entered again and again would write the status for ever.
    #[test]
    fn a_plan_comes_to_rest_when_nothing_happens(case in case()) {
        let Some((platform, mut observed)) = look(&case) else { return Ok(()) };
        let mut changes = 0;
        loop {
            let after = plan(&platform, &observed, now()).memory;
            if after == observed.memory {
                break;
            }
            changes += 1;
            prop_assert!(changes < REST_WITHIN, "it goes on for ever: {:?}", after.candidate);
            observed.memory = after;
        }
    }

    /// What a write rests on is saved before the write is made.
    #[test]
    fn a_change_of_stage_and_a_write_are_never_in_one_plan(case in case()) {
        let Some((platform, observed)) = look(&case) else { return Ok(()) };
        let standing = |memory: &Memory| memory.candidate.as_ref().map(|candidate| (candidate.release.clone(), candidate.stage));
        let planned = plan(&platform, &observed, now());
        let moved = standing(&planned.memory) != standing(&observed.memory);
        prop_assert!(!moved || planned.actions.is_empty(), "{:?}", planned.actions);
    }

    /// A live Deployment is written only for stable, or for a candidate that got as far as Rollout.
    #[test]
    fn no_live_deployment_is_written_for_a_candidate_before_its_roll_out(case in case()) {
        let Some((platform, observed)) = look(&case) else { return Ok(()) };
        let mut allowed: Vec<_> = observed.memory.stable.iter().map(|stable| stable.release.clone()).collect();
        let candidate = observed.memory.candidate.iter();
        allowed.extend(candidate.filter(|candidate| candidate.stage >= Stage::Rollout && candidate.held.is_none()).map(|candidate| candidate.release.clone()));
        for action in plan(&platform, &observed, now()).actions {
            if let action::Write::Apply(action::Object::Deployment(written)) = &action.write {
                let label = |key| crate::observed::label(&written.metadata, key);
                if label(crate::desired::labels::TRACK) == crate::desired::labels::STABLE {
                    prop_assert!(allowed.contains(&label(crate::desired::labels::RELEASE)), "{case:?}");
                }
            }
        }
    }
}

/// A GitOps tool gives a spec up once it is Stalled: only what a person has to mend may say so.
#[test]
fn a_registry_out_of_reach_is_waited_for_and_a_refusal_is_a_problem() {
    let platform = platform(&resting()).unwrap();
    let look = |answer| {
        let resolutions = [("registry.example/crm:1".to_owned(), Err(answer))].into();
        let observed = Observed {
            secrets: Some([("db".to_owned(), "1".to_owned())].into()),
            resolutions,
            ..Observed::default()
        };
        plan(&platform, &observed, now())
    };
    let away = look(Unresolved::OutOfReach("it is down".into()));
    assert_eq!(away.problem, None);
    assert!(away.waiting.unwrap().contains("it is down"));
    assert!(away.requeue <= Duration::from_secs(10));
    let refused = look(Unresolved::Refused("no such image".into()));
    assert_eq!(
        refused.problem.unwrap().reason,
        conditions::IMAGE_NOT_RESOLVED
    );
    // A database would be made for an image that is not there.
    assert!(away.actions.is_empty() && refused.actions.is_empty());
}
