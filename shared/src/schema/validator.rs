//! Whether a value fits a schema.
//!
//! Nothing else may build a validator: `jsonschema` is generic over the kind of value, so each
//! crate that builds one compiles all of that library again.

use jsonschema::{
    Draft, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;
use std::fmt;

/// The most violations that are found in one value.
const VIOLATIONS_MAX: usize = 1000;

/// The longest description of a violation, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// Choices within choices are looked into so deep.
const CHOICES_DEPTH_MAX: usize = 8;

/// A compiled JSON Schema, formats included.
#[derive(Debug)]
pub struct SchemaValidator(Validator);

/// Where a value does not fit its schema, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The JSON pointer of the value that does not fit; of the property, where one is missing or
    /// must not be there.
    pub pointer: String,
    /// Whether the schema knows no such property.
    pub is_unexpected: bool,
    /// What is wrong, for people and for models.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the whole" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)
    }
}

impl SchemaValidator {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is no JSON Schema, and why.
    pub fn new(body: &Value) -> Result<Self, String> {
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        let validator = options.should_validate_formats(true).build(body);
        validator.map(Self).map_err(|error| error.to_string())
    }

    /// Everything in which a value does not fit, at most a thousand things.
    pub fn check(&self, data: &Value) -> Vec<Violation> {
        let mut violations = Vec::new();
        for error in self.0.iter_errors(data).take(VIOLATIONS_MAX) {
            add(&error, 0, &mut violations);
        }
        violations.dedup();
        violations
    }
}

fn add(error: &ValidationError<'_>, depth: usize, violations: &mut Vec<Violation>) {
    let pointer = error.instance_path().to_string();
    let message: String = error.to_string().chars().take(MESSAGE_CHARACTERS_MAX).collect();
    let property = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    let violation =
        |pointer, is_unexpected| Violation { pointer, is_unexpected, message: message.clone() };
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => {
            violations.push(violation(property(name), false));
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            violations.extend(unexpected.iter().map(|name| violation(property(name), true)));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match meant(context, error).filter(|_| depth < CHOICES_DEPTH_MAX) {
                Some(errors) => errors.iter().for_each(|error| add(error, depth + 1, violations)),
                None => violations.push(violation(pointer.clone(), false)),
            }
        }
        _ => violations.push(violation(pointer.clone(), false)),
    }
}

/// The one choice that the value was meant for: the only one of its type. So a fault within what may
/// also be null is found where it is.
fn meant<'a>(
    choices: &'a [Vec<ValidationError<'static>>],
    error: &ValidationError<'_>,
) -> Option<&'a [ValidationError<'static>]> {
    let has_type = |choice: &&Vec<ValidationError<'static>>| {
        let is_other_type = |inner: &ValidationError<'_>| {
            matches!(inner.kind(), ValidationErrorKind::Type { .. })
                && inner.instance_path() == error.instance_path()
        };
        !choice.iter().any(is_other_type)
    };
    let is_null = |choice: &&Vec<ValidationError<'static>>| {
        choice.iter().any(|inner| match inner.kind() {
            ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => {
                kind.to_string() == "null" && inner.instance_path() == error.instance_path()
            }
            _ => false,
        })
    };
    let only = |mut left: Vec<&'a Vec<ValidationError<'static>>>| match left.len() {
        1 => left.pop(),
        _ => None,
    };
    let found = only(choices.iter().filter(has_type).collect())
        .or_else(|| only(choices.iter().filter(|choice| !is_null(choice)).collect()));
    found.map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_found_where_it_is() {
        let check = |schema: Value, data: Value, expected: &[(&str, bool)]| {
            let found = SchemaValidator::new(&schema).unwrap().check(&data);
            let places: Vec<_> =
                found.iter().map(|v| (v.pointer.as_str(), v.is_unexpected)).collect();
            assert_eq!(places, expected, "{data}: {found:?}");
        };
        let party = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": { "name": { "type": "string" }, "since": { "type": "string", "format": "date" } },
        });
        let none = json!({ "type": "null" });
        let schema = json!({
            "type": "object", "required": ["a/b"],
            "properties": {
                "a/b": { "type": "integer" },
                "buyer": { "anyOf": [party, none] },
                "seller": { "oneOf": [none, { "$ref": "#/$defs/party" }] },
                "day": { "anyOf": [{ "type": "string", "format": "date" }, none] },
                "mixed": { "anyOf": [{ "type": "string", "maxLength": 1 }, { "type": "integer", "minimum": 5 }] },
                "lines": { "type": "array", "items": party },
            },
            "$defs": { "party": party },
        });
        check(schema.clone(), json!({ "a/b": 1, "buyer": null, "seller": null, "day": null }), &[]);
        check(schema.clone(), json!({}), &[("/a~1b", false)]);
        let bad = json!({ "name": 3, "since": "soon", "x": 1 });
        let inside = |place: &str| {
            [("/name", false), ("/since", false), ("/x", true)]
                .map(|(name, is_unexpected)| (format!("{place}{name}"), is_unexpected))
        };
        for place in ["/buyer", "/seller"] {
            let mut data = json!({ "a/b": 1 });
            data[&place[1..]] = bad.clone();
            let mut found = SchemaValidator::new(&schema).unwrap().check(&data);
            found.sort_by(|one, other| one.pointer.cmp(&other.pointer));
            let found: Vec<_> = found.into_iter().map(|v| (v.pointer, v.is_unexpected)).collect();
            assert_eq!(found, inside(place));
        }
        check(schema.clone(), json!({ "a/b": 1, "buyer": {} }), &[("/buyer/name", false)]);
        check(schema.clone(), json!({ "a/b": 1, "day": "5.3." }), &[("/day", false)]);
        check(schema.clone(), json!({ "a/b": 1, "day": 5 }), &[("/day", false)]);
        check(schema.clone(), json!({ "a/b": 1, "mixed": "xy" }), &[("/mixed", false)]);
        check(schema.clone(), json!({ "a/b": 1, "mixed": true }), &[("/mixed", false)]);
        let lines = json!({ "a/b": 1, "lines": [{ "name": "x" }, { "name": null }, 3] });
        check(schema, lines, &[("/lines/1/name", false), ("/lines/2", false)]);
    }

    #[test]
    fn numbers_of_any_length_are_checked() {
        let check = |schema: &str, data: &str, fits: bool| {
            let schema = serde_json::from_str(schema).unwrap();
            let data = serde_json::from_str(data).unwrap();
            let checked = SchemaValidator::new(&schema).unwrap().check(&data);
            assert_eq!(checked.is_empty(), fits, "{schema} {data}: {checked:?}");
        };
        let integer = r#"{ "type": "integer", "minimum": 12345678901234567890122 }"#;
        check(integer, "12345678901234567890123", true);
        check(integer, "12345678901234567890121", false);
        check(integer, "12345678901234567890123.5", false);
        let cents = r#"{ "type": "number", "multipleOf": 0.01, "maximum": 99999999999999999.99 }"#;
        check(cents, "99999999999999999.99", true);
        check(cents, "100000000000000000.00", false);
        check(cents, "0.015", false);
        check(r#"{ "enum": [1, 2.5] }"#, "2.50", true);
        // What a reply may contain to do harm ends as quickly.
        for number in ["1e999999999", "-1e999999999", "1e-999999999", "1.5e400"] {
            check(r#"{ "type": "number" }"#, number, true);
            check(
                r#"{ "type": "number", "minimum": 0, "maximum": 5 }"#,
                number,
                number == "1e-999999999",
            );
        }
    }
}
