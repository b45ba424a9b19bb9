//! Dumps of the live database: the volume they are on, the Job that makes one, and the Job that restores one into a scratch database.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use super::environment::{self, Role};
use super::job::{Shape, Step, job};
use super::{Scope, Track, labels, names, object};
use crate::api::spec::{BackupSpec, DeletionPolicy};
use crate::api::status::BackupRecord;
use crate::platform::Platform;
use crate::platform::release::DatabaseUse;

/// Where the volume is mounted.
const FOLDER: &str = "/backup";

/// A dump has its name only when it is whole and on the disk, and never takes the name of another. Dumps that are not needed go only after that.
///
/// Files of an earlier platform of the same name are not ours to remove. Of our own that are on no record stay stable's, and the newest while there is room for
/// them: a status that was lost costs no dump that would have been kept, and what a Job left that nobody could judge, or did not come to remove, still goes in the end.
/// A list of what to remove would forget those.
const DUMP: &str = r#"umask 077
cd /backup
rm -f "$CRM_BACKUPS_OWN"-*.partial
file="$CRM_BACKUP_ID.dump"
taken() { echo "there is a $file on the volume already, and it is not replaced; the next try has another name" >&2; exit 1; }
[ ! -e "$file" ] || taken
pg_dump --format=custom --lock-wait-timeout=60s --file="$file.partial"
sync "$file.partial"
mv --no-clobber "$file.partial" "$file" || taken
[ ! -e "$file.partial" ] || taken
sync .
bytes=$(stat --format=%s "$file")
sum=$(sha256sum "$file")
stable=$(ls -t "$CRM_BACKUPS_OWN-$CRM_STABLE_RELEASE"-*.dump 2> /dev/null | head -n 1)
kept=" $CRM_BACKUP_ID $CRM_BACKUPS_KEPT ${stable%.dump} "
room=$((CRM_BACKUPS_KEEP + 1))
others=
for own in $(ls -t "$CRM_BACKUPS_OWN"-*.dump); do
  case "$kept" in
    *" ${own%.dump} "*) room=$((room - 1)) ;;
    *) others="$others $own" ;;
  esac
done
for other in $others; do
  room=$((room - 1))
  if [ "$room" -lt 0 ]; then rm -f "$other"; fi
done
printf '{"message":"dumped %s bytes","backup":{"bytes":%s,"sha256":"%s"}}' "$bytes" "$bytes" "${sum%% *}" > /dev/termination-log
"#;

/// The file must be the one that was written, and every statement of it must succeed.
const RESTORE: &str = r#"cd /backup
file="$CRM_BACKUP_ID.dump"
if [ ! -f "$file" ]; then echo "there is no $file on the volume" >&2; exit 1; fi
if ! echo "$CRM_BACKUP_SHA256  $file" | sha256sum --check --status; then echo "$file is not the file that was written: its checksum is another" >&2; exit 1; fi
pg_restore --exit-on-error --no-owner ${CRM_OWNER_ROLE:+"--role=$CRM_OWNER_ROLE"} --dbname="$PGDATABASE" "$file"
"#;

/// The volume of all dumps of a platform. It outlives the platform unless `deletionPolicy: Delete` says otherwise.
pub fn claim(platform: &Platform, backup: &BackupSpec) -> PersistentVolumeClaim {
    let name = &platform.name;
    let (owners, labels) = match platform.deletion {
        DeletionPolicy::Delete => (json!([platform.owner]), labels::platform(name)),
        DeletionPolicy::Retain => (json!([]), labels::lasting(name)),
    };
    object(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": names::backup_claim(name), "namespace": platform.namespace, "labels": labels, "ownerReferences": owners },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": backup.storage } } }
    }))
}

/// Which dumps stay on the volume.
pub struct Kept<'a> {
    /// Those in the status.
    pub listed: &'a [BackupRecord],
    /// The release of which the newest one stays, too.
    pub stable: Option<String>,
}

/// Dumps the live database, then removes what has no room on the volume any more: `keep` dumps beside the new one and those that are `kept`.
pub fn dump(scope: Scope<'_>, step: &Step, (backup, kept): (&BackupSpec, &Kept<'_>)) -> Job {
    let stable = kept.stable.as_deref().unwrap_or_default();
    let kept: Vec<_> = kept.listed.iter().map(|kept| kept.id.as_str()).collect();
    let uid = &scope.platform.uid;
    let mut env = environment::database(scope, Role::Migrator, Track::Live);
    env.extend([
        environment::variable("CRM_BACKUP_ID", &names::dump(uid, scope.id, step.attempt)),
        environment::variable("CRM_BACKUPS_OWN", &names::own_dumps(uid)),
        environment::variable("CRM_BACKUPS_KEPT", &kept.join(" ")),
        environment::variable("CRM_BACKUPS_KEEP", &backup.keep.to_string()),
        environment::variable("CRM_STABLE_RELEASE", stable),
    ]);
    tools(scope, step, (DUMP, env, false), backup.deadline_seconds)
}

/// Restores a dump into the scratch database of the candidate.
pub fn restore(scope: Scope<'_>, step: &Step, (record, deadline): (&BackupRecord, i32)) -> Job {
    let mut env = environment::database(scope, Role::Migrator, Track::Scratch);
    if scope.release.database == DatabaseUse::Embedded {
        env.push(environment::variable(
            "CRM_OWNER_ROLE",
            environment::OWNER_ROLE,
        ));
    }
    env.extend([
        environment::variable("CRM_BACKUP_ID", &record.id),
        environment::variable("CRM_BACKUP_SHA256", &record.sha256),
    ]);
    tools(scope, step, (RESTORE, env, true), deadline)
}

/// A Job with PostgreSQL's own programs and the volume of the dumps.
fn tools(
    scope: Scope<'_>,
    step: &Step,
    (script, env, read_only): (&str, Vec<Value>, bool),
    deadline: i32,
) -> Job {
    let claim = names::backup_claim(&scope.platform.name);
    let container = json!({
        "image": scope.platform.settings.postgres_image,
        "command": ["sh", "-euc", script],
        "env": env,
        "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } }
    });
    let shape = Shape {
        service: "",
        track: labels::CANDIDATE,
        container,
        deadline,
        tries: 2,
        final_codes: &[],
        volume: Some((
            json!({ "name": "backup", "persistentVolumeClaim": { "claimName": claim } }),
            json!({ "name": "backup", "mountPath": FOLDER, "readOnly": read_only }),
        )),
        collector: None,
    };
    job(scope, step, shape)
}
