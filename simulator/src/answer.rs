//! The stand-in for a model: rules that look for what a JSON Schema asks in the text of a
//! document. It is no model and understands nothing; it must never invent what is not printed.

mod code;
mod contract;
mod date;
mod facts;
mod find;
mod labels;
mod names;
mod number;
mod shape;
mod table;
mod text;
mod words;

use serde_json::Value;

/// Answers a prompt with JSON that fits the schema; the same for the same arguments.
pub fn answer(schema: &Value, prompt: &str) -> Value {
    let facts = facts::Facts::read(prompt);
    shape::Shape { facts: &facts, root: schema }.answer()
}

#[cfg(test)]
mod tests;
