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
