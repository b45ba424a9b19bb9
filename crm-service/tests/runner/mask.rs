//! Personal data in the database of a rehearsal: none is left at whatever schema level, and nothing else is changed.

mod program;
mod rows;

use std::collections::BTreeSet;

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::{Outcome, Report};
use crm_service::migrate::set::Set;
use crm_service::migrate::settings::Settings;
use crm_service::schema;
use crm_service::service::Service;

use crate::scratch::Scratch;

/// This build's files up to a number.
fn up_to(service: Service, number: i32) -> Set {
    let schema = schema::of(service);
    let files = schema.files.iter().copied();
    let files = files.filter(|(name, _)| name[..4].parse::<i32>().unwrap() <= number);
    Set::new(service, schema.app_level, files).unwrap()
}

fn whole(service: Service) -> Set {
    Set::embedded(&schema::of(service)).unwrap()
}

fn rehearsal(scratch: &Scratch) -> Settings {
    Settings {
        rehearsal: true,
        ..scratch.settings()
    }
}

async fn mask(scratch: &Scratch, service: Service) -> Report {
    perform(&whole(service), &rehearsal(scratch), Phase::Mask).await
}

async fn run(scratch: &Scratch, service: Service, phases: &[Phase]) {
    for phase in phases {
        let report = perform(&whole(service), &rehearsal(scratch), *phase).await;
        assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    }
}

async fn first(service: Service, rows: &str) -> Scratch {
    let scratch = Scratch::of_a_rehearsal("template1").await;
    scratch.done(&up_to(service, 1), &[Phase::Expand]).await;
    scratch.execute(rows).await;
    // As a server does by itself after a while.
    scratch.execute("analyze").await;
    scratch
}

