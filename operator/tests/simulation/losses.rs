//! What the operator rests on is lost or breaks at a bad moment: nothing that serves is touched, and nothing is decided that was not found out.

use crm_operator::api::spec::StrategyType;
use crm_operator::api::status::{Stage, Token};
use crm_operator::observed::ContainerState;

use serde_json::json;

use crate::stories::Act::{Annotate, Backup, Expose, Image, Paused, Strategy};
use crate::world::{ModelJob, World, name};
use crate::{Run, STORIES, Story, end, tail};

fn story(name: &str) -> Story {
    STORIES
        .into_iter()
        .find(|story| story.name == name)
        .unwrap()
}

/// A cluster in which v1 serves.
fn serving() -> Run {
    Run::installed(Story {
        acts: &[Image("v1")],
        ..STORIES[0]
    })
}

/// UIDs of the live Deployments, and how many pods each asks for.
fn live(world: &World) -> Vec<(String, String, Option<i32>)> {
    let all = world.deployments.values();
    let mut all: Vec<_> = all
        .map(|seen| {
            (
                name(&seen.object.metadata),
                seen.uid.clone(),
                seen.object.spec.replicas,
            )
        })
        .collect();
    all.sort();
    all
}

/// Somebody removes the status.
fn forget(run: &mut Run) {
    run.world.platform.status = None;
    run.world.forgotten = true;
}

fn stalled(world: &World) -> String {
    reason(world, "Stalled")
}

/// The reason of a condition.
fn reason(world: &World, which: &str) -> String {
    let status = world.platform.status.clone().unwrap();
    let mut all = status.conditions.into_iter();
    all.find(|condition| condition.type_ == which)
        .map_or_else(String::new, |found| found.reason)
}

#[test]
fn a_lost_status_is_found_again_in_what_is_live() {
    let mut run = serving();
    let (before, stable) = (live(&run.world), end(&run.world)["stable"].clone());
    forget(&mut run);
    run.rest();
    assert_eq!(live(&run.world), before);
    assert_eq!(end(&run.world)["stable"], stable);
    assert!(
        run.world
            .transcript
            .iter()
            .any(|line| line.starts_with("event: Adopted"))
    );
    let tested = reason(&run.world, "TestsPassed");
    assert_eq!(tested, "NotTested", "nobody can show that it was");
    // A bad image afterwards must not be taken for the first one, whose failure removes everything.
    run.world.set_image("unverified");
    run.rest();
    assert_eq!(end(&run.world)["stable"], stable);
    assert_eq!(live(&run.world).len(), before.len());
}

#[test]
fn a_lost_status_is_found_again_although_the_registry_does_not_answer_at_first() {
    let mut run = serving();
    let (before, stable) = (live(&run.world), end(&run.world)["stable"].clone());
    forget(&mut run);
    run.world.registry_away = true;
    // The spec does not name what serves, so its record is all there is of it.
    run.world.set_image("unverified");
    for _ in 0..5 {
        run.turn(None);
    }
    assert_eq!(
        (live(&run.world), run.world.revisions.len()),
        (before.clone(), 1)
    );
    run.world.registry_away = false;
    run.rest();
    assert_eq!(end(&run.world)["stable"], stable);
    assert_eq!(live(&run.world).len(), before.len());
}

#[test]
fn a_lost_record_of_stable_is_made_again_while_the_spec_names_it() {
    let mut run = serving();
    let before = live(&run.world);
    run.world.revisions.clear();
    run.rest();
    assert_eq!(run.world.revisions.len(), 1);
    assert_eq!(live(&run.world), before);
}

#[test]
fn without_the_record_of_stable_nothing_live_is_removed() {
    for image in ["unverified", "crash"] {
        let mut run = serving();
        let before = live(&run.world);
        run.world.set_image(image);
        run.world.revisions.clear();
        run.rest();
        assert_eq!(stalled(&run.world), "RecordMissing");
        assert_eq!(live(&run.world), before);
        run.world.set_image("v1");
        run.rest();
        assert_eq!(stalled(&run.world), "");
        assert_eq!(live(&run.world), before);
    }
}

