//! Asks a registry for the digest behind a tag.
//!
//! In: an image reference of a spec. Out: the same repository by digest, or plain words that name the reference and what to do. Anonymous access only. A
//! failure is remembered for a few seconds, so that a registry that is down is not asked by every reconcile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::time::timeout;

use crate::error::innermost;

const DEADLINE: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// No client for registries could be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to set up TLS for image registries ({0}): the image or the machine needs a bundle of CA certificates, in /etc/ssl/certs or where SSL_CERT_FILE says"
)]
pub struct Error(String);

/// Answers which digest a tag stands for.
pub struct Registry {
    client: Client,
    failures: Mutex<HashMap<String, (Instant, String)>>,
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
            failures: Mutex::default(),
        })
    }

    /// The image of `reference` by digest, in the same repository.
    ///
    /// # Errors
    /// Words for people: what happened to which reference, and what to do.
    pub async fn resolve(&self, reference: &str) -> Result<String, String> {
        if let Some(known) = self.recent_failure(reference) {
            return Err(known);
        }
        let answer = self.ask(reference).await;
        if let Err(words) = &answer {
            self.lock()
                .insert(reference.to_owned(), (Instant::now(), words.clone()));
        }
        answer
    }

    async fn ask(&self, reference: &str) -> Result<String, String> {
        let parsed: Reference = reference.parse().map_err(|error| {
            format!(
                "image {reference:?} is not a valid reference ({error}): correct it in the spec"
            )
        })?;
        let registry = parsed.resolve_registry().to_owned();
        match timeout(
            DEADLINE,
            self.client
                .fetch_manifest_digest(&parsed, &RegistryAuth::Anonymous),
        )
        .await
        {
            Ok(Ok(digest)) => Ok(format!("{}@{digest}", repository(reference))),
            Ok(Err(error)) => Err(words(reference, &registry, &error)),
            Err(_) => Err(format!(
                "registry {registry} did not answer within {} s for image {reference:?}: check the registry and the way to it",
                DEADLINE.as_secs()
            )),
        }
    }

    fn recent_failure(&self, reference: &str) -> Option<String> {
        let mut failures = self.lock();
        failures.retain(|_, (at, _)| at.elapsed() < ASK_AGAIN);
        failures.get(reference).map(|(_, words)| words.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, String)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reference without its tag.
fn repository(reference: &str) -> &str {
    let path = reference.rfind('/').map_or(0, |slash| slash + 1);
    reference[path..]
        .find(':')
        .map_or(reference, |colon| &reference[..path + colon])
}

fn words(reference: &str, registry: &str, error: &OciDistributionError) -> String {
    match Cause::of(error) {
        Cause::NotFound => format!(
            "image {reference:?} is not in registry {registry}: push it, or correct the reference"
        ),
        Cause::Denied => format!(
            "registry {registry} does not show image {reference:?} without credentials: make it readable without, or use a registry that is"
        ),
        Cause::Limited => format!(
            "registry {registry} answers too many requests for image {reference:?}: it is asked again; name the image by digest to need no registry"
        ),
        Cause::Unreachable(why) => {
            format!(
                "registry {registry} cannot be reached for image {reference:?} ({why}): check its name and the way to it; plain http must be allowed in the operator's configuration"
            )
        }
        Cause::Other => format!(
            "registry {registry} did not tell the digest of image {reference:?} ({}): check the registry",
            innermost(error)
        ),
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
