//! The way out for synthetic rows: a test run removes its rows for good, and those of runs that died long ago. Real rows
//! cannot be reached: every statement demands a run id that is not nil.

use axum::extract::State;
use axum::http::StatusCode;

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
            "and (record.run_id = $1 or record.created_at < now() - interval '1 day')"
        )
    };
}

const CUSTOMER: [&str; 3] = [
    rows_of_run!("customer.note"),
    rows_of_run!("customer.contact"),
    rows_of_run!("customer.account"),
];

const SALES: [&str; 4] = [
    "delete from sales.stage_move using sales.opportunity as record where record.id = stage_move.opportunity_id \
     and record.run_id <> '00000000-0000-0000-0000-000000000000' \
     and (record.run_id = $1 or record.created_at < now() - interval '1 day')",
    rows_of_run!("sales.opportunity"),
    rows_of_run!("sales.stage"),
    rows_of_run!("sales.pipeline"),
];

/// What removes the rows of a run, in the order that foreign keys demand; parameter run.
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
    let database = &shared.database;
    let work = || async {
        let mut transaction = database.begin().await?;
        for statement in statements(shared.service) {
            sqlx::query(*statement)
                .bind(principal.run)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    };
    database.fresh_once(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
