//! What a schema says under `x-sluice`, checked strictly: an unknown keyword is a fault, for nothing
//! would come of it.
//!
//! It must know nothing of what the keywords do.

use super::{Embedded, KEYWORD, SchemaFault, rule::Rule};
use pool::Effort;
use serde_json::{Map, Value};

/// Keywords of the root.
const OF_ROOT: [&str; 5] = ["model", "instructions", "reasoning_effort", "embedded", "checks"];

/// Keywords of a property, or of whatever is within the root.
const OF_PROPERTY: [&str; 4] = ["concept", "instructions", "labels", "printed"];

/// Deeper than this no schema is nested.
const DEPTH_MAX: usize = 64;

/// Keywords of JSON Schema that hold one schema, several by name, and several in a list.
const ONE: [&str; 9] = [
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedProperties",
];
const BY_NAME: [&str; 5] =
    ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];
const LISTED: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// What is wrong with the keywords of a schema, and where.
pub(super) fn faults(body: &Value) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    look(body, "", 0, &mut faults);
    faults
}

fn look(node: &Value, path: &str, depth: usize, faults: &mut Vec<SchemaFault>) {
    let Some(schema) = node.as_object().filter(|_| depth <= DEPTH_MAX) else { return };
    if let Some(own) = schema.get(KEYWORD) {
        let mut fault = |place: &str, message: String| {
            faults.push(SchemaFault { path: format!("{path}/{KEYWORD}{place}"), message });
        };
        match own.as_object() {
            Some(own) => check(own, path.is_empty(), &mut fault),
            None => {
                let known = known(path.is_empty()).join(", ");
                fault("", format!("must be an object; its keywords are {known}"));
            }
        }
    }
    let mut inner = |place: String, node: &Value| look(node, &place, depth + 1, faults);
    for (keyword, value) in schema {
        match value {
            _ if ONE.contains(&keyword.as_str()) => inner(format!("{path}/{keyword}"), value),
            Value::Object(named) if BY_NAME.contains(&keyword.as_str()) => {
                for (name, node) in named {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    inner(format!("{path}/{keyword}/{name}"), node);
                }
            }
            Value::Array(list) if LISTED.contains(&keyword.as_str()) => {
                for (index, node) in list.iter().enumerate() {
                    inner(format!("{path}/{keyword}/{index}"), node);
                }
            }
            _ => {}
        }
    }
}

fn known(is_root: bool) -> &'static [&'static str] {
    if is_root { &OF_ROOT } else { &OF_PROPERTY }
}

fn check(own: &Map<String, Value>, is_root: bool, fault: &mut impl FnMut(&str, String)) {
    for (key, value) in own {
        let place = format!("/{key}");
        if !known(is_root).contains(&key.as_str()) {
            let there = if is_root { "at the root" } else { "within the root" };
            let mut message =
                format!("is not a known keyword {there}: use {}", known(is_root).join(", "));
            if known(!is_root).contains(&key.as_str()) {
                let other = if is_root { "on a property" } else { "at the root" };
                message = format!("stands {other} only");
            }
            fault(&place, message);
            continue;
        }
        let wrong = match key.as_str() {
            "model" | "instructions" => (!value.is_string()).then(|| "must be a string".to_owned()),
            "printed" => (!value.is_boolean()).then(|| "must be true or false".to_owned()),
            "reasoning_effort" => one_of(value, &Effort::ALL.map(Effort::name)),
            "embedded" => one_of(value, &Embedded::ALL.map(|(name, _)| name)),
            "concept" => (!value.as_str().is_some_and(is_name))
                .then(|| "must be the name of a concept, such as invoice_number".to_owned()),
            "labels" => (!are_labels(value))
                .then(|| "must be a list of the words that stand beside the value".to_owned()),
            _ => {
                checks(value, fault);
                None
            }
        };
        wrong.into_iter().for_each(|message| fault(&place, message));
    }
}

fn one_of(value: &Value, names: &[&str]) -> Option<String> {
    let is_known = value.as_str().is_some_and(|value| names.contains(&value));
    (!is_known).then(|| format!("must be one of {}", names.join(", ")))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
}

fn are_labels(value: &Value) -> bool {
    let is_label = |label: &Value| label.as_str().is_some_and(|label| !label.trim().is_empty());
    value.as_array().is_some_and(|labels| labels.iter().all(is_label))
}

fn checks(value: &Value, fault: &mut impl FnMut(&str, String)) {
    let Some(rules) = value.as_array() else {
        return fault("/checks", "must be a list of rules".to_owned());
    };
    for (index, rule) in rules.iter().enumerate() {
        let place = format!("/checks/{index}");
        match rule.as_str().map(Rule::parse) {
            None => fault(&place, "must be a string".to_owned()),
            Some(Err(error)) => fault(&place, error.to_string()),
            Some(Ok(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_keyword_is_known_where_it_stands() {
        let body = json!({
            "x-sluice": { "model": "gpt-4o", "embedded": "ignored", "reasoning_effort": "low", "checks": ["a == b"] },
            "properties": {
                "a": { "x-sluice": { "labels": ["Sum"], "concept": "net", "printed": false, "instructions": "x" } },
                "x-sluice": { "type": "string" },
            },
            "examples": [{ "x-sluice": 1 }],
        });
        assert_eq!(faults(&body), []);
        let check = |own: Value, place: &str, expected: &str| {
            let mut body = json!({ "properties": { "a": { "items": {} } } });
            body.pointer_mut(place).unwrap()["x-sluice"] = own;
            let found = faults(&body);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].path.starts_with(&format!("{place}/x-sluice")), "{found:?}");
            assert!(found[0].message.contains(expected), "{found:?}");
        };
        check(json!(7), "", "must be an object");
        check(json!({ "modell": "x" }), "", "use model, instructions");
        check(json!({ "labels": ["x"] }), "", "on a property only");
        check(json!({ "model": "x" }), "/properties/a", "at the root only");
        check(
            json!({ "lables": ["x"] }),
            "/properties/a/items",
            "use concept, instructions, labels",
        );
        check(json!({ "labels": [" "] }), "/properties/a", "list of the words");
        check(json!({ "concept": "Net sum" }), "/properties/a", "name of a concept");
        check(json!({ "printed": "no" }), "/properties/a", "true or false");
        check(json!({ "embedded": "maybe" }), "", "trusted, supplemented, ignored");
        check(json!({ "checks": ["a =="] }), "", "");
    }
}
