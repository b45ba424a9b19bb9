//! What an answer is worth: an answer and what it should have been in, the value or the trouble out. Pure.

use axum::http::StatusCode;
use serde_json::Value;

use super::tally::Trouble;
use crate::client::{Answer, Error, told};

/// The body of an answer that has this status and these fields.
///
/// # Errors
/// How it went wrong, and in which field.
pub fn judged(
    answer: Result<Answer, Error>,
    status: StatusCode,
    expected: &Value,
) -> Result<Value, (Trouble, String)> {
    let answer = answer.map_err(|error| {
        let trouble = match error {
            Error::Connect(..) | Error::Address(_) => Trouble::Connect,
            Error::Broken(..) => Trouble::Broken,
            Error::TimedOut(_) => Trouble::TimedOut,
        };
        (trouble, told(&error))
    })?;
    if answer.status.is_server_error() {
        return Err((
            Trouble::ServerError,
            format!(
                "{}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ),
        ));
    }
    let value = answer.json();
    if answer.status != status {
        return Err((Trouble::Wrong, format!("{}: {value}", answer.status)));
    }
    match difference(&value, expected) {
        Some(text) => Err((Trouble::Wrong, text)),
        None => Ok(value),
    }
}

/// Where a value lacks what is expected. It may have more fields: a newer release shows more than an older one.
fn difference(value: &Value, expected: &Value) -> Option<String> {
    match (value, expected) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().find_map(|(name, wanted)| {
                let found = found.get(name).unwrap_or(&Value::Null);
                difference(found, wanted).map(|text| format!("{name} {text}"))
            })
        }
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => found
            .iter()
            .zip(wanted)
            .find_map(|(found, wanted)| difference(found, wanted)),
        _ if value == expected => None,
        _ => Some(format!("is {value} instead of {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: StatusCode, body: &Value) -> Result<Answer, Error> {
        Ok(Answer {
            status,
            headers: axum::http::HeaderMap::new(),
            body: body.to_string().into(),
        })
    }

    #[test]
    fn an_answer_that_is_not_what_was_written_is_wrong() {
        let expected = json!({"name": "a"});
        let ok = StatusCode::OK;
        assert!(
            judged(
                answer(StatusCode::OK, &json!({"name": "a", "more": 1})),
                ok,
                &expected
            )
            .is_ok()
        );
        let page = json!({"items": [{"name": "b"}]});
        let list = json!({"items": [expected]});
        assert!(judged(answer(ok, &list), ok, &list).is_ok());
        for other in [page, json!({"items": []}), json!({})] {
            let text = judged(answer(ok, &other), ok, &list).unwrap_err().1;
            assert!(text.starts_with("items "), "{text}");
        }
        let trouble = |answer| judged(answer, ok, &expected).unwrap_err().0;
        assert_eq!(
            trouble(answer(StatusCode::OK, &json!({"name": "b"}))),
            Trouble::Wrong
        );
        assert_eq!(
            trouble(answer(StatusCode::NOT_FOUND, &json!({"name": "a"}))),
            Trouble::Wrong
        );
        assert_eq!(
            trouble(answer(StatusCode::SERVICE_UNAVAILABLE, &json!({}))),
            Trouble::ServerError
        );
        assert_eq!(
            trouble(Err(Error::TimedOut(String::new()))),
            Trouble::TimedOut
        );
    }
}
