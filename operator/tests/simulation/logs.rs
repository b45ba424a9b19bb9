//! Logs of the model's pods, and what the operator keeps of them. Those of the tests of Verify cannot be read: a verdict must stand without them.

use std::collections::{BTreeMap, BTreeSet};

use crm_operator::desired::{labels, names};
use crm_operator::kept::{REPORT_BYTES, whole};
use crm_operator::observed::{Ask, LogPart, Observed};
use crm_operator::plan::keep::Keep;
use crm_operator::plan::{Plan, plan};
use crm_operator::platform::Platform;

use crate::world::{World, label};

/// More than a step of the model is tried.
const TRIES: i32 = 5;

/// Keys of what is kept, by release.
pub type Reports = BTreeMap<String, BTreeSet<String>>;

impl World {
    /// Plans, and reads what the plan asks for.
    pub fn decide(&self, platform: &Platform, observed: &mut Observed) -> Plan {
        let mut planned = plan(platform, observed, self.now);
        while !planned.asks.is_empty() {
            let mut asks = planned.asks.iter();
            let again = asks.find(|ask| observed.logs.contains_key(ask));
            assert!(again.is_none(), "asked for again: {again:?}");
            let read = planned.asks.iter().map(|ask| (ask.clone(), self.log(ask)));
            observed.logs.extend(read);
            planned = plan(platform, observed, self.now);
        }
        planned
    }

    fn log(&self, ask: &Ask) -> Result<Vec<u8>, String> {
        if ask.pod.contains("-verify-") {
            return Err("its node is gone".to_owned());
        }
        match ask.part {
            LogPart::Report => {
                let mut packer = whole::Packer::new(1, REPORT_BYTES);
                packer.add("report.xml", b"<testsuite/>");
                let mut log = Vec::new();
                whole::print(&packer.finish(), &mut log).unwrap();
                Ok(log)
            }
            LogPart::End | LogPart::EndBefore => Ok(format!("log of {}\n", ask.pod).into_bytes()),
        }
    }

    /// As the API server takes it.
    pub fn keep(&mut self, keep: &Keep) {
        let release = label(&keep.object.metadata, labels::RELEASE);
        let keys = keep.object.binary_data.iter().flat_map(BTreeMap::keys);
        let all = self.reports.entry(release).or_default();
        let step = names::kept(keep.step.stage, &keep.step.step, None);
        all.retain(|key| !key.starts_with(&format!("{step}-")));
        all.extend(keys.cloned());
    }

    /// What a record says is kept was written before it, and is there, unless a later try of the step has just taken its place: that is saved next.
    pub fn assert_kept(&self) {
        let memory = self.memory();
        for record in &memory.releases {
            let jobs = record.stages.iter().flat_map(|stage| {
                let kept = stage.jobs.iter().filter(|job| job.kept_bytes.is_some());
                kept.map(move |job| {
                    let tries = job.attempt..job.attempt + TRIES;
                    tries.map(|attempt| names::kept(stage.name, &job.step, Some(attempt)))
                })
            });
            for mut names in jobs {
                let keys = self.reports.get(&record.release).into_iter().flatten();
                let is_there = |name: &String| keys.clone().any(|key| key.starts_with(name));
                assert!(
                    !self.revisions.contains_key(&record.release)
                        || names.clone().any(|name| is_there(&name)),
                    "{:?} of release {} is not kept",
                    names.next(),
                    record.release
                );
            }
        }
    }
}
