//! The forecast: per period and currency what is open, what of it counts by probability, and what was won.
//!
//! All sums are made by the database in `numeric` and rounded once, at the end; no money ever is a float.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use chrono::{Datelike as _, Months, NaiveDate, Utc};

use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::Shared;
use crate::http::problem::{FieldError, Problem};
use crate::money::Money;
use crate::resource::{Caller, Operations};

/// Longest range, in days.
const MAXIMUM_DAYS: i64 = 5 * 366;

macro_rules! statement {
    ($percent:literal) => {
        concat!(
            "select due.period, due.currency, count(due.open_amount) as open_count, ",
            "round(coalesce(sum(due.open_amount), 0), 4) as open_amount, ",
            "round(coalesce(sum(due.weighted), 0) * 0.01, 4) as weighted, ",
            "count(due.won_amount) as won_count, round(coalesce(sum(due.won_amount), 0), 4) as won_amount from (",
            "select date_trunc($2, o.expected_close_date::timestamp)::date as period, o.currency, o.amount as open_amount, ",
            "o.amount * ",
            $percent,
            " as weighted, null::numeric as won_amount ",
            "from sales.opportunity o join sales.stage s on s.id = o.stage_id ",
            "where o.run_id = $1 and o.deleted_at is null and o.state = 'open' ",
            "and o.expected_close_date >= $3 and o.expected_close_date < $4 ",
            "and ($5::uuid is null or o.pipeline_id = $5) and ($6::text is null or o.owner_id = $6) ",
            "union all ",
            "select date_trunc($2, o.closed_at at time zone 'UTC')::date, o.currency, null, null, o.amount ",
            "from sales.opportunity o where o.run_id = $1 and o.deleted_at is null and o.state = 'won' ",
            "and o.closed_at >= $3::timestamp at time zone 'UTC' and o.closed_at < $4::timestamp at time zone 'UTC' ",
            "and ($5::uuid is null or o.pipeline_id = $5) and ($6::text is null or o.owner_id = $6)",
            ") as due group by due.period, due.currency order by due.period, due.currency"
        )
    };
}

/// Parameters run, period, from, to (not included), pipeline or null, owner or null.
#[cfg(not(feature = "fault"))]
pub const STATEMENT: &str = statement!("coalesce(o.probability_override, s.probability)");
/// A wrong forecast that looks right: the first stage counts in full. Only the acceptance suite can see it.
#[cfg(feature = "fault")]
pub const STATEMENT: &str = statement!(
    "case when s.position = 1 then 100 else coalesce(o.probability_override, s.probability) end"
);

#[derive(FromRow)]
struct Row {
    period: NaiveDate,
    currency: String,
    open_count: i64,
    open_amount: Money,
    weighted: Money,
    won_count: i64,
    won_amount: Money,
}

/// A period and currency of the forecast.
#[derive(Serialize, ToSchema)]
struct ForecastItem {
    /// First day of the period.
    start: NaiveDate,
    /// Currency of the amounts.
    currency: String,
    /// Opportunities expected to close in the period.
    open: Open,
    /// Opportunities won in the period.
    won: Won,
}

/// Open opportunities of a period.
#[derive(Serialize, ToSchema)]
struct Open {
    count: i64,
    /// Sum of their amounts: a decimal in a string.
    #[schema(value_type = String)]
    amount: Money,
    /// Sum of amount times probability, rounded once to 4 places: a decimal in a string.
    #[schema(value_type = String)]
    weighted: Money,
}

/// Won opportunities of a period.
#[derive(Serialize, ToSchema)]
struct Won {
    count: i64,
    /// Sum of their amounts: a decimal in a string.
    #[schema(value_type = String)]
    amount: Money,
}

/// The forecast as shown.
#[derive(Serialize, ToSchema)]
struct Forecast {
    /// month or quarter.
    period: &'static str,
    /// First day.
    from: NaiveDate,
    /// The day after the last.
    to: NaiveDate,
    /// By period, then currency; periods without opportunities are left out.
    items: Vec<ForecastItem>,
}

struct Parameters {
    period: &'static str,
    from: NaiveDate,
    to: NaiveDate,
    pipeline: Option<Uuid>,
    owner: Option<String>,
}

/// `GET /forecast`.
pub async fn show(
    State(shared): State<Shared>,
    Caller(principal): Caller,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = parse(&parameters, Utc::now().date_naive())?;
    let database = &shared.database;
    let read = || async {
        let query = sqlx::query_as::<_, Row>(STATEMENT)
            .bind(principal.run)
            .bind(asked.period)
            .bind(asked.from)
            .bind(asked.to);
        Ok(query
            .bind(asked.pipeline)
            .bind(&asked.owner)
            .fetch_all(database.pool())
            .await?)
    };
    let rows = database.fresh_once(read).await?;
    let items = rows.into_iter().map(ForecastItem::from).collect();
    Ok(axum::Json(Forecast {
        period: asked.period,
        from: asked.from,
        to: asked.to,
        items,
    })
    .into_response())
}

