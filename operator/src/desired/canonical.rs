//! One form for what we apply and for what the API server stores of it, so that both can be compared.
//!
//! In: a literal of ours, or what a stored object holds of our fields. Out: the same without what says nothing: what is empty counts as empty however it is
//! written, quantities count by value, lists of objects by their content. Names, kinds and our own hash are no part of it: nobody owns them, or everybody.

use serde_json::{Value, json};

use super::labels;

/// Fields of the metadata that belong to nobody.
const NAMES: [&str; 2] = ["name", "namespace"];
/// Cannot be changed on what is there, and the API server writes into each of them although they are one value.
pub const FIXED: &str = "volumeClaimTemplates";

/// A thousandth, in billionths.
const THOUSANDTH: i128 = 1_000_000;

/// The comparable form of a whole literal.
pub fn canonical(literal: &Value) -> Value {
    let mut form = value(literal, "");
    if let Some(object) = form.as_object_mut() {
        object.retain(|key, _| !["apiVersion", "kind", "status"].contains(&key.as_str()));
    }
    if let Some(spec) = form.get_mut("spec") {
        leave_out_replicas(literal, spec, "replicas");
    }
    if let Some(metadata) = form.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !NAMES.contains(&key.as_str()));
        let annotations = metadata.get_mut("annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove(labels::HASH);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    form
}

/// Takes the number of pods out of what is compared of a Deployment: an autoscaler may set it, and where none does it is compared by itself.
pub fn leave_out_replicas(object: &Value, spec: &mut Value, field: &str) {
    if object["kind"] == "Deployment"
        && let Some(spec) = spec.as_object_mut()
    {
        spec.remove(field);
    }
}

/// The comparable form of a value that stands under `name`.
pub fn value(stored: &Value, name: &str) -> Value {
    match stored {
        Value::Null => empty(),
        Value::String(text) if text.is_empty() => empty(),
        Value::Array(all) => list(all.iter().map(|item| value(item, "")).collect()),
        Value::Object(map) if matches!(name, "requests" | "limits") => fields(
            map.iter()
                .map(|(key, amount)| (key.clone(), amount_of(amount))),
        ),
        Value::Object(map) => fields(
            map.iter()
                .filter(|(key, value)| !value.is_null() && *key != FIXED)
                .map(|(key, own)| (key.clone(), value(own, key))),
        ),
        other => other.clone(),
    }
}

/// What stands for everything that is empty: it is ours, and nothing is in it.
pub fn empty() -> Value {
    json!({})
}

/// An object; its keys are in order, because those of serde_json are unless a feature says otherwise.
pub fn fields(all: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Object(all.collect())
}

/// A list; one of objects is in the order of their content, because the API server merges it by their keys.
pub fn list(mut all: Vec<Value>) -> Value {
    if all.is_empty() {
        return empty();
    }
    if all.len() > 1 && all.iter().all(Value::is_object) {
        all.sort_by_cached_key(ToString::to_string);
    }
    Value::Array(all)
}

/// A quantity of a resource by its value, rounded up to thousandths as the API server does; what cannot be read counts as it is written.
fn amount_of(written: &Value) -> Value {
    let amount = written.as_str().and_then(billionths);
    let amount = amount.map(|amount| {
        amount.div_euclid(THOUSANDTH) + i128::from(amount.rem_euclid(THOUSANDTH) > 0)
    });
    amount.map_or_else(|| written.clone(), |amount| json!(amount.to_string()))
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
        assert_eq!(form.to_string(), r#"{"a":2,"b":1}"#);
    }

    #[test]
    fn what_is_empty_is_one_thing_and_not_the_same_as_what_is_not_there() {
        let forms = [json!({ "a": "" }), json!({ "a": [] }), json!({ "a": {} })];
        for form in &forms {
            assert_eq!(canonical(form), json!({ "a": {} }));
        }
        assert_eq!(canonical(&json!({ "a": null })), json!({}));
    }
}
