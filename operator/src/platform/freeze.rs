//! Freeze windows: `spec.release.freeze` in, [`Freeze`] out, or [`Invalid`]; and whether one holds at a moment. Time zones come with the binary.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use cronexpr::{Crontab, MakeTimestamp};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Invalid, invalid};
use crate::api::spec::FreezeSpec;

/// A window that comes again and again.
#[derive(Clone, Debug)]
pub struct Freeze {
    begins: Crontab,
    lasts: SignedDuration,
    /// Why.
    pub reason: String,
}

impl Freeze {
    /// Reads the window at this place of `spec.release.freeze`.
    ///
    /// # Errors
    /// [`Invalid`] for a schedule or a time zone that cannot be read.
    pub(super) fn parse((place, spec): (usize, &FreezeSpec)) -> Result<Self, Invalid> {
        let field = |name: &str| format!("spec.release.freeze[{place}].{name}");
        if k8s_openapi::jiff::tz::TimeZone::get(&spec.time_zone).is_err() {
            let problem = format!("{:?} is not a time zone", spec.time_zone);
            let remedy = "use a name of the IANA database, for example Europe/Berlin or UTC";
            return Err(invalid(&field("timeZone"), &problem, remedy));
        }
        let begins = cronexpr::parse_crontab(&format!("{} {}", spec.schedule, spec.time_zone));
        let begins = begins.map_err(|_| {
            let problem = format!("{:?} cannot be read", spec.schedule);
            let remedy = "use five fields (minute, hour, day of month, month, day of week), for example \"0 18 * * 5\"";
            invalid(&field("schedule"), &problem, remedy)
        })?;
        // Some cron expressions are never met, for example on 31 February; such a window would protect nothing.
        if begins
            .find_next(MakeTimestamp(Timestamp::UNIX_EPOCH))
            .is_err()
        {
            let problem = format!("{:?} is never met", spec.schedule);
            return Err(invalid(
                &field("schedule"),
                &problem,
                "correct its day and month",
            ));
        }
        Ok(Self {
            begins,
            lasts: SignedDuration::from_mins(i64::from(spec.duration_minutes)),
            reason: spec.reason.clone(),
        })
    }

    /// The window that holds at this moment; of several the one that began last. The moment at which a window begins belongs to it, the one at which it ends does not.
    pub fn at(&self, now: Timestamp) -> Option<Window> {
        let earliest = now.checked_sub(self.lasts).ok()?;
        let begin = self.last_begin((earliest, now))?;
        let ends = begin.checked_add(self.lasts).ok()?;
        let is_last = self.next(begin).is_none_or(|next| next > ends);
        Some(Window { ends, is_last })
    }

    /// The last begin after one moment and not after the other. By halves: a window may begin each minute and last a month.
    fn last_begin(&self, (after, now): (Timestamp, Timestamp)) -> Option<Timestamp> {
        let begun = |after: Timestamp| self.next(after).filter(|begin| *begin <= now);
        let (mut last, mut none_after) = (begun(after)?, now);
        while let Some(next) = begun(last) {
            let half = last.checked_add(none_after.duration_since(last) / 2).ok()?;
            last = begun(half).unwrap_or_else(|| {
                none_after = half;
                next
            });
        }
        Some(last)
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.begins.find_next(MakeTimestamp(after)).ok()?;
        Some(next.timestamp())
    }
}

/// A window that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it ends.
    pub ends: Timestamp,
    /// Whether no other window of the same freeze follows it without a gap.
    pub is_last: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(schedule: &str, duration_minutes: i32, time_zone: &str) -> Result<Freeze, Invalid> {
        let spec = FreezeSpec {
            schedule: schedule.into(),
            duration_minutes,
            time_zone: time_zone.into(),
            reason: "weekend".into(),
        };
        Freeze::parse((0, &spec))
    }

    fn until(freeze: &Freeze, now: &str) -> Option<String> {
        let window = freeze.at(now.parse().unwrap());
        window.map(|window| window.ends.to_string())
    }

    #[test]
    fn a_weekend_begins_and_ends_by_the_clock_of_its_time_zone() {
        // 18:00 in Berlin is 16:00 UTC in summer; 63 hours later it is Monday, 9:00.
        let weekend = freeze("0 18 * * 5", 3780, "Europe/Berlin").unwrap();
        assert_eq!(until(&weekend, "2026-06-05T15:59:59Z"), None);
        let monday = Some("2026-06-08T07:00:00Z".to_owned());
        assert_eq!(until(&weekend, "2026-06-05T16:00:00Z"), monday);
        assert_eq!(until(&weekend, "2026-06-08T06:59:59Z"), monday);
        assert_eq!(until(&weekend, "2026-06-08T07:00:00Z"), None);
    }

    #[test]
    fn a_window_keeps_its_length_when_the_clock_is_put_back() {
        let weekend = freeze("0 18 * * 5", 3780, "Europe/Berlin").unwrap();
        // Summer time ends on 2026-10-25.
        assert_eq!(until(&weekend, "2026-10-23T15:59:59Z"), None);
        assert_eq!(
            until(&weekend, "2026-10-25T12:00:00Z"),
            Some("2026-10-26T07:00:00Z".to_owned())
        );
    }

    #[test]
    fn windows_that_overlap_never_let_go() {
        let always = freeze("0 * * * *", 90, "UTC").unwrap();
        for minute in 0..180 {
            let now = Timestamp::from_second(1_780_000_000 + minute * 60).unwrap();
            let window = always.at(now).unwrap();
            assert!(window.ends > now && !window.is_last);
            // An approval goes through the window that began last, not only to the end of the one before.
            assert!(window.ends.duration_since(now) > SignedDuration::from_mins(29));
        }
    }

    #[test]
    fn the_last_of_very_many_windows_is_found() {
        let always = freeze("* * * * *", 44_640, "UTC").unwrap();
        let now = "2026-06-05T15:59:59Z".parse().unwrap();
        let ends = always.at(now).unwrap().ends;
        assert_eq!(ends, "2026-07-06T15:59:00Z".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_read_names_its_field() {
        let wrong = freeze("0 18 * * fryday", 60, "UTC").unwrap_err();
        assert_eq!(wrong.field, "spec.release.freeze[0].schedule");
        let wrong = freeze("0 18 31 2 *", 60, "UTC").unwrap_err();
        assert_eq!(wrong.problem, "\"0 18 31 2 *\" is never met");
        let wrong = freeze("0 18 * *", 60, "UTC").unwrap_err();
        assert_eq!(wrong.field, "spec.release.freeze[0].schedule");
        let wrong = freeze("0 18 * * 5", 60, "Europe/Bärlin").unwrap_err();
        assert_eq!(wrong.field, "spec.release.freeze[0].timeZone");
    }
}
