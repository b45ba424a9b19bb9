//! Stable and candidate side by side: where their pods work, who finds them, and what their tests are told.

use super::*;
use crate::desired::beside::{Beside, Side};

const STABLE: &str = "rstable0000";

fn with_both(check: impl FnOnce(Scope<'_>, [Beside<'_>; 2])) {
    let (platform, release) = platform(SPEC);
    let mut older = release.clone();
    older.services.truncate(1);
    older.services[0].image = "registry.example/crm@sha256:old".into();
    let scope = Scope {
        platform: &platform,
        id: ID,
        release: &release,
    };
    let stable = Beside {
        side: Side::Stable,
        id: STABLE,
        release: &older,
    };
    let candidate = Beside {
        side: Side::Candidate,
        id: ID,
        release: &release,
    };
    check(scope, [stable, candidate]);
}

fn variables(object: &Value) -> std::collections::BTreeMap<String, String> {
    let env = containers(object)[0]["env"].as_array().unwrap().clone();
    let named = env.into_iter().filter_map(|variable| {
        let value = variable["value"].as_str()?.to_owned();
        Some((variable["name"].as_str()?.to_owned(), value))
    });
    named.collect()
}

#[test]
fn each_side_is_found_by_its_own_address_only_and_works_on_the_copy() {
    with_both(|scope, both| {
        let customer = &scope.release.services[0];
        let selects = |service: &Value, pods: &Value| {
            let labels = &pods["spec"]["template"]["metadata"]["labels"];
            let selector = service["spec"]["selector"].as_object().unwrap();
            selector.iter().all(|(key, value)| labels[key] == *value)
        };
        let mut addresses = vec![
            json!(service::live(scope, customer, (Pods::Of(Slot::Blue), None))),
            json!(service::live(scope, customer, (Pods::Both, None))),
            json!(service::preview(scope, customer, Slot::Green)),
            json!(service::candidate(scope, customer)),
        ];
        addresses.extend(both.map(|side| json!(side.address(scope, customer))));
        for (at, side) in both.into_iter().enumerate() {
            let own = &side.release.services[0];
            let pods = json!(side.pods(scope, own));
            assert_restricted(&pods);
            let found = addresses.iter().enumerate();
            let found: Vec<_> = found
                .filter(|(_, address)| selects(address, &pods))
                .map(|(index, _)| index)
                .collect();
            assert_eq!(found, [4 + at], "{pods}");
            assert_eq!(pods["metadata"]["labels"][labels::RELEASE], ID);
            assert_eq!(containers(&pods)[0]["image"], own.image);
            assert_eq!(
                database_name(&pods)["value"],
                "scratch_0a1b2c3d_r0123456789_copy"
            );
            assert_eq!(secrets(&pods), ["acme-db-app", "acme-identity"]);
            let told = variables(&pods);
            assert_eq!(told["CRM_RELEASE"], side.id);
            assert_eq!(told["CRM_TRACK"], "candidate", "it serves no user");
        }
    });
}

#[test]
fn a_comparison_finds_the_candidate_and_stable_beside_it() {
    with_both(|scope, [stable, _]| {
        let test = &scope.release.tests[0];
        let job = json!(stable.comparison(scope, &step(Stage::Gate, "load"), test));
        assert_restricted(&job);
        let told = variables(&job);
        assert_eq!(
            told["CRM_CUSTOMER_URL"],
            "http://acme-customer-r0123456789-copy:8080"
        );
        assert_eq!(
            told["CRM_STABLE_CUSTOMER_URL"],
            "http://acme-customer-r0123456789-stable:8080"
        );
        assert!(told.contains_key("CRM_SALES_URL"));
        assert!(
            !told.contains_key("CRM_STABLE_SALES_URL"),
            "stable does not have it"
        );
        assert!(told.contains_key("CRM_MAX_REGRESSION_PERCENT"));
        assert_eq!(secrets(&job), ["acme-identity"], "never the database");

        let job = json!(stable.test(scope, &step(Stage::Gate, "stable-after-expand-smoke"), test));
        assert_restricted(&job);
        let told = variables(&job);
        assert_eq!(told["CRM_RELEASE"], STABLE);
        assert_eq!(
            told["CRM_CUSTOMER_URL"],
            "http://acme-customer-r0123456789-stable:8080"
        );
        assert!(!told.contains_key("CRM_SALES_URL"));
        assert_eq!(secrets(&job), ["acme-identity"]);
    });
}

#[test]
fn the_copy_is_made_of_the_scratch_database_and_goes_with_it() {
    with_both(|scope, _| {
        let script = |job: Job| {
            json!(job)["spec"]["template"]["spec"]["containers"][0]["command"][2].to_string()
        };
        let made = script(scratch::copy(scope, &step(Stage::Rehearse, "copy")));
        assert!(
            made.contains("create database scratch_0a1b2c3d_r0123456789_copy template scratch_0a1b2c3d_r0123456789 owner crm_owner"),
            "{made}"
        );
        let removed = script(scratch::remove(scope, &step(Stage::Rehearse, "remove")));
        assert!(
            removed
                .contains("drop database if exists scratch_0a1b2c3d_r0123456789_copy with (force)"),
            "{removed}"
        );
        let migrated = json!(migration(scope, Track::Beside));
        assert_eq!(
            database_name(&migrated)["value"],
            "scratch_0a1b2c3d_r0123456789_copy"
        );
        assert_eq!(variables(&migrated)["CRM_REHEARSAL"], "true");
        assert_eq!(
            migrated["metadata"]["labels"][labels::TRACK],
            labels::CANDIDATE,
            "a newer spec stops it"
        );
    });
}
