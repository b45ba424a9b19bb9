//! How fast the candidate was beside stable: the p95s in the termination message of a test with `when: [Performance]`, and the budget they have to keep.
//!
//! In: an ending by exit code and counts, and what the test told. Out: the same ending with its figures; never a pass without them, nor beyond the budget.

use serde::Deserialize;
use serde_json::Value;

use super::{Ending, bounded};
use crate::api::status::{Performance, PerformancePart, Verdict};
use crate::cost::decimal;
use crate::report::clipped;

/// Parts kept; all of them are judged.
const PARTS_KEPT: usize = 8;
/// Longest name of a part that is kept, in characters.
const NAME_LIMIT: usize = 40;
/// Longest p95 that can be one, in milliseconds: more than the longest deadline of a test.
const LONGEST: f64 = 1e9;

/// What a test tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    all: Pair,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    name: String,
    #[serde(flatten)]
    pair: Pair,
}

/// p95s of the same requests, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    stable_p95_milliseconds: f64,
    candidate_p95_milliseconds: f64,
}

impl Pair {
    fn is_sound(self) -> bool {
        let both = [
            self.stable_p95_milliseconds,
            self.candidate_p95_milliseconds,
        ];
        both.iter()
            .all(|p95| p95.is_finite() && *p95 > 0.0 && *p95 < LONGEST)
    }

    fn exceeds(self, percent: i32) -> bool {
        let most = self.stable_p95_milliseconds * (1.0 + f64::from(percent) / 100.0);
        self.candidate_p95_milliseconds > most
    }

    fn words(self) -> String {
        let (stable, candidate) = self.decimals();
        let more = (self.candidate_p95_milliseconds / self.stable_p95_milliseconds - 1.0) * 100.0;
        format!("p95 of the candidate is {candidate} ms, of stable {stable} ms ({more:+.0} %)")
    }

    /// Stable's and the candidate's, as the status keeps them.
    fn decimals(self) -> (String, String) {
        let shown = |p95: f64| decimal((p95 * 1000.0).round() / 1000.0);
        (
            shown(self.stable_p95_milliseconds),
            shown(self.candidate_p95_milliseconds),
        )
    }
}

/// Judges the p95s of a test that ended like this.
pub(super) fn judged(ending: Ending, told: Option<Value>, budget: i32) -> Ending {
    let passed = ending.verdict == Verdict::Passed;
    let told = told.and_then(|told| serde_json::from_value::<Told>(told).ok());
    let sound = |told: &Told| {
        let mut pairs = told.parts.iter().map(|part| part.pair);
        told.all.is_sound() && pairs.all(Pair::is_sound)
    };
    let Some(told) = told.filter(sound) else {
        let words = "exit code 0, but its termination message tells no p95s of both releases: is it a test of their speed?";
        return match passed {
            true => Ending {
                report: ending.report,
                ..Ending::inconclusive(words.to_owned())
            },
            false => ending,
        };
    };
    let mut ending = ending;
    ending.report.get_or_insert_default().performance = Some(told.kept(budget));
    if !passed {
        return ending;
    }
    ending.message = Some(bounded(&format!(
        "{}, at most +{budget} % are allowed",
        told.all.words()
    )));
    if let Some(why) = told.excess(budget) {
        ending.verdict = Verdict::Failed;
        ending.message = Some(bounded(&format!(
            "exit code 0, but {why}, at most +{budget} % are allowed"
        )));
    }
    ending
}

impl Told {
    /// What exceeds the budget, in words.
    fn excess(&self, budget: i32) -> Option<String> {
        if self.all.exceeds(budget) {
            return Some(self.all.words());
        }
        let mut parts = self.parts.iter();
        let part = parts.find(|part| part.pair.exceeds(budget))?;
        let name = clipped(&part.name, NAME_LIMIT);
        Some(format!("of {name} the {}", part.pair.words()))
    }

    fn kept(&self, budget: i32) -> Performance {
        let (stable_p95_milliseconds, candidate_p95_milliseconds) = self.all.decimals();
        let parts = self.parts.iter().take(PARTS_KEPT).map(|part| {
            let (stable_p95_milliseconds, candidate_p95_milliseconds) = part.pair.decimals();
            PerformancePart {
                name: clipped(&part.name, NAME_LIMIT),
                stable_p95_milliseconds,
                candidate_p95_milliseconds,
            }
        });
        Performance {
            stable_p95_milliseconds,
            candidate_p95_milliseconds,
            max_regression_percent: budget,
            parts: parts.collect(),
        }
    }
}
