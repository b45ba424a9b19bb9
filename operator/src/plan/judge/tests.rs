//! Endings of Jobs, from the facts of a Job and its pods to a verdict.

use k8s_openapi::jiff::SignedDuration;

use super::*;

mod performance;
mod report;

const TEST: Kind = Kind::Test {
    report: false,
    min_tests: 1,
    budget: None,
};
const REPORTED: Kind = Kind::Test {
    report: true,
    min_tests: 10,
    budget: None,
};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Option<Timestamp> {
    Some(
        now()
            .checked_sub(SignedDuration::from_secs(seconds))
            .unwrap(),
    )
}

/// A Job made five minutes ago whose end, if any, is a minute old.
fn job(end: Option<JobEnd>) -> JobView {
    JobView {
        created: ago(300),
        ended: end.is_some().then_some(ago(60)).flatten(),
        end,
        ..JobView::default()
    }
}

fn failed(reason: &str) -> Option<JobEnd> {
    Some(JobEnd::Failed {
        reason: reason.into(),
        message: "its controller's words".into(),
    })
}

/// A pod whose container ended with `code`.
fn ended(code: i32, message: &str) -> PodView {
    PodView {
        name: "job-x7x7x".into(),
        phase: if code == 0 { "Succeeded" } else { "Failed" }.into(),
        created: ago(200),
        state: ContainerState::Terminated {
            exit_code: code,
            reason: String::new(),
            message: message.into(),
            started: ago(190),
            finished: ago(100),
        },
        collector: collected(0, &crate::report::Collected::default().words()),
        ..PodView::default()
    }
}

/// The container that reads reports, ended with `code` and these last words.
fn collected(code: i32, words: &str) -> ContainerState {
    ContainerState::Terminated {
        exit_code: code,
        reason: String::new(),
        message: words.into(),
        started: ago(191),
        finished: ago(99),
    }
}

fn waiting(reason: &str, since: i64) -> PodView {
    PodView {
        name: "job-x7x7x".into(),
        phase: "Pending".into(),
        created: ago(since),
        state: ContainerState::Waiting {
            reason: reason.into(),
            message: "the kubelet's words".into(),
        },
        ..PodView::default()
    }
}

fn verdict(end: Option<JobEnd>, pods: &[&PodView], kind: Kind) -> Option<Verdict> {
    judge(&job(end), pods, &kind, now()).map(|ending| ending.verdict)
}

/// The verdict of a pod that ended with `code` and these last words.
fn of(code: i32, message: &str, kind: Kind) -> Ending {
    let end = if code == 0 {
        Some(JobEnd::Complete)
    } else {
        failed("BackoffLimitExceeded")
    };
    judge(&job(end), &[&ended(code, message)], &kind, now()).unwrap()
}

fn report_of(tests: i32, failed: i32) -> String {
    let passed = tests - failed;
    format!(
        r#"{{"tests":{tests},"passed":{passed},"failed":{failed},"firstFailures":[{{"name":"logs in","message":"401"}}]}}"#
    )
}

#[test]
fn exit_codes_of_tests_are_passed_failed_and_could_not_run() {
    assert_eq!(of(0, "", TEST).verdict, Verdict::Passed);
    assert_eq!(of(1, "", TEST).verdict, Verdict::Failed);
    assert_eq!(
        of(101, "", TEST).verdict,
        Verdict::Failed,
        "a panic of a test program"
    );
    for could_not_run in [2, 3, 126, 127] {
        assert_eq!(of(could_not_run, "", TEST).verdict, Verdict::Inconclusive);
    }
}

#[test]
fn a_declared_report_must_be_there_and_say_that_enough_tests_passed() {
    assert_eq!(of(0, &report_of(10, 0), REPORTED).verdict, Verdict::Passed);
    let silent = of(0, "all fine", REPORTED);
    assert_eq!(silent.verdict, Verdict::Failed, "{silent:?}");
    let few = of(0, &report_of(9, 0), REPORTED);
    assert_eq!(few.verdict, Verdict::Failed);
    assert_eq!(
        few.message.unwrap(),
        "exit code 0, but only 9 of 9 tests passed, at least 10 are asked for"
    );
    let none = of(
        0,
        &report_of(0, 0),
        Kind::Test {
            report: true,
            min_tests: 0,
            budget: None,
        },
    );
    assert_eq!(none.verdict, Verdict::Failed, "no test is no proof");
}

#[test]
fn a_report_with_failures_outweighs_exit_code_zero() {
    for kind in [TEST, REPORTED] {
        let ending = of(0, &report_of(20, 1), kind);
        assert_eq!(ending.verdict, Verdict::Failed);
        assert_eq!(
            ending.message.unwrap(),
            "exit code 0, but 1 of 20 tests did not pass: logs in: 401"
        );
    }
    let errored = r#"{"tests":20,"passed":19,"errored":1}"#;
    assert_eq!(of(0, errored, TEST).verdict, Verdict::Failed);
}

