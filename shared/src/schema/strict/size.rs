//! How large a schema may be that structured outputs carry.

use super::SchemaFault;
use pool::SchemaSize;
use serde_json::Value;

/// The most properties that a schema may have, over all its objects: what OpenAI takes. Some
/// deployments take fewer, and their refusals say so.
pub const PROPERTIES_MAX: usize = 5_000;

/// The most objects that may lie within each other: likewise.
pub const LEVELS_MAX: usize = 10;

/// What is too large about a schema of the subset.
pub(super) fn faults(strict: &Value) -> Vec<SchemaFault> {
    let SchemaSize { properties, levels } = SchemaSize::of(strict);
    let fault = |message| SchemaFault { path: String::new(), message };
    let mut faults = Vec::new();
    if properties > PROPERTIES_MAX {
        faults.push(fault(format!(
            "it has {properties} properties and structured outputs carry {PROPERTIES_MAX}: make two \
             schemas of it"
        )));
    }
    if levels > LEVELS_MAX {
        faults.push(fault(format!(
            "its objects lie {levels} deep and structured outputs carry {LEVELS_MAX}: make it flatter"
        )));
    }
    faults
}
