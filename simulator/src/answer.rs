//! The answers of the simulator: what a JSON Schema asks for, looked up by label in the text of a
//! document. There is no model and no guess here; what no label names is null.

mod text;
mod value;
mod shape;
mod label;
mod find;
mod table;
mod fill;

use serde_json::Value;

/// Answers a prompt with JSON that fits the schema; the same for the same arguments.
pub fn answer(schema: &Value, prompt: &str) -> Value {
    fill::fill(schema, &text::Document::read(prompt))
}

#[cfg(test)]
mod tests;
