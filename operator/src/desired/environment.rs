//! Environment of the containers: the delivery contract with an image.

use serde_json::{Value, json};

use super::{Scope, Track, names};
use crate::platform::release::DatabaseUse;

/// Role under which a container meets the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May change the schema and create databases.
    Migrator,
    /// May read and write rows.
    App,
}

/// Role that owns all objects of an embedded database.
pub const OWNER_ROLE: &str = "crm_owner";
/// Role of the services in an embedded database.
pub const APP_ROLE: &str = "crm_app";

/// `PG*` and `DATABASE_URL` of one role on one database.
pub fn database(scope: Scope<'_>, role: Role, track: Track) -> Vec<Value> {
    let secret = secret(scope, role);
    let key = |name: &str, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    let database = match track {
        Track::Live | Track::Preview => key("PGDATABASE", "dbname"),
        Track::Scratch => {
            json!({ "name": "PGDATABASE", "value": names::scratch_database(&scope.platform.uid, scope.id) })
        }
    };
    vec![
        key("PGHOST", "host"),
        key("PGPORT", "port"),
        key("PGUSER", "username"),
        key("PGPASSWORD", "password"),
        database,
        json!({ "name": "DATABASE_URL", "value": "postgresql://$(PGUSER):$(PGPASSWORD)@$(PGHOST):$(PGPORT)/$(PGDATABASE)" }),
    ]
}

fn secret(scope: Scope<'_>, role: Role) -> String {
    match (&scope.release.database, role) {
        (DatabaseUse::Embedded, Role::Migrator) => names::database_secret(&scope.platform.name),
        (DatabaseUse::Embedded, Role::App) => names::app_database_secret(&scope.platform.name),
        (DatabaseUse::Secret { secret, .. }, Role::Migrator) => secret.clone(),
        (DatabaseUse::Secret { app_secret, .. }, Role::App) => app_secret.clone(),
    }
}

/// Names of the roles that a migration must hand its objects to; only an embedded database has roles of known names.
pub fn roles(scope: Scope<'_>) -> Vec<Value> {
    match &scope.release.database {
        DatabaseUse::Embedded => vec![
            variable("CRM_OWNER_ROLE", OWNER_ROLE),
            variable("CRM_APP_ROLE", APP_ROLE),
        ],
        DatabaseUse::Secret { secret, app_secret } if secret != app_secret => {
            vec![
                json!({ "name": "CRM_APP_ROLE", "valueFrom": { "secretKeyRef": { "name": app_secret, "key": "username" } } }),
            ]
        }
        DatabaseUse::Secret { .. } => Vec::new(),
    }
}

/// Release, track, addresses of all services, and the public keys of the platform.
pub fn delivery(scope: Scope<'_>, track: Track) -> Vec<Value> {
    let mut variables = vec![
        variable("CRM_RELEASE", scope.id),
        variable(
            "CRM_TRACK",
            match track {
                Track::Live | Track::Preview => "stable",
                Track::Scratch => "candidate",
            },
        ),
        json!({ "name": "CRM_JWKS", "valueFrom": { "secretKeyRef": { "name": names::identity_secret(&scope.platform.name), "key": "jwks.json" } } }),
    ];
    for service in &scope.release.services {
        let host = match track {
            Track::Live => names::live(&scope.platform.name, &service.name),
            Track::Preview => names::preview(&scope.platform.name, &service.name),
            Track::Scratch => names::candidate(&scope.platform.name, &service.name, scope.id),
        };
        variables.push(variable(
            &names::url_variable(&service.name),
            &format!("http://{host}:{}", service.port),
        ));
    }
    variables
}

/// The private key with which tests make their tokens.
pub fn signing_key(scope: Scope<'_>) -> Value {
    json!({ "name": "CRM_SIGNING_KEY", "valueFrom": { "secretKeyRef": { "name": names::identity_secret(&scope.platform.name), "key": "signing-key.pem" } } })
}

/// A plain variable.
pub fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}
