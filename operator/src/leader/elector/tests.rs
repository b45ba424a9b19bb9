//! Each decision by itself, and a model of two processes whose requests are held up, lost or answered late.

use super::*;

mod model;

const OURS: &str = "a_1";
const OTHER: &str = "b_2";
const PAUSE: Duration = Duration::from_secs(2);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn held(holder: &str, version: &str) -> Held {
    Held {
        holder: holder.into(),
        version: version.into(),
        lease: seconds(15),
    }
}

/// An elector, and the time at which it starts.
fn elector() -> (Elector, Instant) {
    #[expect(clippy::disallowed_methods, reason = "any time will do to begin with")]
    let start = Instant::now();
    (Elector::new(OURS.into(), Timing::default()), start)
}

#[test]
fn looks_first_and_takes_what_nobody_holds() {
    for found in [None, Some(held("", "4"))] {
        let (mut elector, t) = elector();
        assert_eq!(elector.step(t), Step::Look);
        elector.looked(found, t, PAUSE);
        assert_eq!(elector.step(t), Step::Acquire);
    }
}

#[test]
fn waits_for_another_until_it_has_itself_seen_no_change_for_so_long() {
    let (mut elector, t) = elector();
    for second in (0..14).step_by(2) {
        elector.looked(Some(held(OTHER, "4")), t + seconds(second), PAUSE);
        assert_eq!(elector.step(t + seconds(second)), Step::Wait(PAUSE));
        assert_eq!(elector.step(t + seconds(second + 2)), Step::Look);
    }
    elector.looked(Some(held(OTHER, "4")), t + seconds(14), PAUSE);
    assert_eq!(elector.step(t + seconds(14)), Step::Wait(seconds(1)));
    elector.looked(Some(held(OTHER, "4")), t + seconds(15), PAUSE);
    assert_eq!(elector.step(t + seconds(15)), Step::Acquire);
}

#[test]
fn each_renewal_of_another_starts_the_wait_anew() {
    let (mut elector, t) = elector();
    elector.looked(Some(held(OTHER, "4")), t, PAUSE);
    elector.looked(Some(held(OTHER, "5")), t + seconds(14), PAUSE);
    elector.looked(Some(held(OTHER, "5")), t + seconds(28), PAUSE);
    assert_eq!(elector.step(t + seconds(28)), Step::Wait(seconds(1)));
}

#[test]
fn leads_from_when_the_request_was_sent_and_renews() {
    let (mut elector, t) = elector();
    elector.looked(None, t, PAUSE);
    elector.wrote(held(OURS, "1"), t + seconds(1), PAUSE);
    assert_eq!(elector.until(), Some(t + seconds(11)));
    assert_eq!(elector.step(t + seconds(2)), Step::Wait(seconds(1)));
    assert_eq!(elector.step(t + seconds(3)), Step::Renew);
}

#[test]
fn stops_when_no_renewal_went_well_in_time() {
    let (mut elector, t) = elector();
    elector.wrote(held(OURS, "1"), t, PAUSE);
    elector.failed(t + seconds(5), PAUSE);
    assert_eq!(elector.step(t + seconds(5)), Step::Wait(PAUSE));
    assert_eq!(elector.step(t + seconds(7)), Step::Look);
    assert_eq!(elector.patience(t + seconds(7)), seconds(3));
    elector.failed(t + seconds(9), PAUSE);
    assert_eq!(elector.step(t + seconds(9)), Step::Wait(seconds(1)));
    assert_eq!(elector.step(t + seconds(10)), Step::Lost);
}

#[test]
fn stops_at_once_when_another_has_taken_it() {
    let (mut elector, t) = elector();
    elector.wrote(held(OURS, "1"), t, PAUSE);
    elector.failed(t + seconds(2), PAUSE);
    elector.looked(Some(held(OTHER, "2")), t + seconds(4), PAUSE);
    assert_eq!(elector.step(t + seconds(4)), Step::Lost);
}

#[test]
fn a_write_whose_answer_was_lost_is_no_leadership_until_it_is_renewed() {
    let (mut elector, t) = elector();
    elector.looked(None, t, PAUSE);
    elector.failed(t + seconds(5), PAUSE);
    elector.looked(Some(held(OURS, "1")), t + seconds(7), PAUSE);
    assert_eq!(elector.until(), None);
    assert_eq!(elector.step(t + seconds(7)), Step::Renew);
}

#[test]
fn the_process_before_this_one_in_the_same_pod_is_another() {
    let (mut elector, t) = elector();
    elector.looked(Some(held("a_0", "4")), t, PAUSE);
    assert_eq!(elector.step(t), Step::Wait(PAUSE));
}
