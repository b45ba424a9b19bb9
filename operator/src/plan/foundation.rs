//! What a platform stands on: its secrets, its embedded database, and the recorded inputs of the candidate.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::action::{Correction, Created, Note, Object, Origin, SecretContent, SecretRecipe};
use super::draft::Draft;
use super::{Progress, correction, judge};
use crate::api::conditions;
use crate::api::status::Finding;
use crate::cost::seconds;
use crate::desired::{database as objects, labels, names, revision};
use crate::observed::{ContainerState, content_hash};

/// Seconds in which a volume is made and a node found, most of the time.
const STARTS_WITHIN: f64 = 20.0;
/// Looks at a database that does not answer at least this often, in seconds.
const LOOK_AGAIN: f64 = 10.0;

/// Makes the embedded database; true once it answers. Its passwords come before it.
pub(super) fn database(draft: &mut Draft<'_>) -> bool {
    let platform = draft.platform;
    if platform.embedded_storage.is_none() {
        return true;
    }
    let seen = draft.observed.database.clone();
    let image = seen
        .as_ref()
        .map(|seen| seen.image.as_str())
        .filter(|image| !image.is_empty());
    let set = objects::stateful_set(platform, image);
    let config = objects::config_map(platform);
    let service = objects::service(platform);
    let name = set.metadata.name.clone().unwrap_or_default();
    draft.restores = draft.memory.stable.is_some();
    let others = &draft.observed.others;
    let stands = |kind: &str, metadata: &ObjectMeta| {
        others.get(&format!("{kind}/{name}")) == Some(&content_hash(metadata))
    };
    if !stands("ConfigMap", &config.metadata) {
        keep(draft, Object::ConfigMap(Box::new(config)));
    }
    if !stands("Service", &service.metadata) {
        keep(draft, Object::Service(Box::new(service)));
    }
    let hash = content_hash(&set.metadata);
    let answers = match seen {
        Some(seen) if seen.hash == hash => seen.complete,
        seen => {
            !keep(draft, Object::StatefulSet(Box::new(set)))
                && seen.is_some_and(|seen| seen.complete)
        }
    };
    draft.restores = false;
    answers
}

/// Waits for the embedded database, and says what keeps it from starting: soon as what is waited for, and in the end as a problem until it answers.
pub(super) fn await_database(draft: &mut Draft<'_>) -> Progress {
    let (age, hindrance) = hindrance(draft);
    let shown = hindrance.clone().filter(|_| age > STARTS_WITHIN);
    draft.hindered |= shown.is_some();
    let why = shown.map_or_else(String::new, |why| format!(": {why}"));
    draft.wait(format!("the embedded database to answer{why}"), LOOK_AGAIN);
    if age > f64::from(draft.platform.progress_deadline_seconds) {
        let set = names::postgres(&draft.platform.name);
        let why = hindrance.unwrap_or_else(|| "look at the log of its pod".to_owned());
        let message = format!(
            "the embedded database, StatefulSet {set}, does not come up, and release {} waits for it: {why}; it goes on by itself once the database answers",
            draft.candidate_id()
        );
        let problem = Finding::new(conditions::DATABASE_NOT_READY, message);
        draft.problem.get_or_insert(problem);
    }
    Progress::Waiting
}

/// For how many seconds the database has not been ready, and what it will not get over by itself.
fn hindrance(draft: &Draft<'_>) -> (f64, Option<String>) {
    let Some(set) = &draft.observed.database else {
        return (0.0, None);
    };
    let since = |time: Option<Timestamp>| time.map_or(0.0, |time| seconds(time, draft.now));
    let pods = draft.observed.pods.iter();
    let pods = pods.filter(|pod| pod.controller == set.uid && !pod.deleting);
    let Some(pod) = pods.max_by_key(|pod| pod.created) else {
        // Not since when it stands there: its pod may just have been drained.
        let candidate = draft.memory.candidate.as_ref();
        let waited = candidate.map_or(0.0, |candidate| draft.seconds_since(&candidate.since));
        let why = format!(
            "it has no pod: look at the events of StatefulSet {}",
            set.name
        );
        return (waited.min(since(set.created)), Some(why));
    };
    let remedy = if pod.unschedulable.is_some() {
        "see that there is a default StorageClass for its volume, and room on a node"
    } else if matches!(&pod.state, ContainerState::Waiting { reason, .. } if reason.contains("Image"))
    {
        "see that the nodes can pull its image, which is named by --postgres-image of the operator"
    } else {
        "see that the Secrets and keys that it names are there"
    };
    let why = judge::unstartable(&[pod]).map(|why| format!("{remedy}: {why}"));
    (since(pod.unready_since.or(pod.created)), why)
}