#[test]
fn without_the_record_of_stable_a_return_removes_nothing() {
    let mut run = Run {
        story: story("returns_when_pods_do_not_start"),
        ..serving()
    };
    run.next_act = 2;
    run.world.set_image("crash");
    let stage = |run: &Run| {
        run.world
            .memory()
            .candidate
            .map(|candidate| candidate.stage)
    };
    while stage(&run) != Some(Stage::Rollout) {
        assert!(!run.turn(None), "the roll-out never began");
    }
    let stable = run.world.memory().stable.unwrap().release;
    let before = live(&run.world).len();
    run.world.revisions.remove(&stable);
    run.rest();
    assert_eq!(stalled(&run.world), "RecordMissing");
    assert!(live(&run.world).len() >= before, "{}", tail(&run.world));
}

#[test]
fn a_key_that_somebody_removes_is_made_again() {
    let mut run = serving();
    let before = live(&run.world);
    run.world.secrets.remove("acme-identity");
    run.rest();
    assert!(run.world.secrets.contains("acme-identity"));
    assert_eq!(
        (live(&run.world), stalled(&run.world)),
        (before, String::new())
    );
    let told = run.world.transcript.iter();
    let mut told =
        told.filter(|line| line.starts_with("event: DriftCorrected Secret/acme-identity"));
    assert!(told.next().is_some(), "{}", tail(&run.world));
}

#[test]
fn a_key_of_somebody_else_holds_up_new_releases_and_no_way_back() {
    let mut run = serving();
    let before = live(&run.world);
    run.world.set_image("unverified");
    while !run.world.is_in(Stage::Verify) {
        assert!(!run.turn(None), "it never came to its Verify");
    }
    run.world.secrets.remove("acme-identity");
    run.world.foreign_secret = true;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1"));
    assert_eq!(live(&run.world), before);
    assert_eq!(stalled(&run.world), "SecretNotUsable");
    run.world.set_image("v2");
    run.rest();
    assert!(
        end(&run.world)["stable"].ends_with(":v1"),
        "nothing new begins"
    );
    run.world.foreign_secret = false;
    run.rest();
    assert!(
        end(&run.world)["stable"].ends_with(":v2"),
        "{}",
        tail(&run.world)
    );
}

#[test]
fn passwords_that_somebody_removes_are_asked_for_and_never_made_anew() {
    for lost in ["acme-db", "acme-db-app"] {
        let mut run = serving();
        let before = live(&run.world);
        run.world.secrets.remove(lost);
        run.rest();
        assert_eq!(stalled(&run.world), "SecretNotUsable");
        run.world.set_image("v2");
        run.rest();
        assert!(!run.world.secrets.contains(lost), "{}", tail(&run.world));
        assert_eq!(stalled(&run.world), "SecretNotUsable");
        assert_eq!(live(&run.world), before);
        run.world.database = None;
        run.world.database_view = None;
        run.rest();
        assert!(!run.world.secrets.contains(lost));
        assert!(
            run.world.database.is_none(),
            "it would begin with what is there"
        );
        run.world.secrets.insert(lost.to_owned());
        run.rest();
        assert!(
            end(&run.world)["stable"].ends_with("v2"),
            "{}",
            tail(&run.world)
        );
    }
}

#[test]
fn a_service_that_leaves_the_spec_keeps_its_pods_until_the_release_without_it_rolls_out() {
    let mut run = serving();
    let mail = json!([{ "cidr": "203.0.113.7/32", "ports": [587] }]);
    let services = &mut run.world.platform.spec.services;
    let sales = services.iter_mut().find(|service| service.name == "sales");
    sales.unwrap().egress = serde_json::from_value(mail).unwrap();
    run.world.new_spec();
    run.rest();
    let may_call = |run: &Run| {
        let mut all = run.world.around.hashes();
        all.any(|(object, _)| object == "NetworkPolicy/acme-sales-egress")
    };
    assert!(may_call(&run));
    let before = live(&run.world);
    run.world
        .platform
        .spec
        .services
        .retain(|service| service.name != "sales");
    run.world.set_image("bad");
    run.rest();
    assert_eq!(live(&run.world), before);
    assert!(may_call(&run), "it serves on, and calls whom it called");
    run.world.set_image("v2");
    run.rest();
    assert_eq!(live(&run.world).len(), before.len() - 1);
    assert!(!may_call(&run));
}

