//! Turns a JSON Schema into the subset that strict structured outputs accept everywhere.
//!
//! The subset is Azure's: every property required, no other properties, at most
//! [`PROPERTIES_MAX`] properties and [`LEVELS_MAX`] levels of objects, and none of the keywords
//! that restrict a value further. Those are described to the model in words, and checked locally.
//! Source: Azure OpenAI, "How to use structured outputs", supported schemas and limitations.

mod size;
mod words;

use super::{SchemaFault, nullable};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use words::{described, words};

pub use size::{LEVELS_MAX, PROPERTIES_MAX};
pub use words::DESCRIBED;

/// Deeper than this no schema is looked into.
const DEPTH_MAX: usize = 32;

/// More nodes than this no schema has. (Definitions that name each other several times in `allOf`
/// would make a small schema endless.)
const NODES_MAX: usize = 50_000;

/// Keywords that say what kind of value is meant, where no `type` does.
const KIND_BY_KEYWORD: [(&str, &str); 4] = [
    ("properties", "object"),
    ("additionalProperties", "object"),
    ("items", "array"),
    ("pattern", "string"),
];

/// Keywords that say more of a value than words do: beside a reference they are merged with what it
/// refers to.
const SHAPE: [&str; 10] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
    "enum",
    "const",
    "anyOf",
    "oneOf",
];

/// What to send to the model for a schema as a user wrote it. What may be left out may be null.
///
/// # Errors
/// Everything in it that the subset cannot carry, by its JSON pointer.
pub fn convert(body: &Value) -> Result<Value, Vec<SchemaFault>> {
    let body = &nullable::expand(body);
    let mut converter =
        Converter { root: body, names: HashMap::new(), open: vec![], nodes: 0, faults: vec![] };
    let mut strict = converter.start();
    let mut defs = Map::new();
    // Converting one definition may ask for others.
    while let Some((pointer, name)) = converter.open.pop() {
        let converted = converter.node(body.pointer(&pointer).unwrap_or(&Value::Null), &pointer, 0);
        defs.insert(name, converted);
    }
    defs.sort_keys();
    if let Some(object) = strict.as_object_mut().filter(|_| !defs.is_empty()) {
        object.insert("$defs".to_owned(), Value::Object(defs));
    }
    if converter.faults.is_empty() {
        converter.faults = size::faults(&strict);
    }
    if converter.faults.is_empty() { Ok(strict) } else { Err(converter.faults) }
}

/// A schema that [`convert`] gave, with a root whose properties may all be null: for a part of a
/// document, on which not everything stands.
pub fn relax(strict: &Value) -> Value {
    let mut relaxed = strict.clone();
    let properties = relaxed.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        if property.get("type").and_then(Value::as_str) != Some("array") {
            *property = or_null(property.take());
        }
    }
    relaxed
}

struct Converter<'a> {
    root: &'a Value,
    /// The names of the definitions, by the pointer that they were referred to by.
    names: HashMap<String, String>,
    /// Definitions that are still to be converted, as pointer and name.
    open: Vec<(String, String)>,
    /// How many nodes were looked into.
    nodes: usize,
    faults: Vec<SchemaFault>,
}

