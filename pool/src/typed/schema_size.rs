//! How large a JSON Schema is, as providers of structured outputs count it.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// The size of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaSize {
    /// The properties of all its objects together.
    pub properties: usize,
    /// How many objects lie within each other.
    pub levels: usize,
}

impl SchemaSize {
    /// The size of this schema.
    pub fn of(schema: &Value) -> Self {
        let levels = Levels { root: schema, known: HashMap::new() }.of(schema);
        Self { properties: count(schema), levels }
    }
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
