//! The demonstration: a platform from nothing to a stopped bad release. What goes in is a cluster that serves; what comes out is an error when a claim
//! did not hold.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::scenario::{self, Platform, Traffic, condition, message, reason};
use crate::{Cluster, Images, command, paths, progress};

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
    let platform = prepare(cluster, &images)?;
    let installed = from_nothing(&platform, &images)?;
    let load = platform.start_load(&images.current, RATE)?;
    let serving = new_image(&platform, &images, &installed)?;
    let stopped = bad_image(&platform, &images, &serving)?;
    report(&load.stop()?, &stopped)?;
    println!(
        "\nEverything that was claimed above was checked, and held. To look around (Jobs that had nothing to do end as Failed, with exit code 10):"
    );
    println!(
        "  export KUBECONFIG={} PATH={}:$PATH",
        cluster.kubeconfig.display(),
        paths::bin().display()
    );
    println!("  kubectl -n crm get crmp -o wide");
    println!("  kubectl -n crm get pods,jobs");
    println!("  kubectl -n crm logs job/{}", failed_job(&stopped));
    Ok(())
}

fn prepare(cluster: &Cluster, images: &Images) -> Result<Platform> {
    progress::step("installing the operator by helm", || {
        scenario::install_operator(cluster, images)
    })?;
    progress::step("making the namespace crm anew", || {
        let delete = ["delete", "namespace", "crm", "--ignore-not-found", "--wait"];
        command::output(cluster.kubectl(180).args(delete))?;
        Platform::new(cluster, "crm", "acme")
    })
}

fn from_nothing(platform: &Platform, images: &Images) -> Result<Value> {
    let version = tag(&images.previous);
    heading(&format!(
        "1. From nothing: kubectl apply, customer and sales {version} on a database of their own"
    ));
    platform.apply(&platform.sample(&images.previous)?)?;
    let installed = follow(platform, &Value::Null, |seen| {
        is_current(seen) && condition(seen, "Ready") == "True"
    })?;
    live_pods_run(platform, &images.previous)?;
    Ok(installed)
}

fn new_image(platform: &Platform, images: &Images, installed: &Value) -> Result<Value> {
    let version = tag(&images.current);
    heading(&format!(
        "2. A new image under live traffic: {version} gives a contact several addresses"
    ));
    platform.patch(&json!({ "image": images.current }))?;
    let serving = follow(platform, installed, |seen| {
        is_current(seen)
            && condition(seen, "Ready") == "True"
            && seen["status"]["stable"]["optimised"] == true
    })?;
    live_pods_run(platform, &images.current)?;
    let (level, floor) = schema(&serving, "customer");
    println!("   schema of customer: level {level}, floor {floor} (contract done)");
    ensure!(
        (level, floor) == (2, 2),
        "the schema of customer is at level {level} with floor {floor}, not 2 and 2"
    );
    Ok(serving)
}

fn bad_image(platform: &Platform, images: &Images, serving: &Value) -> Result<Value> {
    heading("3. A bad image: its forecast is wrong, its health is green");
    let pods = platform.live_pods()?;
    platform.patch(&json!({ "image": images.faulty }))?;
    let stopped = follow(platform, serving, |seen| {
        is_current(seen) && condition(seen, "Stalled") == "True"
    })?;
    let words = message(&stopped, "Stalled");
    println!("   stopped: {words}");
    ensure!(
        reason(&stopped, "Stalled") == "TestsFailed" && words.contains("forecast"),
        "the bad image was stopped for another reason: {}",
        stopped["status"]["conditions"]
    );
    let smoke = &job(&stopped, "Gate", "smoke")["verdict"];
    ensure!(
        smoke == "Passed",
        "the bad image's health was not green: the verdict on smoke is {smoke}"
    );
    ensure!(
        stopped["status"]["stable"]["release"] == serving["status"]["stable"]["release"],
        "stable has changed"
    );
    ensure!(platform.live_pods()? == pods, "stable's pods were touched");
    live_pods_run(platform, &images.current)?;
    println!("   stable serves on with the very same {} pods", pods.len());
    Ok(stopped)
}

fn tag(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}

/// Fails unless two pods of each service are ready, and run `image` by its digest.
fn live_pods_run(platform: &Platform, image: &str) -> Result<()> {
    let digest = scenario::digest(image)?;
    let selector = format!(
        "crmplatform.io/platform={},crmplatform.io/track=stable",
        platform.name
    );
    let pods = platform.list("pods", &selector)?;
    let serving = pods.iter().filter(|pod| {
        let container = &pod["status"]["containerStatuses"][0];
        let image = pod["spec"]["containers"][0]["image"].as_str();
        pod["metadata"]["deletionTimestamp"].is_null()
            && container["ready"] == true
            && image.is_some_and(|image| image.ends_with(&digest))
    });
    let serving = serving.count();
    ensure!(
        serving == 4,
        "{serving} instead of 4 live pods are ready and run {image} ({digest})"
    );
    Ok(())
}

/// The Job whose failure stopped the newest release.
fn failed_job(platform: &Value) -> String {
    job(platform, "Gate", "acceptance")["job"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Record of a step of a stage of the newest release.
fn job(platform: &Value, stage: &str, step: &str) -> Value {
    let named = |list: &Value, key: &str, name: &str| {
        let mut all = list.as_array().into_iter().flatten();
        all.find(|one| one[key] == name)
            .cloned()
            .unwrap_or_default()
    };
    let stage = named(&platform["status"]["releases"][0]["stages"], "name", stage);
    named(&stage["jobs"], "step", step)
}

fn heading(text: &str) {
    println!("\n{text}");
}

fn is_current(platform: &Value) -> bool {
    platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
}

/// Tells each stage as it ends, until `done`. What the platform was `before` the change is not told again.
fn follow(platform: &Platform, before: &Value, done: impl Fn(&Value) -> bool) -> Result<Value> {
    let began = Instant::now();
    let mut told: Vec<String> = Vec::new();
    platform.watch("the release to be decided", DECIDED, |seen| {
        let newest = &seen["status"]["releases"][0];
        let stages = newest["stages"].as_array();
        let is_new = newest["startedAt"] != before["status"]["releases"][0]["startedAt"];
        for stage in stages.into_iter().flatten().filter(|_| is_new) {
            let line = told_stage(stage);
            if !stage["verdict"].is_null() && !told.contains(&line) {
                println!("   {:>4} s  {line}", began.elapsed().as_secs());
                told.push(line);
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
    let figures = &platform["status"]["delivery"];
    ensure!(
        figures["release"] == platform["status"]["stable"]["release"],
        "the delivery figures are not those of the release that serves: {figures}"
    );
    delivery(figures)
}

fn delivery(delivery: &Value) -> Result<()> {
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
