//! What becomes of a plan of which a write that nothing waits for was refused. In: the write and why. Out: the plan, which neither remembers it as done nor tells of
//! it as done, and says where people look for it what is not there, or still is. It must plan no other write.

use std::time::Duration;

use super::Plan;
use super::action::{Created, Object, Target, Write};
use crate::api::conditions;
use crate::api::status::Finding;

/// A look at a Job that could not be made, and that all is waiting for.
const TRY_AGAIN: Duration = Duration::from_secs(30);

impl Plan {
    /// Takes a write back that was not made: it is aside (`Origin`), so all others were.
    pub fn refused(&mut self, write: &Write, why: Finding) {
        let key = write.key();
        self.corrections.retain(|put_back| put_back.object != key);
        match write {
            Write::Apply(Object::Route(_) | Object::Ingress(_)) => {
                let message = format!(
                    "{} is not there as the spec says: {}",
                    spaced(&key),
                    why.message
                );
                self.unexposed = Some(Finding::new(conditions::APPLY_FAILED, message));
            }
            Write::CreateSecret(_) => {
                let message = format!(
                    "{}; what serves is left alone, and nothing new begins",
                    why.message
                );
                self.problem.get_or_insert(Finding { message, ..why });
            }
            Write::Apply(_) | Write::KeepReplicas(_) => {
                self.hindered_by(&key, "to be as the spec says", &why)
            }
            Write::Create(Created::Job(job)) => {
                let name = job.metadata.name.as_deref().unwrap_or_default();
                self.not_begun(name);
                self.hindered_by(&key, "to be made", &why);
            }
            Write::Create(_) => self.hindered_by(&key, "to be made", &why),
            Write::Delete(target) => {
                self.not_dropped(target);
                self.hindered_by(&key, "to be removed", &why);
            }
        }
    }

    /// Says what does not come as long as it is refused, unless there is something else to wait for.
    fn hindered_by(&mut self, key: &str, what: &str, why: &Finding) {
        if self.waiting.is_none() {
            self.waiting = Some(format!("{} {what}: {}", spaced(key), why.message));
            self.hindered = true;
        }
    }

    /// The record of a Job is open from its creation on: a stage that people hold back later would go on with one that is open.
    fn not_begun(&mut self, job: &str) {
        let stages = self.memory.releases.iter_mut();
        for stage in stages.flat_map(|release| &mut release.stages) {
            stage
                .jobs
                .retain(|record| record.job != job || record.verdict.is_some());
        }
        let own = format!("Job {job}");
        if self.waiting.as_ref() == Some(&own) {
            self.waiting = None;
            self.requeue = self.requeue.max(TRY_AGAIN);
        }
    }

    /// A scratch database counts as there until the Job that dropped it is gone.
    fn not_dropped(&mut self, target: &Target) {
        let dropped = self
            .drops
            .get(&target.name)
            .filter(|_| target.key().starts_with("Job/"));
        let listed = &mut self.memory.scratch;
        listed.extend(dropped.filter(|id| !listed.contains(id)).cloned());
    }
}

fn spaced(key: &str) -> String {
    key.replace('/', " ")
}
