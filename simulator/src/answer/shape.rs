//! A JSON Schema as a tree of types, without references and alternatives, and the emptiest value
//! that fits it. Bounds and patterns are left to others: the strict subset has none.

use super::text::fold_name;
use crate::schema::resolve;
use serde_json::{Map, Value};

/// How many references within each other are followed; none is followed within itself.
const REFERENCES_MAX: usize = 12;

/// One type that a schema allows.
pub(crate) struct Type<'a> {
    /// A name of JSON Schema, or `enum`.
    pub(crate) kind: &'a str,
    pub(crate) format: &'a str,
    pub(crate) choices: Vec<&'a Value>,
    pub(crate) properties: Vec<Property<'a>>,
    pub(crate) items: Vec<Type<'a>>,
}

/// A property of an object.
pub(crate) struct Property<'a> {
    pub(crate) name: &'a String,
    /// The folded names of the objects that it is in, and its own.
    pub(crate) path: String,
    pub(crate) description: &'a str,
    pub(crate) is_required: bool,
    pub(crate) types: Vec<Type<'a>>,
}

/// Reads a schema; `open` are the references that led to it.
pub(crate) fn types<'a>(
    root: &'a Value,
    node: &'a Value,
    path: &str,
    open: &[&'a str],
) -> Vec<Type<'a>> {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        let is_new = !open.contains(&reference) && open.len() < REFERENCES_MAX;
        let target = resolve(root, reference).filter(|_| is_new);
        let open = [open, &[reference]].concat();
        return target.map_or_else(Vec::new, |node| types(root, node, path, &open));
    }
    let alternatives = node.get("anyOf").or(node.get("oneOf")).and_then(Value::as_array);
    if let Some(alternatives) = alternatives {
        return alternatives.iter().flat_map(|node| types(root, node, path, open)).collect();
    }
    let choices = node.get("enum").and_then(Value::as_array).into_iter().flatten();
    let choices: Vec<&Value> = choices.chain(node.get("const")).collect();
    let has = |word| node.get(word).is_some();
    let kinds = match node.get("type") {
        _ if !choices.is_empty() => vec!["enum"],
        Some(Value::String(kind)) => vec![kind.as_str()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if has("properties") => vec!["object"],
        _ => vec![if has("items") { "array" } else { "null" }],
    };
    let one = |kind| {
        let properties =
            node.get("properties").and_then(Value::as_object).filter(|_| kind == "object");
        let required = node.get("required").and_then(Value::as_array);
        let property = |(name, child): (&'a String, &'a Value)| {
            let path = format!("{path} {}", fold_name(name)).trim_start().to_owned();
            let description = child.get("description").and_then(Value::as_str).unwrap_or_default();
            let is_required = required.is_some_and(|names| names.iter().any(|own| own == name));
            let types = types(root, child, &path, open);
            Property { name, path, description, is_required, types }
        };
        let items = node.get("items").filter(|_| kind == "array");
        Type {
            kind,
            format: node.get("format").and_then(Value::as_str).unwrap_or_default(),
            choices: choices.clone(),
            properties: properties.into_iter().flatten().map(property).collect(),
            items: items.map_or_else(Vec::new, |items| types(root, items, "", open)),
        }
    };
    kinds.into_iter().map(one).collect()
}

impl Type<'_> {
    pub(crate) fn allows_null(&self) -> bool {
        self.kind == "null" || self.choices.contains(&&Value::Null)
    }

    /// Whether a text has the format of a string.
    pub(crate) fn has_format(&self, text: &str) -> bool {
        match self.format {
            "date" => true,
            "email" => text.contains('@') && !text.contains(' '),
            format => least_text(format).is_empty(),
        }
    }

    fn least(&self) -> Value {
        match self.kind {
            "object" => {
                let required = self.properties.iter().filter(|property| property.is_required);
                let least = |own: &Property<'_>| (own.name.clone(), least(&own.types));
                Value::Object(required.map(least).collect::<Map<_, _>>())
            }
            "array" => Value::Array(Vec::new()),
            "enum" => self.choices.first().map_or(Value::Null, |first| (*first).clone()),
            "number" | "integer" => Value::from(0),
            "boolean" => Value::Bool(false),
            "string" => Value::from(least_text(self.format)),
            _ => Value::Null,
        }
    }
}

/// The emptiest value that fits one of these types.
pub(crate) fn least(types: &[Type<'_>]) -> Value {
    if types.iter().any(Type::allows_null) {
        return Value::Null;
    }
    let rank = |one: &&Type<'_>| ["array", "object"].iter().position(|kind| *kind == one.kind);
    types.iter().min_by_key(rank).map_or(Value::Null, Type::least)
}

/// A text of a format, for a place that must have one.
fn least_text(format: &str) -> &'static str {
    match format {
        "date" => "1970-01-01",
        "date-time" => "1970-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "email" => "unknown@example.com",
        "uri" => "https://example.com",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        _ => "",
    }
}
