//! A test whose JUnit files were read: what they say, and whether they could be read at all, decides.

use super::*;
use crate::report::{Collected, FailedCase};

/// Counts of a test that passed, in its own words.
const PRAISE: &str = r#"{"tests":20,"passed":20,"message":"all fine"}"#;

fn files(passed: i32, failed: i32) -> Collected {
    let failure = FailedCase {
        name: "logs in".into(),
        message: "401".into(),
    };
    Collected {
        files: 1,
        tests: passed + failed,
        passed,
        failed,
        duration_milliseconds: 1234,
        first_failures: vec![failure; usize::try_from(failed).unwrap()],
        ..Collected::default()
    }
}

fn pod(code: i32, words: &str, collector: ContainerState) -> PodView {
    PodView {
        collector,
        ..ended(code, words)
    }
}

/// The ending of a test with `code` and these last words, beside which `collector` ran.
fn beside(code: i32, words: &str, collector: ContainerState) -> Ending {
    let end = match code {
        0 => Some(JobEnd::Complete),
        _ => failed("BackoffLimitExceeded"),
    };
    let pod = pod(code, words, collector);
    judge(&job(end), &[&pod], &REPORTED, now()).unwrap()
}

fn read(code: i32, words: &str, files: &Collected) -> Ending {
    beside(code, words, collected(0, &files.words()))
}

#[test]
fn enough_cases_without_a_failure_pass_and_their_counts_are_kept() {
    let ending = read(0, "", &files(10, 0));
    assert_eq!(ending.verdict, Verdict::Passed);
    let report = ending.report.unwrap();
    assert_eq!((report.tests, report.passed), (10, 10));
    assert_eq!(report.duration_milliseconds, Some(1234));
}

#[test]
fn a_failed_or_errored_case_outweighs_exit_code_zero_and_fine_words() {
    let errored = Collected {
        errored: 1,
        tests: 21,
        ..files(20, 0)
    };
    for (files, failures) in [(files(19, 1), 1), (errored, 0)] {
        let ending = read(0, PRAISE, &files);
        assert_eq!(ending.verdict, Verdict::Failed, "{ending:?}");
        assert!(
            ending
                .message
                .unwrap()
                .starts_with("exit code 0, but 1 of 2")
        );
        let report = ending.report.unwrap();
        assert_eq!(report.first_failures.len(), failures);
        assert_eq!(report.failed + report.errored, 1, "counts of the files");
    }
}

#[test]
fn a_failure_that_only_the_words_tell_of_is_one_too() {
    let ending = read(0, &report_of(20, 1), &files(20, 0));
    assert_eq!(ending.verdict, Verdict::Failed, "{ending:?}");
}

#[test]
fn fewer_cases_than_asked_for_fail_whatever_the_words_say() {
    let few = read(0, PRAISE, &files(9, 0));
    assert_eq!(few.verdict, Verdict::Failed);
    assert_eq!(
        few.message.unwrap(),
        "exit code 0, but only 9 of 9 tests passed, at least 10 are asked for"
    );
    let skipped = Collected {
        skipped: 20,
        tests: 20,
        ..files(0, 0)
    };
    assert_eq!(read(0, PRAISE, &skipped).verdict, Verdict::Failed);
    let empty = read(0, PRAISE, &files(0, 0));
    assert_eq!(empty.verdict, Verdict::Failed, "a file without a case");
}

#[test]
fn a_report_that_cannot_be_read_fails_and_says_why() {
    let broken = Collected {
        unreadable: Some("a.xml: it ends within an element".into()),
        ..files(20, 0)
    };
    for code in [0, 1] {
        let ending = read(code, PRAISE, &broken);
        assert_eq!(ending.verdict, Verdict::Failed);
        let message = ending.message.unwrap();
        assert!(
            message.ends_with("a.xml: it ends within an element"),
            "{message}"
        );
    }
}

#[test]
fn without_any_file_the_words_count() {
    let none = Collected::default();
    assert_eq!(read(0, PRAISE, &none).verdict, Verdict::Passed);
    assert_eq!(read(0, &report_of(20, 1), &none).verdict, Verdict::Failed);
    let silent = read(0, "", &none);
    assert_eq!(silent.verdict, Verdict::Failed);
    assert!(silent.message.unwrap().contains("$CRM_REPORT_DIR"));
}

#[test]
fn a_summary_that_is_lost_finds_nothing_out() {
    let waiting = ContainerState::Waiting {
        reason: "CrashLoopBackOff".into(),
        message: "back-off".into(),
    };
    let lost = [
        collected(137, ""),
        collected(1, &files(20, 0).words()),
        collected(0, ""),
        collected(0, PRAISE),
        collected(0, &files(20, 0).words()[..40]),
        waiting,
        ContainerState::Running,
        ContainerState::Unknown,
    ];
    for collector in lost {
        for code in [0, 1] {
            let ending = beside(code, PRAISE, collector.clone());
            assert_eq!(ending.verdict, Verdict::Inconclusive, "{collector:?}");
            let message = ending.message.unwrap();
            assert!(message.contains("the container report"), "{message}");
        }
    }
}

#[test]
fn could_not_run_stays_inconclusive_whatever_the_files_say() {
    for files in [files(20, 0), files(19, 1)] {
        assert_eq!(read(2, PRAISE, &files).verdict, Verdict::Inconclusive);
    }
    let failed = read(1, "", &files(20, 0));
    assert_eq!(failed.verdict, Verdict::Failed, "and a failure stays one");
}

#[test]
fn no_verdict_before_the_report_is_collected() {
    let early = |code: i32, collector: ContainerState| {
        let mut pod = pod(code, PRAISE, collector);
        if let ContainerState::Terminated { finished, .. } = &mut pod.state {
            *finished = ago(59);
        }
        let end = match code {
            0 => Some(JobEnd::Complete),
            _ => failed("BackoffLimitExceeded"),
        };
        judge(&job(end), &[&pod], &REPORTED, now())
    };
    for code in [0, 1] {
        for unfinished in [ContainerState::Running, ContainerState::Unknown] {
            assert_eq!(early(code, unfinished), None);
        }
        let done = collected(0, &files(20, 0).words());
        assert!(early(code, done).is_some());
    }
}

#[test]
fn an_operator_image_that_cannot_be_pulled_is_named() {
    let pod = PodView {
        collector: waiting("ImagePullBackOff", 0).state,
        ..waiting("PodInitializing", 30)
    };
    let why = stuck(&[&pod], now()).unwrap();
    assert!(why.contains("container report: ImagePullBackOff"), "{why}");
    let starting = PodView {
        collector: ContainerState::Running,
        ..waiting("PodInitializing", 30)
    };
    assert_eq!(stuck(&[&starting], now()), None);
}
