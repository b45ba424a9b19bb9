//! The release that a spec asks for: `CrmPlatformSpec` in, [`Release`] with its images as the spec writes them out, or [`Invalid`].
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use super::images::own_image;
use super::release::{DatabaseUse, Release, ReleaseMigration, ReleaseService, ReleaseTest};
use super::{Invalid, invalid};
use crate::api::spec::{
    BackupPolicy, CrmPlatformSpec, GatePolicy, RehearsalData, ServiceSpec, TestPhase, TestSpec,
};

/// Reads a release.
///
/// # Errors
/// [`Invalid`] for the first field that cannot be followed.
pub(super) fn wanted(spec: &CrmPlatformSpec) -> Result<Release, Invalid> {
    let data = spec.database.rehearsal.data;
    let backup = spec.database.backup.as_ref();
    if data == RehearsalData::Backup
        && backup.is_none_or(|backup| backup.policy == BackupPolicy::Never)
    {
        return Err(invalid(
            "spec.database.rehearsal.data",
            "is Backup, but no backup is made",
            "set spec.database.backup with policy BeforeMigration, or choose Synthetic",
        ));
    }
    let services = in_dependency_order(&spec.services)?;
    let services = services.into_iter().map(|own| service(spec, own));
    Ok(Release {
        services: services.collect::<Result<_, _>>()?,
        tests: tests(spec)?,
        gate: spec.gate,
        rehearsal: data,
        database: database(spec)?,
    })
}

fn service(spec: &CrmPlatformSpec, own: &ServiceSpec) -> Result<ReleaseService, Invalid> {
    Ok(ReleaseService {
        name: own.name.clone(),
        image: image(spec, own.image.as_ref(), ("services", &own.name))?,
        args: own.args.clone(),
        port: own.port,
        resources: own.resources.clone(),
        env: own.env.clone(),
        secrets: own.secrets.clone(),
        migrate: own.migrate.as_ref().map(|migrate| ReleaseMigration {
            args: migrate.args.clone(),
            deadline_seconds: migrate.deadline_seconds,
        }),
        seed: own.seed.as_ref().map(|seed| seed.args.clone()),
    })
}

fn tests(spec: &CrmPlatformSpec) -> Result<Vec<ReleaseTest>, Invalid> {
    let mut tests = spec.tests.iter();
    let gated = tests.any(|test| test.when.contains(&TestPhase::Gate));
    if spec.gate == GatePolicy::Required && !gated {
        return Err(invalid(
            "spec.tests",
            "has no entry with when: [Gate]",
            "add one, or set spec.gate to None to roll out untested images",
        ));
    }
    let read = |own: &TestSpec| {
        let mut services = spec.services.iter();
        if let Some(name) = &own.service
            && !services.any(|service| service.name == *name)
        {
            return Err(invalid(
                &format!("spec.tests[{}].service", own.name),
                &format!("is {name}, which is no service of this platform"),
                "name one of spec.services",
            ));
        }
        let image = image(spec, own_image(spec, own), ("tests", &own.name))?;
        Ok(ReleaseTest::new(own, image))
    };
    spec.tests.iter().map(read).collect()
}

/// The image of a service or test: its own, or the one for all.
fn image(
    spec: &CrmPlatformSpec,
    own: Option<&String>,
    (list, name): (&str, &str),
) -> Result<String, Invalid> {
    let image = own.or(spec.image.as_ref());
    image.cloned().ok_or_else(|| {
        let field = format!("spec.{list}[{name}].image");
        invalid(&field, "is not set", "set it, or spec.image for all")
    })
}

fn database(spec: &CrmPlatformSpec) -> Result<DatabaseUse, Invalid> {
    let database = &spec.database;
    match (&database.embedded, &database.secret) {
        (Some(_), None) => Ok(DatabaseUse::Embedded),
        (None, Some(secret)) => Ok(DatabaseUse::Secret {
            secret: secret.clone(),
            app_secret: database.app_secret.as_ref().unwrap_or(secret).clone(),
        }),
        _ => Err(invalid(
            "spec.database",
            "is ambiguous",
            "set exactly one of embedded and secret",
        )),
    }
}

fn in_dependency_order(services: &[ServiceSpec]) -> Result<Vec<&ServiceSpec>, Invalid> {
    let mut waiting: Vec<_> = services.iter().collect();
    let mut ordered: Vec<&ServiceSpec> = Vec::new();
    while !waiting.is_empty() {
        let is_there = |name: &String| ordered.iter().any(|done| done.name == *name);
        let ready = waiting
            .iter()
            .position(|service| service.depends_on.iter().all(is_there));
        let Some(position) = ready else {
            let names: Vec<_> = waiting.iter().map(|own| own.name.as_str()).collect();
            let problem = format!(
                "of {} form a circle or name a service that is not there",
                names.join(", ")
            );
            let remedy = "remove one of the dependencies";
            return Err(invalid("spec.services[].dependsOn", &problem, remedy));
        };
        ordered.push(waiting.remove(position));
    }
    Ok(ordered)
}
