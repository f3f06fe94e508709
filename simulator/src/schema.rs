//! Whether a JSON Schema lies in the subset that Azure accepts for strict structured output.
//! Knows the rules of 2025: at most 100 properties and 5 levels of objects.

use serde_json::{Map, Value};
use std::collections::HashMap;

const PROPERTIES_MAX: usize = 100;
const LEVELS_MAX: usize = 5;

/// Keywords that the service refuses, whatever their value.
const REFUSED: [&str; 36] = [
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "patternProperties",
    "unevaluatedProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "prefixItems",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "default",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "$dynamicRef",
];

/// Says what the service would say about a schema that it does not accept.
pub fn check(schema: &Value) -> Result<(), String> {
    let Some(root) = schema.as_object() else {
        return Err(at(&[], "schema must be a JSON Schema of 'type: \"object\"'"));
    };
    if root.contains_key("anyOf") {
        return Err(at(&[], "the root must not be 'anyOf'"));
    }
    if !is_object(root) && !root.contains_key("$ref") {
        return Err(at(&[], "schema must be a JSON Schema of 'type: \"object\"'"));
    }
    let mut properties = 0;
    check_node(schema, &mut Vec::new(), &mut properties)?;
    if properties > PROPERTIES_MAX {
        let text = format!("{properties} properties exceed the limit of {PROPERTIES_MAX}");
        return Err(at(&[], &text));
    }
    let levels = Levels { root: schema, known: HashMap::new() }.of(schema);
    if levels > LEVELS_MAX {
        return Err(at(&[], &format!("{levels} levels of nesting exceed limit of {LEVELS_MAX}")));
    }
    Ok(())
}

/// Follows a reference inside a schema; only `#` and `#/a/b` exist here.
pub fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn is_object(node: &Map<String, Value>) -> bool {
    match node.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => node.contains_key("properties"),
    }
}

fn check_node(node: &Value, path: &mut Vec<String>, properties: &mut usize) -> Result<(), String> {
    let Some(object) = node.as_object() else {
        return Err(at(path, "schema must be an object"));
    };
    if let Some(keyword) = REFUSED.iter().find(|keyword| object.contains_key(**keyword)) {
        return Err(at(path, &format!("'{keyword}' is not permitted")));
    }
    let typed = ["type", "$ref", "anyOf", "enum", "const"];
    if !typed.iter().any(|keyword| object.contains_key(*keyword)) {
        return Err(at(path, "schema must have a 'type' key"));
    }
    if is_object(object) {
        check_object(object, path)?;
        *properties += object.get("properties").and_then(Value::as_object).map_or(0, Map::len);
    }
    for keyword in ["properties", "$defs", "definitions"] {
        let children = object.get(keyword).and_then(Value::as_object);
        for (name, child) in children.into_iter().flatten() {
            path.extend([keyword.to_owned(), name.clone()]);
            check_node(child, path, properties)?;
            path.truncate(path.len() - 2);
        }
    }
    if let Some(items) = object.get("items") {
        path.push("items".to_owned());
        check_node(items, path, properties)?;
        path.pop();
    }
    let alternatives = object.get("anyOf").and_then(Value::as_array);
    for (index, child) in alternatives.into_iter().flatten().enumerate() {
        path.extend(["anyOf".to_owned(), index.to_string()]);
        check_node(child, path, properties)?;
        path.truncate(path.len() - 2);
    }
    Ok(())
}

fn check_object(object: &Map<String, Value>, path: &[String]) -> Result<(), String> {
    if object.get("additionalProperties") != Some(&Value::Bool(false)) {
        let text = "'additionalProperties' is required to be supplied and to be false";
        return Err(at(path, text));
    }
    let required: Vec<&str> = match object.get("required").and_then(Value::as_array) {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let names = object.get("properties").and_then(Value::as_object);
    let missing =
        names.into_iter().flatten().map(|(name, _)| name).find(|n| !required.contains(&n.as_str()));
    match missing {
        None => Ok(()),
        Some(name) => Err(at(
            path,
            &format!(
                "'required' is required to be supplied and to be an array including every key in \
                 properties. Missing '{name}'"
            ),
        )),
    }
}

fn at(path: &[String], text: &str) -> String {
    let quoted: Vec<String> = path.iter().map(|part| format!("'{part}'")).collect();
    format!("In context=({}), {text}.", quoted.join(", "))
}

/// How many levels of objects lie under a node, references followed once.
struct Levels<'a> {
    root: &'a Value,
    known: HashMap<&'a str, usize>,
}

impl<'a> Levels<'a> {
    fn of(&mut self, node: &'a Value) -> usize {
        let Some(object) = node.as_object() else { return 0 };
        let mut below = object.get("$ref").and_then(Value::as_str).map_or(0, |to| self.of_ref(to));
        let properties = object.get("properties").and_then(Value::as_object);
        let alternatives = object.get("anyOf").and_then(Value::as_array);
        let children = properties
            .into_iter()
            .flat_map(Map::values)
            .chain(object.get("items"))
            .chain(alternatives.into_iter().flatten());
        for child in children {
            below = below.max(self.of(child));
        }
        below + usize::from(is_object(object))
    }

    fn of_ref(&mut self, reference: &'a str) -> usize {
        if let Some(levels) = self.known.get(reference) {
            return *levels;
        }
        // A recursive reference meets this and adds no level of its own.
        self.known.insert(reference, 0);
        let levels = resolve(self.root, reference).map_or(0, |node| self.of(node));
        self.known.insert(reference, levels);
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: Value) -> Value {
        let required: Vec<&String> = properties.as_object().expect("object").keys().collect();
        json!({
            "type": "object", "additionalProperties": false,
            "required": required, "properties": properties,
        })
    }

    fn refused(schema: &Value, expected: &str) {
        let error = check(schema).expect_err("refused");
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    #[test]
    fn the_subset_is_accepted() {
        let mut schema = object(json!({
            "a": { "type": ["string", "null"] },
            "b": { "type": "array", "items": { "$ref": "#/$defs/node" } },
            "c": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
            "d": { "enum": ["x", "y"] },
        }));
        let children = json!({ "type": "array", "items": { "$ref": "#/$defs/node" } });
        schema["$defs"] = json!({ "node": object(json!({ "children": children })) });
        assert_eq!(check(&schema), Ok(()));
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        refused(&json!({ "anyOf": [] }), "In context=(), the root must not be 'anyOf'.");
        refused(&json!({ "type": "array", "items": {} }), "type: \"object\"");
        refused(&json!({ "type": "object", "properties": {} }), "'additionalProperties'");
        let mut optional = object(json!({ "a": { "type": "string" } }));
        optional["required"] = json!([]);
        refused(&optional, "Missing 'a'");
        for keyword in REFUSED {
            let schema = object(json!({ "a": { "type": "string", keyword: 1 } }));
            refused(&schema, &format!("In context=('properties', 'a'), '{keyword}' is not"));
        }
        refused(&object(json!({ "a": {} })), "must have a 'type' key");
    }

    #[test]
    fn size_is_limited() {
        let mut deep = object(json!({}));
        for _ in 0..LEVELS_MAX {
            deep = object(json!({ "a": deep }));
        }
        refused(&deep, "6 levels");
        let many: Map<String, Value> =
            (0..101).map(|n| (format!("p{n}"), json!({ "type": "string" }))).collect();
        refused(&object(Value::Object(many)), "101 properties");
    }
}
