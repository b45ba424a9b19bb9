//! The process beside a test: it waits for the end of the test, and what it leaves is what the judge reads.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::process::{Command, id};

use crm_operator::kept::{REPORT_BYTES, whole};
use crm_operator::report::Collected;
use crm_operator::report::collect::run;

#[tokio::test]
async fn leaves_its_summary_when_the_test_has_ended() {
    let folder = std::env::temp_dir().join(format!("crm-collect-{}", id()));
    fs::create_dir_all(&folder).unwrap();
    let words = folder.join("termination-log");
    let ends = async {
        // What the test writes last counts too: nothing is read before it has ended.
        let report = "<testsuite><testcase name='a'><failure message='b'/></testcase></testsuite>";
        fs::write(folder.join("late.xml"), report).unwrap();
        let mut kill = Command::new("kill");
        assert!(
            kill.args(["-TERM", &id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    };
    // The first one listens before the second one begins.
    let mut log = Vec::new();
    let kept = (REPORT_BYTES, &mut log);
    let (done, ()) = tokio::join!(biased; run(&folder, &words, kept), ends);
    done.unwrap();
    let summary = Collected::read(&fs::read_to_string(&words).unwrap()).unwrap();
    assert_eq!((summary.files, summary.failed), (1, 1));
    assert!(whole::read(&log).is_ok(), "the whole of it is in its log");
    fs::remove_dir_all(&folder).unwrap();
}
