//! What becomes of a plan of which a write that nothing waits for failed. In: the write and why. Out: the plan, which neither remembers it as done nor tells of it as
//! done, and says where people look for it what is not there, or still is. It must plan no other write.

use super::Plan;
use super::action::{Created, Object, Target, Write};
use crate::api::conditions;
use crate::api::status::{Finding, shortened};

/// Longest account of why, in characters: an admission webhook may say anything.
const WORDS: usize = 600;

impl Plan {
    /// Takes a write back that was not made: it is aside (`Origin`), so all that something waits for were.
    pub fn refused(&mut self, write: &Write, why: Finding) {
        let key = write.key();
        let message = shortened(&why.message, WORDS).unwrap_or(why.message);
        let why = Finding { message, ..why };
        self.corrections.retain(|put_back| put_back.object != key);
        let object = key.replace('/', " ");
        let what = match write {
            Write::Apply(Object::Route(_) | Object::Ingress(_)) => {
                let message = format!("{object} is not there as the spec says: {}", why.message);
                self.unexposed = Some(Finding::new(conditions::APPLY_FAILED, message));
                return;
            }
            Write::Apply(_) | Write::KeepReplicas(_) => "is not as the spec says",
            Write::CreateSecret(_) => {
                let message = format!(
                    "{object} is missing; what serves is left alone, and nothing new begins"
                );
                let problem = Finding::new(&why.reason, message);
                self.problem.get_or_insert(problem);
                "is not made"
            }
            Write::Create(created) => {
                if let Created::Job(job) = created {
                    self.not_begun(job.metadata.name.as_deref().unwrap_or_default());
                }
                "is not made"
            }
            Write::Delete(target) => {
                self.not_dropped(target);
                "is not removed"
            }
        };
        self.undone
            .push(format!("{object} {what}: {}", why.message));
    }

    /// The record of a Job is open from its creation on: a stage that people hold back later would go on with one that is open.
    fn not_begun(&mut self, job: &str) {
        let releases = self.memory.releases.iter_mut();
        for stage in releases.flat_map(|release| &mut release.stages) {
            stage
                .jobs
                .retain(|record| record.job != job || record.verdict.is_some());
        }
    }

    /// A scratch database counts as there until the Job that dropped it is gone.
    fn not_dropped(&mut self, target: &Target) {
        let dropped = self.drops.get(&target.key());
        let listed = &mut self.memory.scratch;
        listed.extend(dropped.filter(|id| !listed.contains(id)).cloned());
    }
}
