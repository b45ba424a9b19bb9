//! Watch events as the API server sends them, in the orders that have bitten reflectors before.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::*;

fn object(name: &str, platform: &str, (uid, version): (&str, u64)) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "crm", "uid": uid, "resourceVersion": version.to_string(),
            "labels": { labels::PLATFORM: platform },
        },
    }))
    .unwrap()
}

fn key(name: &str) -> PlatformKey {
    PlatformKey {
        namespace: "crm".into(),
        name: name.into(),
    }
}

fn version(object: &ConfigMap) -> Option<String> {
    object.resource_version()
}

fn names(index: &Index<String>, platform: &str) -> Vec<String> {
    index.of(&key(platform)).into_keys().collect()
}

#[test]
fn is_ready_only_after_the_first_whole_list() {
    let index = Index::default();
    index.take(Event::Init, version);
    index.take(Event::InitApply(object("a", "acme", ("1", 1))), version);
    assert!(!index.is_ready());
    assert!(names(&index, "acme").is_empty(), "half a list is not shown");
    assert_eq!(
        index.take(Event::<ConfigMap>::InitDone, version),
        [key("acme")]
    );
    assert!(index.is_ready());
    assert_eq!(names(&index, "acme"), ["a"]);
}

#[test]
fn a_new_list_drops_what_vanished_and_names_its_platform() {
    let index = Index::default();
    index.take(Event::Apply(object("a", "acme", ("1", 1))), version);
    index.take(Event::Apply(object("b", "other", ("2", 2))), version);
    index.take(Event::<ConfigMap>::Init, version);
    assert_eq!(
        names(&index, "acme"),
        ["a"],
        "the old state stays while a new list arrives"
    );
    index.take(Event::InitApply(object("b", "other", ("2", 2))), version);
    assert_eq!(
        index.take(Event::<ConfigMap>::InitDone, version),
        [key("acme"), key("other")]
    );
    assert!(names(&index, "acme").is_empty());
}

#[test]
fn an_object_whose_label_changed_moves_and_both_platforms_hear_of_it() {
    let index = Index::default();
    index.take(Event::Apply(object("a", "acme", ("1", 1))), version);
    assert_eq!(
        index.take(Event::Apply(object("a", "other", ("1", 2))), version),
        [key("acme"), key("other")]
    );
    assert!(names(&index, "acme").is_empty());
    assert_eq!(names(&index, "other"), ["a"]);
}

#[test]
fn the_late_deletion_of_a_predecessor_leaves_its_successor() {
    let index = Index::default();
    index.take(Event::Apply(object("a", "acme", ("1", 1))), version);
    index.take(Event::Apply(object("a", "acme", ("2", 5))), version);
    index.take(Event::Delete(object("a", "acme", ("1", 6))), version);
    assert_eq!(names(&index, "acme"), ["a"]);
    assert_eq!(index.seen(&key("acme"), "a").unwrap().uid, "2");
}

#[test]
fn an_object_without_a_view_is_absent_but_its_platform_hears_of_it_when_it_had_one() {
    let index = Index::<String>::default();
    assert!(
        index
            .take(Event::Apply(object("a", "acme", ("1", 1))), |_| None)
            .is_empty()
    );
    index.take(Event::Apply(object("a", "acme", ("1", 2))), version);
    assert_eq!(
        index.take(Event::Apply(object("a", "acme", ("1", 3))), |_| None),
        [key("acme")]
    );
    assert!(names(&index, "acme").is_empty());
}

#[test]
fn a_change_that_a_view_does_not_show_concerns_nobody() {
    let index = Index::default();
    let label = |object: &ConfigMap| object.labels().get("seen").cloned().or(Some(String::new()));
    let first = object("a", "acme", ("1", 1));
    assert_eq!(
        index.take_quietly(Event::Apply(first), label),
        [key("acme")]
    );
    let mut status = object("a", "acme", ("1", 2));
    assert!(
        index
            .take_quietly(Event::Apply(status.clone()), label)
            .is_empty()
    );
    let version = index.seen(&key("acme"), "a").and_then(|seen| seen.version);
    assert_eq!(version, Some(2), "but it is taken in");
    status.labels_mut().insert("seen".into(), "changed".into());
    assert_eq!(
        index.take_quietly(Event::Apply(status.clone()), label),
        [key("acme")]
    );
    status.metadata.uid = Some("2".into());
    assert_eq!(
        index.take_quietly(Event::Apply(status.clone()), label),
        [key("acme")]
    );
    assert_eq!(
        index.take_quietly(Event::Delete(status), label),
        [key("acme")]
    );
}
