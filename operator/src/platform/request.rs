//! What people ask for by annotations: annotations in, [`Request`]s out. Whether one was handled before is the plan's business.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use crate::api::status::{Token, VALUE_LIMIT};

/// The value of one annotation, which may say who asks and why: `ops: the fix for ticket 42`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The value, bounded.
    pub value: String,
}

/// All requests of an object, in the order in which they are handled.
pub(super) fn of(annotations: &BTreeMap<String, String>) -> Vec<(Token, Request)> {
    let read = |token: Token| {
        let value = annotations.get(token.annotation())?.trim();
        let value: String = value.chars().take(VALUE_LIMIT).collect();
        (!value.is_empty()).then_some((token, Request { value }))
    };
    Token::ALL.into_iter().filter_map(read).collect()
}

impl Request {
    /// Who asks.
    pub fn actor(&self) -> &str {
        self.parts().map_or("unnamed", |(actor, _)| actor)
    }

    /// Why.
    pub fn reason(&self) -> &str {
        self.parts().map_or(&self.value, |(_, reason)| reason)
    }

    /// The release that it begins with, and the request without it.
    pub fn release(&self) -> (String, Self) {
        let (release, rest) = self.value.split_once(' ').unwrap_or((&self.value, ""));
        let value = rest.trim().to_owned();
        (release.to_owned(), Self { value })
    }

    fn parts(&self) -> Option<(&str, &str)> {
        let (actor, reason) = self.value.split_once(": ")?;
        let (actor, reason) = (actor.trim(), reason.trim());
        (!actor.is_empty() && !reason.is_empty()).then_some((actor, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: &str) -> Request {
        Request {
            value: value.into(),
        }
    }

    #[test]
    fn a_value_may_say_who_and_why() {
        let named = request("ops: ticket 42: checked");
        assert_eq!(
            (named.actor(), named.reason()),
            ("ops", "ticket 42: checked")
        );
        let plain = request("2026-11-24");
        assert_eq!((plain.actor(), plain.reason()), ("unnamed", "2026-11-24"));
        let (release, rest) = request("r123 ops: worse than before").release();
        assert_eq!((release.as_str(), rest.actor()), ("r123", "ops"));
    }

    #[test]
    fn annotations_are_read_in_the_order_in_which_they_act() {
        let all = [
            ("crmplatform.io/retry", "1"),
            ("crmplatform.io/abort", "2"),
            ("crmplatform.io/approve", " "),
            ("unrelated", "3"),
        ];
        let all = all.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tokens: Vec<_> = of(&BTreeMap::from(all))
            .into_iter()
            .map(|(token, _)| token)
            .collect();
        assert_eq!(tokens, [Token::Abort, Token::Retry]);
    }

    #[test]
    fn a_value_without_end_is_cut() {
        let all = BTreeMap::from([("crmplatform.io/retry".to_owned(), "x".repeat(5000))]);
        assert_eq!(of(&all)[0].1.value.len(), VALUE_LIMIT);
    }
}