/// Writes an object of the database, unless people work on it by hand; true when it is written.
fn keep(draft: &mut Draft<'_>, object: Object) -> bool {
    let left = correction::is_left(draft, &object.key());
    if !left {
        draft.apply(object, "the embedded database is made as the spec says");
    }
    !left
}

/// Makes the Secrets of the platform that are not there, before anything reads them; false while one is missing that was there. Passwords that a database has are
/// never made anew: PostgreSQL would not know them.
pub(super) fn secrets(draft: &mut Draft<'_>) -> bool {
    let observed = draft.observed;
    let serves = draft.memory.stable.is_some();
    let has_database = serves || observed.database.is_some();
    // Unless a watch shows them, they count as there once a release is recorded: that comes after them.
    let has_begun = serves || !observed.releases.is_empty();
    let shown = observed.own_secrets.as_ref();
    let (mut lost, mut makes) = (Vec::new(), false);
    for recipe in objects::secrets(draft.platform) {
        let is_there = shown.map_or(has_begun, |shown| shown.contains(&recipe.name));
        match recipe.content {
            _ if is_there => {}
            SecretContent::Identity if serves && draft.platform.paused => {}
            SecretContent::Identity => {
                makes = serves;
                make_identity(draft, recipe, serves);
            }
            SecretContent::Password | SecretContent::Passwords if has_database => {
                lost.push(recipe.name);
            }
            SecretContent::Password | SecretContent::Passwords => draft.create_secret(recipe),
        }
    }
    let is_known = lost.is_empty() || shown.is_none();
    if !is_known {
        let finding = lost_passwords(draft, &lost);
        draft.problem.get_or_insert(finding);
    }
    is_known && !makes
}

/// Beside what serves nothing but new releases waits for it: the way back of a bad one must not.
fn make_identity(draft: &mut Draft<'_>, recipe: SecretRecipe, serves: bool) {
    if serves {
        let (namespace, platform) = (&draft.platform.namespace, &draft.platform.name);
        let object = recipe.key();
        let message = format!(
            "{object} was missing and is made again, with another key; pods that run know the old one until they are started again: kubectl -n {namespace} rollout restart deployment -l {}={platform}",
            labels::PLATFORM
        );
        draft.corrections.push(Correction {
            object,
            note: Note {
                warning: true,
                reason: conditions::DRIFT_CORRECTED.to_owned(),
                message,
            },
        });
    }
    let origin = match serves {
        true => Origin::Aside,
        false => Origin::Standing,
    };
    draft.writing_for(origin, |draft| draft.create_secret(recipe));
}

/// Says which passwords are missing: a release that began without them would only wait.
fn lost_passwords(draft: &Draft<'_>, names: &[String]) -> Finding {
    let (namespace, platform) = (&draft.platform.namespace, &draft.platform.name);
    let names = names.join(" ");
    let message = format!(
        "the passwords of the embedded database are not there, or lost their labels: Secret {names}; nothing new begins, and they are not made anew, because PostgreSQL would not know them: restore them from a backup, or set others by hand as the README says (\"A lost password\"); if they are there: kubectl -n {namespace} label secret {names} {}",
        labels::own(platform)
    );
    Finding::new(conditions::SECRET_NOT_USABLE, message)
}

/// Records the inputs of a release; true once they are recorded.
pub(super) fn release(draft: &mut Draft<'_>, id: &str) -> bool {
    if draft.observed.releases.contains_key(id) {
        return true;
    }
    let Some(release) = draft.release(id) else {
        return false;
    };
    let revision = revision::revision(draft.scope(id, &release));
    draft.create(
        Created::Revision(Box::new(revision)),
        format!("release {id} is recorded"),
    );
    draft.wait(format!("the record of release {id}"), 2.0);
    false
}

