//! `kill -9` at every boundary between two statements, in every phase; running again must lead to the same end.

use std::env;
use std::net::ToSocketAddrs;
use std::process::Stdio;
use std::sync::Arc;

use clap::ValueEnum;
use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use sqlx::postgres::PgSslMode;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::proxy::{Cut, Proxy};
use crate::scratch::Scratch;
use crate::sets;

const PHASES: [Phase; 4] = [
    Phase::Expand,
    Phase::Backfill,
    Phase::Verify,
    Phase::Contract,
];
/// Runners under test at a time.
const TOGETHER: usize = 8;

/// This test is also the program that it kills: with these set, it runs a phase and ends.
const CHILD_PHASE: &str = "CRM_TEST_CHILD_PHASE";
const CHILD_DATABASE: &str = "CRM_TEST_CHILD_DATABASE";
const CHILD_PORT: &str = "CRM_TEST_CHILD_PORT";

async fn be_the_runner(phase: &str) -> ! {
    let scratch = Scratch {
        name: env::var(CHILD_DATABASE).unwrap(),
        options: crate::scratch::server()
            .host("127.0.0.1")
            .port(env::var(CHILD_PORT).unwrap().parse().unwrap())
            .database(&env::var(CHILD_DATABASE).unwrap())
            .ssl_mode(PgSslMode::Disable),
    };
    let phase = Phase::from_str(phase, false).unwrap();
    let report = scratch.run(&sets::v2(), phase).await;
    std::process::exit(report.outcome.exit_code().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn ends_the_same_wherever_it_is_killed() {
    if let Ok(phase) = env::var(CHILD_PHASE) {
        be_the_runner(&phase).await;
    }
    let mut before = Scratch::new().await;
    let mut kills = 0;
    for phase in PHASES {
        let reference = Scratch::copy_of(&before.name).await;
        reference.done(&sets::v2(), &[phase]).await;
        let found = kill_everywhere(phase, &before, reference.fingerprint().await).await;
        println!("{}: killed at {found} points", phase.name());
        assert!(found >= 10, "{}: only {found} points", phase.name());
        kills += found;
        before.drop().await;
        before = reference;
    }
    println!("killed {kills} times in all");
    before.drop().await;
}

/// Kills a runner of the phase at every point; gives the number of points.
async fn kill_everywhere(phase: Phase, before: &Scratch, expected: String) -> u32 {
    let (mut points, mut number) = (0, 1);
    let expected = Arc::new(expected);
    loop {
        let permits = Arc::new(Semaphore::new(TOGETHER));
        let mut tried = Vec::new();
        for cut in (number..number + 8).flat_map(|at| [Cut::Before(at), Cut::After(at)]) {
            let (permits, expected) = (permits.clone(), expected.clone());
            let template = before.name.clone();
            tried.push(tokio::spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                let scratch = Scratch::copy_of(&template).await;
                kill_once(phase, cut, scratch, &expected).await
            }));
        }
        let mut killed = 0;
        for task in tried {
            killed += u32::from(task.await.unwrap());
        }
        points += killed;
        number += 8;
        if killed == 0 {
            return points;
        }
    }
}

/// Whether the runner got as far as the cut. Either way the database ends as expected.
async fn kill_once(phase: Phase, cut: Cut, scratch: Scratch, expected: &str) -> bool {
    let options = &scratch.options;
    let server = (options.get_host(), options.get_port());
    let server = server.to_socket_addrs().unwrap().next().unwrap();
    let mut proxy = Proxy::start(server, cut).await;
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "kills::ends_the_same_wherever_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD_PHASE, phase.name())
        .env(CHILD_DATABASE, &scratch.name)
        .env(CHILD_PORT, proxy.port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let killed = tokio::select! {
        () = proxy.reached() => {
            child.kill().await.unwrap();
            true
        }
        status = child.wait() => {
            assert_eq!(status.unwrap().code(), Some(0), "{phase:?} {cut:?}");
            false
        }
    };
    drop(proxy);
    let report = perform(&sets::v2(), &scratch.settings(), phase).await;
    // Verifying is never over: it has something to do each time.
    let again = killed || phase == Phase::Verify;
    assert!(
        report.outcome == Outcome::Nothing || (report.outcome == Outcome::Done && again),
        "{phase:?} {cut:?}: {}",
        report.message
    );
    assert_eq!(scratch.fingerprint().await, expected, "{phase:?} {cut:?}");
    scratch.drop().await;
    killed
}
