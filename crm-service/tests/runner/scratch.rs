//! A database of its own for each test, and what tests ask of it.

use std::env;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::{Outcome, Report};
use crm_service::migrate::set::Set;
use crm_service::migrate::settings::Settings;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// A database that exists as long as the value, plus a little: it is dropped with `drop`.
pub struct Scratch {
    pub name: String,
    pub options: PgConnectOptions,
}

/// The server of the tests.
pub fn server() -> PgConnectOptions {
    let url = env::var("DATABASE_URL").expect("DATABASE_URL names a throwaway PostgreSQL server");
    PgConnectOptions::from_str(&url)
        .unwrap()
        .disable_statement_logging()
}

impl Scratch {
    pub async fn new() -> Scratch {
        Scratch::copy_of("template1").await
    }

    /// A copy of another database, to which nothing may be connected.
    pub async fn copy_of(template: &str) -> Scratch {
        Scratch::called("runner", template).await
    }

    /// Called as the operator calls the database of a rehearsal.
    pub async fn of_a_rehearsal(template: &str) -> Scratch {
        Scratch::called("scratch", template).await
    }

    async fn called(prefix: &str, template: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}_{}_{number}", std::process::id());
        let mut admin = server().connect().await.unwrap();
        // A dead test of the same process id may have left one; connections of a killed runner take a moment to end.
        let drop = format!("drop database if exists {name} with (force)");
        execute(&mut admin, &drop).await;
        let create = format!("create database {name} template {template}");
        let mut patience = 100;
        while let Err(error) = sqlx::raw_sql(AssertSqlSafe(create.clone()))
            .execute(&mut admin)
            .await
        {
            patience -= 1;
            assert!(patience > 0, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let options = server().database(&name);
        Scratch { name, options }
    }

    pub async fn connect(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }

    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        execute(&mut connection, sql).await;
        connection.close().await.unwrap();
    }

    /// The first column of the first row, as text.
    pub async fn text(&self, sql: &str) -> String {
        let mut connection = self.connect().await;
        let sql = format!("select ({sql})::text");
        let value: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        value.unwrap_or_default()
    }

    pub fn settings(&self) -> Settings {
        Settings {
            database: self.options.clone(),
            owner_role: None,
            app_role: None,
            soaked: Some(Duration::from_secs(3600)),
            rehearsal: false,
            release: "r1".to_owned(),
            // Far more than needed: beside other tests, on a slow machine.
            deadline: Duration::from_secs(240),
            lock_deadline: Duration::from_secs(30),
        }
    }

    pub async fn run(&self, set: &Set, phase: Phase) -> Report {
        perform(set, &self.settings(), phase).await
    }

    /// Runs a phase and insists on its outcome.
    pub async fn expect(&self, set: &Set, phase: Phase, outcome: Outcome) -> Report {
        let report = self.run(set, phase).await;
        assert_eq!(report.outcome, outcome, "{}", report.message);
        report
    }

    /// Runs phases of which each has something to do.
    pub async fn done(&self, set: &Set, phases: &[Phase]) {
        for phase in phases {
            self.expect(set, *phase, Outcome::Done).await;
        }
    }

    pub async fn drop(self) {
        let mut admin = server().connect().await.unwrap();
        let drop = format!("drop database {} with (force)", self.name);
        execute(&mut admin, &drop).await;
    }

    /// All that a migration may leave behind, but for times: catalog, rights, ledger, levels and rows.
    pub async fn fingerprint(&self) -> String {
        let catalog = self
            .text(
                "select string_agg(line, e'\\n' order by line) from (
                 select format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.relowner::regrole) as line
                   from pg_attribute a join pg_class c on c.oid = a.attrelid
                   where c.relnamespace = 'customer'::regnamespace and a.attnum > 0 and not a.attisdropped
                 union all select format('index %s %s', pg_get_indexdef(indexrelid), indisvalid)
                   from pg_index where indrelid in (select oid from pg_class where relnamespace = 'customer'::regnamespace)
                 union all select format('constraint %s %s', conname, pg_get_constraintdef(oid))
                   from pg_constraint where connamespace = 'customer'::regnamespace
                 union all select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
                 union all select format('function %s', pg_get_functiondef(oid)) from pg_proc where pronamespace = 'customer'::regnamespace
                 union all select format('rights %s %s', relname, relacl) from pg_class where relnamespace = 'customer'::regnamespace
                 union all select format('ledger %s %s %s %s %s', number, name, phase, checksum, state) from customer.schema_migration
                 union all select format('levels %s %s', schema_level, min_app_level) from customer.schema_compat
                 union all select format('backfill %s %s %s %s', name, state, done, total) from customer.backfill
                 ) as lines",
            )
            .await;
        let rows = self
            .text(
                "select string_agg(table_name || ' ' || query_to_xml(
                   format('select t::text from customer.%I as t order by 1', table_name), true, false, '')::text, e'\\n' order by table_name)
                 from information_schema.tables where table_schema = 'customer' and table_type = 'BASE TABLE'
                   and table_name not in ('schema_migration', 'schema_compat', 'backfill', 'instance')",
            )
            .await;
        format!("{catalog}\n{rows}")
    }
}

pub async fn execute(connection: &mut PgConnection, sql: &str) {
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
    {
        panic!("{sql}: {error}");
    }
}

/// Waits until a query of a database is true.
pub async fn until(scratch: &Scratch, sql: &str) {
    for _ in 0..200 {
        if scratch.text(sql).await == "true" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not true within 10 s: {sql}");
}
