//! Asks a registry for the digest behind a tag.
//!
//! In: an image reference of a spec. Out: the same repository by digest, or plain words that name the reference and what to do. Anonymous access only. Each
//! question has a task of its own, so that a registry which does not answer holds up nobody; a failure is remembered for a few seconds, so that one that is
//! down is not asked by every reconcile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::time::timeout;

use crate::error::innermost;
use crate::observed::Unresolved;

const DEADLINE: Duration = Duration::from_secs(10);
/// How long the first looks after a question wait for its answer; most come at once.
const PATIENCE: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// A registry that cannot be asked for so long needs a person.
const AWAY: Duration = Duration::from_secs(120);
/// After this an answer for which nobody came back is dropped.
const KEPT: Duration = Duration::from_secs(60);

/// No client for registries could be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to set up TLS for image registries ({0}): the image or the machine needs a bundle of CA certificates, in /etc/ssl/certs or where SSL_CERT_FILE says"
)]
pub struct Error(String);

/// Answers which digest a tag stands for.
pub struct Registry {
    client: Client,
    asked: Mutex<HashMap<String, Asked>>,
}

type Answer = Result<String, Unresolved>;

/// A question, and its answer once it is there.
#[derive(Clone)]
struct Asked {
    at: Instant,
    answer: Shared<BoxFuture<'static, Answer>>,
    /// What was answered the time before.
    before: Option<Answer>,
    /// Since when the registry cannot be asked.
    away_since: Option<Instant>,
    told: Option<Told>,
}

/// A failure that somebody knows.
#[derive(Clone)]
struct Told {
    at: Instant,
    answer: Answer,
}

impl Registry {
    /// A client that speaks https, but plain http to `insecure` (each `host:port`). It trusts the CA certificates of the system.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new(insecure: &[String]) -> Result<Self, Error> {
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(insecure.to_vec()),
            connect_timeout: Some(DEADLINE),
            read_timeout: Some(DEADLINE),
            user_agent: concat!("crm-operator/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| Error(innermost(&error)))?;
        Ok(Self {
            client,
            asked: Mutex::default(),
        })
    }

    /// The image of `reference` by digest, in the same repository. While the registry has not answered: what it said the time before, or nothing.
    ///
    /// # Errors
    /// Words for people: what happened to which reference, and what to do.
    pub async fn resolve(&self, reference: &str) -> Option<Answer> {
        let asked = self.ask(reference);
        let patience = PATIENCE.saturating_sub(asked.at.elapsed());
        match timeout(patience, asked.answer).await {
            Ok(answer) => Some(self.told(reference, answer)),
            Err(_) => asked.before,
        }
    }

    /// The question of earlier, or a new one.
    fn ask(&self, reference: &str) -> Asked {
        let mut all = self.lock();
        all.retain(|_, asked| asked.at.elapsed() < KEPT);
        let known = all.get(reference);
        if let Some(asked) = known.filter(|asked| asked.is_recent()) {
            return asked.clone();
        }
        let asked = Asked {
            at: Instant::now(),
            answer: question(self.client.clone(), reference.to_owned()),
            before: known
                .and_then(|asked| asked.told.clone())
                .map(|told| told.answer),
            away_since: known.and_then(|asked| asked.away_since),
            told: None,
        };
        all.insert(reference.to_owned(), asked.clone());
        asked
    }

