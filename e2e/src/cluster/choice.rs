//! Which cluster is used and why: the one that was used last, or else what this machine can run. Says so, and refuses what cannot work here; it changes nothing.

use anyhow::Result;

use super::{Cluster, Origin, saved};
use crate::{kind, node, progress};

/// A cluster that was chosen, and is still to be brought up.
pub(crate) struct Choice {
    origin: Origin,
    last: Option<Cluster>,
}

impl Choice {
    /// Chooses, for callers that hold the lock.
    ///
    /// # Errors
    /// When it is a node of its own and this machine or this user cannot run one.
    pub fn make() -> Result<Self> {
        let last = saved();
        let (origin, why) = decide(last.as_ref().map(|last| last.origin), kind::obstacle);
        tell(origin, why);
        if origin == Origin::Node {
            node::refuse_unless_possible()?;
        }
        Ok(Self { origin, last })
    }

    /// Makes the cluster or repairs it; returns when it serves.
    ///
    /// # Errors
    /// When it does not get ready in time; the message has the end of the log concerned.
    pub fn bring_up(self) -> Result<Cluster> {
        match (self.origin, self.last) {
            (Origin::Given, Some(last)) => Cluster::check_given(last),
            (Origin::Kind, _) => kind::up(),
            (Origin::Node | Origin::Given, _) => Cluster::local(),
        }
    }
}

/// Tells a person which cluster it is.
pub(super) fn tell(origin: Origin, why: &str) {
    progress::note(&format!("cluster: {origin} ({why})"));
}

fn decide(
    last: Option<Origin>,
    obstacle_to_kind: impl FnOnce() -> Option<&'static str>,
) -> (Origin, &'static str) {
    if let Some(origin) = last {
        return (origin, "it was used last; `cargo e2e down` forgets it");
    }
    match obstacle_to_kind() {
        Some(obstacle) => (Origin::Node, obstacle),
        None => (Origin::Kind, "it is installed and Docker answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_used_last_is_used_again_whatever_this_machine_can_run() {
        for origin in [Origin::Given, Origin::Kind, Origin::Node] {
            assert_eq!(decide(Some(origin), || None).0, origin);
            assert_eq!(decide(Some(origin), || Some("no Docker")).0, origin);
        }
    }

    #[test]
    fn a_node_of_its_own_is_told_with_what_speaks_against_kind() {
        let chosen = decide(None, || Some("Docker does not answer"));
        assert_eq!(chosen, (Origin::Node, "Docker does not answer"));
        assert_eq!(decide(None, || None).0, Origin::Kind);
    }
}
