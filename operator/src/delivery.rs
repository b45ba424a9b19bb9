//! The delivery model's formulas for one release: `T_total = T_build + T_test + T_deploy` and `C_total = C_build + C_test + C_deploy`, each group the sum of its parts.
//!
//! In: the record of a release. Out: seconds and money per part. Times are whole seconds, as the status holds them, so that figures stay the same when they are
//! made again. Not counted: waiting for people, and the soak, which is no work.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use k8s_openapi::jiff::Timestamp;

use crate::api::status::{
    Amount, BuildDelivery, Delivery, DeliverySums, DeployDelivery, JobRecord, ReleaseRecord, Stage,
    StageRecord, TestDelivery,
};
use crate::cost::{decimal, parse, whole_seconds};

/// All parts.
pub fn of(record: &ReleaseRecord) -> Delivery {
    let stage = |name: Stage| record.stages.iter().find(|stage| stage.name == name);
    let build = build(stage(Stage::Resolve));
    let test = test(stage(Stage::Rehearse), stage(Stage::Gate));
    let deploy = deploy(record);
    Delivery {
        release: record.release.clone(),
        total: sum(&[&build.total, &test.total, &deploy.total]),
        build,
        test,
        deploy,
    }
}

/// The totals.
pub fn sums(record: &ReleaseRecord) -> DeliverySums {
    let all = of(record);
    DeliverySums {
        build: all.build.total,
        test: all.test.total,
        deploy: all.deploy.total,
        total: all.total,
    }
}

fn build(resolve: Option<&StageRecord>) -> BuildDelivery {
    let get = resolve.map_or_else(Amount::default, |stage| Amount {
        seconds: stage
            .running_seconds
            .map_or_else(|| whole(Some(stage)).seconds, |seconds| seconds.to_string()),
        cost: cost(stage),
    });
    BuildDelivery {
        total: get.clone(),
        get,
        ..BuildDelivery::default()
    }
}

/// The gate is cut into four by three moments: the candidate was ready, the last test ended, the last report was read.
fn test(rehearse: Option<&StageRecord>, gate: Option<&StageRecord>) -> TestDelivery {
    let mut parts = TestDelivery {
        case: whole(rehearse),
        ..TestDelivery::default()
    };
    if let Some((gate, ended)) = gate.and_then(|gate| Some((gate, gate.finished_at.as_ref()?.0))) {
        let [ready, tested, read] = moments(gate, ended);
        let tests: f64 = gate.jobs.iter().map(price).sum();
        let pods = (parse(&cost(gate)) - tests).max(0.0);
        let case = amount(whole_seconds(gate.started_at.0, ready), pods);
        parts.case = sum(&[&parts.case, &case]);
        parts.execute = amount(whole_seconds(ready, tested), tests);
        parts.record = amount(whole_seconds(tested, read), 0.0);
        parts.analyse = amount(whole_seconds(read, ended), 0.0);
    }
    parts.total = sum(&[&parts.case, &parts.execute, &parts.record, &parts.analyse]);
    parts
}

/// When the candidate was ready, the last test ended, the last report was read; each within the gate and not before the one before it. Without a test all the time of
/// the gate went into its pods.
fn moments(gate: &StageRecord, ended: Timestamp) -> [Timestamp; 3] {
    let first = |of: fn(&JobRecord) -> Option<Timestamp>| gate.jobs.iter().filter_map(of).min();
    let last = |of: fn(&JobRecord) -> Option<Timestamp>| gate.jobs.iter().filter_map(of).max();
    let ready = gate.ready_at.as_ref().map(|ready| ready.0);
    let ready = ready.or_else(|| first(|job| job.started_at.as_ref().map(|time| time.0)));
    let ready = match (ready, gate.jobs.is_empty() && gate.ready_at.is_none()) {
        (Some(ready), false) => ready.clamp(gate.started_at.0, ended.max(gate.started_at.0)),
        _ => ended,
    };
    let tested = last(|job| job.finished_at.as_ref().map(|time| time.0)).unwrap_or(ended);
    let tested = tested.min(ended).max(ready);
    let read = last(|job| job.recorded_at.as_ref().map(|time| time.0)).unwrap_or(tested);
    [ready, tested, read.min(ended).max(tested)]
}

