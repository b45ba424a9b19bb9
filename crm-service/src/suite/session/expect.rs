//! Checks of an answer: its status, and whether a problem is well-formed. Pure.

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::suite::case::{Outcome, ensure};

/// Checks of an answer.
pub trait Expect: Sized {
    /// The answer, if it has this status.
    fn expect(self, status: StatusCode) -> Outcome<Self>;
    /// The body, if the answer is a well-formed problem with this status and code.
    fn expect_problem(self, status: u16, code: &str) -> Outcome<Value>;
}

impl Expect for Answer {
    fn expect(self, status: StatusCode) -> Outcome<Answer> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!(
            self.status == status,
            "answered {} instead of {status}: {text}",
            self.status
        );
        Ok(self)
    }

    fn expect_problem(self, status: u16, code: &str) -> Outcome<Value> {
        let body = self.json();
        ensure!(
            self.status.as_u16() == status,
            "answered {} instead of {status}: {body}",
            self.status
        );
        let media_type = self.header(&header::CONTENT_TYPE);
        ensure!(
            media_type == "application/problem+json",
            "a problem came as {media_type}"
        );
        ensure!(
            body["code"] == code,
            "the code is {} instead of {code:?}",
            body["code"]
        );
        ensure!(
            body["type"] == json!(format!("urn:crm:problem:{code}")),
            "the type is {}",
            body["type"]
        );
        ensure!(
            body["status"] == status,
            "the body says status {}",
            body["status"]
        );
        for field in ["title", "detail", "instance"] {
            ensure!(
                body[field].as_str().is_some_and(|text| !text.is_empty()),
                "the problem has no {field}: {body}"
            );
        }
        Ok(body)
    }
}
