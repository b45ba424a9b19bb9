//! Who owns what, and who may do what.

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::migrate::set::Set;
use crm_service::migrate::settings::Settings;
use crm_service::schema;
use crm_service::service::Service;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::scratch::Scratch;
use crate::sets;

/// Runs one statement as a role; the SQLSTATE when it is refused.
async fn as_role(scratch: &Scratch, role: &str, sql: &str) -> Option<String> {
    let options = scratch.options.clone().username(role).password("secret");
    let mut connection = options.connect().await.unwrap();
    let result = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await;
    let error = result.err()?;
    Some(
        error
            .as_database_error()
            .unwrap()
            .code()
            .unwrap()
            .into_owned(),
    )
}

const FORBIDDEN: &str = "42501";

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_owner_owns_and_the_app_role_only_works_with_rows() {
    let scratch = Scratch::new().await;
    let [owner, migrator, app] =
        ["owner", "migrator", "app"].map(|role| format!("{}_{role}", scratch.name));
    scratch
        .execute(&format!(
            "create role {owner}; create role {migrator} login password 'secret' in role {owner}; create role {app} login password 'secret';
             alter database {} owner to {owner}",
            scratch.name
        ))
        .await;
    let mut settings = scratch.settings();
    settings.database = settings.database.username(&migrator).password("secret");
    settings.owner_role = Some(owner.clone());
    // The first release did not name an app role: its tables get their rights later.
    let report = perform(&sets::v1(), &settings, Phase::Expand).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    settings.app_role = Some(app.clone());
    for phase in [Phase::Expand, Phase::Backfill, Phase::Verify] {
        let report = perform(&sets::v2(), &settings, phase).await;
        assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    }
    let owners = "select string_agg(distinct relowner::regrole::text, ',') from pg_class where relnamespace = 'customer'::regnamespace";
    assert_eq!(scratch.text(owners).await, owner);

    for allowed in [
        "insert into customer.person (id, name, mail) values (9, 'z', 'z@example.org')",
        "update customer.person set mail = 'y@example.org' where id = 9",
        "delete from customer.person_mail where person_id = 9",
        "select schema_level, min_app_level from customer.schema_compat",
        "select number from customer.schema_migration",
        "insert into customer.instance (id, app_level, release) values (gen_random_uuid(), 1, 'r1')",
        "update customer.instance set seen_at = now()",
        "delete from customer.instance",
    ] {
        assert_eq!(as_role(&scratch, &app, allowed).await, None, "{allowed}");
    }
    for forbidden in [
        "create table customer.mine (id int)",
        "alter table customer.person add column mine int",
        "drop table customer.person_mail",
        "truncate customer.person_mail",
        "create index mine on customer.person (note)",
        "update customer.schema_compat set min_app_level = 9",
        "delete from customer.schema_migration",
        "update customer.backfill set state = 'done'",
        "create schema mine",
        &format!("set role {owner}"),
    ] {
        assert_eq!(
            as_role(&scratch, &app, forbidden).await.as_deref(),
            Some(FORBIDDEN),
            "{forbidden}"
        );
    }
    scratch.drop().await;
    let mut admin = crate::scratch::server().connect().await.unwrap();
    crate::scratch::execute(&mut admin, &format!("drop role {app}, {migrator}, {owner}")).await;
}

/// Of this build's own files, which bring a view: the app role is named from the beginning, or only later.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_app_role_that_is_named_later_gets_views_and_sequences_too() {
    let set = Set::embedded(&schema::of(Service::Customer)).unwrap();
    for later in [false, true] {
        let scratch = Scratch::new().await;
        let app = format!("{}_app", scratch.name);
        scratch
            .execute(&format!("create role {app} login password 'secret'"))
            .await;
        let mut settings = scratch.settings();
        settings.app_role = (!later).then(|| app.clone());
        let report = perform(&set, &settings, Phase::Expand).await;
        assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
        scratch.execute("create sequence customer.counter").await;
        settings.app_role = Some(app.clone());
        let report = perform(&set, &settings, Phase::Expand).await;
        assert_eq!(report.outcome, Outcome::Nothing, "{}", report.message);
        for allowed in [
            "select email from customer.contact_emails",
            "insert into customer.contact_email (contact_id, email) select id, 'a@example.org' from customer.contact",
            "select nextval('customer.counter')",
        ] {
            assert_eq!(
                as_role(&scratch, &app, allowed).await,
                None,
                "{allowed}, later: {later}"
            );
        }
        let settings = Settings {
            rehearsal: true,
            ..settings
        };
        for phase in [Phase::Backfill, Phase::Contract] {
            let report = perform(&set, &settings, phase).await;
            assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
        }
        let read = "select email from customer.contact_emails";
        assert_eq!(
            as_role(&scratch, &app, read).await,
            None,
            "after the contract"
        );
        scratch.drop().await;
        let mut admin = crate::scratch::server().connect().await.unwrap();
        crate::scratch::execute(&mut admin, &format!("drop role {app}")).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_migrator_without_rights_fails_and_says_what_it_could_not_do() {
    let scratch = Scratch::new().await;
    let app = format!("{}_app", scratch.name);
    scratch
        .execute(&format!("create role {app} login password 'secret'"))
        .await;
    let mut settings = scratch.settings();
    settings.database = settings.database.username(&app).password("secret");
    let report = perform(&sets::v1(), &settings, Phase::Expand).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(
        report.message.contains("make the runner's tables"),
        "{}",
        report.message
    );
    assert!(report.message.contains("(42501)"), "{}", report.message);
    settings.owner_role = Some("pg_database_owner".to_owned());
    let report = perform(&sets::v1(), &settings, Phase::Expand).await;
    assert!(
        report.message.contains("become role pg_database_owner"),
        "{}",
        report.message
    );
    scratch.drop().await;
    let mut admin = crate::scratch::server().connect().await.unwrap();
    crate::scratch::execute(&mut admin, &format!("drop role {app}")).await;
}
