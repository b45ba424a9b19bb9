//! Environment of the containers: the delivery contract with an image.

use serde_json::{Value, json};

use super::beside::Side;
use super::{Scope, Track, names};
use crate::platform::release::{DatabaseUse, ReleaseService};

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
        Track::Beside => {
            json!({ "name": "PGDATABASE", "value": names::scratch_copy(&scope.platform.uid, scope.id) })
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
    let mut variables = identity(scope, (scope.id, track_name(track)));
    let platform = &scope.platform.name;
    for service in &scope.release.services {
        let host = match track {
            Track::Live => names::live(platform, &service.name),
            Track::Preview => names::preview(platform, &service.name),
            Track::Scratch => names::candidate(platform, &service.name, scope.id),
            Track::Beside => Side::Candidate.host(scope, &service.name),
        };
        variables.push(address(names::url_variable(&service.name), &host, service));
    }
    variables
}

/// As which release a container runs, on which track, and the public keys of the platform.
pub(super) fn identity(scope: Scope<'_>, (release, track): (&str, &str)) -> Vec<Value> {
    vec![
        variable("CRM_RELEASE", release),
        variable("CRM_TRACK", track),
        json!({ "name": "CRM_JWKS", "valueFrom": { "secretKeyRef": { "name": names::identity_secret(&scope.platform.name), "key": "jwks.json" } } }),
    ]
}

/// What containers are told of their track: `stable` works on live data and for users, `candidate` does neither.
pub(super) fn track_name(track: Track) -> &'static str {
    match track {
        Track::Live | Track::Preview => "stable",
        Track::Scratch | Track::Beside => "candidate",
    }
}

/// The variable that holds the address of a service.
pub(super) fn address(name: String, host: &str, service: &ReleaseService) -> Value {
    variable(&name, &format!("http://{host}:{}", service.port))
}

/// The private key with which tests make their tokens.
pub fn signing_key(scope: Scope<'_>) -> Value {
    json!({ "name": "CRM_SIGNING_KEY", "valueFrom": { "secretKeyRef": { "name": names::identity_secret(&scope.platform.name), "key": "signing-key.pem" } } })
}

/// A plain variable.
pub fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}
