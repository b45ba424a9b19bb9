//! One form for what we apply and for what the API server stores of it, so that both can be compared.
//!
//! In: a literal of ours, or what a stored object holds of our fields. Out: JSON of the same without what says nothing: what is empty counts as empty however it
//! is written, quantities count by value, lists of objects by their content. Names, kinds and our own hash are no part of it: nobody owns them, or everybody.
//! It is written straight away and never built, because each look at a platform compares dozens of objects.

use serde::Serialize;
use serde_json::{Map, Value};

use super::labels;

/// Fields of an object that belong to nobody, or to the API server.
const HEAD: [&str; 3] = ["apiVersion", "kind", "status"];
/// Fields of the metadata that belong to nobody.
const NAMES: [&str; 2] = ["name", "namespace"];
/// Field of a StatefulSet's spec that cannot be changed on what is there, and the API server writes into what it holds although it is one value.
pub const FIXED: &str = "volumeClaimTemplates";
/// What stands for everything that is empty: it is ours, and nothing is in it.
const EMPTY: &[u8] = b"{}";

/// A thousandth, in billionths.
const THOUSANDTH: i128 = 1_000_000;

/// The comparable form of a whole literal.
pub fn canonical(literal: &Value) -> Vec<u8> {
    let mut form = Vec::new();
    let none = Map::new();
    let whole = literal.as_object().unwrap_or(&none);
    fields(&mut form, present(whole, &HEAD), |form, key, own| {
        match (key, own) {
            ("spec", Value::Object(spec)) if has_replicas_apart(literal) => {
                fields(form, present(spec, &["replicas"]), value);
            }
            ("metadata", Value::Object(own)) => metadata(form, own),
            _ => value(form, key, own),
        }
    });
    form
}

/// Whether the number of pods is no part of what is compared: an autoscaler may set that of a Deployment, and where none does it is compared by itself.
pub fn has_replicas_apart(object: &Value) -> bool {
    object["kind"] == "Deployment"
}

/// Writes the metadata that somebody owns, without annotations when there is none but our hash.
fn metadata(form: &mut Vec<u8>, own: &Map<String, Value>) {
    let none = Map::new();
    let annotations = own.get("annotations").and_then(Value::as_object);
    let annotations = || present(annotations.unwrap_or(&none), &[labels::HASH]);
    let mut without = NAMES.to_vec();
    if annotations().next().is_none() {
        without.push("annotations");
    }
    fields(form, present(own, &without), |form, key, own| match key {
        "annotations" => fields(form, annotations(), value),
        _ => value(form, key, own),
    });
}

/// Writes the comparable form of a value that stands under `name`.
pub fn value(form: &mut Vec<u8>, name: &str, stored: &Value) {
    match stored {
        Value::Null => empty(form),
        Value::String(text) if text.is_empty() => empty(form),
        Value::Array(all) => list(form, all.iter(), |form, item| value(form, "", item)),
        Value::Object(all) if are_quantities(name) => {
            let all = all.iter().map(|(key, own)| (key.as_str(), own));
            fields(form, all, |form, _, own| quantity(form, own));
        }
        Value::Object(all) => fields(form, present(all, &[FIXED]), value),
        other => json(form, other),
    }
}

/// Writes what stands for everything that is empty.
pub fn empty(form: &mut Vec<u8>) {
    form.extend_from_slice(EMPTY);
}

/// Whether what stands under a name are quantities of resources.
pub fn are_quantities(name: &str) -> bool {
    matches!(name, "requests" | "limits")
}

