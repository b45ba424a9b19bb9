//! What one gated release asks of the API server. In: a platform of one service, made anew, and the audit log. Out: a table of the operator's requests, and an
//! error when the status was written more than five times (and once more for each migration of the live database), or anything was got or listed but the log of a
//! test that has a report.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::audit::{Log, Request};
use crate::scenario::{self, Platform, SYSTEM};
use crate::{Cluster, Images, command, progress};

/// Most writes of the status for a gated release of one service.
const WRITES: usize = 5;
/// Seconds within which a release must serve.
const SERVES: u64 = 420;
/// Seconds within which all that a release leaves to do is done, and what was found is written.
const SETTLES: u64 = 45;
/// Seconds in which nothing may be written any more.
const RESTS: u64 = 60;
const NAMESPACE: &str = "bench-writes";

/// Measures on `cluster`, whose registry has all images.
///
/// # Errors
/// When the release is over budget.
pub async fn run(cluster: &Cluster) -> Result<()> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || measure(&cluster)).await?
}

fn measure(cluster: &Cluster) -> Result<()> {
    let log = Log::open()?;
    let images = Images::in_registry(&cluster.registry)?;
    let platform = prepare(cluster, &images)?;
    let begun = log.end()?;
    let release = progress::step("waiting until a second release is gated and serves", || {
        // Another test is another release, and one that is gated; the schema stays as it is.
        let again = json!([{ "op": "add", "path": "/spec/tests/0/deadlineSeconds", "value": 250 }]);
        let patch = ["patch", "crmplatform", "acme", "--type=json", "--patch"];
        platform.kubectl(&[&patch[..], &[&again.to_string()]].concat())?;
        platform.wait("the second release to serve", SERVES, is_over)
    })?;
    ensure!(
        is_gated(&release),
        "the second release was not gated: {}",
        release["status"]
    );
    sleep(Duration::from_secs(SETTLES));
    let ended = log.end()?;
    progress::step("watching that nothing happens", || {
        sleep(Duration::from_secs(RESTS));
        Ok(())
    })?;
    let account = format!("system:serviceaccount:{SYSTEM}:crm-operator");
    let ours = |span| Ok::<_, anyhow::Error>(of_platform(log.between(span, &account)?));
    let (released, rested) = (ours((begun, ended))?, ours((ended, log.end()?))?);
    println!("{}", table(&released));
    let migrations = migrations(&platform, &release)?;
    judge(&released, &rested, migrations)?;
    remove(cluster)
}

fn prepare(cluster: &Cluster, images: &Images) -> Result<Platform> {
    progress::step("installing the operator by helm", || {
        scenario::install_operator(cluster, images)
    })?;
    remove(cluster)?;
    progress::step("waiting until a platform of one service serves", || {
        let platform = Platform::new(cluster, NAMESPACE, "acme")?;
        let mut object = platform.sample(&images.current)?;
        if let Some(services) = object["spec"]["services"].as_array_mut() {
            services.truncate(1);
        }
        platform.apply(&object)?;
        platform.wait("the first release to serve", SERVES, is_over)?;
        // What it leaves to do is no part of the next one.
        sleep(Duration::from_secs(SETTLES));
        Ok(platform)
    })
}

fn remove(cluster: &Cluster) -> Result<()> {
    let delete = ["delete", "namespace", NAMESPACE, "--ignore-not-found"];
    command::output(cluster.kubectl(180).args(delete).arg("--wait"))?;
    Ok(())
}

/// The present spec serves, its last stage included.
fn is_over(seen: &Value) -> bool {
    let status = &seen["status"];
    status["observedGeneration"] == seen["metadata"]["generation"]
        && status["candidate"].is_null()
        && status["stable"]["optimised"] == true
        && status["scratch"].is_null()
}

/// The newest release has passed its gate.
fn is_gated(seen: &Value) -> bool {
    let stages = seen["status"]["releases"][0]["stages"].as_array();
    let mut stages = stages.into_iter().flatten();
    stages.any(|stage| stage["name"] == "Gate" && stage["verdict"] == "Passed")
}

/// Jobs of a release that migrated the live database.
fn migrations(platform: &Platform, seen: &Value) -> Result<usize> {
    let release = seen["status"]["stable"]["release"].as_str();
    let release = release.unwrap_or_default();
    let selector = format!("crmplatform.io/track=migration,crmplatform.io/release={release}");
    Ok(platform.list("jobs", &selector)?.len())
}

/// What concerns the platform: its own objects, and what was asked of all namespaces.
fn of_platform(requests: Vec<Request>) -> Vec<Request> {
    let concerns =
        |request: &Request| request.namespace.is_empty() || request.namespace == NAMESPACE;
    requests.into_iter().filter(concerns).collect()
}

fn table(requests: &[Request]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in requests {
        *counts
            .entry((&request.resource, &request.verb))
            .or_default() += 1;
    }
    let lines = counts.iter();
    let lines = lines.map(|((resource, verb), count)| format!("{count:>5}  {verb:<8} {resource}"));
    let lines: Vec<_> = lines.collect();
    format!("count  verb     resource\n{}", lines.join("\n"))
}

fn judge(released: &[Request], rested: &[Request], migrations: usize) -> Result<()> {
    let is_status = |request: &&Request| request.resource == "crmplatforms/status";
    let writes = released.iter().filter(is_status).count();
    let most = WRITES + migrations;
    println!(
        "the status was written {writes} times; with {migrations} live migrations {most} are allowed"
    );
    if writes > most {
        bail!(
            "the status was written {writes} times, {most} are allowed (a step of more than half a minute costs one more: is the machine busy?)"
        );
    }
    let reads = |request: &&Request| {
        // A report is read from the log of the container that collected it; no watch shows that.
        let is_report = request.resource == "pods/log";
        ["get", "list"].contains(&request.verb.as_str()) && !is_report
    };
    let all = released.iter().chain(rested);
    let read: Vec<_> = all.filter(reads).collect();
    if !read.is_empty() {
        bail!("something was got or listed: {read:?}");
    }
    let wrote = |request: &&Request| request.verb != "watch";
    let late: Vec<_> = rested.iter().filter(wrote).collect();
    if !late.is_empty() {
        bail!("a platform that only serves was written to: {late:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(verb: &str, resource: &str) -> Request {
        Request {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            namespace: NAMESPACE.to_owned(),
            name: "acme".to_owned(),
        }
    }

    #[test]
    fn five_writes_of_the_status_are_allowed_and_one_for_each_migration() {
        let status = request("update", "crmplatforms/status");
        let writes = |count: usize| vec![status.clone(); count];
        assert!(judge(&writes(5), &[], 0).is_ok());
        assert!(judge(&writes(6), &[], 0).is_err());
        assert!(judge(&writes(6), &[], 1).is_ok());
    }

    #[test]
    fn nothing_is_got_or_listed_and_what_serves_is_left_alone() {
        let watch = [request("watch", "jobs")];
        assert!(judge(&[], &watch, 0).is_ok());
        for verb in ["get", "list"] {
            assert!(judge(&[request(verb, "jobs")], &[], 0).is_err());
        }
        assert!(judge(&[request("get", "pods/log")], &[], 0).is_ok());
        assert!(judge(&[], &[request("create", "events")], 0).is_err());
    }

    #[test]
    fn the_table_counts_by_resource_and_verb() {
        let job = request("create", "jobs");
        let told = table(&[job.clone(), job, request("watch", "pods")]);
        assert!(told.contains("    2  create   jobs"), "{told}");
    }
}
