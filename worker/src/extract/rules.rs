//! Whether the rules of a schema hold between the values that were found.
//!
//! It must know nothing of where the values come from.

use serde_json::Value;
use shared::{
    extraction::Check,
    schema::{
        ExtractionSchema,
        rule::{Outcome, Rule},
    },
};

/// Every rule of the schema, worked out.
pub fn check(schema: &ExtractionSchema, data: &Value) -> Vec<Check> {
    let check = |text: &str| {
        let outcome = match Rule::parse(text) {
            Ok(rule) => rule.check(data),
            Err(error) => Outcome::Unknown(error.to_string()),
        };
        let (ok, detail) = match outcome {
            Outcome::Holds => (Some(true), None),
            Outcome::Broken(detail) => (Some(false), Some(detail)),
            Outcome::Unknown(detail) => (None, Some(detail)),
        };
        Check { rule: text.to_owned(), ok, detail }
    };
    schema.checks().into_iter().map(check).collect()
}