#[test]
fn exit_codes_of_migrations_follow_the_contract_with_images() {
    let expected = [
        (0, Verdict::Passed),
        (1, Verdict::Failed),
        (10, Verdict::Passed),
        (20, Verdict::Inconclusive),
        (30, Verdict::Failed),
        (40, Verdict::Failed),
        (50, Verdict::Inconclusive),
        (127, Verdict::Inconclusive),
    ];
    for (code, verdict) in expected {
        let ended = |kind| of(code, "", kind).verdict;
        assert_eq!(ended(Kind::Migration), verdict, "exit code {code}");
        // Of a release that serves a refusal says only that it is too early.
        let later = match code {
            30 => Verdict::Inconclusive,
            _ => verdict,
        };
        assert_eq!(ended(Kind::Optimisation), later, "exit code {code}");
    }
    let told = of(
        10,
        r#"{"message":"nothing to do","schema":{"from":2,"to":2,"floor":1},"appLevel":2,"pending":["contract"]}"#,
        Kind::Migration,
    );
    assert_eq!(told.schema.unwrap().floor, Some(1));
    assert_eq!(told.pending.unwrap(), ["contract"]);
    assert_eq!(told.app_level, Some(2));
}

#[test]
fn on_real_rows_a_migration_must_have_told_whether_it_masks_them() {
    let complete = || Some(JobEnd::Complete);
    let silent = |kind| verdict(complete(), &[], kind);
    assert_eq!(silent(Kind::Migration), Some(Verdict::Passed));
    assert_eq!(silent(Kind::Offering), Some(Verdict::Inconclusive));
    assert_eq!(of(10, "", Kind::Offering).verdict, Verdict::Passed);
}

#[test]
fn a_preparation_that_fails_says_nothing_about_the_image() {
    assert_eq!(of(0, "", Kind::Preparation).verdict, Verdict::Passed);
    let failed = of(1, "FATAL: role does not exist", Kind::Preparation);
    assert_eq!(failed.verdict, Verdict::Inconclusive);
    assert!(failed.message.unwrap().contains("role does not exist"));
}

