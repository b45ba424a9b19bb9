//! The requests that an [`Elector`] asks for, each with a deadline.
//!
//! In: a client, the Lease's name, the end of this process's work. Out: [`Leadership`], log lines. Must not decide anything.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{sleep, timeout};

use super::{Elector, Held, Leadership, Step, Timing};
use crate::apply::FIELD_MANAGER;
use crate::metrics::Metrics;

/// This process led and does not any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "no longer the leader: Lease {lease} {reason}; this process ends, to be started again as a standby"
)]
pub struct Error {
    /// Its name.
    pub lease: String,
    /// What became of it.
    pub reason: String,
}

/// One process in the election for one Lease.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    timing: Timing,
    elector: Elector,
    /// As last read or written; what is not ours in it is kept.
    lease: Option<Lease>,
    leadership: Arc<Leadership>,
    metrics: Arc<Metrics>,
}

impl Election {
    /// Takes part under the name of this process and something that no other process has: a container that was started again must not take itself for the
    /// one before, whose last requests may still be on their way.
    pub fn new(
        client: &Client,
        (lease, process): (&str, &str),
        timing: Timing,
        (leadership, metrics): (Arc<Leadership>, Arc<Metrics>),
    ) -> Self {
        let identity = format!("{process}_{:016x}", random());
        Self {
            leases: Api::default_namespaced(client.clone()),
            name: lease.to_owned(),
            timing,
            elector: Elector::new(identity, timing),
            lease: None,
            leadership,
            metrics,
        }
    }

    /// Takes part until `done`, and then hands the Lease over. To be called when nothing is written any more.
    ///
    /// # Errors
    /// When this process led and does not any more. Then it must end, as those of client-go do: whatever it still has under way ends with it, and the kubelet
    /// starts it again with empty hands. Going back to standby would need a proof for each future and cache that it holds.
    pub async fn run(mut self, done: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::pin!(done);
        loop {
            match self.elector.step(Instant::now()) {
                Step::Look => self.look().await,
                Step::Acquire | Step::Renew => self.write().await,
                // Requests are not cut off: what they left must be known to be handed over.
                Step::Wait(time) => tokio::select! {
                    () = sleep(time) => {}
                    () = &mut done => {
                        self.release().await;
                        return Ok(());
                    }
                },
                Step::Lost => return Err(self.lost()),
            }
        }
    }

    async fn look(&mut self) {
        let patience = self.elector.patience(Instant::now());
        match within(patience, self.leases.get_opt(&self.name)).await {
            Ok(found) => {
                let before = self.elector.holder().to_owned();
                let held = found.as_ref().map(held);
                self.lease = found;
                self.elector.looked(held, Instant::now(), self.pause());
                let holder = self.elector.holder();
                if holder != before && !holder.is_empty() && holder != self.elector.identity() {
                    tracing::info!(lease = %self.name, leader = %holder, "standing by: another process leads");
                }
            }
            Err(reason) => self.failed("read", &reason),
        }
    }

    async fn write(&mut self) {
        let wanted = self.wanted(self.elector.identity(), self.timing.lease);
        let sent = Instant::now();
        match self.store(&wanted, self.elector.patience(sent)).await {
            Ok(stored) => {
                let gained = self.elector.until().is_none();
                self.elector.wrote(held(&stored), sent, self.pause());
                self.leadership.set(self.elector.until());
                if gained {
                    self.metrics.leads(true);
                    tracing::info!(lease = %self.name, leader = %self.elector.identity(), transitions = transitions(&stored), "this process leads");
                }
                self.lease = Some(stored);
            }
            Err(reason) => self.failed("write", &reason),
        }
    }

    /// Creates the Lease, or replaces the version that was read.
    async fn store(&self, lease: &Lease, patience: Duration) -> Result<Lease, String> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        if self.lease.is_none() {
            within(patience, self.leases.create(&params, lease)).await
        } else {
            within(patience, self.leases.replace(&self.name, &params, lease)).await
        }
    }

    /// The Lease with `holder`, over what was read.
    fn wanted(&self, holder: &str, lasts: Duration) -> Lease {
        let mut lease = self.lease.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            ..Lease::default()
        });
        lease.metadata.managed_fields = None;
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref().unwrap_or_default() != holder {
            spec.acquire_time = Some(now.clone());
            // The first holder is no transition, and giving it back is none.
            if !holder.is_empty() {
                spec.lease_transitions = Some(match self.lease {
                    Some(_) => spec.lease_transitions.unwrap_or_default().saturating_add(1),
                    None => 0,
                });
            }
        }
        spec.holder_identity = Some(holder.to_owned());
        spec.lease_duration_seconds = i32::try_from(lasts.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }

    /// Hands the Lease over: another that looks takes it at once.
    async fn release(self) {
        let led = self.elector.until().is_some();
        self.leadership.set(None);
        self.metrics.leads(false);
        if !led {
            return;
        }
        let free = self.wanted("", Duration::from_secs(1));
        match self.store(&free, self.timing.renew_deadline / 2).await {
            Ok(_) => tracing::info!(lease = %self.name, "the lease was released"),
            Err(reason) => {
                tracing::warn!(lease = %self.name, reason, "the lease was not released; another process leads once it has expired")
            }
        }
    }

    fn lost(&self) -> Error {
        self.leadership.set(None);
        self.metrics.leads(false);
        let holder = self.elector.holder();
        let error = Error {
            lease: self.name.clone(),
            reason: if holder.is_empty() || holder == self.elector.identity() {
                let seconds = self.timing.renew_deadline.as_secs();
                format!("could not be renewed within {seconds} seconds")
            } else {
                format!("was taken by {holder}")
            },
        };
        tracing::error!("{error}");
        error
    }

    fn failed(&mut self, verb: &str, reason: &str) {
        tracing::warn!(lease = %self.name, reason, "failed to {verb} the lease; it is tried again");
        self.elector.failed(Instant::now(), self.pause());
    }

    /// Up to a fifth less than the retry period, so that processes that started together do not ask together.
    fn pause(&self) -> Duration {
        let fifth = u32::try_from(random() % 200).unwrap_or_default();
        self.timing.retry - self.timing.retry / 1000 * fifth
    }
}

fn held(lease: &Lease) -> Held {
    let default = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&default);
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Held {
        holder: spec.holder_identity.clone().unwrap_or_default(),
        version: lease.resource_version().unwrap_or_default(),
        lease: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
    }
}

fn transitions(lease: &Lease) -> i32 {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.lease_transitions)
        .unwrap_or_default()
}

/// Unlike in other processes; the standard library keys its hashers by the system's random source.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

async fn within<T>(
    patience: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, String> {
    match timeout(patience, request).await {
        Ok(answer) => answer.map_err(|error| crate::error::short(&error)),
        Err(_) => Err(format!(
            "no answer from the API server within {:.1} seconds",
            patience.as_secs_f32()
        )),
    }
}
