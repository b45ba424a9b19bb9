//! What outlives a platform, and what becomes of the files on the volume of its dumps: the script runs here as the Job runs it, with a `pg_dump` that only writes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;
use crate::api::status::BackupRecord;

/// First characters of the platform's UID.
const OWN: &str = "0a1b2c3d";

fn asking(policy: &str) -> String {
    let spec = SPEC.replace(
        "embedded: {storage: 1Gi}",
        "embedded: {storage: 1Gi}, backup: {keep: 2}",
    );
    format!("{spec}deletionPolicy: {policy}\n")
}

#[test]
fn the_deletion_policy_decides_what_outlives_a_platform() {
    for (policy, goes) in [("Retain", false), ("Delete", true)] {
        let (platform, _) = platform(&asking(policy));
        let claim = backup::claim(&platform, platform.backup.as_ref().unwrap());
        let prunable = |labels: Option<BTreeMap<String, String>>| {
            labels.is_some_and(|own| own.contains_key("app.kubernetes.io/instance"))
        };
        assert_eq!(prunable(claim.metadata.labels), goes, "{policy}: the dumps");
        let owners = claim.metadata.owner_references.unwrap_or_default();
        let owners: Vec<_> = owners.iter().map(|owner| owner.uid.as_str()).collect();
        let expected: &[&str] = if goes { &["0a1b2c3d-0000"] } else { &[] };
        assert_eq!(owners, expected, "{policy}: the dumps");

        let server = json!(database::stateful_set(&platform, None));
        let kept = &server["spec"]["persistentVolumeClaimRetentionPolicy"];
        assert_eq!(kept["whenDeleted"], policy, "the rows");
        assert_eq!(kept["whenScaled"], "Retain", "{policy}: the rows");

        let mut owner = CrmPlatform::new("acme", serde_saphyr::from_str(SPEC).unwrap());
        owner.metadata.uid = Some("0a1b2c3d-0000".into());
        let owned = database::secrets(&platform).into_iter().map(|recipe| {
            let secret = crate::secrets::secret(&owner, &recipe).unwrap();
            let owners = secret.metadata.owner_references.unwrap_or_default();
            assert_eq!(prunable(secret.metadata.labels), !owners.is_empty());
            (recipe.name, !owners.is_empty())
        });
        let expected = [
            ("acme-identity", true),
            ("acme-db", goes),
            ("acme-db-app", goes),
        ];
        let expected = expected.map(|(name, owned)| (name.to_owned(), owned));
        assert_eq!(owned.collect::<Vec<_>>(), expected, "{policy}: the Secrets");
    }
}

/// A volume with dumps on it, each made a while after the one before.
struct Volume(PathBuf);

impl Volume {
    fn with(name: &str, files: &[&str]) -> Self {
        let root = std::env::temp_dir().join(format!("crm-dumps-{}-{name}", std::process::id()));
        fs::create_dir_all(root.join("backup")).unwrap();
        let volume = Self(root);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (at, file) in (0..).zip(files) {
            let path = volume.file(file);
            fs::write(&path, "earlier").unwrap();
            let made = long_ago + Duration::from_secs(at * 60);
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(made)
                .unwrap();
        }
        volume
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join("backup").join(name)
    }

    fn files(&self) -> Vec<String> {
        let all = fs::read_dir(self.0.join("backup")).unwrap();
        let mut all: Vec<_> = all
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all
    }

    /// Runs what the first Job of a release runs while another one is stable; two dumps are kept. Answers with what it complained of.
    fn dump(&self, kept: &[&str], stable: &str) -> Result<(), String> {
        let (platform, release) = platform(&asking("Retain"));
        let scope = Scope {
            platform: &platform,
            id: ID,
            release: &release,
        };
        let spec = platform.backup.as_ref().unwrap();
        let kept = backup::Kept {
            listed: &records(kept),
            stable: Some(stable.to_owned()),
        };
        let job = backup::dump(scope, &step(Stage::Backup, "dump"), (spec, &kept));
        let restore = step(Stage::Rehearse, "restore");
        let restore = records(&["any"])
            .first()
            .map(|record| json!(backup::restore(scope, &restore, (record, 60))));
        assert_restricted(&restore.unwrap());
        let job = json!(job);
        assert_restricted(&job);
        let container = containers(&job).remove(0);
        let root = self.0.to_str().unwrap();
        let script = container["command"][2].as_str().unwrap();
        let script = script
            .replace("/backup", &format!("{root}/backup"))
            .replace("/dev/termination-log", &format!("{root}/words"));
        // The real one takes its file by the same argument.
        let stub = "pg_dump() { for last; do :; done; echo rows > \"${last#--file=}\"; }";
        let env = container["env"].as_array().unwrap().iter();
        let env = env.filter_map(|own| Some((own["name"].as_str()?, own["value"].as_str()?)));
        let told = std::process::Command::new("sh")
            .args(["-euc", &format!("{stub}\n{script}")])
            .current_dir(&self.0)
            .envs(env)
            .output()
            .unwrap();
        let words = String::from_utf8(told.stderr).unwrap();
        told.status.success().then_some(()).ok_or(words)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn records(kept: &[&str]) -> Vec<BackupRecord> {
    let at = "2026-01-01T00:00:00Z";
    let record =
        |id: &&str| json!({ "id": id, "release": "r", "at": at, "bytes": 1, "sha256": "" });
    let known: Vec<_> = kept.iter().map(record).collect();
    serde_json::from_value(json!(known)).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn dumps_of_an_earlier_platform_of_that_name_stay() {
    let of_others = [
        "99999999-r0123456789-1.dump",
        "99999999-r0000000001-1.dump.partial",
        "r0123456789-1.dump",
        "by-hand.dump",
    ];
    let volume = Volume::with("others", &of_others);
    volume.dump(&[], "r0000000009").unwrap();
    let mut expected = of_others.map(str::to_owned).to_vec();
    expected.push(format!("{OWN}-{ID}-1.dump"));
    expected.sort();
    assert_eq!(volume.files(), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn what_no_record_names_stays_while_there_is_room() {
    let own = |number: usize| format!("{OWN}-r000000000{number}-1");
    let made: Vec<_> = (1..=4).map(|number| own(number) + ".dump").collect();
    let partial = own(5) + ".dump.partial";
    let files: Vec<_> = made.iter().chain([&partial]).map(String::as_str).collect();
    let new = format!("{OWN}-{ID}-1.dump");
    let left = |name: &str, kept: &[&str], stable: &str| {
        let volume = Volume::with(name, &files);
        volume.dump(kept, stable).unwrap();
        volume.files()
    };
    let with = |left: [usize; 2]| left.map(|number| own(number) + ".dump");
    let with = |left| [with(left).to_vec(), vec![new.clone()]].concat();
    // A status that was lost names none.
    assert_eq!(left("lost", &[], ""), with([3, 4]));
    assert_eq!(left("adopted", &[], "r0000000001"), with([1, 4]));
    assert_eq!(left("named", &[&own(1)], "r0000000001"), with([1, 4]));
    let both = [own(2), own(1)];
    let both = both.each_ref().map(String::as_str);
    assert_eq!(left("both", &both, "r0000000001"), with([1, 2]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_dump_never_takes_the_place_of_another() {
    let name = format!("{OWN}-{ID}-1.dump");
    let volume = Volume::with("taken", &[&name]);
    let words = volume.dump(&[], "r0000000009").unwrap_err();
    assert!(words.contains(&name), "{words}");
    assert_eq!(fs::read_to_string(volume.file(&name)).unwrap(), "earlier");
    assert_eq!(volume.files(), [name]);
}
