//! Somebody changes or removes what the operator owns: it is put back at the next look and told, what belongs to others is left alone, and then there is quiet.

use crm_operator::api::spec::StrategyType::{BlueGreen, Canary, RollingUpdate};
use crm_operator::api::status::Stage;
use crm_operator::desired::names;
use serde_json::{Value, json};

use crate::api_server::update;
use crate::stories::Act::{Freeze, Image, Paused, Reach, Strategy};
use crate::world::World;
use crate::{Run, STORIES, Story, tail};

const PODS: &str = "acme-customer";

fn run(acts: &'static [crate::stories::Act]) -> Run {
    Run::installed(Story {
        acts,
        impatience: None,
        ..STORIES[0]
    })
}

fn changed<K: serde::Serialize + serde::de::DeserializeOwned>(
    object: &K,
    change: impl FnOnce(&mut Value),
) -> K {
    let live = serde_json::to_value(object).unwrap();
    serde_json::from_value(update(&live, "kubectl-edit", change)).unwrap()
}

fn edit_pods(world: &mut World, change: impl FnOnce(&mut Value)) {
    let object = changed(&world.deployments[PODS].object, change);
    world.set_deployment(PODS, object);
}

fn edit_address(world: &mut World, change: impl FnOnce(&mut Value)) {
    let object = changed(&world.services[PODS], change);
    world.set_service(PODS, object);
}

/// What the operator owns, without the lists of who owns it.
fn owned(world: &World) -> Value {
    let deployments = world.deployments.iter();
    let deployments = deployments.map(|(name, seen)| (name.clone(), json!(seen.object)));
    let services = world.services.iter();
    let services = services.map(|(name, seen)| (format!("service {name}"), json!(seen)));
    let config_maps = world.config_maps.iter();
    let config_maps = config_maps.map(|(name, seen)| (format!("map {name}"), json!(seen)));
    let database = world.database.iter();
    let database = database.map(|seen| ("database".to_owned(), json!(seen)));
    let all = deployments
        .chain(services)
        .chain(config_maps)
        .chain(database);
    let mut all: serde_json::Map<String, Value> = all.collect();
    for object in all.values_mut() {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("managedFields");
        metadata.remove("uid");
    }
    Value::Object(all)
}

fn told(world: &World) -> Vec<String> {
    let lines = world.transcript.iter();
    lines
        .filter_map(|line| line.strip_prefix("event: DriftCorrected "))
        .map(ToOwned::to_owned)
        .collect()
}

fn writes(world: &World) -> usize {
    let lines = world.transcript.iter();
    lines.filter(|line| line.starts_with("operator: ")).count()
}

type Hand = fn(&mut World);

/// What somebody does, and what is told of it.
const HANDS: [(Hand, &str); 8] = [
    (
        |world| edit_pods(world, |object| object["spec"]["replicas"] = json!(3)),
        "Deployment/acme-customer was scaled to 3 pods",
    ),
    (
        |world| {
            edit_pods(world, |object| {
                object["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["sleep"]);
            })
        },
        "Deployment/acme-customer was changed",
    ),
    (
        |world| {
            edit_pods(world, |object| {
                object["spec"]["template"]["spec"]["containers"][0]["env"] = json!([]);
            })
        },
        "Deployment/acme-customer was changed",
    ),
    (
        |world| {
            edit_address(world, |object| {
                object["spec"]["selector"] = json!({ "a": "b" })
            })
        },
        "Service/acme-customer was changed",
    ),
    (
        |world| {
            world.services.remove("acme-sales");
        },
        "Service/acme-sales was missing",
    ),
    (
        |world| {
            world.deployments.remove("acme-sales");
        },
        "Deployment/acme-sales was missing",
    ),
    (
        |world| {
            let set = world.database.as_ref().unwrap();
            let set = changed(set, |object| {
                object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mine:1");
            });
            world.set_database(set);
        },
        "StatefulSet/acme-postgres was changed",
    ),
    (
        |world| {
            let map = &world.config_maps["acme-postgres"];
            let map = changed(map, |object| object["data"]["roles.sh"] = json!("exit"));
            world.set_config_map("acme-postgres", map);
        },
        "ConfigMap/acme-postgres was changed",
    ),
];

#[test]
fn what_somebody_changes_or_removes_is_put_back_at_the_next_look() {
    for (hand, message) in HANDS {
        let mut run = run(&[Image("v1")]);
        let (before, told_before, wrote) =
            (owned(&run.world), told(&run.world), writes(&run.world));
        assert!(told_before.is_empty(), "{told_before:?}");
        run.world.tampered = true;
        hand(&mut run.world);
        run.turn(None);
        assert_eq!(owned(&run.world), before, "{message}");
        run.rest();
        assert_eq!(owned(&run.world), before, "{message}");
        let told = told(&run.world);
        assert!(
            told.len() == 1 && told[0].starts_with(message),
            "{message}: {told:?}"
        );
        assert_eq!(writes(&run.world), wrote + 1, "{message}");
    }
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let mut run = run(&[Image("v1")]);
    let wrote = writes(&run.world);
    edit_pods(&mut run.world, |object| {
        object["metadata"]["labels"]["team"] = json!("sales");
        let proxy = json!({ "name": "proxy", "image": "mesh:1" });
        let containers = &mut object["spec"]["template"]["spec"]["containers"];
        containers.as_array_mut().unwrap().push(proxy);
    });
    run.rest();
    assert_eq!(writes(&run.world), wrote);
    edit_pods(&mut run.world, |object| {
        object["spec"]["replicas"] = json!(3)
    });
    run.rest();
    let object = json!(run.world.deployments[PODS].object);
    assert_eq!(object["spec"]["replicas"], 2);
    assert_eq!(object["metadata"]["labels"]["team"], "sales");
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"][1]["name"],
        "proxy"
    );
}

