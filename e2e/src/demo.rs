//! The demonstration: a platform from nothing to a stopped bad release. What goes in is a cluster that serves; what comes out is an error when a claim
//! did not hold.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::scenario::{self, Platform, Traffic, condition, message, reason};
use crate::{Cluster, Images, command, progress};

/// Seconds within which a release must be decided.
const DECIDED: u64 = 600;
/// Requests a second while releases happen.
const RATE: u32 = 30;

/// Shows the product at work on `cluster`, whose registry has all images.
///
/// # Errors
/// When something that the demonstration claims is not so.
pub async fn run(cluster: &Cluster) -> Result<()> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || show(&cluster)).await?
}

fn show(cluster: &Cluster) -> Result<()> {
    let images = Images::in_registry(&cluster.registry)?;
    progress::step("helm installs the operator", || {
        scenario::install_operator(cluster, &images)
    })?;
    progress::step("a namespace for the CRM, made anew", || {
        command::output(cluster.kubectl(180).args([
            "delete",
            "namespace",
            "crm",
            "--ignore-not-found",
            "--wait",
        ]))?;
        Ok(())
    })?;
    let platform = Platform::new(cluster, "crm", "acme")?;

    heading("1. From nothing: kubectl apply, customer and sales 1.0.0 on a database of their own");
    platform.apply(&platform.sample(&images.previous)?)?;
    follow(&platform, |seen| {
        is_current(seen) && condition(seen, "Ready") == "True"
    })?;

    heading("2. A new image under live traffic: 1.1.0 gives a contact several addresses");
    let load = platform.start_load(&images.current, RATE)?;
    platform.patch(&json!({ "image": images.current }))?;
    let serving = follow(&platform, |seen| {
        is_current(seen)
            && condition(seen, "Ready") == "True"
            && seen["status"]["stable"]["optimised"] == true
    })?;
    let level = schema(&serving, "customer");
    println!(
        "   schema of customer: level {}, floor {} (contract done)",
        level.0, level.1
    );
    ensure!(
        level == (2, 2),
        "the schema of customer is at level {} with floor {}, not 2 and 2",
        level.0,
        level.1
    );

    heading("3. A bad image: its forecast is wrong, its health is green");
    let pods = platform.live_pods()?;
    platform.patch(&json!({ "image": images.faulty }))?;
    let stopped = follow(&platform, |seen| {
        is_current(seen) && condition(seen, "Stalled") == "True"
    })?;
    println!("   stopped: {}", message(&stopped, "Stalled"));
    ensure!(
        reason(&stopped, "Stalled") == "TestsFailed",
        "the bad image was stopped for another reason: {}",
        stopped["status"]["conditions"]
    );
    ensure!(
        stopped["status"]["stable"]["release"] == serving["status"]["stable"]["release"],
        "stable has changed"
    );
    ensure!(platform.live_pods()? == pods, "stable's pods were touched");
    println!("   stable serves on with the very same {} pods", pods.len());

    let traffic = load.stop()?;
    report(&traffic, &stopped)?;
    println!("\nTo look around:");
    println!("  export KUBECONFIG={}", cluster.kubeconfig.display());
    println!("  kubectl -n crm get crmp,pods,jobs");
    println!("  kubectl -n crm describe crmp acme");
    Ok(())
}

fn heading(text: &str) {
    println!("\n{text}");
}

fn is_current(platform: &Value) -> bool {
    platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
}

/// Tells each stage as it ends, until `done`.
fn follow(platform: &Platform, done: impl Fn(&Value) -> bool) -> Result<Value> {
    let began = Instant::now();
    let mut told: Vec<String> = Vec::new();
    platform.watch("the release to be decided", DECIDED, |seen| {
        if is_current(seen) {
            for stage in seen["status"]["releases"][0]["stages"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let line = told_stage(stage);
                if !stage["verdict"].is_null() && !told.contains(&line) {
                    println!("   {:>4} s  {line}", began.elapsed().as_secs());
                    told.push(line);
                }
            }
        }
        let over = is_current(seen) && condition(seen, "Stalled") == "True";
        ensure!(
            !over || done(seen),
            "the release was not to stop: {}",
            message(seen, "Stalled")
        );
        Ok(done(seen))
    })
}

fn told_stage(stage: &Value) -> String {
    let word = |key: &str| stage[key].as_str().unwrap_or_default();
    let reports = stage["jobs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|job| job["report"].is_object());
    let tests: Vec<_> = reports
        .map(|job| {
            format!(
                "{}: {} of {} tests passed",
                job["step"].as_str().unwrap_or_default(),
                job["report"]["passed"],
                job["report"]["tests"]
            )
        })
        .collect();
    format!(
        "{:<9} {:<7} {}",
        word("name"),
        word("verdict"),
        tests.join(", ")
    )
}

/// Level and floor of a service's schema by the ledger in the status.
fn schema(platform: &Value, service: &str) -> (i64, i64) {
    let ledger = platform["status"]["schema"].as_array();
    let newest = ledger
        .into_iter()
        .flatten()
        .find(|record| record["service"] == service);
    let number = |key: &str| newest.and_then(|record| record[key].as_i64()).unwrap_or(0);
    (number("to"), number("floor"))
}

fn report(traffic: &Traffic, platform: &Value) -> Result<()> {
    println!(
        "\nTraffic through the live Services all the while: {} requests, {} failed, {} wrong",
        traffic.requests, traffic.failed, traffic.wrong
    );
    ensure!(
        traffic.failed + traffic.wrong == 0,
        "requests failed: {}",
        traffic.summary
    );
    let delivery = &platform["status"]["delivery"];
    println!(
        "\nDelivery of release {}       seconds       cost",
        delivery["release"].as_str().unwrap_or_default()
    );
    let parts = [
        ("build", ["get", "compile", "create", "package"]),
        ("test", ["case", "execute", "record", "analyse"]),
        ("deploy", ["install", "configure", "migrate", "optimise"]),
    ];
    for (group, names) in parts {
        let each: Vec<_> = names
            .iter()
            .map(|name| {
                format!(
                    "{name} {}",
                    delivery[group][name]["seconds"].as_str().unwrap_or("-")
                )
            })
            .collect();
        row(group, &delivery[group]["total"], &each.join(", "));
    }
    row("total", &delivery["total"], "");
    ensure!(
        delivery["total"]["seconds"].is_string(),
        "the status has no delivery figures"
    );
    Ok(())
}

fn row(name: &str, amount: &Value, each: &str) {
    println!(
        "  {name:<28} {:>10} {:>10}   {each}",
        amount["seconds"].as_str().unwrap_or("-"),
        amount["cost"].as_str().unwrap_or("-")
    );
}