impl Converter<'_> {
    fn fault(&mut self, path: &str, message: impl Into<String>) -> Value {
        self.faults.push(SchemaFault { path: path.to_owned(), message: message.into() });
        Value::Null
    }

    /// The root: an object, and no reference.
    fn start(&mut self) -> Value {
        let mut node = self.root;
        let mut path = String::new();
        for _ in 0..DEPTH_MAX {
            let Some(reference) = node.get("$ref").and_then(Value::as_str) else { break };
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            match self.root.pointer(pointer) {
                Some(target) if !pointer.is_empty() => (node, path) = (target, pointer.to_owned()),
                _ => return self.fault(&path, format!("{reference} leads nowhere")),
            }
        }
        let is_object = node.as_object().is_some_and(|node| kinds(node) == ["object"]);
        if !is_object && node.get("allOf").is_none() {
            let message =
                "the root must be an object with properties: put what you ask for into one";
            return self.fault(&path, message);
        }
        let strict = self.node(node, &path, 0);
        // What stands beside a reference of the root.
        let beside = self.root.as_object().filter(|_| !path.is_empty());
        described(strict, beside.and_then(|root| words(root, "")))
    }

    fn node(&mut self, given: &Value, path: &str, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return self.fault(path, format!("is nested more than {DEPTH_MAX} deep"));
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("has more than {NODES_MAX} parts");
            if self.faults.last().is_none_or(|last| last.message != message) {
                self.fault("", message);
            }
            return Value::Null;
        }
        let Some(given) = given.as_object() else {
            return self.fault(path, "anything would be allowed here: say which type it has");
        };
        if let Some(reference) = referred(given) {
            return self.reference(reference, words(given, path), path, depth);
        }
        let is_merged = given.contains_key("allOf") || given.contains_key("$ref");
        let merged = is_merged.then(|| merge(self.root, given, &mut self.nodes, 0));
        let node = merged.as_ref().unwrap_or(given);
        let kinds = kinds(node);
        let of_kind = |kind: &str| {
            let mut one = node.clone();
            one.insert("type".to_owned(), json!(kind));
            Value::Object(one)
        };
        match kinds.as_slice() {
            [] => self.choices(node, path, depth),
            ["object"] => self.object(node, path, depth),
            ["array"] => self.array(node, path, depth),
            kinds if kinds.iter().any(|kind| is_nested(kind)) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| of_kind(kind)).collect();
                let choices: Vec<_> = kinds.iter().map(|kind| (kind, path.to_owned())).collect();
                self.either(&choices, None, depth)
            }
            _ => plain(node, &kinds, path),
        }
    }

    /// A reference may have nothing beside it in the subset: what describes it goes into a choice of
    /// one around it, or into the value itself where that is no object or list.
    fn reference(
        &mut self,
        reference: &str,
        words: Option<String>,
        path: &str,
        depth: usize,
    ) -> Value {
        if reference == "#" {
            return described(json!({ "$ref": "#" }), words);
        }
        let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.is_empty());
        let Some((pointer, target)) = pointer.and_then(|p| Some((p, self.root.pointer(p)?))) else {
            return self.fault(path, format!("{reference} leads nowhere: use #/$defs/NAME"));
        };
        if words.is_some() && target.as_object().is_some_and(is_plain) {
            return described(self.node(target, pointer, depth + 1), words);
        }
        let name = self.name(pointer);
        described(json!({ "$ref": format!("#/$defs/{name}") }), words)
    }

    /// The name of a definition, which is converted later.
    fn name(&mut self, pointer: &str) -> String {
        if let Some(name) = self.names.get(pointer) {
            return name.clone();
        }
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let last: String =
            pointer.rsplit('/').next().unwrap_or_default().chars().map(legal).collect();
        let is_taken = |name: &String| self.names.values().any(|taken| taken == name);
        let mut name = last.clone();
        let mut count = 1;
        while is_taken(&name) {
            count += 1;
            name = format!("{last}_{count}");
        }
        self.names.insert(pointer.to_owned(), name.clone());
        self.open.push((pointer.to_owned(), name.clone()));
        name
    }

    fn choices(&mut self, node: &Map<String, Value>, path: &str, depth: usize) -> Value {
        let given = ["anyOf", "oneOf"].into_iter();
        let mut given = given.filter_map(|word| Some((word, node.get(word)?.as_array()?)));
        let Some((word, choices)) = given.next() else {
            return self.fault(path, "say which type it has");
        };
        let choices = choices.iter().enumerate();
        let choices: Vec<_> =
            choices.map(|(index, choice)| (choice, format!("{path}/{word}/{index}"))).collect();
        self.either(&choices, words(node, path), depth)
    }

    /// One of several, each with its path. One or null is the same as the one that may be null.
    fn either(&mut self, all: &[(&Value, String)], words: Option<String>, depth: usize) -> Value {
        let is_null = |choice: &Value| choice.as_object().is_some_and(|one| kinds(one) == ["null"]);
        let mut others = all.iter().filter(|(choice, _)| !is_null(choice));
        if let (Some((choice, path)), None) = (others.next(), others.next())
            && all.len() > 1
        {
            return or_null(described(self.node(choice, path, depth + 1), words));
        }
        let choices = all.iter().map(|(choice, path)| self.node(choice, path, depth + 1)).collect();
        described(json!({ "anyOf": Value::Array(choices) }), words)
    }

    fn object(&mut self, node: &Map<String, Value>, path: &str, depth: usize) -> Value {
        let none = Map::new();
        let given = node.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let more = node.get("additionalProperties").filter(|more| match more {
            Value::Object(more) => !more.is_empty(),
            _ => false,
        });
        if more.is_some() {
            let message = "strict structured outputs cannot carry names that are not known before: \
                           use a list of {name, value} objects, or additionalProperties: false";
            return self.fault(&format!("{path}/additionalProperties"), message);
        }
        if given.is_empty() {
            return self.fault(path, "an object needs properties: name what is asked for");
        }
        for word in ["anyOf", "oneOf"] {
            let choices = node.get(word).and_then(Value::as_array).into_iter().flatten();
            if choices.into_iter().any(|choice| choice.get("properties").is_some()) {
                let message = "properties in the choices of an object that has some itself: \
                               write them all into each choice";
                return self.fault(&format!("{path}/{word}"), message);
            }
        }
        let required: Vec<_> =
            node.get("required").and_then(Value::as_array).into_iter().flatten().collect();
        let mut properties = Map::new();
        for (name, property) in given {
            let strict =
                self.node(property, &format!("{path}/properties/{}", escape(name)), depth + 1);
            let is_required = required.iter().any(|required| *required == name);
            properties.insert(name.clone(), if is_required { strict } else { or_null(strict) });
        }
        let names: Vec<_> = properties.keys().cloned().collect();
        let mut strict = Map::from_iter([("type".to_owned(), json!("object"))]);
        strict.extend(words(node, path).map(words::entry));
        strict.insert("properties".to_owned(), Value::Object(properties));
        strict.insert("required".to_owned(), json!(names));
        strict.insert("additionalProperties".to_owned(), json!(false));
        Value::Object(strict)
    }

    fn array(&mut self, node: &Map<String, Value>, path: &str, depth: usize) -> Value {
        if node.contains_key("prefixItems") {
            let message =
                "strict structured outputs cannot carry a list of fixed places: use an object";
            return self.fault(&format!("{path}/prefixItems"), message);
        }
        let items = node.get("items").unwrap_or(&Value::Null);
        let items = self.node(items, &format!("{path}/items"), depth + 1);
        let mut strict = Map::from_iter([("type".to_owned(), json!("array"))]);
        strict.extend(words(node, path).map(words::entry));
        strict.insert("items".to_owned(), items);
        Value::Object(strict)
    }
}

