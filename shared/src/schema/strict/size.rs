//! How large a schema may be that structured outputs carry.

use super::SchemaFault;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The most properties that a schema may have, over all its objects.
pub const PROPERTIES_MAX: usize = 100;

/// The most objects that may lie within each other.
pub const LEVELS_MAX: usize = 5;

/// What is too large about a schema of the subset.
pub(super) fn faults(strict: &Value) -> Vec<SchemaFault> {
    let (properties, levels) =
        (count(strict), Levels { root: strict, known: HashMap::new() }.of(strict));
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

/// How many properties all objects have together.
fn count(node: &Value) -> usize {
    let own = node.get("properties").and_then(Value::as_object).map_or(0, Map::len);
    let inner = match node {
        Value::Object(object) => object.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        _ => 0,
    };
    own + inner
}

/// How many objects lie within each other, references followed once.
struct Levels<'a> {
    root: &'a Value,
    known: HashMap<&'a str, usize>,
}

impl<'a> Levels<'a> {
    fn of(&mut self, node: &'a Value) -> usize {
        let referred = node.get("$ref").and_then(Value::as_str);
        let mut below = referred.map_or(0, |reference| self.of_reference(reference));
        let properties = node.get("properties").and_then(Value::as_object);
        let choices = node.get("anyOf").and_then(Value::as_array);
        let children = properties.into_iter().flat_map(Map::values);
        for child in children.chain(node.get("items")).chain(choices.into_iter().flatten()) {
            below = below.max(self.of(child));
        }
        below + usize::from(properties.is_some())
    }

    fn of_reference(&mut self, reference: &'a str) -> usize {
        if let Some(levels) = self.known.get(reference) {
            return *levels;
        }
        // What refers to itself meets this, and adds no level of its own.
        self.known.insert(reference, 0);
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let levels = target.map_or(0, |node| self.of(node));
        self.known.insert(reference, levels);
        levels
    }
}