impl From<Row> for ForecastItem {
    fn from(row: Row) -> Self {
        ForecastItem {
            start: row.period,
            currency: row.currency,
            open: Open {
                count: row.open_count,
                amount: row.open_amount,
                weighted: row.weighted,
            },
            won: Won {
                count: row.won_count,
                amount: row.won_amount,
            },
        }
    }
}

fn parse(parameters: &[(String, String)], today: NaiveDate) -> Result<Parameters, Problem> {
    let mut to = None;
    let mut asked = Parameters {
        period: "month",
        from: today.with_day(1).unwrap_or(today),
        to: NaiveDate::MAX,
        pipeline: None,
        owner: None,
    };
    let mut errors = Vec::new();
    for (name, text) in parameters {
        let outcome = match name.as_str() {
            "to" => day(text).map(|day| to = Some(day)),
            _ => asked.set(name, text),
        };
        if let Err(message) = outcome {
            errors.push(FieldError::new(name, "invalid", message));
        }
    }
    let a_year_later = asked.from.checked_add_months(Months::new(12));
    asked.to = to.or(a_year_later).unwrap_or(NaiveDate::MAX);
    let days = (asked.to - asked.from).num_days();
    if errors.is_empty() && !(1..=MAXIMUM_DAYS).contains(&days) {
        errors.push(FieldError::new(
            "to",
            "invalid",
            "must be after from, and at most five years after it",
        ));
    }
    if errors.is_empty() {
        Ok(asked)
    } else {
        Err(Problem::parameters(errors))
    }
}

impl Parameters {
    fn set(&mut self, name: &str, text: &str) -> Result<(), &'static str> {
        match name {
            "period" => {
                let known = ["month", "quarter"]
                    .into_iter()
                    .find(|known| *known == text);
                self.period = known.ok_or("must be month or quarter")?;
            }
            "from" => self.from = day(text)?,
            "pipeline_id" => self.pipeline = Some(text.parse().map_err(|_| "must be a UUID")?),
            "owner_id" if !text.contains('\0') => self.owner = Some(text.to_owned()),
            _ => return Err("must be one of period, from, to, pipeline_id, owner_id"),
        }
        Ok(())
    }
}

fn day(text: &str) -> Result<NaiveDate, &'static str> {
    text.parse().map_err(|_| "must be a day such as 2026-01-31")
}

/// The part of the OpenAPI document about the forecast.
pub fn operations() -> Operations {
    let parameters = [
        ("period", "month or quarter; month when left out"),
        ("from", "First day; the first of this month when left out"),
        ("to", "Day after the last; a year after from when left out"),
        ("pipeline_id", "Only this pipeline"),
        ("owner_id", "Only this owner"),
    ];
    Operations::new().report::<Forecast>(
        "/api/sales/v1/forecast",
        "What is open, what of it counts, and what was won",
        &parameters,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(parameters: &[(&str, &str)]) -> Result<Parameters, Problem> {
        let owned: Vec<_> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        parse(&owned, NaiveDate::from_ymd_opt(2026, 2, 28).unwrap())
    }

    #[test]
    fn without_parameters_it_is_a_year_from_this_month() {
        let asked = ask(&[]).unwrap();
        assert_eq!(
            (asked.from.to_string(), asked.to.to_string()),
            ("2026-02-01".into(), "2027-02-01".into())
        );
    }

    #[test]
    fn without_an_end_it_is_a_year_from_its_beginning() {
        for (from, to) in [("2020-03-15", "2021-03-15"), ("2031-07-01", "2032-07-01")] {
            let asked = ask(&[("from", from)]).unwrap();
            assert_eq!(
                (asked.from.to_string(), asked.to.to_string()),
                (from.into(), to.into())
            );
        }
        let asked = ask(&[("to", "2026-03-01"), ("from", "2026-01-01")]).unwrap();
        assert_eq!(asked.to.to_string(), "2026-03-01");
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for parameters in [
            [("perod", "month")],
            [("period", "day")],
            [("from", "soon")],
            [("to", "2000-01-01")],
            [("to", "2099-01-01")],
        ] {
            assert_eq!(
                ask(&parameters)
                    .err()
                    .map(|problem| problem.status.as_u16()),
                Some(400),
                "{parameters:?}"
            );
        }
    }
}
