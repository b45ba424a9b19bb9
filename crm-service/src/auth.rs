//! Who calls: a bearer token in, a [`Principal`] or a 401/403 out.
//!
//! Tokens are JSON Web Tokens signed with a key of the platform's shared key set. Nothing here asks the network: the
//! key set comes with the pod, so that no outage of an issuer can stop the service.

pub mod mint;

use std::collections::HashMap;

use axum::http::{HeaderMap, header};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use uuid::Uuid;

use crate::http::problem::Problem;

/// The audience that every token must name.
pub const AUDIENCE: &str = "crm";
/// Longest accepted token, in bytes.
const MAXIMUM_TOKEN: usize = 8192;

/// Why the key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without keys no caller could be told from another.
    #[error(
        "CRM_JWKS is not set: give the JSON Web Key Set whose tokens are accepted; there is no way to serve without"
    )]
    Missing,
    /// Not a key set.
    #[error("CRM_JWKS is not a JSON Web Key Set: give {{\"keys\":[…]}}")]
    Malformed(#[source] serde_json::Error),
    /// No usable key in it.
    #[error("CRM_JWKS has no usable key: each needs a kid and must be for EdDSA, ES256 or RS256")]
    Empty,
}

/// What a role may do. The greatest of a token's roles counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Read records.
    Read,
    /// Read and write records.
    Write,
    /// Write the configuration too: pipelines and stages.
    Configure,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who it is; kept with every record it writes.
    pub subject: String,
    /// What it may do.
    pub right: Right,
    /// Whose rows it sees: nil for real ones, else the test run that made them.
    pub run: Uuid,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    run: Option<Uuid>,
}

/// The keys whose tokens are accepted.
pub struct Verifier {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
}

impl Verifier {
    /// Reads `CRM_JWKS`.
    ///
    /// # Errors
    /// It is absent, unreadable or has no usable key.
    pub fn from_environment() -> Result<Verifier, Error> {
        Self::from_json(&std::env::var("CRM_JWKS").map_err(|_| Error::Missing)?)
    }

    /// Reads a key set. Keys of other algorithms are left out.
    ///
    /// # Errors
    /// It is unreadable or has no usable key.
    pub fn from_json(text: &str) -> Result<Verifier, Error> {
        let set: JwkSet = serde_json::from_str(text).map_err(Error::Malformed)?;
        let keys: HashMap<_, _> = set.keys.iter().filter_map(usable).collect();
        if keys.is_empty() {
            Err(Error::Empty)
        } else {
            Ok(Verifier { keys })
        }
    }

    /// Checks the `Authorization` header.
    ///
    /// # Errors
    /// 401 for a missing or invalid token, 403 for one without a role of this service.
    pub fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let value = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let (scheme, token) = value
            .and_then(|value| value.split_once(' '))
            .unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > MAXIMUM_TOKEN {
            return Err(Problem::unauthorized(
                "send Authorization: Bearer with a token of this platform",
            ));
        }
        Self::admit(self.claims(token.trim())?)
    }

    fn claims(&self, token: &str) -> Result<Claims, Problem> {
        let refused =
            |reason: &str| Problem::unauthorized(format!("the token is refused: {reason}"));
        let header = decode_header(token).map_err(|_| refused("it is not a JSON Web Token"))?;
        let key = header.kid.as_deref().and_then(|kid| self.keys.get(kid));
        let (algorithm, key) = key.ok_or_else(|| refused("its key id is missing or unknown"))?;
        // The key decides the algorithm, never the token.
        let mut validation = Validation::new(*algorithm);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        decode::<Claims>(token, key, &validation)
            .map(|data| data.claims)
            .map_err(|error| refused(&reason(&error)))
    }

    fn admit(claims: Claims) -> Result<Principal, Problem> {
        let subject = claims.sub;
        if subject.trim().is_empty() || subject.len() > 200 || subject.contains('\0') {
            return Err(Problem::unauthorized(
                "the token is refused: its subject is empty or longer than 200 bytes",
            ));
        }
        // A test token stays among its synthetic rows whatever other roles it has.
        if claims.roles.iter().any(|role| role == "test") {
            let run = claims.run.filter(|run| !run.is_nil());
            let run = run.ok_or_else(|| {
                Problem::forbidden(
                    "a token of role test must name its run: a UUID in the claim run",
                )
            })?;
            return Ok(Principal {
                subject,
                right: Right::Configure,
                run,
            });
        }
        let right = claims.roles.iter().filter_map(|role| right_of(role)).max();
        let right = right.ok_or_else(|| {
            Problem::forbidden("the token has none of the roles admin, manager, rep, readonly")
        })?;
        Ok(Principal {
            subject,
            right,
            run: Uuid::nil(),
        })
    }
}

fn right_of(role: &str) -> Option<Right> {
    match role {
        "admin" | "manager" => Some(Right::Configure),
        "rep" => Some(Right::Write),
        "readonly" => Some(Right::Read),
        _ => None,
    }
}

fn usable(jwk: &Jwk) -> Option<(String, (Algorithm, DecodingKey))> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        _ => return None,
    };
    Some((
        jwk.common.key_id.clone()?,
        (algorithm, DecodingKey::from_jwk(jwk).ok()?),
    ))
}

fn reason(error: &jsonwebtoken::errors::Error) -> String {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::InvalidAudience => format!("its audience is not {AUDIENCE}"),
        ErrorKind::MissingRequiredClaim(claim) => format!("it lacks the claim {claim}"),
        ErrorKind::InvalidSignature => "its signature does not fit".to_owned(),
        ErrorKind::InvalidAlgorithm => "its algorithm is not that of its key".to_owned(),
        _ => "it cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests;
