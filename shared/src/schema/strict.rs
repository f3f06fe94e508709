//! Turns a JSON Schema into the subset that strict structured outputs accept everywhere.
//!
//! The subset is Azure's: every property required, no other properties, at most
//! [`PROPERTIES_MAX`] properties and [`LEVELS_MAX`] levels of objects, and none of the keywords
//! that restrict a value further. Those are described to the model in words, and checked locally.
//! Source: Azure OpenAI, "How to use structured outputs", supported schemas and limitations.

mod size;

use super::SchemaFault;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub use size::{LEVELS_MAX, PROPERTIES_MAX};

/// Deeper than this no schema is looked into.
const DEPTH_MAX: usize = 32;

/// More nodes than this no schema has. (Definitions that name each other several times in `allOf`
/// would make a small schema endless.)
const NODES_MAX: usize = 5_000;

/// A pattern or format longer than this is not described to the model.
const DESCRIBED_CHARACTERS_MAX: usize = 120;

/// Keywords that say what kind of value is meant, where no `type` does.
const KIND_BY_KEYWORD: [(&str, &str); 4] = [
    ("properties", "object"),
    ("additionalProperties", "object"),
    ("items", "array"),
    ("pattern", "string"),
];

/// Keywords that the subset cannot carry and that a model keeps better when it is described.
const DESCRIBED: [(&str, &str); 12] = [
    ("format", "format"),
    ("pattern", "pattern"),
    ("minimum", "at least"),
    ("exclusiveMinimum", "greater than"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "less than"),
    ("multipleOf", "a multiple of"),
    ("minLength", "characters, at least"),
    ("maxLength", "characters, at most"),
    ("minItems", "items, at least"),
    ("maxItems", "items, at most"),
    ("uniqueItems", "without repetition"),
];

/// What to send to the model for a schema as a user wrote it. What may be left out may be null.
///
/// # Errors
/// Everything in it that the subset cannot carry, by its JSON pointer.
pub fn convert(body: &Value) -> Result<Value, Vec<SchemaFault>> {
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
            *property = nullable(property.take());
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
        self.node(node, &path, 0)
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
        if let Some(reference) = given.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, path);
        }
        let merged =
            given.contains_key("allOf").then(|| merge_all_of(self.root, given, &mut self.nodes, 0));
        let node = merged.as_ref().unwrap_or(given);
        let kinds = kinds(node);
        let is_nested = kinds.iter().any(|kind| matches!(*kind, "object" | "array"));
        match kinds.as_slice() {
            [] => self.choices(node, path, depth),
            ["object"] => self.object(node, path, depth),
            ["array"] => self.array(node, path, depth),
            _ if is_nested => {
                let one = |kind: &&str| {
                    let mut one = node.clone();
                    one.insert("type".to_owned(), json!(kind));
                    self.node(&Value::Object(one), path, depth + 1)
                };
                json!({ "anyOf": kinds.iter().map(one).collect::<Vec<_>>() })
            }
            _ => plain(node, &kinds),
        }
    }

    /// A reference may have nothing beside it in the subset.
    fn reference(&mut self, reference: &str, path: &str) -> Value {
        if reference == "#" {
            return json!({ "$ref": "#" });
        }
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        if pointer.is_empty() || self.root.pointer(pointer).is_none() {
            return self.fault(path, format!("{reference} leads nowhere: use #/$defs/NAME"));
        }
        if let Some(name) = self.names.get(pointer) {
            return json!({ "$ref": format!("#/$defs/{name}") });
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
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn choices(&mut self, node: &Map<String, Value>, path: &str, depth: usize) -> Value {
        let given = ["anyOf", "oneOf"].into_iter();
        let mut given = given.filter_map(|word| Some((word, node.get(word)?.as_array()?)));
        let Some((word, choices)) = given.next() else {
            return self.fault(path, "say which type it has");
        };
        let choices = choices
            .iter()
            .enumerate()
            .map(|(index, choice)| self.node(choice, &format!("{path}/{word}/{index}"), depth + 1));
        let mut strict = Map::from_iter(description(node));
        strict.insert("anyOf".to_owned(), choices.collect());
        Value::Object(strict)
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
            properties.insert(name.clone(), if is_required { strict } else { nullable(strict) });
        }
        let names: Vec<_> = properties.keys().cloned().collect();
        let mut strict = Map::from_iter([("type".to_owned(), json!("object"))]);
        strict.extend(description(node));
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
        strict.extend(description(node));
        strict.insert("items".to_owned(), items);
        Value::Object(strict)
    }
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
fn plain(node: &Map<String, Value>, kinds: &[&str]) -> Value {
    let kind = match kinds {
        [kind] => json!(kind),
        kinds => json!(kinds),
    };
    let mut strict = Map::from_iter([("type".to_owned(), kind)]);
    strict.extend(description(node));
    if let Some(values) = values(node) {
        strict.insert("enum".to_owned(), Value::Array(values));
    }
    Value::Object(strict)
}

/// The description with what the subset cannot say otherwise.
fn description(node: &Map<String, Value>) -> Option<(String, Value)> {
    let own = node.get("description").and_then(Value::as_str).unwrap_or_default().trim();
    let described = DESCRIBED.iter().filter_map(|(keyword, words)| {
        let value = match node.get(*keyword)? {
            Value::Bool(true) => return Some((*words).to_owned()),
            Value::String(text) if text.len() <= DESCRIBED_CHARACTERS_MAX => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(format!("{words} {value}"))
    });
    let described = described.collect::<Vec<_>>().join("; ");
    let text = match (own, described.as_str()) {
        ("", "") => return None,
        (own, "") => own.to_owned(),
        ("", described) => format!("({described})"),
        (own, described) => format!("{own} ({described})"),
    };
    Some(("description".to_owned(), Value::String(text)))
}

/// The same node, or null.
fn nullable(node: Value) -> Value {
    let Value::Object(mut object) = node else { return node };
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        let null = json!({ "type": "null" });
        if !choices.contains(&null) {
            choices.push(null);
        }
        return Value::Object(object);
    }
    let is_nested = matches!(object.get("type"), Some(Value::String(kind)) if kind == "object" || kind == "array");
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

/// One node that says what a node and everything in its `allOf` say together.
fn merge_all_of(
    root: &Value,
    node: &Map<String, Value>,
    nodes: &mut usize,
    depth: usize,
) -> Map<String, Value> {
    let mut merged = node.clone();
    let Some(Value::Array(parts)) = merged.remove("allOf") else { return merged };
    for part in &parts {
        *nodes += 1;
        if *nodes > NODES_MAX || depth > DEPTH_MAX {
            break;
        }
        let reference = part.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| root.pointer(reference.strip_prefix('#')?));
        let Some(part) = target.unwrap_or(part).as_object() else { continue };
        for (key, value) in merge_all_of(root, part, nodes, depth + 1) {
            match (merged.get_mut(&key), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                (Some(Value::Array(there)), Value::Array(more)) if key == "required" => {
                    there.extend(more);
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
