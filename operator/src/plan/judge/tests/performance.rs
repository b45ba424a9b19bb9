//! Tests that compare the candidate's speed with stable's.

use super::*;

const COMPARED: Kind = Kind::Test {
    report: false,
    min_tests: 0,
    budget: Some(20),
};

fn told(stable: &str, candidate: &str, parts: &str) -> String {
    format!(
        r#"{{"performance":{{"stableP95Milliseconds":{stable},"candidateP95Milliseconds":{candidate},"parts":[{parts}]}}}}"#
    )
}

fn part(name: &str, stable: f64, candidate: f64) -> String {
    format!(
        r#"{{"name":"{name}","stableP95Milliseconds":{stable},"candidateP95Milliseconds":{candidate}}}"#
    )
}

#[test]
fn a_candidate_within_its_budget_passes_and_its_figures_are_kept() {
    let ending = of(
        0,
        &told("10", "11.98765", &part("customer", 5.0, 6.0)),
        COMPARED,
    );
    assert_eq!(ending.verdict, Verdict::Passed, "{ending:?}");
    let performance = ending.report.unwrap().performance.unwrap();
    assert_eq!(performance.stable_p95_milliseconds, "10");
    assert_eq!(performance.candidate_p95_milliseconds, "11.988");
    assert_eq!(performance.max_regression_percent, 20);
    assert_eq!(performance.parts[0].candidate_p95_milliseconds, "6");
    assert_eq!(
        ending.message.unwrap(),
        "p95 of the candidate is 11.988 ms, of stable 10 ms (+20 %), at most +20 % are allowed"
    );
}

#[test]
fn a_slower_candidate_fails_although_its_test_says_that_it_passed() {
    let ending = of(0, &told("10", "12.1", ""), COMPARED);
    assert_eq!(ending.verdict, Verdict::Failed);
    assert_eq!(
        ending.message.unwrap(),
        "exit code 0, but p95 of the candidate is 12.1 ms, of stable 10 ms (+21 %), at most +20 % are allowed"
    );
    assert!(ending.report.unwrap().performance.is_some());
}

#[test]
fn a_slow_part_is_not_hidden_by_a_fast_whole() {
    let parts = [part("sales", 9.0, 9.0), part("customer", 1.0, 3.0)].join(",");
    let ending = of(0, &told("9", "9", &parts), COMPARED);
    assert_eq!(ending.verdict, Verdict::Failed);
    assert!(
        ending
            .message
            .as_ref()
            .unwrap()
            .contains("of customer the p95"),
        "{ending:?}"
    );
}

#[test]
fn a_failed_comparison_keeps_its_figures_and_its_own_words() {
    let words = r#"{"message":"too slow","performance":{"stableP95Milliseconds":1,"candidateP95Milliseconds":3}}"#;
    let ending = of(1, words, COMPARED);
    assert_eq!(ending.verdict, Verdict::Failed);
    assert!(ending.report.unwrap().performance.is_some());
    assert_eq!(of(2, words, COMPARED).verdict, Verdict::Inconclusive);
}

#[test]
fn no_pass_without_figures_that_can_be_true() {
    let many: Vec<_> = (0..30).map(|n| part(&n.to_string(), 1.0, 1.0)).collect();
    for words in [
        "".to_owned(),
        "all fine".to_owned(),
        report_of(20, 0),
        r#"{"performance":"fast"}"#.to_owned(),
        told("0", "1", ""),
        told("-1", "-2", ""),
        told("1", "1e300", ""),
        told("1", "null", ""),
        told("1", "1", &part("x", 0.0, 0.0)),
    ] {
        let ending = of(0, &words, COMPARED);
        assert_eq!(ending.verdict, Verdict::Inconclusive, "{words}");
    }
    let ending = of(0, &told("1", "1", &many.join(",")), COMPARED);
    assert_eq!(ending.report.unwrap().performance.unwrap().parts.len(), 8);
    assert_eq!(
        verdict(Some(JobEnd::Complete), &[], COMPARED),
        Some(Verdict::Inconclusive),
        "its pod is gone, and its words with it"
    );
}

#[test]
fn other_tests_may_say_what_they_like_of_speed() {
    let words =
        r#"{"tests":20,"passed":20,"failed":0,"firstFailures":[],"performance":{"fast":true}}"#;
    let ending = of(0, words, REPORTED);
    assert_eq!(ending.verdict, Verdict::Passed, "{ending:?}");
    assert!(ending.report.unwrap().performance.is_none());
}