    /// Remembers that somebody knows the answer. One that stays away for long needs a person.
    fn told(&self, reference: &str, answer: Answer) -> Answer {
        let mut all = self.lock();
        let Some(asked) = all.get_mut(reference).filter(|_| answer.is_err()) else {
            all.remove(reference);
            return answer;
        };
        let answer = match answer {
            Err(Unresolved::OutOfReach(words)) => {
                let since = asked.away_since.get_or_insert(asked.at);
                Err(match since.elapsed() < AWAY {
                    true => Unresolved::OutOfReach(words),
                    false => Unresolved::Refused(words),
                })
            }
            other => {
                asked.away_since = None;
                other
            }
        };
        let told = asked.told.get_or_insert_with(|| Told {
            at: Instant::now(),
            answer,
        });
        told.answer.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn is_recent(&self) -> bool {
        match &self.told {
            Some(told) => told.at.elapsed() < ASK_AGAIN,
            None => self.at.elapsed() < DEADLINE + ASK_AGAIN,
        }
    }
}

/// Asks in a task of its own.
fn question(client: Client, reference: String) -> Shared<BoxFuture<'static, Answer>> {
    let lost = Unresolved::OutOfReach(format!(
        "the look-up of image {reference:?} met a bug of the operator and is made again: see its log"
    ));
    let task = tokio::spawn(async move { ask(&client, &reference).await });
    let answer = task.map(move |answer| answer.unwrap_or(Err(lost)));
    answer.boxed().shared()
}

async fn ask(client: &Client, reference: &str) -> Answer {
    let parsed: Reference = reference.parse().map_err(|error| {
        Unresolved::Refused(format!(
            "image {reference:?} is not a valid reference ({error}): correct it in the spec"
        ))
    })?;
    let registry = parsed.resolve_registry().to_owned();
    let question = client.fetch_manifest_digest(&parsed, &RegistryAuth::Anonymous);
    match timeout(DEADLINE, question).await {
        Ok(Ok(digest)) => Ok(format!("{}@{digest}", repository(reference))),
        Ok(Err(error)) => Err(unresolved(reference, &registry, &error)),
        Err(_) => Err(Unresolved::OutOfReach(format!(
            "{registry} did not answer within {} s for image {reference:?}: check it and the way to it",
            DEADLINE.as_secs()
        ))),
    }
}

/// The reference without its tag.
fn repository(reference: &str) -> &str {
    let path = reference.rfind('/').map_or(0, |slash| slash + 1);
    reference[path..]
        .find(':')
        .map_or(reference, |colon| &reference[..path + colon])
}

fn unresolved(reference: &str, registry: &str, error: &OciDistributionError) -> Unresolved {
    match Cause::of(error) {
        Cause::NotFound => Unresolved::Refused(format!(
            "image {reference:?} is not in registry {registry}: push it, or correct the reference"
        )),
        Cause::Denied => Unresolved::Refused(format!(
            "registry {registry} does not show image {reference:?} without credentials: make it readable without, or use a registry that is"
        )),
        Cause::Limited => Unresolved::OutOfReach(format!(
            "registry {registry} answers too many requests for image {reference:?}: it is asked again; name the image by digest to need no registry"
        )),
        Cause::Unreachable(why) => Unresolved::OutOfReach(format!(
            "registry {registry} cannot be reached for image {reference:?} ({why}): check its name and the way to it; plain http must be allowed in the operator's configuration"
        )),
        Cause::Other => Unresolved::OutOfReach(format!(
            "registry {registry} did not tell the digest of image {reference:?} ({}): check the registry",
            innermost(error)
        )),
    }
}

enum Cause {
    NotFound,
    Denied,
    Limited,
    Unreachable(String),
    Other,
}

impl Cause {
    fn of(error: &OciDistributionError) -> Self {
        match error {
            OciDistributionError::ImageManifestNotFoundError(_) => Self::NotFound,
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Self::Denied,
            OciDistributionError::ServerError { code: 404, .. } => Self::NotFound,
            OciDistributionError::ServerError {
                code: 401 | 403, ..
            } => Self::Denied,
            OciDistributionError::ServerError { code: 429, .. } => Self::Limited,
            OciDistributionError::RegistryError { envelope, .. } => envelope
                .errors
                .first()
                .map_or(Self::Other, |error| Self::of_code(&error.code)),
            OciDistributionError::RequestError(request)
                if request.is_connect() || request.is_timeout() =>
            {
                Self::Unreachable(innermost(error))
            }
            _ => Self::Other,
        }
    }

    fn of_code(code: &OciErrorCode) -> Self {
        match code {
            OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound => {
                Self::NotFound
            }
            OciErrorCode::Unauthorized | OciErrorCode::Denied => Self::Denied,
            OciErrorCode::Toomanyrequests => Self::Limited,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
