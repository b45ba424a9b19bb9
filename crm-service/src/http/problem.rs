//! Every error answer of the API: RFC 9457 problems with a stable `code`.
//!
//! Handlers return a [`Problem`]; it travels as an extension of an empty response, and `http::observe` writes the body,
//! because only there the request's id is known. A problem never carries text of the database.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body (`/email`), or the name of a query parameter (`limit`).
    pub pointer: String,
    /// Stable word for programs: `required`, `unknown-field`, `too-long`, `invalid`, `not-found`.
    pub code: &'static str,
    /// One sentence for people: what is wrong and what to send instead.
    pub message: String,
}

impl FieldError {
    /// An error at a pointer.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        FieldError {
            pointer: pointer.into(),
            code,
            message: message.into(),
        }
    }
}

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable word for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub detail: String,
    /// The fields at fault, when there are any.
    pub errors: Vec<FieldError>,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
    /// The cached statement of a connection no longer fits the tables; the same work succeeds on a new connection.
    pub stale_plan: bool,
}

/// The wire form of a problem.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// `urn:crm:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// Stable word for programs.
    code: &'static str,
    /// What happened and what to do.
    detail: String,
    /// The request, as in the logs.
    instance: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    /// A problem without field errors.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            stale_plan: false,
        }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 400: a parameter of the address is unknown or unreadable.
    pub fn parameters(errors: Vec<FieldError>) -> Self {
        let detail = "the address has parameters that this list does not know or cannot read; nothing was ignored";
        Problem {
            errors,
            ..Self::new(StatusCode::BAD_REQUEST, "unknown-parameter", detail)
        }
    }

    /// 401: no valid token.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 403: the token is valid, the right is missing.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is no such record for this caller, or no such address.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409: the request is fine, the state of the record forbids it.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 412: the record was changed by somebody else.
    pub fn stale_version(current: i64) -> Self {
        let detail = format!(
            "the record changed since it was read; its version is now {current}: read it again and repeat the change"
        );
        Self::new(StatusCode::PRECONDITION_FAILED, "stale-version", detail)
    }

    /// 422 or, when a field is unknown, 400.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let unknown = errors.iter().any(|error| error.code == "unknown-field");
        let (status, code) = match unknown {
            true => (StatusCode::BAD_REQUEST, "unknown-field"),
            false => (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed"),
        };
        Problem {
            errors,
            ..Self::new(
                status,
                code,
                "the body has fields that cannot be accepted; see errors",
            )
        }
    }

    /// 422 for one field.
    pub fn invalid(pointer: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError::new(pointer, code, message)])
    }

    /// 503 with `Retry-After: 1`.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        }
    }

    /// 500. What happened is in the log under the request's id, never in the answer.
    pub fn internal() -> Self {
        let detail = "the service failed to answer; the log has the cause under the id in instance";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The problem for an error status that something else than a handler answered with.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "method-not-allowed",
                "this address does not know the method; see the Allow header",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "too-large", "the body is larger than 256 KiB")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(status, "unsupported-media-type", "send application/json")
            }
            status if status.is_server_error() => Problem {
                status,
                ..Self::internal()
            },
            status => Self::new(status, "malformed", "the request cannot be read"),
        }
    }

    /// The whole answer, for the request with this id.
    pub fn render(self, request_id: &str) -> Response {
        let mut response = axum::Json(Document {
            kind: format!("urn:crm:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            instance: format!("/requests/{request_id}"),
            errors: self.errors,
        })
        .into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"crm\""),
            );
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_a_bad_request_and_a_bad_value_is_unprocessable() {
        let unknown = FieldError::new("/nmae", "unknown-field", "no such field");
        let long = FieldError::new("/name", "too-long", "at most 200 characters");
        assert_eq!(
            Problem::validation(vec![long.clone(), unknown]).status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            Problem::validation(vec![long]).status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }

    #[test]
    fn a_server_error_never_repeats_its_cause() {
        let response = Problem::internal().render("r1");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
    }
}
