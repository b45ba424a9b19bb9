//! What a build may do on a database that knows another history.

use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::migrate::set::Set;

use crate::scratch::Scratch;
use crate::sets::{self, BASE};

const EVERY: [Phase; 4] = [
    Phase::Expand,
    Phase::Backfill,
    Phase::Verify,
    Phase::Contract,
];

async fn refuses(scratch: &Scratch, set: &Set, phase: Phase, words: &[&str]) {
    let before = scratch.fingerprint().await;
    let report = scratch.expect(set, phase, Outcome::Refused).await;
    for word in words {
        assert!(
            report.message.contains(word),
            "{word:?} is not in: {}",
            report.message
        );
    }
    assert_eq!(report.applied, Vec::<String>::new());
    assert_eq!(
        scratch.fingerprint().await,
        before,
        "a refused run changed something"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn goes_from_nothing_to_the_newest_level_and_then_has_nothing_to_do() {
    let scratch = Scratch::new().await;
    let set = sets::v2();
    let report = scratch.expect(&set, Phase::Expand, Outcome::Done).await;
    assert_eq!(
        report.applied,
        [
            "0001_base.expand",
            "0002_mail.expand",
            "0003_mail_once.expand"
        ]
    );
    assert_eq!(report.pending, ["backfill", "contract"]);
    assert_eq!(
        (report.schema.from, report.schema.to, report.schema.floor),
        (0, 3, 1)
    );
    scratch.done(&set, &[Phase::Backfill, Phase::Verify]).await;
    let report = scratch.expect(&set, Phase::Contract, Outcome::Done).await;
    assert_eq!(report.pending, Vec::<&str>::new());
    assert_eq!(
        (report.schema.from, report.schema.to, report.schema.floor),
        (3, 3, 2)
    );
    let end = scratch.fingerprint().await;
    for phase in EVERY {
        scratch.expect(&set, phase, Outcome::Nothing).await;
    }
    assert_eq!(scratch.fingerprint().await, end);
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn refuses_an_edited_file_unless_it_lists_what_it_replaces() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let edited = BASE.replace("create index person_name", "create index person_by_name");
    let files = vec![("0001_base.expand.sql".to_owned(), edited.clone())];
    refuses(
        &scratch,
        &sets::set(1, &files),
        Phase::Expand,
        &["0001_base.expand", "was edited", "replaces="],
    )
    .await;
    let applied = scratch
        .text("select checksum from customer.schema_migration")
        .await;
    let replaces = edited.replace(
        "app_level=1",
        &format!("app_level=1 replaces=00ff,{applied}"),
    );
    let files = vec![("0001_base.expand.sql".to_owned(), replaces)];
    scratch
        .expect(&sets::set(1, &files), Phase::Expand, Outcome::Nothing)
        .await;
    // The old text stays good too: an older release may come back.
    scratch
        .expect(&sets::v1(), Phase::Expand, Outcome::Nothing)
        .await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn refuses_a_migration_that_appears_below_the_head() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    scratch
        .execute("delete from customer.schema_migration where number = 2")
        .await;
    refuses(
        &scratch,
        &sets::v2(),
        Phase::Expand,
        &["0002_mail.expand", "number above 0003"],
    )
    .await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn refuses_another_migration_under_a_known_number() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let files = vec![("0001_other.expand.sql".to_owned(), BASE.to_owned())];
    refuses(
        &scratch,
        &sets::set(1, &files),
        Phase::Expand,
        &["base in the database", "other in this build"],
    )
    .await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_older_build_has_nothing_to_do_above_the_floor_and_is_refused_below_it() {
    let scratch = Scratch::new().await;
    scratch
        .done(&sets::v2(), &[Phase::Expand, Phase::Backfill])
        .await;
    let before = scratch.fingerprint().await;
    let report = scratch
        .expect(&sets::v1(), Phase::Expand, Outcome::Nothing)
        .await;
    assert_eq!((report.schema.to, report.app_level), (3, 1));
    assert_eq!(scratch.fingerprint().await, before);
    scratch.done(&sets::v2(), &[Phase::Contract]).await;
    for phase in EVERY {
        refuses(
            &scratch,
            &sets::v1(),
            phase,
            &["app level 1", "floor 2", "use a release of app level 2"],
        )
        .await;
    }
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_phases_after_expand_wait_for_it() {
    let scratch = Scratch::new().await;
    for phase in [Phase::Backfill, Phase::Verify, Phase::Contract] {
        let report = scratch.expect(&sets::v2(), phase, Outcome::Refused).await;
        assert!(
            report.message.contains("run expand first"),
            "{}",
            report.message
        );
    }
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    for phase in [Phase::Backfill, Phase::Verify, Phase::Contract] {
        refuses(
            &scratch,
            &sets::v2(),
            phase,
            &["0002_mail.expand", "run expand first"],
        )
        .await;
    }
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_step_that_fails_leaves_nothing_of_itself_and_keeps_the_steps_before_it() {
    let scratch = Scratch::new().await;
    let text = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s app_level=1
create table customer.extra (id int);
insert into customer.person (id, name) values (1, 'twice');";
    let report = scratch
        .expect(
            &sets::first_and("0002_bad.expand.sql", text),
            Phase::Expand,
            Outcome::Failed,
        )
        .await;
    assert!(
        report.message.contains("0002_bad.expand, line 3"),
        "{}",
        report.message
    );
    assert!(report.message.contains("(23505)"), "{}", report.message);
    assert_eq!(report.applied, ["0001_base.expand"]);
    assert_eq!((report.schema.from, report.schema.to), (0, 1));
    assert_eq!(
        scratch
            .text("select to_regclass('customer.extra') is null")
            .await,
        "true"
    );
    assert_eq!(
        scratch
            .text("select string_agg(name, ',') from customer.schema_migration")
            .await,
        "base"
    );
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_files_of_this_build_go_through_every_phase() {
    use crm_service::{schema, service::Service};
    let scratch = Scratch::new().await;
    for service in Service::ALL {
        let schema = schema::of(service);
        let set = Set::embedded(&schema).unwrap();
        let mut settings = scratch.settings();
        settings.rehearsal = true;
        for phase in EVERY {
            let report = crm_service::migrate::perform(&set, &settings, phase).await;
            assert!(
                matches!(report.outcome, Outcome::Done | Outcome::Nothing),
                "{service} {}: {}",
                phase.name(),
                report.message
            );
        }
        let window = scratch
            .text(&format!(
                "select schema_level || ' ' || min_app_level from {service}.schema_compat"
            ))
            .await;
        let (level, floor) = window.split_once(' ').unwrap();
        let window = schema::Window {
            schema_level: level.parse().unwrap(),
            min_app_level: floor.parse().unwrap(),
        };
        assert_eq!(
            schema.fits(window),
            Ok(()),
            "{service} cannot serve on its own schema"
        );
    }
    scratch.drop().await;
}
