//! The four figures of DORA from what was counted on each day. They speak of the days up to the last one on which something was decided, so that they change only with
//! a release and never write a status by themselves.

use crate::api::status::{DeliveryDay, Dora, Memory};
use crate::cost::rounded;
use crate::plan::WINDOW;

/// The figures; nothing before the first release was decided on live traffic.
pub(super) fn of(memory: &Memory) -> Option<Dora> {
    let days = &memory.delivery_days;
    let newest = days.first()?;
    let sum = |of: fn(&DeliveryDay) -> i64| days.iter().map(of).sum::<i64>();
    let deployments = sum(|day| day.deployments);
    let failures = sum(|day| day.taken_back + day.rolled_back);
    let changes = deployments + sum(|day| day.taken_back);
    Some(Dora {
        through: newest.day.clone(),
        days: WINDOW,
        deployments,
        deployments_per_day: ratio(deployments, WINDOW).unwrap_or_default(),
        lead_time_seconds: ratio(sum(|day| day.lead_seconds), deployments),
        // Who goes back from what came before the window has more failures than changes.
        change_failure_rate: ratio(failures.min(changes), changes),
        time_to_restore_seconds: ratio(sum(|day| day.restore_seconds), sum(|day| day.restored)),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and seconds are far below 2^52"
)]
fn ratio(part: i64, whole: i64) -> Option<String> {
    (whole > 0).then(|| rounded(part as f64 / whole as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_figures_from_three_days() {
        let day = |text: &str| serde_saphyr::from_str::<DeliveryDay>(text).unwrap();
        let memory = Memory {
            delivery_days: vec![
                day("{day: '2026-01-31', deployments: 2, leadSeconds: 700}"),
                day("{day: '2026-01-20', takenBack: 1, restored: 1, restoreSeconds: 50}"),
                day(
                    "{day: '2026-01-02', deployments: 1, leadSeconds: 200, rolledBack: 1, restored: 1, restoreSeconds: 25}",
                ),
            ],
            ..Memory::default()
        };
        let dora = of(&memory).unwrap();
        assert_eq!((dora.through.as_str(), dora.deployments), ("2026-01-31", 3));
        assert_eq!(dora.deployments_per_day, "0.1");
        assert_eq!(dora.lead_time_seconds.as_deref(), Some("300"));
        // Four met live traffic; one was taken back, one gone back from.
        assert_eq!(dora.change_failure_rate.as_deref(), Some("0.5"));
        assert_eq!(dora.time_to_restore_seconds.as_deref(), Some("37.5"));
        assert_eq!(of(&Memory::default()), None);
    }
}