/// Writes an object. Its fields come in the order of their keys, because those of serde_json do unless a feature says otherwise.
pub fn fields<'a, T>(
    form: &mut Vec<u8>,
    all: impl Iterator<Item = (&'a str, T)>,
    mut part: impl FnMut(&mut Vec<u8>, &'a str, T),
) {
    let mut before = b'{';
    for (key, own) in all {
        form.push(before);
        json(form, key);
        form.push(b':');
        part(form, key, own);
        before = b',';
    }
    match before {
        b'{' => empty(form),
        _ => form.push(b'}'),
    }
}

/// Writes a list; one of objects is in the order of their content, because the API server merges it by their keys.
pub fn list<T>(
    form: &mut Vec<u8>,
    all: impl Iterator<Item = T>,
    mut part: impl FnMut(&mut Vec<u8>, T),
) {
    let parts = all.map(|item| {
        let mut form = Vec::new();
        part(&mut form, item);
        form
    });
    let mut parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return empty(form);
    }
    if parts.iter().all(|part| part.starts_with(b"{")) {
        parts.sort_unstable();
    }
    form.push(b'[');
    form.extend(parts.join(&b','));
    form.push(b']');
}

/// The fields that are there, without some of them.
fn present<'a>(
    all: &'a Map<String, Value>,
    without: &[&str],
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    all.iter()
        .filter(|(key, own)| !own.is_null() && !without.contains(&key.as_str()))
        .map(|(key, own)| (key.as_str(), own))
}

fn json(form: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(form, value).expect("memory takes what is written");
}

/// Writes a quantity of a resource by its value, rounded up to thousandths as the API server does; what cannot be read counts as it is written.
pub fn quantity(form: &mut Vec<u8>, written: &Value) {
    let amount = written.as_str().and_then(billionths);
    let amount = amount.map(|amount| {
        amount.div_euclid(THOUSANDTH) + i128::from(amount.rem_euclid(THOUSANDTH) > 0)
    });
    match amount {
        Some(amount) => json(form, &amount.to_string()),
        None => json(form, written),
    }
}

/// The value of a Kubernetes quantity in billionths, rounded up as the API server does.
fn billionths(text: &str) -> Option<i128> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && !"+-.".contains(letter))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let decimals = i32::try_from(fraction.len()).ok()?;
    let (binary, decimal) = scale(suffix)?;
    let exponent = 9 + decimal - decimals;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let scaled = digits.checked_mul(1_i128.checked_shl(binary)?)?;
    match exponent < 0 {
        false => scaled.checked_mul(power),
        true => Some(scaled.div_euclid(power) + i128::from(scaled.rem_euclid(power) > 0)),
    }
}

/// Powers of two and of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    let decimal = |power: i32| Some((0, power));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => Some((10, 0)),
        "Mi" => Some((20, 0)),
        "Gi" => Some((30, 0)),
        "Ti" => Some((40, 0)),
        "Pi" => Some((50, 0)),
        "Ei" => Some((60, 0)),
        other => decimal(other.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_compared_by_value() {
        for (one, other) in [
            ("1000m", "1"),
            ("0.1", "100m"),
            ("1024Mi", "1Gi"),
            ("1e3", "1k"),
            ("1E", "1000P"),
            ("0.5Gi", "512Mi"),
            (".5", "500m"),
            ("0.0000000001", "1n"),
        ] {
            assert_eq!(billionths(one), billionths(other), "{one} {other}");
            assert!(billionths(one).is_some(), "{one}");
        }
        assert_ne!(billionths("1M"), billionths("1Mi"));
        assert_eq!((billionths("many"), billionths("1x")), (None, None));
    }

    #[test]
    fn keys_are_in_order() {
        let form = canonical(&json!({ "b": 1, "a": 2 }));
        assert_eq!(form, br#"{"a":2,"b":1}"#);
    }

    #[test]
    fn what_is_empty_is_one_thing_and_not_the_same_as_what_is_not_there() {
        let forms = [json!({ "a": "" }), json!({ "a": [] }), json!({ "a": {} })];
        for form in &forms {
            assert_eq!(canonical(form), br#"{"a":{}}"#);
        }
        assert_eq!(canonical(&json!({ "a": null })), b"{}");
    }
}
