//! strict
use super::SchemaFault;
use serde_json::Value;
/// convert
pub fn convert(body: &Value) -> Result<Value, Vec<SchemaFault>> { Ok(body.clone()) }
