//! From one email to several, with the schema's expand, backfill and contract, while users work: no request fails, no row is lost.

use e2e::scenario::Platform;
use serde_json::json;

use crate::setting::{RELEASE, Setting, unharmed};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn rolls_out_under_load_without_a_failed_request() {
    let setting = Setting::new("rolls-out");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |_| {});
    let load = platform.start_load(&setting.images.current, 30).unwrap();
    let before = remember_addresses(platform);
    assert!(
        before >= 100,
        "the live database has {before} contacts with an address: too few to show anything"
    );
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    platform.wait_ready(RELEASE).unwrap();
    let contracted = platform
        .wait("contract on the live database", 240, |platform| {
            platform["status"]["stable"]["optimised"] == true
        })
        .unwrap();
    unharmed(load, 2000);
    no_address_was_lost(platform, before);
    let contract = contracted["status"]["schema"]
        .as_array()
        .unwrap()
        .iter()
        .find(|record| record["phase"] == "contract" && record["service"] == "customer");
    assert_eq!(
        contract.unwrap()["floor"],
        2,
        "{}",
        contracted["status"]["schema"]
    );
    let column = "select count(*) from information_schema.columns where table_schema = 'customer' and table_name = 'contact' and column_name = 'email'";
    assert_eq!(platform.sql(column).unwrap(), "0", "the old column is gone");
}

/// Keeps every contact with its address, as the old schema has them; answers how many there are.
fn remember_addresses(platform: &Platform) -> u64 {
    let keep = "create table public.before as select id, version, email from customer.contact where email is not null and not synthetic";
    platform.sql(keep).unwrap();
    count(platform, "public.before")
}

/// Judges by the database alone; the load has read its contacts back through the services.
fn no_address_was_lost(platform: &Platform, before: u64) {
    let has_one =
        "exists (select from customer.contact_email e where e.contact_id = c.id and e.is_primary)";
    let lost = count(
        platform,
        &format!(
            "public.before b left join customer.contact c using (id) where c.id is null or not {has_one}"
        ),
    );
    assert_eq!(lost, 0, "contacts without the address they had");
    // A contact that nobody changed meanwhile still has its version.
    let untouched = "public.before b join customer.contact c using (id, version)";
    let changed = count(
        platform,
        &format!(
            "{untouched} where not exists (select from customer.contact_email e where e.contact_id = c.id and e.is_primary and e.email = b.email)"
        ),
    );
    assert_eq!(changed, 0, "contacts with another address than they had");
    assert!(
        count(platform, untouched) > 0,
        "no contact was left alone, so that backfill had nothing to do"
    );
    // The load gives an address to each contact it makes.
    let real = "customer.contact c where not c.synthetic";
    let (all, with_address) = (
        count(platform, real),
        count(platform, &format!("{real} and {has_one}")),
    );
    assert!(
        all >= before,
        "{all} contacts are left of {before} and those made since"
    );
    assert_eq!(
        with_address, all,
        "contacts with an address, of {all}: {before} and those made since"
    );
}

fn count(platform: &Platform, of: &str) -> u64 {
    let rows = platform.sql(&format!("select count(*) from {of}")).unwrap();
    rows.parse().unwrap()
}