/// The reference that a node is: beside it there is nothing but words.
fn referred(node: &Map<String, Value>) -> Option<&str> {
    if SHAPE.iter().any(|keyword| node.contains_key(*keyword)) {
        return None;
    }
    match (node.get("$ref"), node.get("allOf").map(|parts| parts.as_array().map(Vec::as_slice))) {
        (Some(reference), None) => reference.as_str(),
        (None, Some(Some([Value::Object(part)]))) if part.len() == 1 => part.get("$ref")?.as_str(),
        _ => None,
    }
}

fn is_nested(kind: &str) -> bool {
    matches!(kind, "object" | "array")
}

/// Whether a node is a string, number, boolean or null, as it stands there.
fn is_plain(node: &Map<String, Value>) -> bool {
    let kinds = kinds(node);
    let refers = node.contains_key("$ref") || node.contains_key("allOf");
    !refers && !kinds.is_empty() && !kinds.iter().any(|kind| is_nested(kind))
}

/// The types that a node names, or that follow from its other keywords.
fn kinds(node: &Map<String, Value>) -> Vec<&str> {
    match node.get("type") {
        Some(Value::String(kind)) => return vec![kind],
        Some(Value::Array(kinds)) => return kinds.iter().filter_map(Value::as_str).collect(),
        _ => {}
    }
    if let Some(values) = values(node) {
        let mut kinds: Vec<_> = values.iter().map(kind_of).collect();
        kinds.sort_unstable();
        kinds.dedup();
        return kinds;
    }
    let kind = KIND_BY_KEYWORD.iter().find(|(keyword, _)| node.contains_key(*keyword));
    kind.map(|(_, kind)| *kind).into_iter().collect()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The values of `enum` or `const`.
fn values(node: &Map<String, Value>) -> Option<Vec<Value>> {
    match (node.get("enum"), node.get("const")) {
        (Some(Value::Array(values)), _) => Some(values.clone()),
        (_, Some(value)) => Some(vec![value.clone()]),
        _ => None,
    }
}

/// A string, number, boolean or null, or one of several of these.
fn plain(node: &Map<String, Value>, kinds: &[&str], path: &str) -> Value {
    let kind = match kinds {
        [kind] => json!(kind),
        kinds => json!(kinds),
    };
    let mut strict = Map::from_iter([("type".to_owned(), kind)]);
    strict.extend(words(node, path).map(words::entry));
    if let Some(values) = values(node) {
        strict.insert("enum".to_owned(), Value::Array(values));
    }
    Value::Object(strict)
}

/// The same node, or null.
fn or_null(node: Value) -> Value {
    let Value::Object(mut object) = node else { return node };
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        let null = json!({ "type": "null" });
        if !choices.contains(&null) {
            choices.push(null);
        }
        return Value::Object(object);
    }
    let is_nested = object.get("type").and_then(Value::as_str).is_some_and(is_nested);
    if is_nested || object.contains_key("$ref") {
        return json!({ "anyOf": [object, { "type": "null" }] });
    }
    match object.get_mut("type") {
        Some(Value::String(kind)) if kind != "null" => {
            let kinds = json!([kind, "null"]);
            object.insert("type".to_owned(), kinds);
        }
        Some(Value::Array(kinds)) if !kinds.contains(&json!("null")) => kinds.push(json!("null")),
        _ => {}
    }
    if let Some(Value::Array(values)) = object.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    Value::Object(object)
}