#[test]
fn real_rows_are_masked_although_the_words_of_expand_were_lost() {
    let mut run = Run::installed(Story {
        acts: &[Image("v1"), Backup, Image("v2")],
        ..STORIES[0]
    });
    let first: Vec<_> = run.world.jobs.keys().cloned().collect();
    let told = |run: &Run| {
        let jobs = run.world.jobs.iter();
        let mut jobs = jobs.filter(|(name, _)| !first.contains(*name));
        let ended = |job: &ModelJob| job.view.end.is_some() && job.pod.is_some();
        let expand =
            jobs.find(|(name, job)| name.contains("-rehearse-expand-customer-") && ended(job));
        expand.map(|(name, _)| name.clone())
    };
    while told(&run).is_none() {
        assert!(!run.turn(None), "expand was not rehearsed");
    }
    let job = told(&run).unwrap();
    run.world.jobs.get_mut(&job).unwrap().pod = None;
    // The model asserts that no candidate sees real rows.
    run.rest();
    assert!(run.world.serves(), "{}", tail(&run.world));
    let again = job.replace("-customer-1", "-customer-2");
    let mut told = run.world.transcript.iter();
    assert!(told.any(|line| line.contains(&format!("creates Job {again}"))));
}

#[test]
fn a_live_migration_whose_pod_is_away_is_waited_for_and_never_doubled() {
    let mut run = serving();
    run.world.set_image("v2");
    let migration = |run: &Run| {
        let mut jobs = run.world.jobs.iter();
        let running =
            jobs.find(|(name, job)| name.contains("-migrate-expand-customer-") && job.moves == 1);
        running.map(|(name, _)| name.clone())
    };
    while migration(&run).is_none() {
        assert!(!run.turn(None), "the migration never ran");
    }
    let job = migration(&run).unwrap();
    run.world.jobs.get_mut(&job).unwrap().pod = None;
    for _ in 0..30 {
        crate::operator::reconcile(&mut run.world, &mut run.writes);
        run.world.pass_time(60);
        let jobs = run.world.jobs.values();
        let alive = jobs.filter(|job| job.view.live_migration && job.view.end.is_none());
        let alive: Vec<_> = alive.map(|job| job.view.name.clone()).collect();
        assert_eq!(alive.join(", "), job);
    }
    assert_eq!(stalled(&run.world), "");
}

#[test]
fn pods_that_break_after_they_were_ready_end_in_a_return() {
    let mut run = serving();
    let stable = end(&run.world)["stable"].clone();
    run.world.set_image("v2");
    // Its test runs, and does not end.
    let verifies = |run: &Run| {
        let mut jobs = run.world.jobs.iter();
        jobs.any(|(name, job)| name.contains("-verify-smoke-") && job.moves == 1)
    };
    while !run.world.is_in(Stage::Verify) || !verifies(&run) {
        assert!(!run.turn(None), "the roll-out never ended");
    }
    run.world.tampered = true;
    for _ in 0..200 {
        if run
            .world
            .memory()
            .candidate
            .is_none_or(|candidate| candidate.returning.is_some())
        {
            break;
        }
        let broken = run.world.deployments.get_mut("acme-customer").unwrap();
        for pod in &mut broken.pods {
            pod.phase = "Pending".into();
            pod.state = ContainerState::Waiting {
                reason: "CrashLoopBackOff".into(),
                message: String::new(),
            };
        }
        crate::operator::reconcile(&mut run.world, &mut run.writes);
        run.world.pass_time(5);
    }
    run.rest();
    assert_eq!(end(&run.world)["stable"], stable, "{}", tail(&run.world));
    assert!(end(&run.world)["rejected"].contains("RolloutFailed"));
}

#[test]
fn what_stable_loses_while_a_canary_serves_is_made_again() {
    let mut run = Run {
        story: story("goes_up_in_steps"),
        ..serving()
    };
    run.next_act = run.story.acts.len();
    run.world.act(Strategy(StrategyType::Canary));
    run.world.set_image("v2");
    let shares = |run: &Run| {
        let candidate = run.world.memory().candidate;
        candidate.is_some_and(|candidate| candidate.shift.is_some_and(|shift| shift.has_traffic()))
    };
    while !shares(&run) {
        assert!(!run.turn(None), "the canary never served");
    }
    run.world.tampered = true;
    run.world.deployments.remove("acme-sales");
    run.turn(None);
    assert!(run.world.deployments.contains_key("acme-sales"));
    run.rest();
    assert!(end(&run.world)["stable"].ends_with("v2"));
}

