//! Which images a tenant may use: rules of the operator's own configuration, out of a tenant's reach.
//!
//! In: that configuration, and image references. Out: nothing, or why a reference is refused, in words for people. Must not ask anybody: what only a
//! registry knows (digests, signatures) is asked in `registry`, and signatures are judged in `signature`.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use oci_client::Reference;

pub mod signature;

use signature::SignatureKeys;

/// How many allowed registries a refusal names.
const NAMED: usize = 5;

/// An entry of the allow-list that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "allowed registry {entry:?} is neither a registry nor a repository of one: write the host, with its port if it has one, and at most a path, such as registry.example:5000 or registry.example/team"
)]
pub struct Error {
    entry: String,
}

/// The rules. By default every image is allowed.
#[derive(Clone, Debug, Default)]
pub struct ImagePolicy {
    /// Empty: from anywhere.
    allowed: Vec<Allowed>,
    require_digest: bool,
    keys: Option<SignatureKeys>,
}

/// A registry, or a repository of one and all that lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowed {
    registry: String,
    /// Empty: the whole registry.
    repository: String,
}

impl ImagePolicy {
    /// Rules out of the operator's configuration. With no entry in `allowed` an image may come from anywhere; with `keys` it must be signed by one of them.
    ///
    /// # Errors
    /// For an entry that names no registry: an allow-list is never followed in part.
    pub fn new(
        allowed: &[String],
        require_digest: bool,
        keys: Option<SignatureKeys>,
    ) -> Result<Self, Error> {
        let allowed = allowed.iter().map(|entry| Allowed::parse(entry));
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
            require_digest,
            keys,
        })
    }

    /// Whether an image may be used, as far as its reference tells.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the reference: what is wrong with it, and what to do.
    pub fn permits(&self, reference: &str) -> Result<(), String> {
        if self.allowed.is_empty() && !self.require_digest {
            return Ok(());
        }
        let parsed: Reference = reference
            .parse()
            .map_err(|error| format!("is not a valid reference ({error}): correct it"))?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|own| own.covers(&parsed)) {
            return Err(self.not_allowed(&parsed));
        }
        let digest = parsed.digest().unwrap_or_default();
        if self.require_digest && !digest.starts_with("sha256:") {
            return Err(
                "names no digest, which this operator asks for: write it as repository@sha256:..."
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn not_allowed(&self, reference: &Reference) -> String {
        let named = self.allowed.iter().take(NAMED).map(ToString::to_string);
        let mut named = named.collect::<Vec<_>>().join(", ");
        if let Some(more) = self
            .allowed
            .len()
            .checked_sub(NAMED)
            .filter(|more| *more > 0)
        {
            named = format!("{named} and {more} more");
        }
        format!(
            "is in {}/{}, which this operator does not allow: use an image from {named}, or have the operator's --allowed-registries extended",
            reference.registry(),
            reference.repository()
        )
    }

    /// Whether images must be signed.
    pub fn requires_signature(&self) -> bool {
        self.keys.is_some()
    }

    /// The keys, one of which must have signed an image.
    pub fn keys(&self) -> Option<&SignatureKeys> {
        self.keys.as_ref()
    }

    /// Whether what was found out about the signer of an image, if anything, is enough today.
    pub fn trusts(&self, signed_by: Option<&str>) -> bool {
        self.keys
            .as_ref()
            .is_none_or(|keys| signed_by.is_some_and(|signer| keys.has(signer)))
    }
}

impl Allowed {
    fn parse(entry: &str) -> Result<Self, Error> {
        let error = || Error {
            entry: entry.to_owned(),
        };
        let path = entry.strip_suffix('/').unwrap_or(entry);
        let host = path.split('/').next().unwrap_or_default();
        let is_host = host == "localhost" || host.contains(['.', ':']);
        if !is_host || path.chars().any(char::is_uppercase) {
            return Err(error());
        }
        // As a tenant's reference is read, so that both mean the same; of docker.io a single word would be read as an official image.
        let below: Reference = format!("{path}/x/x").parse().map_err(|_| error())?;
        let repository = below.repository().strip_suffix("x/x").unwrap_or_default();
        Ok(Self {
            registry: below.registry().to_owned(),
            repository: repository.trim_end_matches('/').to_owned(),
        })
    }

    fn covers(&self, reference: &Reference) -> bool {
        // A node reads Name/image as a registry called Name, this library as a repository of docker.io.
        let is_plain = !reference.repository().chars().any(char::is_uppercase);
        let rest = reference.repository().strip_prefix(&self.repository);
        let is_below = self.repository.is_empty()
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_plain && self.registry == reference.registry() && is_below
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.repository.as_str() {
            "" => write!(f, "{}", self.registry),
            repository => write!(f, "{}/{repository}", self.registry),
        }
    }
}

#[cfg(test)]
mod tests;