/// One node that says what a node, what it refers to and everything in its `allOf` say together.
fn merge(
    root: &Value,
    node: &Map<String, Value>,
    nodes: &mut usize,
    depth: usize,
) -> Map<String, Value> {
    let mut merged = node.clone();
    let reference = merged.remove("$ref");
    let target = reference.as_ref().and_then(|reference| {
        let pointer =
            reference.as_str()?.strip_prefix('#').filter(|pointer| !pointer.is_empty())?;
        root.pointer(pointer)
    });
    let parts = merged.remove("allOf");
    let parts = parts.iter().filter_map(Value::as_array).flatten();
    for part in target.into_iter().chain(parts).filter_map(Value::as_object) {
        *nodes += 1;
        if *nodes > NODES_MAX || depth > DEPTH_MAX {
            break;
        }
        for (key, value) in merge(root, part, nodes, depth + 1) {
            match (merged.get_mut(&key), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                (Some(Value::Array(there)), Value::Array(more)) if key == "required" => {
                    there.extend(more);
                }
                (Some(Value::String(there)), Value::String(more)) if key == "description" => {
                    *there = words::joined(there, &more);
                }
                (Some(_), _) => {}
                (None, value) => {
                    merged.insert(key, value);
                }
            }
        }
    }
    merged
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
