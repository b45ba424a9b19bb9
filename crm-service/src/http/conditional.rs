//! Conditional requests: a record's version is its entity tag. Headers in, versions out.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::Problem;

/// The entity tag of a version.
pub fn entity_tag(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\""))
        .expect("digits and quotes are legal in a header")
}

/// The version that the caller wants to change.
///
/// # Errors
/// 428 without `If-Match`, 400 when it is not one entity tag of ours. `*` is refused: it would lose somebody's change.
pub fn required_version(headers: &HeaderMap) -> Result<i64, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let detail = "send If-Match with the ETag of the record as you read it, so that nobody's change is lost";
        return Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "if-match-required",
            detail,
        ));
    };
    let version = value.to_str().ok().and_then(version_of);
    version.ok_or_else(|| {
        Problem::malformed("If-Match must be one ETag of this record, such as \"3\"")
    })
}

/// Whether `If-None-Match` names this version.
pub fn is_known(headers: &HeaderMap, version: i64) -> bool {
    let values = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || version_of(tag.strip_prefix("W/").unwrap_or(tag)) == Some(version)
    })
}

fn version_of(tag: &str) -> Option<i64> {
    tag.trim()
        .strip_prefix('"')?
        .strip_suffix('"')?
        .parse()
        .ok()
        .filter(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_change_needs_exactly_one_strong_tag() {
        assert_eq!(
            required_version(&with(header::IF_MATCH, "\"7\"")).unwrap(),
            7
        );
        for value in ["*", "7", "W/\"7\"", "\"7\", \"8\"", "\"x\""] {
            assert_eq!(
                required_version(&with(header::IF_MATCH, value))
                    .unwrap_err()
                    .status,
                StatusCode::BAD_REQUEST,
                "{value}"
            );
        }
        assert_eq!(
            required_version(&HeaderMap::new()).unwrap_err().status,
            StatusCode::PRECONDITION_REQUIRED
        );
    }

    #[test]
    fn a_reader_may_name_several_tags() {
        assert!(is_known(&with(header::IF_NONE_MATCH, "\"1\", W/\"3\""), 3));
        assert!(is_known(&with(header::IF_NONE_MATCH, "*"), 3));
        assert!(!is_known(&with(header::IF_NONE_MATCH, "\"1\""), 3));
        assert!(!is_known(&HeaderMap::new(), 3));
    }
}