#[test]
fn a_dump_counts_only_with_its_size_and_checksum() {
    let dump = |bytes: i64, sum: &str| {
        let words = format!(r#"{{"backup":{{"bytes":{bytes},"sha256":"{sum}"}}}}"#);
        of(0, &words, Kind::Backup)
    };
    let sum = "a".repeat(64);
    let made = dump(853, &sum);
    assert_eq!(made.verdict, Verdict::Passed);
    assert_eq!(made.backup.map(|made| made.bytes), Some(853));
    for unsound in [dump(0, &sum), dump(853, "a"), dump(853, &"x".repeat(64))] {
        assert_eq!(unsound.verdict, Verdict::Inconclusive);
        assert_eq!(unsound.backup, None);
    }
    assert_eq!(of(0, "done", Kind::Backup).verdict, Verdict::Inconclusive);
    let full = of(1, "pg_dump: error: No space left on device", Kind::Backup);
    assert_eq!(full.verdict, Verdict::Inconclusive);
    assert!(full.message.unwrap().contains("No space left"));
}

#[test]
fn a_running_job_has_no_verdict() {
    let running = PodView {
        phase: "Running".into(),
        state: ContainerState::Running,
        ..ended(0, "")
    };
    assert_eq!(verdict(None, &[&running], TEST), None);
}

#[test]
fn the_terminal_condition_decides_when_pods_failed_before_one_passed() {
    let (first, second) = (ended(1, ""), ended(0, ""));
    assert_eq!(
        verdict(Some(JobEnd::Complete), &[&first, &second], TEST),
        Some(Verdict::Passed)
    );
    assert_eq!(
        verdict(None, &[&first], TEST),
        None,
        "its controller may start another pod"
    );
}

#[test]
fn of_several_failed_pods_the_last_one_speaks() {
    let first = PodView {
        created: ago(250),
        ..ended(2, "")
    };
    let last = ended(1, "");
    let end = failed("BackoffLimitExceeded");
    assert_eq!(
        verdict(end.clone(), &[&last, &first], TEST),
        Some(Verdict::Failed)
    );
    let evicted = PodView {
        created: ago(150),
        disrupted: true,
        ..ended(137, "")
    };
    assert_eq!(
        verdict(end, &[&first, &evicted], TEST),
        Some(Verdict::Inconclusive),
        "an evicted pod says nothing"
    );
}

#[test]
fn a_deadline_a_lost_pod_and_want_of_memory_find_nothing_out() {
    let running = PodView {
        phase: "Running".into(),
        state: ContainerState::Running,
        ..ended(0, "")
    };
    assert_eq!(
        verdict(failed("DeadlineExceeded"), &[&running], TEST),
        Some(Verdict::Inconclusive)
    );
    assert_eq!(
        verdict(failed("BackoffLimitExceeded"), &[], TEST),
        Some(Verdict::Inconclusive)
    );
    let mut killed = ended(137, "");
    if let ContainerState::Terminated { reason, .. } = &mut killed.state {
        *reason = "OOMKilled".into();
    }
    let ending = judge(
        &job(failed("BackoffLimitExceeded")),
        &[&killed],
        &TEST,
        now(),
    )
    .unwrap();
    assert_eq!(ending.verdict, Verdict::Inconclusive);
    assert!(ending.message.unwrap().contains("raise the limit"));
}

#[test]
fn a_complete_job_without_its_pod_passes_only_where_no_report_is_asked_for() {
    let complete = Some(JobEnd::Complete);
    assert_eq!(verdict(complete.clone(), &[], TEST), Some(Verdict::Passed));
    assert_eq!(
        verdict(complete.clone(), &[], REPORTED),
        Some(Verdict::Inconclusive)
    );
    let just_now = JobView {
        ended: ago(1),
        ..job(complete)
    };
    assert_eq!(
        judge(&just_now, &[], &REPORTED, now()),
        None,
        "the watch of pods may be late"
    );
}

#[test]
fn what_will_not_start_by_itself_is_found_out_in_time() {
    for reason in STUCK {
        assert_eq!(stuck(&[&waiting(reason, 10)], now()), None, "{reason}");
        let why = stuck(&[&waiting(reason, 30)], now()).unwrap();
        assert!(
            why.contains(reason) && why.contains("the kubelet's words"),
            "{why}"
        );
    }
    assert_eq!(stuck(&[&waiting("ContainerCreating", 200)], now()), None);
    let unplaced = PodView {
        unschedulable: Some("0/1 nodes".into()),
        ..waiting("", 60)
    };
    assert!(stuck(&[&unplaced], now()).unwrap().contains("0/1 nodes"));
}

/// The seven ways in which nothing is found out, other than the words of a test itself, and a part of what to do about each.
#[test]
fn what_finds_nothing_out_says_what_to_do() {
    let unplaced = PodView {
        unschedulable: Some("0/1 nodes are available".into()),
        ..waiting("", 60)
    };
    let unbound = PodView {
        unschedulable: Some("didn't find available persistent volumes to bind".into()),
        ..waiting("", 60)
    };
    for (pod, remedy) in [
        (waiting("ImagePullBackOff", 30), "nodes can pull it"),
        (
            waiting("CreateContainerConfigError", 30),
            "Secrets and keys",
        ),
        (unplaced, "make room or let it ask for less"),
        (unbound, "delete the claim that is Pending"),
    ] {
        let why = stuck(&[&pod], now()).unwrap();
        assert!(why.contains(remedy), "{why}");
    }
    let evicted = PodView {
        disrupted: true,
        disruption: "Usage of EmptyDir volume exceeds the limit 16Mi".into(),
        ..ended(137, "")
    };
    let running = PodView {
        phase: "Running".into(),
        state: ContainerState::Running,
        ..ended(0, "")
    };
    for (reason, pod, remedy) in [
        ("DeadlineExceeded", running, "raise its deadlineSeconds"),
        ("BackoffLimitExceeded", evicted, "how much it writes (Usage"),
        ("BackoffLimitExceeded", ended(2, ""), "see its log"),
    ] {
        for kind in [TEST, REPORTED] {
            let ending = judge(&job(failed(reason)), &[&pod], &kind, now()).unwrap();
            assert_eq!(ending.verdict, Verdict::Inconclusive, "{reason}");
            let message = ending.message.unwrap();
            assert!(message.contains(remedy), "{message}");
        }
    }
}

#[test]
fn of_a_job_that_was_ended_the_last_pod_that_ran_is_looked_at() {
    let (first, last) = (
        PodView {
            created: ago(250),
            ..ended(1, "")
        },
        ended(1, ""),
    );
    assert_eq!(
        speaker(&[&last, &first]).map(|pod| pod.created),
        Some(ago(200))
    );
    let running = PodView {
        state: ContainerState::Running,
        ..waiting("", 10)
    };
    assert_eq!(speaker(&[&running]).map(|pod| pod.created), Some(ago(10)));
    assert_eq!(speaker(&[&waiting("ErrImagePull", 60)]), None);
}

#[test]
fn a_report_that_nothing_passed_or_that_does_not_add_up_is_no_pass() {
    for report in [
        r#"{"tests":20,"passed":0,"skipped":20}"#,
        r#"{"tests":1,"passed":20}"#,
        r#"{"tests":20,"passed":21,"failed":-1}"#,
    ] {
        for kind in [TEST, REPORTED] {
            assert_eq!(of(0, report, kind).verdict, Verdict::Failed, "{report}");
        }
    }
}

#[test]
fn exit_code_zero_of_a_failed_job_is_no_pass() {
    let end = failed("BackoffLimitExceeded");
    let pod = PodView {
        phase: "Failed".into(),
        ..ended(0, "")
    };
    assert_eq!(verdict(end, &[&pod], TEST), Some(Verdict::Inconclusive));
}

#[test]
fn last_words_are_cut_without_cutting_a_letter() {
    let long = "ä".repeat(3000);
    let ending = of(1, &long, TEST);
    let message = ending.message.unwrap();
    assert!(message.starts_with("exit code 1: ä"), "{message}");
    assert!(message.chars().count() <= MESSAGE_LIMIT + 3);
}
