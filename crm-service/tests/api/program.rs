//! The program as the operator runs it: exit codes, reports, and what it leaves behind.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use crm_service::service::Service;
use serde_json::Value;
use tokio::process::Command;

use crate::platform::Platform;

fn program(platform: &Platform) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crm-service"));
    command
        .env_clear()
        .env("DATABASE_URL", platform.url())
        .env("CRM_JWKS", &platform.key_set)
        .kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn folder(name: &str) -> PathBuf {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

async fn output(mut command: Command) -> Output {
    tokio::time::timeout(Duration::from_secs(120), command.output())
        .await
        .expect("it ends in time")
        .unwrap()
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{output:?}"))
}

async fn suite(platform: &Platform, name: &str, urls: &[(&str, String)]) -> (i32, Value, PathBuf) {
    let reports = folder(&format!("reports-{name}-{}", platform.name));
    let mut command = program(platform);
    command
        .args(["test", "--suite", name])
        .env("CRM_SIGNING_KEY", &platform.private_key);
    command
        .env("CRM_REPORT_DIR", &reports)
        .env("CRM_TERMINATION_LOG", reports.join("termination"));
    for (variable, url) in urls {
        command.env(variable, url);
    }
    let output = output(command).await;
    let termination = std::fs::read_to_string(reports.join("termination")).unwrap();
    let summary: Value = serde_json::from_str(&termination).unwrap();
    assert_eq!(
        summary,
        last_line(&output),
        "the termination message is the summary"
    );
    (
        output.status.code().unwrap(),
        summary,
        reports.join(format!("{name}.xml")),
    )
}

fn report(path: &PathBuf) -> quick_junit::Report {
    quick_junit::Report::deserialize_from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
#[cfg(not(feature = "fault"))]
async fn both_suites_pass_on_this_release_and_leave_no_row() {
    let platform = Platform::migrated().await;
    let (customer, sales) = (
        platform.serve(Service::Customer).await,
        platform.serve(Service::Sales).await,
    );
    let urls = [
        ("CRM_CUSTOMER_URL", customer.url()),
        ("CRM_SALES_URL", sales.url()),
    ];
    // Twice: while the release before may serve, and once nothing of it is left.
    let all = [("smoke", 18), ("acceptance", 45)];
    for (round, (name, least)) in all.into_iter().chain(all).enumerate() {
        if round == all.len() {
            for phase in [
                crm_service::migrate::phase::Phase::Backfill,
                crm_service::migrate::phase::Phase::Contract,
            ] {
                platform.migrate(Service::Customer, phase).await;
            }
        }
        let (code, summary, junit) = suite(&platform, name, &urls).await;
        assert_eq!((code, &summary["failed"]), (0, &0.into()), "{summary}");
        assert!(summary["tests"].as_u64().unwrap() >= least, "{summary}");
        let report = report(&junit);
        assert_eq!(report.tests as u64, summary["tests"].as_u64().unwrap());
        assert_eq!((report.failures, report.errors), (0, 0));
    }
    for table in [
        "customer.account",
        "customer.contact",
        "customer.contact_email",
        "customer.note",
        "sales.pipeline",
        "sales.stage",
        "sales.opportunity",
        "sales.stage_move",
    ] {
        assert_eq!(
            platform
                .count(&format!("select count(*) from {table}"))
                .await,
            0,
            "{table} has rows left"
        );
    }
    customer.stop().await;
    sales.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and --features fault: run cargo e2e test"]
#[cfg(feature = "fault")]
async fn the_faulty_forecast_passes_smoke_and_fails_acceptance() {
    let platform = Platform::migrated().await;
    let sales = platform.serve(Service::Sales).await;
    let urls = [("CRM_SALES_URL", sales.url())];
    assert_eq!(suite(&platform, "smoke", &urls).await.0, 0);
    let (code, summary, _) = suite(&platform, "acceptance", &urls).await;
    assert_eq!(code, 1);
    let names: Vec<_> = summary["firstFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["name"].as_str().unwrap())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| name.contains("forecast") || name.contains("probability")),
        "{names:?}"
    );
    sales.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_service_that_answers_wrongly_fails_the_suite_and_is_named() {
    let platform = Platform::migrated().await;
    let customer = platform.serve(Service::Customer).await;
    // The database forgets a kind of account: the service cannot make one any more.
    platform
        .execute("delete from customer.account_kind where code = 'prospect'")
        .await;
    let (code, summary, junit) =
        suite(&platform, "smoke", &[("CRM_CUSTOMER_URL", customer.url())]).await;
    assert_eq!(code, 1);
    assert_eq!(
        summary["firstFailures"][0]["name"],
        "customer: takes an account through its life"
    );
    assert!(report(&junit).failures > 0);
    customer.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn what_could_not_run_is_not_called_failed() {
    let platform = Platform::migrated().await;
    let (code, summary, junit) = suite(
        &platform,
        "smoke",
        &[("CRM_SALES_URL", "http://127.0.0.1:1".to_owned())],
    )
    .await;
    assert_eq!((code, summary["failed"].as_u64()), (2, Some(0)));
    assert!(
        summary["message"]
            .as_str()
            .unwrap()
            .contains("cannot be reached"),
        "{summary}"
    );
    assert_eq!(report(&junit).errors, 1);
    assert_eq!(suite(&platform, "smoke", &[]).await.0, 2, "no target");

    let mut without_key = program(&platform);
    without_key
        .args(["test", "--suite", "smoke"])
        .env("CRM_SALES_URL", "http://127.0.0.1:1");
    let without_key = output(without_key).await;
    assert_eq!(without_key.status.code(), Some(2));
    assert!(
        last_line(&without_key)["message"]
            .as_str()
            .unwrap()
            .contains("CRM_SIGNING_KEY")
    );
    let mut nonsense = program(&platform);
    nonsense.args(["test", "--suite", "everything"]);
    assert_eq!(output(nonsense).await.status.code(), Some(3), "bad usage");
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn serving_without_keys_or_without_a_schema_is_refused_with_a_reason() {
    let platform = Platform::empty().await;
    let mut command = program(&platform);
    command
        .args(["serve", "--service", "sales", "--listen", "127.0.0.1:0"])
        .env_remove("CRM_JWKS");
    let without_keys = output(command).await;
    assert_eq!(without_keys.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&without_keys.stderr).contains("CRM_JWKS is not set"));
    let mut command = program(&platform);
    command.args(["serve", "--service", "sales", "--listen", "127.0.0.1:0"]);
    let without_schema = output(command).await;
    assert_eq!(without_schema.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&without_schema.stderr).contains("run the migration"),
        "{without_schema:?}"
    );
    platform.drop().await;
}
