//! The delivery model's formulas for one release: `T_total = T_build + T_test + T_deploy` and `C_total = C_build + C_test + C_deploy`.
//!
//! In: the record of the stable release. Out: seconds and money per part. The soak is waiting, not work, and is not counted.

use k8s_openapi::jiff::Timestamp;

use crate::api::status::{
    Amount, BuildDelivery, Delivery, DeployDelivery, Memory, Stage, StageRecord, TestDelivery,
};
use crate::cost::{decimal, parse, seconds};

/// The figures of the stable release, while its record is kept.
pub(super) fn of(memory: &Memory) -> Option<Delivery> {
    let stable = memory.stable.as_ref()?;
    let record = memory
        .releases
        .iter()
        .find(|record| record.release == stable.release)?;
    let stage = |name: Stage| record.stages.iter().find(|stage| stage.name == name);
    let build = BuildDelivery {
        get: whole(stage(Stage::Resolve)),
        ..BuildDelivery::default()
    };
    let get = figures(&build.get);
    let build = BuildDelivery {
        total: amount(get),
        ..build
    };
    let test = test(stage(Stage::Rehearse), stage(Stage::Gate));
    let install = figures(&whole(stage(Stage::Rollout)));
    let configure = figures(&whole(stage(Stage::Verify)));
    let (later, optimise) = optimise(stage(Stage::Optimise));
    let backup = figures(&whole(stage(Stage::Backup)));
    let migrate = add(add(backup, figures(&whole(stage(Stage::Migrate)))), later);
    let total_deploy = add(add(install, configure), add(migrate, optimise));
    let deploy = DeployDelivery {
        install: amount(install),
        configure: amount(configure),
        migrate: amount(migrate),
        optimise: amount(optimise),
        total: amount(total_deploy),
    };
    let total = amount(add(add(get, figures(&test.total)), total_deploy));
    Some(Delivery {
        release: stable.release.clone(),
        build,
        test,
        deploy,
        total,
    })
}

type Figures = (f64, f64);

fn test(rehearse: Option<&StageRecord>, gate: Option<&StageRecord>) -> TestDelivery {
    let whole_gate = figures(&whole(gate));
    let rehearsal = figures(&whole(rehearse));
    let jobs = gate.map(|stage| stage.jobs.as_slice()).unwrap_or_default();
    let first = jobs
        .iter()
        .filter_map(|job| job.started_at.as_ref())
        .map(|time| time.0)
        .min();
    let last = jobs
        .iter()
        .filter_map(|job| job.finished_at.as_ref())
        .map(|time| time.0)
        .max();
    let began = gate.map(|stage| stage.started_at.0);
    let ended = gate
        .and_then(|stage| stage.finished_at.as_ref())
        .map(|time| time.0);
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
        from.zip(to).map_or(0.0, |(from, to)| seconds(from, to))
    };
    let spent: f64 = jobs
        .iter()
        .filter_map(|job| job.cost.as_deref())
        .map(parse)
        .sum();
    let execute = (between(first, last), spent);
    let record = (between(last, ended), 0.0);
    // Without a test all the time of the gate went into its pods.
    let case = (
        rehearsal.0 + between(began, first.or(ended)),
        rehearsal.1 + (whole_gate.1 - spent).max(0.0),
    );
    let total = add(add(case, execute), record);
    TestDelivery {
        case: amount(case),
        execute: amount(execute),
        record: amount(record),
        analyse: Amount::default(),
        total: amount(total),
    }
}

/// Backfill and contract count as migration; whatever else the stage did is optimisation.
fn optimise(stage: Option<&StageRecord>) -> (Figures, Figures) {
    let jobs = stage.map(|stage| stage.jobs.as_slice()).unwrap_or_default();
    let mut migrate = (0.0, 0.0);
    let mut other = (0.0, 0.0);
    for job in jobs {
        let time = job
            .started_at
            .as_ref()
            .zip(job.finished_at.as_ref())
            .map_or(0.0, |(from, to)| seconds(from.0, to.0));
        let figures = (time, job.cost.as_deref().map_or(0.0, parse));
        if job.step.starts_with("backfill") || job.step.starts_with("contract") {
            migrate = add(migrate, figures);
        } else {
            other = add(other, figures);
        }
    }
    (migrate, other)
}

fn whole(stage: Option<&StageRecord>) -> Amount {
    let Some(stage) = stage else {
        return Amount::default();
    };
    let time = stage
        .finished_at
        .as_ref()
        .map_or(0.0, |finished| seconds(stage.started_at.0, finished.0));
    amount((time, stage.cost.as_deref().map_or(0.0, parse)))
}

fn figures(amount: &Amount) -> Figures {
    (parse(&amount.seconds), parse(&amount.cost))
}

fn amount((time, cost): Figures) -> Amount {
    Amount {
        seconds: decimal(time),
        cost: decimal(cost),
    }
}

fn add(left: Figures, right: Figures) -> Figures {
    (left.0 + right.0, left.1 + right.1)
}