/// Says that nothing can be done for a release whose inputs are lost: a guess would roll out what nobody asked for.
pub(super) fn record_is_missing(draft: &mut Draft<'_>, id: &str) {
    let name = names::revision(&draft.platform.name, id);
    let message = format!(
        "ControllerRevision {name}, the recorded inputs of release {id}, is missing or cannot be read: nothing live is changed; restore it from a backup, or set the spec back to what that release was"
    );
    draft
        .problem
        .get_or_insert(Finding::new(conditions::RECORD_MISSING, message));
}

#[cfg(test)]
mod tests {
    use super::super::action::{SecretContent, SecretRecipe, Write};
    use super::super::tests::{Case, look, now, resting};
    use crate::api::conditions;
    use crate::api::status::{Finding, Stage};
    use crate::observed::{ContainerState, PodView, WorkloadView};
    use crate::plan::{Plan, plan};

    /// The plan so many seconds after a pod of the database was made, if there is one.
    fn after(seconds: i64, stage: Stage, pod: Option<PodView>) -> Plan {
        let case = Case {
            stage: Some(stage),
            recorded: true,
            history: true,
            ..resting()
        };
        let (platform, mut observed) = look(&case).unwrap();
        observed.database = Some(WorkloadView {
            name: "acme-postgres".into(),
            uid: "set".into(),
            created: Some(now()),
            ..WorkloadView::default()
        });
        observed.pods.extend(pod.map(|pod| PodView {
            name: "acme-postgres-0".into(),
            controller: "set".into(),
            created: pod.created.or(Some(now())),
            ..pod
        }));
        let later = k8s_openapi::jiff::SignedDuration::from_secs(seconds);
        plan(&platform, &observed, now() + later)
    }

    fn waiting(reason: &str) -> PodView {
        PodView {
            state: ContainerState::Waiting {
                reason: reason.into(),
                message: "its words".into(),
            },
            ..PodView::default()
        }
    }

    #[test]
    fn a_database_that_cannot_start_says_why_and_is_a_problem_in_the_end() {
        let unplaced = PodView {
            unschedulable: Some("unbound immediate PersistentVolumeClaims".into()),
            ..PodView::default()
        };
        let cases = [
            (Some(unplaced), "StorageClass"),
            (Some(waiting("ImagePullBackOff")), "--postgres-image"),
            (Some(waiting("CreateContainerConfigError")), "Secrets"),
            (None, "events of StatefulSet acme-postgres"),
        ];
        for stage in [Stage::Rehearse, Stage::Migrate] {
            for (pod, words) in &cases {
                let early = after(5, stage, pod.clone());
                assert!(!early.hindered && early.waiting.is_some(), "{early:?}");
                let soon = after(25, stage, pod.clone());
                assert!(soon.hindered && soon.problem.is_none());
                assert!(soon.waiting.unwrap().contains(words), "{words}");
                let late = after(700, stage, pod.clone());
                let problem = late.problem.unwrap();
                assert_eq!(problem.reason, conditions::DATABASE_NOT_READY);
                assert!(problem.message.contains(words), "{}", problem.message);
                assert!(late.requeue.as_secs() <= 10, "it goes on by itself");
            }
        }
    }

    #[test]
    fn a_refused_secret_is_told_by_the_reason_of_its_refusal() {
        let mut plan = after(5, Stage::Rehearse, None);
        assert_eq!(plan.problem, None);
        let why = Finding::new(conditions::APPLY_FAILED, "the quota is used up");
        let recipe = SecretRecipe {
            name: "acme-identity".into(),
            content: SecretContent::Identity,
            plain: Vec::new(),
            owned: true,
        };
        plan.refused(&Write::CreateSecret(recipe), why);
        let told = plan.problem.unwrap();
        assert_eq!(told.reason, conditions::APPLY_FAILED);
        assert!(plan.undone[0].contains("quota"), "{:?}", plan.undone);
    }

    #[test]
    fn a_database_that_was_ready_a_moment_ago_is_no_problem() {
        let began = now() + k8s_openapi::jiff::SignedDuration::from_secs(690);
        let pod = PodView {
            unready_since: Some(began),
            state: ContainerState::Running,
            ..PodView::default()
        };
        let restarted = after(700, Stage::Rehearse, Some(pod));
        assert!(restarted.problem.is_none() && !restarted.hindered);
    }
}
