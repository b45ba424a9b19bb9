//! The way out for synthetic rows: a test run removes its rows for good, and those of runs that began long ago and died.
//! A run goes as a whole, so that no row is left without the one it belongs to. Real rows cannot be reached: every
//! statement demands a run id that is not nil.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

use crate::http::Shared;
use crate::http::problem::Problem;
use crate::resource::Caller;
use crate::service::Service;

macro_rules! rows_of_run {
    ($table:literal) => {
        concat!(
            "delete from ",
            $table,
            " as record where record.run_id <> '00000000-0000-0000-0000-000000000000' ",
            // The time is in the run's id: a UUID of version 7 sorts by the moment it was made. Other ids tell no age.
            "and (record.run_id = $1 or (record.run_id < $2 and substr(record.run_id::text, 15, 1) = '7'))"
        )
    };
}

/// After this a run is taken for dead.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);

/// The first id that a run that is not dead can have.
fn oldest_run(now: u64) -> Uuid {
    let begin = Duration::from_secs(now).saturating_sub(LONGEST_RUN);
    let millis = u64::try_from(begin.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

const CUSTOMER: [&str; 3] = [
    rows_of_run!("customer.note"),
    rows_of_run!("customer.contact"),
    rows_of_run!("customer.account"),
];

const SALES: [&str; 4] = [
    "delete from sales.stage_move using sales.opportunity as record where record.id = stage_move.opportunity_id \
     and record.run_id <> '00000000-0000-0000-0000-000000000000' \
     and (record.run_id = $1 or (record.run_id < $2 and substr(record.run_id::text, 15, 1) = '7'))",
    rows_of_run!("sales.opportunity"),
    rows_of_run!("sales.stage"),
    rows_of_run!("sales.pipeline"),
];

/// What removes the rows of a run, in the order that foreign keys demand; parameters run, the oldest run that
/// may be alive.
pub const fn statements(service: Service) -> &'static [&'static str] {
    match service {
        Service::Customer => &CUSTOMER,
        Service::Sales => &SALES,
    }
}

/// `DELETE /synthetic-rows`, for the role test only.
pub async fn remove(
    State(shared): State<Shared>,
    Caller(principal): Caller,
) -> Result<StatusCode, Problem> {
    if principal.run.is_nil() {
        return Err(Problem::forbidden(
            "only a token of role test has synthetic rows",
        ));
    }
    let oldest = oldest_run(crate::auth::mint::seconds());
    let database = &shared.database;
    let work = || async {
        let mut transaction = database.begin().await?;
        for statement in statements(shared.service) {
            sqlx::query(*statement)
                .bind(principal.run)
                .bind(oldest)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    };
    database.fresh_once(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
