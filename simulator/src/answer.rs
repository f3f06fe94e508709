//! The stand-in for a model (first version).
use serde_json::Value;
/// Answers.
pub fn answer(_schema: &Value, _document: &str) -> Value {
    Value::Null
}
