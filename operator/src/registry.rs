//! Asks a registry for the digest behind a tag, for who signed it, and for the tags of a repository.
//!
//! In: an image reference. Out: the same repository by digest and, where signatures are asked for, the key that signed it; or plain words that name the
//! reference and what to do. Without a signature that counts there is no digest. Anonymous access only. Each question has a task of its own, so that a registry which does not answer holds up nobody; a failure is remembered for a few seconds, so that one that is
//! down is not asked by every reconcile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::time::timeout;

use crate::error::innermost;
use crate::observed::{Listing, Resolution, Unresolved};
use crate::policy::signature::SignatureKeys;

mod listed;
mod signature;
mod tags;
mod trouble;

use listed::Listed;
use signature::NoSigner;
use tags::Lister;
use trouble::unresolved;

const USER_AGENT: &str = concat!("crm-operator/", env!("CARGO_PKG_VERSION"));
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

/// Answers which digest a tag stands for, who signed it, and which tags there are.
pub struct Registry {
    client: Client,
    keys: Option<SignatureKeys>,
    asked: Mutex<HashMap<String, Asked>>,
    lister: Lister,
    listed: Listed,
}

type Answer = Result<Resolution, Unresolved>;

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
    /// A client that speaks https, but plain http to `insecure` (each `host:port`). It trusts the CA certificates of the system. With `keys`, only images that
    /// one of them signed have an answer.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new(insecure: &[String], keys: Option<SignatureKeys>) -> Result<Self, Error> {
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(insecure.to_vec()),
            connect_timeout: Some(DEADLINE),
            read_timeout: Some(DEADLINE),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| Error(innermost(&error)))?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(DEADLINE)
            .read_timeout(DEADLINE)
            // Whoever names a registry must not have others asked in its name.
            .redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| Error(innermost(&error)))?;
        Ok(Self {
            lister: Lister::new(client.clone(), http, insecure),
            listed: Listed::default(),
            client,
            keys,
            asked: Mutex::default(),
        })
    }

    /// What is known of the tags in the repository of an image, at once. An answer older than `interval` is asked for again in a task of its own; all who ask
    /// about one repository share the answer.
    pub fn tags(&self, image: &str, interval: Duration) -> Listing {
        self.listed.of(&self.lister, image, interval)
    }

    /// The image of `reference` by digest, in the same repository; of one by digest only its signer is asked for. While the registry has not answered: what it said the time before, or nothing.
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
            answer: question(
                (self.client.clone(), self.keys.clone()),
                reference.to_owned(),
            ),
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
fn question(
    (client, keys): (Client, Option<SignatureKeys>),
    reference: String,
) -> Shared<BoxFuture<'static, Answer>> {
    let lost = Unresolved::OutOfReach(format!(
        "the look-up of image {reference:?} met a bug of the operator and is made again: see its log"
    ));
    let task = tokio::spawn(async move { ask(&client, keys.as_ref(), &reference).await });
    let answer = task.map(move |answer| answer.unwrap_or(Err(lost)));
    answer.boxed().shared()
}

async fn ask(client: &Client, keys: Option<&SignatureKeys>, reference: &str) -> Answer {
    let parsed: Reference = reference.parse().map_err(|error| {
        Unresolved::Refused(format!(
            "image {reference:?} is not a valid reference ({error}): correct it in the spec"
        ))
    })?;
    let registry = parsed.resolve_registry().to_owned();
    let answer = async {
        let (image, digest) = digest(client, &parsed, reference).await?;
        let signed_by = match keys {
            None => None,
            Some(keys) => {
                let signer = signature::signer(client, keys, (&parsed, &digest)).await;
                Some(signer.map_err(|why| no_signer((reference, &image), &registry, why))?)
            }
        };
        Ok(Resolution { image, signed_by })
    };
    timeout(DEADLINE, answer).await.unwrap_or_else(|_| {
        Err(Unresolved::OutOfReach(format!(
            "{registry} did not answer within {} s for image {reference:?}: check it and the way to it",
            DEADLINE.as_secs()
        )))
    })
}

/// The image by digest, and its digest. One that is by digest stays as it was written.
async fn digest(
    client: &Client,
    parsed: &Reference,
    reference: &str,
) -> Result<(String, String), Unresolved> {
    if let Some(digest) = parsed.digest() {
        return Ok((reference.to_owned(), digest.to_owned()));
    }
    let registry = parsed.resolve_registry();
    let question = client.fetch_manifest_digest(parsed, &RegistryAuth::Anonymous);
    let digest = question
        .await
        .map_err(|error| unresolved(reference, registry, &error))?;
    if !is_digest(&digest) {
        return Err(Unresolved::Refused(format!(
            "{registry} answered for image {reference:?} with something that is no sha256 digest: use another registry, or the image by its digest"
        )));
    }
    Ok((format!("{}@{digest}", repository(reference)), digest))
}

/// Whether a registry's word is a digest: it becomes part of the image.
fn is_digest(digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64
        && hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn no_signer((reference, image): (&str, &str), registry: &str, why: NoSigner) -> Unresolved {
    match why {
        NoSigner::Unsigned(why) => Unresolved::NotSigned(format!(
            "image {reference:?} {why}: sign it with the operator's key (cosign sign --key cosign.key {image}; cosign 3 also needs --new-bundle-format=false --use-signing-config=false), or use an image that is signed"
        )),
        NoSigner::Trouble(error) => unresolved(reference, registry, &error),
    }
}

/// The reference without its tag.
fn repository(reference: &str) -> &str {
    let path = reference.rfind('/').map_or(0, |slash| slash + 1);
    reference[path..]
        .find(':')
        .map_or(reference, |colon| &reference[..path + colon])
}

#[cfg(test)]
mod tests;