/// Masks, and compares all that must be as before; a second mask must have nothing to do.
async fn masks_all(scratch: &Scratch, service: Service) {
    let (_, unmarked) = rows::marked(scratch, service).await;
    assert_eq!(unmarked, [""; 0], "the rows of this test do not show it");
    let shape = rows::shape(scratch, service).await;
    let report = mask(scratch, service).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    assert!(report.masked_rows.unwrap() > 0);
    let (marked, _) = rows::marked(scratch, service).await;
    assert_eq!(marked, [""; 0], "personal data is left");
    assert_eq!(rows::shape(scratch, service).await, shape);
    let statistics = format!(
        "select count(*) from pg_stats where schemaname = '{service}'
         and format('%s %s', most_common_vals, histogram_bounds) ilike '%{}%'",
        rows::MARKER
    );
    assert_eq!(scratch.text(&statistics).await, "0");
    let all = format!(
        "select string_agg(query_to_xml(format('select t::text from {service}.%I as t order by 1', table_name), true, true, '')::text, ' ')
         from information_schema.tables where table_schema = '{service}' and table_type = 'BASE TABLE'"
    );
    let once = scratch.text(&all).await;
    let again = mask(scratch, service).await;
    assert_eq!(
        (again.outcome, again.masked_rows),
        (Outcome::Nothing, Some(0)),
        "{}",
        again.message
    );
    assert!(
        scratch.text(&all).await == once,
        "a second run changed rows"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn no_personal_data_is_left_at_any_level_of_customer() {
    let service = Service::Customer;
    let first = first(service, rows::CUSTOMER).await;
    let scratch = Scratch::of_a_rehearsal(&first.name).await;
    masks_all(&scratch, service).await;
    run(
        &scratch,
        service,
        &[
            Phase::Expand,
            Phase::Backfill,
            Phase::Verify,
            Phase::Contract,
        ],
    )
    .await;
    scratch.drop().await;
    // Some addresses are copied, some are not.
    run(&first, service, &[Phase::Expand]).await;
    first.execute(rows::ADDRESSES).await;
    let scratch = Scratch::of_a_rehearsal(&first.name).await;
    masks_all(&scratch, service).await;
    run(
        &scratch,
        service,
        &[Phase::Backfill, Phase::Verify, Phase::Contract],
    )
    .await;
    scratch.drop().await;
    run(&first, service, &[Phase::Backfill]).await;
    let scratch = Scratch::of_a_rehearsal(&first.name).await;
    masks_all(&scratch, service).await;
    run(&scratch, service, &[Phase::Verify, Phase::Contract]).await;
    scratch.drop().await;
    run(&first, service, &[Phase::Contract]).await;
    masks_all(&first, service).await;
    first.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn no_personal_data_is_left_in_sales() {
    let scratch = first(Service::Sales, rows::SALES).await;
    masks_all(&scratch, Service::Sales).await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn substitutes_keep_formats_lengths_and_groups() {
    let scratch = first(Service::Customer, rows::CUSTOMER).await;
    run(&scratch, Service::Customer, &[Phase::Expand]).await;
    scratch.execute(rows::ADDRESSES).await;
    let lengths =
        "select string_agg(length(description)::text, ' ' order by id) from customer.account";
    let before = scratch.text(lengths).await;
    mask(&scratch, Service::Customer).await;
    assert_eq!(scratch.text(lengths).await, before);
    for holds in [
        "select count(distinct email) = count(*) and bool_and(email ~ '^c[0-9a-f]{32}@example[.]invalid$') from customer.contact where email is not null",
        "select count(distinct email_norm) = count(*) and bool_and(email ~ '^c[0-9a-f]{32}([.][0-9]{4})?@example[.]invalid$') from customer.contact_email",
        "select bool_and(phone ~ '^[+]999 55 [0-9]{8}$') from customer.contact",
        "select bool_and(website ~ '^https://[0-9a-f]{12}[.]example[.]invalid$') from customer.account",
        "select count(distinct created_by) = 1 and count(distinct updated_by) > 2 from customer.account",
    ] {
        assert_eq!(scratch.text(holds).await, "true", "{holds}");
    }
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_live_database_is_never_masked() {
    let service = Service::Customer;
    let scratch = first(service, rows::CUSTOMER).await;
    let live = Scratch::copy_of(&scratch.name).await;
    for (database, rehearsal, word) in [
        (&scratch, false, "CRM_REHEARSAL=true"),
        (&live, true, "begin with scratch_"),
        (&live, false, "CRM_REHEARSAL=true"),
    ] {
        let before = database
            .text("select string_agg(c::text, ' ' order by id) from customer.contact c")
            .await;
        let settings = Settings {
            rehearsal,
            ..database.settings()
        };
        let report = perform(&whole(service), &settings, Phase::Mask).await;
        assert_eq!(report.outcome, Outcome::Refused, "{}", report.message);
        assert!(report.message.contains(word), "{}", report.message);
        let after = database
            .text("select string_agg(c::text, ' ' order by id) from customer.contact c")
            .await;
        assert_eq!(after, before);
    }
    live.drop().await;
    scratch.drop().await;
}

/// Whoever adds a column that can hold text must list it in the `personal.rs` of its service: as personal, or why not.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn every_column_of_every_level_is_listed_and_every_listed_column_exists() {
    for service in Service::ALL {
        let scratch = Scratch::of_a_rehearsal("template1").await;
        let mut met = BTreeSet::new();
        for number in 1..=whole(service).head() {
            let set = up_to(service, number);
            for phase in [Phase::Expand, Phase::Backfill, Phase::Contract] {
                let report = perform(&set, &rehearsal(&scratch), phase).await;
                assert!(report.outcome.exit_code() <= 10, "{}", report.message);
                let report = mask(&scratch, service).await;
                assert!(report.outcome.exit_code() <= 10, "{}", report.message);
                met.extend(rows::columns(&scratch, service).await);
            }
        }
        for (name, _) in service.columns() {
            let (table, column) = name.split_once('.').unwrap();
            let column = (table.to_owned(), column.to_owned());
            assert!(
                met.contains(&column),
                "{service}.{name} is at no level: take it off the list"
            );
        }
        scratch.drop().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_column_that_nobody_listed_stops_the_mask() {
    let service = Service::Customer;
    let scratch = first(service, rows::CUSTOMER).await;
    scratch
        .execute("alter table customer.account add column employees int, add column founded date, add column rating numeric(3,1)")
        .await;
    for (column, made) in [
        (
            "account.nickname (text)",
            "alter table customer.account add column nickname text",
        ),
        (
            "account.short (character varying(9))",
            "alter table customer.account add column short varchar(9)",
        ),
        (
            "note.attached (jsonb)",
            "alter table customer.note add column attached jsonb",
        ),
        (
            "contact.tags (text[])",
            "alter table customer.contact add column tags text[]",
        ),
        (
            "seen.address (inet)",
            "create table customer.seen (id int, address inet)",
        ),
        (
            "kept.body (text)",
            "create materialized view customer.kept as select body from customer.note",
        ),
    ] {
        let scratch = Scratch::of_a_rehearsal(&scratch.name).await;
        scratch.execute(made).await;
        let report = mask(&scratch, service).await;
        assert_eq!(report.outcome, Outcome::Refused, "{}", report.message);
        let named = format!("column customer.{column} holds");
        assert!(report.message.contains(&named), "{}", report.message);
        let left = "select count(*) from customer.contact where last_name = 'Geheim'";
        assert_eq!(scratch.text(left).await, "4", "something was masked");
        scratch.drop().await;
    }
    let report = mask(&scratch, service).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    scratch.drop().await;
}
