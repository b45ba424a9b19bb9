//! The embedded database: one PostgreSQL with separate roles for owning, migrating and serving. Its volume and passwords outlive the platform unless
//! `deletionPolicy: Delete` says otherwise. The image follows the contract of the well-known `postgres` image.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde_json::{Value, json};

use super::environment::{APP_ROLE, OWNER_ROLE};
use super::{container_security, hashed, labels, names, object, pod_security};
use crate::api::spec::DeletionPolicy;
use crate::plan::action::{SecretContent, SecretRecipe};
use crate::platform::Platform;

/// User of PostgreSQL in the well-known image.
const POSTGRES_USER: i64 = 999;
const PORT: i32 = 5432;
const DATABASE: &str = "crm";
const MIGRATOR_ROLE: &str = "crm_migrator";

/// Secrets of a platform: its signing key and, for an embedded database, its passwords.
pub fn secrets(platform: &Platform) -> Vec<SecretRecipe> {
    let mut recipes = vec![SecretRecipe {
        name: names::identity_secret(&platform.name),
        content: SecretContent::Identity,
        plain: Vec::new(),
        owned: true,
    }];
    if platform.embedded_storage.is_none() {
        return recipes;
    }
    let owned = platform.deletion == DeletionPolicy::Delete;
    let plain = |username: &str| {
        let host = format!(
            "{}.{}.svc",
            names::postgres(&platform.name),
            platform.namespace
        );
        [
            ("host", host.as_str()),
            ("port", "5432"),
            ("dbname", DATABASE),
            ("username", username),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
    };
    recipes.push(SecretRecipe {
        name: names::database_secret(&platform.name),
        content: SecretContent::Passwords,
        plain: plain(MIGRATOR_ROLE),
        owned,
    });
    recipes.push(SecretRecipe {
        name: names::app_database_secret(&platform.name),
        content: SecretContent::Password,
        plain: plain(APP_ROLE),
        owned,
    });
    recipes
}

/// Script that makes roles and database on the first start of the volume. The migrator may end connections, because it drops scratch databases to which pods of the
/// application may be connected still.
pub fn config_map(platform: &Platform) -> ConfigMap {
    let script = format!(
        r#"#!/bin/sh
set -eu
psql -v ON_ERROR_STOP=1 -v migrator="$CRM_MIGRATOR_PASSWORD" -v app="$CRM_APP_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
create role {OWNER_ROLE} nologin;
create role {MIGRATOR_ROLE} login createdb password :'migrator' in role {OWNER_ROLE}, pg_signal_backend;
create role {APP_ROLE} login password :'app';
create database {DATABASE} owner {OWNER_ROLE};
SQL
"#
    );
    object(hashed(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(platform),
        "data": { "roles.sh": script }
    })))
}

/// Address of the database.
pub fn service(platform: &Platform) -> Service {
    object(hashed(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(platform),
        "spec": { "selector": selector(platform), "ports": [{ "name": "postgres", "port": PORT, "targetPort": "postgres", "protocol": "TCP" }] }
    })))
}

/// The database server. `image` is that of the server which is there already: another one may not read its volume, and a new default of the operator must
/// not restart every database. It stands in an annotation, so that an image that somebody changed by hand is put back.
pub fn stateful_set(platform: &Platform, image: Option<&str>) -> StatefulSet {
    let storage = platform.embedded_storage.clone().unwrap_or_default();
    let when_deleted = if platform.deletion == DeletionPolicy::Delete {
        "Delete"
    } else {
        "Retain"
    };
    let image = image.unwrap_or(&platform.settings.postgres_image);
    let mut metadata = metadata(platform);
    metadata["annotations"] = json!({ labels::IMAGE: image });
    let mut pod_labels = labels::platform(&platform.name);
    pod_labels.insert("app.kubernetes.io/component".to_owned(), json!("postgres"));
    object(hashed(json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "serviceName": names::postgres(&platform.name),
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": when_deleted, "whenScaled": "Retain" },
            "selector": { "matchLabels": selector(platform) },
            "template": {
                "metadata": { "labels": pod_labels },
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": pod_security(POSTGRES_USER),
                    "containers": [container(platform, image)],
                    "volumes": [
                        { "name": "run", "emptyDir": {} },
                        { "name": "tmp", "emptyDir": {} },
                        { "name": "init", "configMap": { "name": names::postgres(&platform.name), "defaultMode": 365 } }
                    ]
                }
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": storage } } }
            }]
        }
    })))
}

fn container(platform: &Platform, image: &str) -> Value {
    let password = |name: &str, secret: String, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    // Over TCP: while the image initialises the volume it listens on the socket only, and must not look ready.
    let ready = json!({ "exec": { "command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"] }, "periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 3 });
    let mut alive = ready.clone();
    alive["failureThreshold"] = json!(6);
    let mut started = ready.clone();
    started["periodSeconds"] = json!(1);
    started["failureThreshold"] = json!(300);
    json!({
        "name": "postgres",
        "image": image,
        "args": ["postgres", "-c", "max_connections=200"],
        "ports": [{ "name": "postgres", "containerPort": PORT, "protocol": "TCP" }],
        "env": [
            { "name": "POSTGRES_USER", "value": "postgres" },
            { "name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata" },
            password("POSTGRES_PASSWORD", names::database_secret(&platform.name), "superuser-password"),
            password("CRM_MIGRATOR_PASSWORD", names::database_secret(&platform.name), "password"),
            password("CRM_APP_PASSWORD", names::app_database_secret(&platform.name), "password"),
        ],
        "resources": { "requests": { "cpu": "50m", "memory": "128Mi" }, "limits": { "memory": "1Gi" } },
        "securityContext": container_security(),
        "startupProbe": started,
        "livenessProbe": alive,
        "readinessProbe": ready,
        "volumeMounts": [
            { "name": "data", "mountPath": "/var/lib/postgresql/data" },
            { "name": "run", "mountPath": "/var/run/postgresql" },
            { "name": "tmp", "mountPath": "/tmp" },
            { "name": "init", "mountPath": "/docker-entrypoint-initdb.d", "readOnly": true }
        ]
    })
}

fn metadata(platform: &Platform) -> Value {
    let mut labels = labels::platform(&platform.name);
    labels.insert("app.kubernetes.io/component".to_owned(), json!("postgres"));
    json!({ "name": names::postgres(&platform.name), "namespace": platform.namespace, "labels": labels, "ownerReferences": [platform.owner] })
}

fn selector(platform: &Platform) -> Value {
    json!({ labels::PLATFORM: platform.name, "app.kubernetes.io/component": "postgres" })
}