#[test]
fn a_switch_that_was_paused_for_long_begins_with_its_whole_deadline() {
    let mut run = serving();
    run.world.act(Strategy(StrategyType::BlueGreen));
    run.world.set_image("v2");
    while !run.world.is_in(Stage::Migrate) {
        assert!(!run.turn(None), "the migration never ran");
    }
    run.world.act(Paused(true));
    run.rest();
    assert!(run.world.is_in(Stage::Rollout), "{}", tail(&run.world));
    run.world.pass_time(100_000);
    run.world.act(Paused(false));
    run.rest();
    assert!(end(&run.world)["stable"].ends_with("v2"));
}

#[test]
fn a_way_back_to_pods_that_somebody_scaled_to_none_makes_them_again_first() {
    let mut run = serving();
    run.world.act(Strategy(StrategyType::BlueGreen));
    run.world.set_image("v1b");
    while !run.world.serves() {
        assert!(!run.turn(None), "it never served");
    }
    for name in ["acme-customer", "acme-sales"] {
        let kept = run.world.deployments.get_mut(name).unwrap();
        kept.pods.clear();
        let mut object = kept.object.clone();
        object.spec.replicas = Some(0);
        run.world.set_deployment(name, object);
    }
    run.world
        .act(Annotate(Token::RollbackTo, "v1 ops: slower than before"));
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1"));
}

#[test]
fn an_address_that_came_with_a_release_goes_with_it() {
    let mut run = serving();
    run.world.act(Strategy(StrategyType::Canary));
    let billing = run.world.platform.spec.services[1].clone();
    let billing = crm_operator::api::spec::ServiceSpec {
        name: "billing".into(),
        migrate: None,
        ..billing
    };
    run.world.platform.spec.services.push(billing);
    run.world.set_image("crash");
    let before = end(&run.world)["services"].clone();
    run.rest();
    assert!(end(&run.world)["rejected"].contains("RolloutFailed"));
    assert_eq!(end(&run.world)["services"], before);
}

#[test]
fn an_operator_that_does_not_know_its_own_image_holds_what_has_a_report() {
    let mut run = serving();
    run.world.nameless = true;
    run.world.set_image("v2");
    let before = live(&run.world);
    run.rest();
    assert_eq!(stalled(&run.world), "GateInconclusive");
    assert_eq!(live(&run.world), before);
    let told = format!("{:?}", run.world.platform.status);
    assert!(told.contains("--operator-image"), "{told}");
}

#[test]
fn a_cluster_without_the_gateway_api_is_told_of_and_holds_nothing_up() {
    let mut run = serving();
    run.world.act(Expose);
    run.world.around.gateway_api = false;
    run.world.act(Strategy(StrategyType::Canary));
    run.world.set_image("v2");
    let exposed = |world: &World| {
        let status = world.platform.status.clone().unwrap();
        let mut all = status.conditions.into_iter();
        let exposed = all.find(|condition| condition.type_ == "Exposed");
        exposed.map(|exposed| (exposed.status, exposed.reason))
    };
    let missing = ("False".to_owned(), "GatewayApiMissing".to_owned());
    while !run.world.serves() {
        assert!(!run.turn(None), "it never served");
        let told = exposed(&run.world);
        assert!(told.is_none_or(|told| told == missing), "told at all times");
    }
    assert_eq!(exposed(&run.world), Some(missing));
    run.world.around.gateway_api = true;
    run.rest();
    let made = ("True".to_owned(), "RoutesMade".to_owned());
    assert_eq!(exposed(&run.world), Some(made));
}

#[test]
fn a_migration_of_which_only_the_exit_code_is_known_stands_in_the_ledger() {
    let mut run = serving();
    let before = run.world.memory().schema.len();
    run.world.wordless = true;
    run.world.set_image("v2");
    run.rest();
    assert!(run.world.serves(), "{}", tail(&run.world));
    let ledger = run.world.memory().schema;
    let (new, _) = ledger.split_at(ledger.len() - before);
    let told = new.iter().filter(|record| record.to.is_some());
    assert_eq!(told.count(), 0, "{new:?}");
    // Newest first: what is not told to be done already is done for each service.
    let phases: Vec<_> = new.iter().map(|record| record.phase.as_str()).collect();
    assert_eq!(
        phases,
        [
            "contract", "contract", "backfill", "backfill", "expand", "expand"
        ]
    );
}
