//! Watches that lag behind: what the operator still sees of a kind while the cluster has moved on. Each kind lags by itself, as real watches do.
//!
//! What the operator wrote itself it always sees: the real one looks at a platform only once its caches show its own last writes. A lag is shorter than
//! the time for which a Job that ended waits for its pod's words.

use std::collections::BTreeMap;

use crm_operator::observed::{JobView, Observed, PodView, WorkloadView};
use crm_operator::plan::action::{Created, Object, TargetKind, Write};

/// Most turns of a lag, each of a second.
pub const LONGEST: usize = 6;

/// Kinds that lag, with what is still seen of them.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    jobs: Option<BTreeMap<String, JobView>>,
    pods: Option<Vec<PodView>>,
    deployments: Option<BTreeMap<String, WorkloadView>>,
    turns: usize,
}

impl Lag {
    /// Lets a kind lag from now on, or lets time pass for one that does. `present` is what an up-to-date watch would show.
    pub fn pass(
        &mut self,
        mut roll: impl FnMut(usize) -> usize,
        present: impl FnOnce() -> Observed,
    ) {
        if self.turns > 0 {
            self.turns -= 1;
            if self.turns == 0 {
                *self = Self::default();
            }
        } else if roll(8) == 0 {
            let present = present();
            self.turns = 1 + roll(LONGEST);
            match roll(3) {
                0 => self.jobs = Some(present.jobs),
                1 => self.pods = Some(present.pods),
                _ => self.deployments = Some(present.deployments),
            }
        }
    }

    /// Whether anything lags.
    pub fn is_any(&self) -> bool {
        self.turns > 0
    }

    /// Own writes are waited for.
    pub fn written(&mut self, write: &Write) {
        match write {
            Write::Create(Created::Job(_)) => self.jobs = None,
            Write::KeepReplicas(_) | Write::Apply(Object::Deployment(_)) => self.deployments = None,
            Write::Delete(target) if target.kind == TargetKind::Job => self.jobs = None,
            Write::Delete(target) if target.kind == TargetKind::Deployment => {
                self.deployments = None
            }
            _ => {}
        }
    }

    /// What the operator sees instead of the present.
    pub fn behind(&self, present: Observed) -> Observed {
        Observed {
            jobs: self.jobs.clone().unwrap_or(present.jobs),
            pods: self.pods.clone().unwrap_or(present.pods),
            deployments: self.deployments.clone().unwrap_or(present.deployments),
            ..present
        }
    }
}