#[test]
fn nothing_is_put_back_while_people_work_by_hand() {
    for (hand, message) in HANDS
        .into_iter()
        .filter(|(_, message)| message.ends_with("changed"))
    {
        let mut run = run(&[Image("v1"), Paused(true)]);
        run.rest();
        let before = owned(&run.world);
        run.world.tampered = true;
        hand(&mut run.world);
        let by_hand = owned(&run.world);
        run.rest();
        assert_eq!(owned(&run.world), by_hand, "{message}");
        run.world.platform.spec.paused = false;
        run.world.new_spec();
        run.rest();
        assert_eq!(owned(&run.world), before, "{message}");
    }
}

#[test]
fn stable_is_kept_while_a_release_is_tested_or_waits_in_a_freeze_window() {
    let at_its_gate: &[_] = &[Image("v1"), Image("v1b"), Reach(Stage::Gate), Image("v1b")];
    let frozen: &[_] = &[Image("v1"), Freeze("0 * * * *", 120), Image("v1b")];
    for acts in [at_its_gate, frozen] {
        let mut run = run(acts);
        while run.next_act < run.story.acts.len() {
            run.turn(None);
        }
        let before = owned(&run.world)[PODS].clone();
        for _ in 0..2 {
            edit_pods(&mut run.world, |object| {
                object["spec"]["replicas"] = json!(3)
            });
            // A look that moves a release to its next stage writes nothing else; the next one follows at once.
            run.turn(None);
            run.turn(None);
            assert_eq!(owned(&run.world)[PODS], before, "{}", tail(&run.world));
        }
        assert!(!told(&run.world).is_empty());
    }
}

/// It acts through the subresource `scale`, as those that the operator makes do.
#[test]
fn an_autoscaler_of_the_user_is_left_alone() {
    for strategy in [RollingUpdate, BlueGreen, Canary] {
        let mut run = run(&[Image("v1")]);
        run.world.act(Strategy(strategy));
        run.rest();
        let wrote = writes(&run.world);
        run.world.autoscaler_sets(PODS, 8);
        run.rest();
        assert_eq!(writes(&run.world), wrote, "{}", tail(&run.world));
        for image in ["v1b", "v2"] {
            run.world.set_image(image);
            run.rest();
            assert!(run.world.serves(), "{}", tail(&run.world));
            let slot = run.world.memory().stable.unwrap().slot;
            let serves = names::pods("acme", "customer", slot);
            let pods = run.world.deployments[&serves].object.spec.replicas;
            assert_eq!(pods, Some(8), "{strategy:?} keeps its pods");
        }
    }
}

/// Of no pods all are ready, and the tests would meet nobody.
#[test]
fn a_candidate_that_somebody_scales_to_none_gets_its_pod_back() {
    let mut run = run(&[Image("v1")]);
    run.world.set_image("v1b");
    let is_tried = |world: &World, name: &str| {
        let labels = &world.deployments[name].object.metadata.labels;
        labels.as_ref().unwrap()["crmplatform.io/track"] == "candidate"
    };
    let tried = (0..crate::LIMIT).find_map(|_| {
        run.turn(None);
        let mut names = run.world.deployments.keys();
        names.find(|name| is_tried(&run.world, name)).cloned()
    });
    let candidate = tried.unwrap();
    let object = changed(&run.world.deployments[&candidate].object, |object| {
        object["spec"]["replicas"] = json!(0);
    });
    run.world.set_deployment(&candidate, object);
    for _ in 0..2 {
        run.turn(None);
    }
    let pods = run.world.deployments[&candidate].object.spec.replicas;
    assert_eq!(pods, Some(1), "{}", tail(&run.world));
    run.rest();
    assert!(run.world.serves(), "{}", tail(&run.world));
}

/// What somebody else makes of a Deployment is not what was tested: no release is promoted on it.
#[test]
fn pods_that_somebody_else_wants_otherwise_are_not_rolled_out() {
    let mut run = run(&[Image("v1")]);
    run.world.set_image("v2");
    while !run.world.is_in(Stage::Rollout) {
        assert!(!run.turn(None), "it never came to its roll-out");
    }
    run.world.contested = Some("image-pinner".to_owned());
    // Stable's are contested, too: it does not come to rest.
    for _ in 0..crate::LIMIT {
        if !run.world.memory().rejected.is_empty() {
            break;
        }
        run.turn(None);
    }
    let rejected = run.world.memory().rejected;
    let message = &rejected[0].message;
    assert_eq!(rejected[0].reason, "RolloutInconclusive");
    let words = "image-pinner to leave Deployment acme-customer alone";
    assert!(message.contains(words), "{message}");
}
