//! What a Job runs, as a hash: by it a Job that stands under our name is taken for the one that we would have made, or not.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::{Value, json};

use super::{content_hash, job, report};

/// Who manages a Job that names nobody.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// A hash over name, image, command, arguments and environment of each container of a Job, over what is laid over its image, over where names lead, and over what its
/// success is. Two Jobs of one fingerprint do the same. An empty list counts as a missing one: the API server stores no empty lists. For how long a release has
/// served is left out: the spec may change that figure while a Job is at work, and all that an image does with it is to refuse.
///
/// Of the operator's own image in it only the repository counts. A Job that a crashed operator made must be known to the newer one that takes over, or an upgrade at that
/// moment would hold the release as `JobNotOurs`. It is no door for strangers: they would have to push into the operator's own repository, and who can do that needs no forged
/// Job. All else of that container counts in full, above all the folder it reads: one that looks elsewhere would find no report, and leave the last word to the test itself.
pub fn fingerprint(job: &Job) -> String {
    let spec = job.spec.as_ref();
    let Some((spec, pod)) = spec.and_then(|spec| Some((spec, spec.template.spec.as_ref()?))) else {
        return content_hash(&json!([]));
    };
    let collector = |container: &&Container| container.name == report::CONTAINER;
    let collectors = pod.init_containers.iter().flatten().filter(collector);
    let mut runs: Vec<Value> = Vec::new();
    for container in pod.init_containers.iter().flatten() {
        let image = container.image.as_deref().unwrap_or_default();
        let image = match collector(&container) {
            true => repository(image),
            false => image,
        };
        runs.push(what(container, json!(image)));
    }
    runs.extend(
        pod.containers
            .iter()
            .map(|container| what(container, json!(container.image))),
    );
    for container in collectors {
        runs.push(json!(container.restart_policy));
    }
    runs.push(around(pod));
    runs.push(success(spec));
    content_hash(&runs)
}

fn what(container: &Container, image: Value) -> Value {
    let env: Vec<_> = container
        .env
        .iter()
        .flatten()
        .filter(|variable| variable.name != job::SOAKED_SECONDS)
        .map(|variable| {
            let from = variable.value_from.as_ref();
            let key = from.and_then(|from| from.secret_key_ref.as_ref());
            let value = variable.value.as_deref().unwrap_or_default();
            json!([variable.name, value, key])
        })
        .collect();
    json!([
        container.name,
        image,
        container.command.as_deref().unwrap_or_default(),
        container.args.as_deref().unwrap_or_default(),
        env,
        container.env_from.as_deref().unwrap_or_default(),
        container.working_dir,
        container.lifecycle.is_some(),
        plain(json!(
            container.volume_mounts.as_deref().unwrap_or_default()
        )),
    ])
}

/// What volumes hold, and where names lead.
fn around(pod: &PodSpec) -> Value {
    json!([
        plain(json!(pod.volumes.as_deref().unwrap_or_default())),
        pod.host_aliases.as_deref().unwrap_or_default(),
        pod.dns_config,
        pod.host_network.unwrap_or_default(),
    ])
}

/// When the Job is complete, and who says so: one of no completions is complete without a pod.
fn success(job: &JobSpec) -> Value {
    json!([
        job.completions.unwrap_or(1),
        job.parallelism.unwrap_or(1),
        job.completion_mode.as_deref().unwrap_or("NonIndexed"),
        job.success_policy,
        job.managed_by.as_deref().unwrap_or(JOB_CONTROLLER),
        job.backoff_limit,
        plain(json!(job.pod_failure_policy)),
    ])
}

/// A value without what the API server adds or leaves out when it says nothing new.
fn plain(value: Value) -> Value {
    let says_something = |(key, value): &(String, Value)| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        key != "defaultMode" && *value != json!(false) && !value.is_null() && !is_empty
    };
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(says_something);
            Value::Object(kept.map(|(key, value)| (key, plain(value))).collect())
        }
        Value::Array(all) => all.into_iter().map(plain).collect(),
        other => other,
    }
}

/// An image without its tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_what_stays_when_tag_and_digest_go() {
        for image in [
            "host:5000/a/b",
            "host:5000/a/b:1",
            "host:5000/a/b@sha256:aa",
            "host:5000/a/b:1@sha256:aa",
        ] {
            assert_eq!(repository(image), "host:5000/a/b", "{image}");
        }
    }
}
