//! A dump that was damaged on its volume is found by the rehearsal of the very release it was made for: nothing live is touched, and a retry makes a new one.

use e2e::scenario::{condition, message};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn a_backup_that_cannot_be_restored_stops_the_release() {
    let setting = Setting::new("damaged");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |object| {
        object["spec"]["database"]["backup"] = json!({ "storage": "1Gi" });
        object["spec"]["database"]["rehearsal"] = json!({ "data": "Backup" });
    });
    let pods = platform.live_pods().unwrap();
    // Until it is dropped the dump waits for the table.
    let mut holder = platform.open_session(300).unwrap();
    holder
        .run("begin; lock table customer.contact in access exclusive mode")
        .unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    platform
        .wait("the second release to be backed up", RELEASE, |platform| {
            platform["status"]["candidate"]["stage"] == "Backup"
        })
        .unwrap();
    // The dump is finished, the rehearsal does not begin.
    platform.patch(&json!({ "paused": true })).unwrap();
    drop(holder);
    let paused = platform
        .wait("the dump", RELEASE, |platform| {
            platform["status"]["candidate"]["stage"] == "Rehearse"
        })
        .unwrap();
    let backup = paused["status"]["backups"][0]["id"].as_str().unwrap();
    platform.apply(&damage(&setting, backup)).unwrap();
    platform
        .kubectl(&[
            "wait",
            "job/damage",
            "--for=condition=complete",
            "--timeout=55s",
        ])
        .unwrap();
    platform.patch(&json!({ "paused": false })).unwrap();

    let (held, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(
        reason, "BackupNotRestorable",
        "{}",
        held["status"]["conditions"]
    );
    let words = message(&held, "Stalled");
    assert!(words.contains("checksum"), "{words}");
    assert_eq!(platform.live_pods().unwrap(), pods);
    assert_eq!(held["status"]["backups"][0]["restoredAt"], Value::Null);

    platform
        .annotate("crmplatform.io/retry", "ops: the volume was mended")
        .unwrap();
    let after = platform
        .wait("the release to serve", RELEASE, |platform| {
            condition(platform, "Ready") == "True"
        })
        .unwrap();
    assert!(after["status"]["backups"][0]["restoredAt"].is_string());
}

/// Turns one byte of a dump over.
fn damage(setting: &Setting, backup: &str) -> Value {
    let script = format!("printf X | dd of=/backup/{backup}.dump bs=1 seek=200 conv=notrunc");
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": "damage", "namespace": setting.platform.namespace },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main",
                "image": format!("{}/postgres:15", setting.cluster.registry),
                "command": ["sh", "-ec", script],
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                "volumeMounts": [{ "name": "backup", "mountPath": "/backup" }]
            }],
            "volumes": [{ "name": "backup", "persistentVolumeClaim": { "claimName": "acme-backup" } }]
        } } }
    })
}
