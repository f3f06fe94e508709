//! `nullable` as OpenAPI 3.0 has it (`x-nullable` in Swagger 2), in the words of JSON Schema, to which
//! these keywords mean nothing.
//!
//! Pure. It must know nothing of what a schema is used for.

use serde_json::{Map, Value, json};

const NULLABLE: [&str; 2] = ["nullable", "x-nullable"];

/// Keywords whose value is no schema.
const VALUES: [&str; 6] = ["enum", "const", "default", "examples", "example", super::KEYWORD];

/// Keywords whose value holds schemas by name.
const BY_NAME: [&str; 5] =
    ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

/// Keywords that describe a value, and stay outside where a choice is made of it.
const WORDS: [&str; 6] = ["title", "description", "examples", "example", "default", super::KEYWORD];

/// The same schema with every value that may be null saying so by its types, its choices or its
/// enumerated values.
pub fn expand(schema: &Value) -> Value {
    match schema {
        Value::Object(node) => expand_node(node),
        Value::Array(items) => items.iter().map(expand).collect(),
        other => other.clone(),
    }
}

fn expand_node(node: &Map<String, Value>) -> Value {
    let is_nullable = NULLABLE.iter().any(|keyword| node.get(*keyword) == Some(&Value::Bool(true)));
    let expanded = node.iter().map(|(key, value)| {
        let value = match (key.as_str(), value) {
            (key, value) if VALUES.contains(&key) => value.clone(),
            (key, Value::Object(named)) if BY_NAME.contains(&key) => {
                named.iter().map(|(name, schema)| (name.clone(), expand(schema))).collect()
            }
            (_, value) => expand(value),
        };
        (key.clone(), value)
    });
    let mut node: Map<String, Value> = expanded.collect();
    if is_nullable {
        NULLABLE.iter().for_each(|keyword| drop(node.shift_remove(*keyword)));
        return or_null(node);
    }
    Value::Object(node)
}

fn or_null(mut node: Map<String, Value>) -> Value {
    let nothing = json!({ "type": "null" });
    for word in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = node.get_mut(word) {
            add(choices, nothing);
            return Value::Object(node);
        }
    }
    if ["$ref", "allOf", "const"].iter().any(|keyword| node.contains_key(*keyword)) {
        let (words, shape): (Map<_, _>, Map<_, _>) =
            node.into_iter().partition(|(key, _)| WORDS.contains(&key.as_str()));
        let mut either = words;
        either.insert("anyOf".to_owned(), json!([shape, nothing]));
        return Value::Object(either);
    }
    match node.get_mut("type") {
        Some(Value::Array(kinds)) => add(kinds, json!("null")),
        Some(kind) => *kind = json!([kind.take(), "null"]),
        None => {}
    }
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        add(values, Value::Null);
    }
    Value::Object(node)
}

fn add(list: &mut Vec<Value>, value: Value) {
    if !list.contains(&value) {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_null_says_so_as_json_schema_does() {
        let check = |given: Value, expected: Value| assert_eq!(expand(&given), expected);
        check(json!({ "type": "string", "nullable": true }), json!({ "type": ["string", "null"] }));
        check(
            json!({ "type": "string", "nullable": false }),
            json!({ "type": "string", "nullable": false }),
        );
        check(
            json!({ "type": "string", "enum": ["a"], "x-nullable": true }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        );
        check(
            json!({ "allOf": [{ "$ref": "#/$defs/a" }], "nullable": true, "description": "d" }),
            json!({ "description": "d", "anyOf": [{ "allOf": [{ "$ref": "#/$defs/a" }] }, { "type": "null" }] }),
        );
        check(
            json!({ "oneOf": [{ "type": "string" }], "nullable": true }),
            json!({ "oneOf": [{ "type": "string" }, { "type": "null" }] }),
        );
        check(
            json!({ "const": 1, "nullable": true }),
            json!({ "anyOf": [{ "const": 1 }, { "type": "null" }] }),
        );
        check(
            json!({ "type": ["string", "null"], "enum": ["a", null], "nullable": true }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        );
        // Deep within, and not where it is no keyword.
        let deep = |kind: Value| json!({ "properties": { "nullable": { "items": kind } } });
        check(
            deep(json!({ "type": "number", "nullable": true })),
            deep(json!({ "type": ["number", "null"] })),
        );
        check(
            json!({ "properties": { "default": { "type": "number", "nullable": true } } }),
            json!({ "properties": { "default": { "type": ["number", "null"] } } }),
        );
        check(
            json!({ "default": { "nullable": true } }),
            json!({ "default": { "nullable": true } }),
        );
    }
}
