//! A database that the operator did not make: it is dumped, the dump is restored beside it and rehearsed on, and it is migrated under load, all with what two
//! Secrets say. The role that owns it is no superuser and may not end connections of others; the services' role owns nothing.

use std::time::{Duration, Instant};

use e2e::scenario::Platform;
use serde_json::{Value, json};

use crate::setting::{INSTALL, RELEASE, Setting, newest, stage, unharmed};

const SERVER: &str = "own-server";
const DATABASE: &str = "sales team";
const PASSWORD: &str = "it's $only \"for\" a test";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn migrates_a_database_that_others_made() {
    let setting = Setting::new("own-database");
    let platform = &setting.platform;
    start_server(platform, &setting.images.postgres);
    for (secret, role) in [("own-db", "crm-admin"), ("own-db-app", "crm-user")] {
        give_secret(platform, secret, role);
    }
    let first = setting.installed(&setting.images.previous, |object| {
        object["spec"]["database"] = json!({
            "secret": "own-db", "appSecret": "own-db-app",
            "backup": { "policy": "BeforeMigration", "storage": "1Gi" },
            "rehearsal": { "data": "Backup" },
        });
    });
    let first = newest(&first)["release"].clone();
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    let after = platform
        .wait("contract on the live database", RELEASE, |platform| {
            let stable = &platform["status"]["stable"];
            stable["release"] != first && stable["optimised"] == true
        })
        .unwrap();
    unharmed(load, 500);
    for name in ["Backup", "Rehearse", "Gate"] {
        assert_eq!(stage(&after, name)["verdict"], "Passed", "{after}");
    }
    let ledger = after["status"]["schema"].as_array().unwrap();
    let contract = ledger
        .iter()
        .find(|record| record["phase"] == "contract" && record["service"] == "customer");
    assert_eq!(contract.unwrap()["floor"], 2, "{ledger:?}");
    let owners =
        "select distinct tableowner from pg_tables where schemaname in ('customer', 'sales')";
    assert_eq!(sql(platform, DATABASE, owners), "crm-admin");
    let contacts = sql(
        platform,
        DATABASE,
        "select count(*) from customer.contact where not synthetic",
    );
    assert_ne!(contacts, "0", "what the load has written is there");
    let made = platform
        .kubectl(&["get", "statefulsets,secrets", "--output=name"])
        .unwrap();
    for name in ["statefulset", "acme-db"] {
        assert!(!made.contains(name), "no database was to be made: {made}");
    }
    wait_until_alone(platform);
}

/// A server with a database of one role and another that may only connect.
fn start_server(platform: &Platform, image: &str) {
    let restricted = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } });
    let mounts = [
        ("data", "/var/lib/postgresql/data"),
        ("run", "/var/run/postgresql"),
        ("tmp", "/tmp"),
    ];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": SERVER, "labels": { "app": SERVER } },
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "postgres", "image": image,
                "env": [{ "name": "POSTGRES_PASSWORD", "value": PASSWORD }, { "name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata" }],
                "securityContext": restricted,
                "readinessProbe": { "exec": { "command": ["pg_isready", "-q", "-h", "127.0.0.1"] }, "periodSeconds": 1 },
                "volumeMounts": mounts.map(|(name, path)| json!({ "name": name, "mountPath": path })),
            }],
            "volumes": mounts.map(|(name, _)| json!({ "name": name, "emptyDir": {} })),
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": SERVER },
        "spec": { "selector": { "app": SERVER }, "ports": [{ "port": 5432 }] },
    });
    for object in [pod, service] {
        platform.apply(&in_namespace(platform, object)).unwrap();
    }
    let ready = [
        "wait",
        "--for=condition=Ready",
        "--timeout=50s",
        "pod/own-server",
    ];
    platform.kubectl(&ready).unwrap();
    let password = PASSWORD.replace('\'', "''");
    for statement in [
        format!("create role \"crm-admin\" login createdb password '{password}'"),
        format!("create role \"crm-user\" login password '{password}'"),
        format!("create database \"{DATABASE}\" owner \"crm-admin\""),
    ] {
        sql(platform, "postgres", &statement);
    }
}

fn give_secret(platform: &Platform, secret: &str, role: &str) {
    let host = format!("{SERVER}.{}.svc", platform.namespace);
    let keys = json!({ "host": host, "port": "5432", "dbname": DATABASE, "username": role, "password": PASSWORD });
    let labels = json!({ "crmplatform.io/usable-by": platform.name });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": secret, "labels": labels },
        "stringData": keys,
    });
    platform.apply(&in_namespace(platform, secret)).unwrap();
}

fn in_namespace(platform: &Platform, mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!(platform.namespace);
    object
}

/// Waits until nothing of the rehearsals is left on the server.
fn wait_until_alone(platform: &Platform) {
    let deadline = Instant::now() + Duration::from_secs(INSTALL);
    let others = format!(
        "select string_agg(datname, ', ') from pg_database where not datistemplate and datname not in ('postgres', '{DATABASE}')"
    );
    loop {
        let left = sql(platform, "postgres", &others);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left}");
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn sql(platform: &Platform, database: &str, statement: &str) -> String {
    platform.sql_at(SERVER, (database, statement)).unwrap()
}
