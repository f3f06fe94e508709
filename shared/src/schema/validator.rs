//! Whether a value fits a schema.
//!
//! Nothing else may build a validator: `jsonschema` is generic over the kind of value, so each
//! crate that builds one compiles all of that library again.

use jsonschema::{Draft, Validator};
use serde_json::Value;

/// The most faults that are named.
const FAULTS_MAX: usize = 10;

/// The longest description of a fault, in characters.
const FAULT_CHARACTERS_MAX: usize = 300;

/// A compiled JSON Schema, formats included.
#[derive(Debug)]
pub struct SchemaValidator(Validator);

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

    /// Whether a value fits.
    ///
    /// # Errors
    /// What is wrong with it, by its JSON pointer; at most ten faults.
    pub fn check(&self, data: &Value) -> Result<(), Vec<String>> {
        let faults = self.0.iter_errors(data).take(FAULTS_MAX).map(|error| {
            let path = error.instance_path().to_string();
            let place = if path.is_empty() { "the whole" } else { &path };
            format!("{place}: {error}").chars().take(FAULT_CHARACTERS_MAX).collect()
        });
        let faults: Vec<String> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_are_checked() {
        let check = |schema: &str, data: &str, fits: bool| {
            let schema = serde_json::from_str(schema).unwrap();
            let data = serde_json::from_str(data).unwrap();
            let checked = SchemaValidator::new(&schema).unwrap().check(&data);
            assert_eq!(checked.is_ok(), fits, "{schema} {data}: {checked:?}");
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