fn deploy(record: &ReleaseRecord) -> DeployDelivery {
    let stage = |name: Stage| record.stages.iter().find(|stage| stage.name == name);
    let (installed, configure) = rollout(stage(Stage::Rollout));
    let install = sum(&[&installed, &whole(stage(Stage::Verify))]);
    // Backfill and contract are all that the last stage runs; whatever else it may come to run is optimisation.
    let (later, optimise) = optimise(stage(Stage::Optimise));
    let migrate = sum(&[
        &whole(stage(Stage::Backup)),
        &whole(stage(Stage::Migrate)),
        &later,
    ]);
    DeployDelivery {
        total: sum(&[&install, &configure, &migrate, &optimise]),
        install,
        configure,
        migrate,
        optimise,
    }
}

/// Pods first, then the switching of Services, where there is one.
fn rollout(stage: Option<&StageRecord>) -> (Amount, Amount) {
    let Some(stage) = stage else {
        return Default::default();
    };
    let ended = stage.finished_at.as_ref().map(|ended| ended.0);
    let Some((ready, ended)) = stage.ready_at.as_ref().map(|ready| ready.0).zip(ended) else {
        return (whole(Some(stage)), Amount::default());
    };
    let tests: f64 = stage.jobs.iter().map(price).sum();
    let pods = (parse(&cost(stage)) - tests).max(0.0);
    let install = amount(whole_seconds(stage.started_at.0, ready), pods);
    (install, amount(whole_seconds(ready, ended), tests))
}

fn optimise(stage: Option<&StageRecord>) -> (Amount, Amount) {
    let Some(stage) = stage else {
        return Default::default();
    };
    let migrates =
        |job: &&JobRecord| job.step.starts_with("backfill") || job.step.starts_with("contract");
    let other: Vec<_> = stage.jobs.iter().filter(|job| !migrates(job)).collect();
    let span = |job: &&JobRecord| Some((job.started_at.as_ref()?.0, job.finished_at.as_ref()?.0));
    let spans = other.iter().filter_map(span);
    let seconds: i64 = spans.map(|(from, to)| whole_seconds(from, to)).sum();
    let money: f64 = other.iter().map(|job| price(job)).sum();
    let all = stage.running_seconds.unwrap_or(0);
    let migrate = amount(
        (all - seconds).max(0),
        (parse(&cost(stage)) - money).max(0.0),
    );
    (migrate, amount(seconds.min(all), money))
}

/// A stage from its beginning to its end, and all its pods.
fn whole(stage: Option<&StageRecord>) -> Amount {
    let Some(stage) = stage else {
        return Amount::default();
    };
    let ended = stage.finished_at.as_ref().map(|ended| ended.0);
    let seconds = ended.map_or(0, |ended| whole_seconds(stage.started_at.0, ended));
    amount(seconds, parse(&cost(stage)))
}

fn cost(stage: &StageRecord) -> String {
    stage.cost.clone().unwrap_or_else(|| "0".to_owned())
}

fn price(job: &JobRecord) -> f64 {
    job.cost.as_deref().map_or(0.0, parse)
}

fn amount(seconds: i64, cost: f64) -> Amount {
    Amount {
        seconds: seconds.to_string(),
        cost: decimal(cost),
    }
}

fn sum(parts: &[&Amount]) -> Amount {
    let seconds: f64 = parts.iter().map(|part| parse(&part.seconds)).sum();
    let cost: f64 = parts.iter().map(|part| parse(&part.cost)).sum();
    Amount {
        seconds: decimal(seconds),
        cost: decimal(cost),
    }
}

#[cfg(test)]
mod tests;
