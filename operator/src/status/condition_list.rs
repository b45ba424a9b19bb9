//! The one place that builds conditions: `observedGeneration` always, a transition time that moves only with the status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::api::status::Finding;

/// Conditions in the making.
pub(super) struct Conditions {
    all: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions {
    /// Those of the previous status, to be changed.
    pub fn after(previous: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self {
            all: previous.to_vec(),
            generation,
            now,
        }
    }

    /// All of them, in the order in which they were first set.
    pub fn all(self) -> Vec<Condition> {
        self.all
    }

    /// The reason of a condition, where there is one.
    pub fn reason(&self, kind: &str) -> Option<&str> {
        let mut all = self.all.iter();
        let known = all.find(|condition| condition.type_ == kind)?;
        Some(&known.reason)
    }

    /// Sets a condition; its transition time moves only when its status does.
    pub fn set(&mut self, kind: &str, status: &str, finding: &Finding) {
        let before = self
            .all
            .iter()
            .find(|condition| condition.type_ == kind)
            .cloned();
        let since = before
            .filter(|before| before.status == status)
            .map_or(Time(self.now), |before| before.last_transition_time);
        let condition = Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: finding.reason.clone(),
            message: finding.message.clone(),
            last_transition_time: since,
            observed_generation: self.generation,
        };
        match self
            .all
            .iter_mut()
            .find(|condition| condition.type_ == kind)
        {
            Some(place) => *place = condition,
            None => self.all.push(condition),
        }
    }

    /// Sets it to True while it holds, and removes it otherwise: kstatus reads these by their presence.
    pub fn only_while(&mut self, kind: &str, holds: bool, finding: &Finding) {
        if holds {
            self.set(kind, "True", finding);
        } else {
            self.all.retain(|condition| condition.type_ != kind);
        }
    }
}
