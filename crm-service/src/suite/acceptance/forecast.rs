//! The forecast, computed a second time here from what the API shows of each opportunity.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, path_of, pipeline, version_of};

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "forecasts what an independent computation gives, to the last digit",
            equals,
        ),
        Case::new(
            "counts a changed probability for open opportunities only",
            probability,
        ),
        Case::new("refuses forecast parameters it does not know", parameters),
    ]
}

/// Sums of a month and currency: open count, amount, amount times percent; won count, amount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    open: (u64, Decimal, Decimal),
    won: (u64, Decimal),
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((open, amount, weighted), (won, sum)) = (&self.open, &self.won);
        write!(
            f,
            "{open} open of {amount}, weighted {weighted}, and {won} won of {sum}"
        )
    }
}

async fn equals(session: Session) -> Outcome {
    let session = session.apart();
    let pipeline = pipeline(&session).await?;
    for number in 0_usize..24 {
        deal(&session, &pipeline, number).await?;
    }
    let expected = computed(&session, &pipeline).await?;
    let shown = forecast(&session).await?;
    ensure!(!expected.is_empty(), "there is nothing to compare");
    for (key, sums) in &expected {
        let found = shown.get(key);
        let (month, currency) = key;
        let told = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        ensure!(
            found == Some(sums),
            "the {currency} of {month} are forecast as {told} instead of {sums}"
        );
    }
    ensure!(
        shown.len() == expected.len(),
        "the forecast has {} entries instead of {}",
        shown.len(),
        expected.len()
    );
    Ok(())
}

/// Opportunities in every stage, in two currencies, with and without a probability of their own, with odd amounts.
async fn deal(session: &Session, pipeline: &Value, number: usize) -> Outcome {
    let amount = format!("{}.{:04}", number * 7919 % 100_000, number * 3333 % 10_000);
    let mut body = json!({
        "name": format!("Deal {number}"), "pipeline_id": pipeline["id"], "amount": amount,
        "currency": if number.is_multiple_of(3) { "USD" } else { "EUR" },
        "expected_close_date": format!("2027-{:02}-{:02}", number % 4 + 1, number % 28 + 1),
    });
    if number % 5 == 4 {
        body["probability_override"] = json!(33);
    }
    let record = session.create("opportunities", &body).await?;
    let mut target = json!({"stage_id": pipeline["stages"][number % 5]["id"]});
    if number % 5 == 4 && number.is_multiple_of(2) {
        target["lost_reason"] = json!("other");
    } else if number % 5 == 4 || number.is_multiple_of(5) {
        return Ok(());
    }
    let path = format!("{}:move", path_of("opportunities", &record));
    session
        .act(&path, version_of(&record), &target)
        .await?
        .expect(StatusCode::OK)?;
    Ok(())
}

async fn computed(
    session: &Session,
    pipeline: &Value,
) -> Outcome<BTreeMap<(String, String), Sums>> {
    let list = session
        .get("/opportunities?limit=200")
        .await?
        .expect(StatusCode::OK)?
        .json();
    let mut sums: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for item in list["items"].as_array().into_iter().flatten() {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let amount = decimal(&item["amount"])?;
        let month = |day: String| format!("{}-01", day.get(..7).unwrap_or_default());
        match item["state"].as_str() {
            Some("open") => {
                let stages = pipeline["stages"].as_array().into_iter().flatten();
                let of_stage = stages
                    .filter(|stage| stage["id"] == item["stage_id"])
                    .find_map(|stage| stage["probability"].as_i64());
                let percent = item["probability_override"]
                    .as_i64()
                    .or(of_stage)
                    .unwrap_or_default();
                let entry = &mut sums
                    .entry((month(text("expected_close_date")), text("currency")))
                    .or_default()
                    .open;
                *entry = (
                    entry.0 + 1,
                    entry.1 + amount,
                    entry.2 + amount * Decimal::from(percent),
                );
            }
            Some("won") => {
                let entry = &mut sums
                    .entry((month(text("closed_at")), text("currency")))
                    .or_default()
                    .won;
                *entry = (entry.0 + 1, entry.1 + amount);
            }
            _ => {}
        }
    }
    for entry in sums.values_mut() {
        let weighted = entry.open.2 / Decimal::ONE_HUNDRED;
        entry.open.2 = weighted.round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero);
    }
    Ok(sums)
}

async fn forecast(session: &Session) -> Outcome<BTreeMap<(String, String), Sums>> {
    let shown = session
        .get("/forecast?from=2024-01-01&to=2028-12-01")
        .await?
        .expect(StatusCode::OK)?
        .json();
    let mut sums = BTreeMap::new();
    for item in shown["items"].as_array().into_iter().flatten() {
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let (open, won) = (&item["open"], &item["won"]);
        let entry = Sums {
            open: (
                count(&open["count"]),
                decimal(&open["amount"])?,
                decimal(&open["weighted"])?,
            ),
            won: (count(&won["count"]), decimal(&won["amount"])?),
        };
        let key =
            ["start", "currency"].map(|name| item[name].as_str().unwrap_or_default().to_owned());
        let [start, currency] = key;
        sums.insert((start, currency), entry);
    }
    Ok(sums)
}

async fn probability(session: Session) -> Outcome {
    let session = session.apart();
    let pipeline = pipeline(&session).await?;
    let body = json!({"name": "x", "pipeline_id": pipeline["id"], "amount": "200", "currency": "EUR", "expected_close_date": "2027-05-05"});
    session.create("opportunities", &body).await?;
    let won = session.create("opportunities", &body).await?;
    let path = format!("{}:move", path_of("opportunities", &won));
    session
        .act(&path, 1, &json!({"stage_id": pipeline["stages"][3]["id"]}))
        .await?
        .expect(StatusCode::OK)?;
    let stage = path_of("stages", &pipeline["stages"][0]);
    session
        .patch(&stage, 1, &json!({"probability": 25}))
        .await?
        .expect(StatusCode::OK)?;
    let fixed = path_of("stages", &pipeline["stages"][3]);
    session
        .patch(&fixed, 1, &json!({"probability": 25}))
        .await?
        .expect_problem(422, "validation-failed")?;
    let shown = forecast(&session).await?;
    let total = shown
        .values()
        .fold((Decimal::ZERO, Decimal::ZERO), |total, sums| {
            (total.0 + sums.open.2, total.1 + sums.won.1)
        });
    ensure!(
        total == (Decimal::from(50), Decimal::from(200)),
        "weighted and won are {total:?} instead of 50 and 200"
    );
    let read = session
        .get(&path_of("pipelines", &pipeline))
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(
        version_of(&read) == 2,
        "a changed stage is a changed pipeline; its version is {}",
        read["version"]
    );
    Ok(())
}

async fn parameters(session: Session) -> Outcome {
    for query in [
        "perod=month",
        "period=day",
        "from=soon",
        "from=2027-01-01&to=2026-01-01",
        "from=2000-01-01&to=2026-01-01",
    ] {
        session
            .get(&format!("/forecast?{query}"))
            .await?
            .expect_problem(400, "unknown-parameter")?;
    }
    Ok(())
}

fn decimal(value: &Value) -> Outcome<Decimal> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| {
        crate::suite::case::Failure::Failed(format!("{value} is no decimal in a string"))
    })
}
