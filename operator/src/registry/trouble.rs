//! What went wrong between the operator and a registry. In: an error of the client. Out: words that name registry and image and say what to do, and whether it
//! may pass by itself. Must not ask anybody.

use oci_client::errors::{OciDistributionError, OciErrorCode};

use crate::error::innermost;
use crate::observed::Unresolved;

/// What to tell of an error that came up over `reference`.
pub(super) fn unresolved(
    reference: &str,
    registry: &str,
    error: &OciDistributionError,
) -> Unresolved {
    match Cause::of(error) {
        Cause::NotFound => Unresolved::Refused(format!(
            "image {reference:?} is not in registry {registry}: push it, or correct the reference"
        )),
        Cause::Denied => Unresolved::Refused(format!(
            "registry {registry} does not show image {reference:?} without credentials: make it readable without, or use a registry that is"
        )),
        Cause::Limited => Unresolved::OutOfReach(format!(
            "registry {registry} answers too many requests for image {reference:?}: it is asked again; an image by digest needs no registry, unless it must be signed"
        )),
        Cause::Unreachable(why) => Unresolved::OutOfReach(format!(
            "registry {registry} cannot be reached for image {reference:?} ({why}): check its name and the way to it; plain http must be allowed in the operator's configuration"
        )),
        Cause::Other => Unresolved::OutOfReach(format!(
            "registry {registry} did not tell what there is to know of image {reference:?} ({}): check the registry",
            innermost(error)
        )),
    }
}

/// Kinds of trouble.
pub(super) enum Cause {
    NotFound,
    Denied,
    Limited,
    Unreachable(String),
    Other,
}

impl Cause {
    /// What lies behind an error.
    pub(super) fn of(error: &OciDistributionError) -> Self {
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
