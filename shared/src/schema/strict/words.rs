//! What a schema says of a value in words, and what the subset cannot say otherwise: all of it goes
//! into the description.
//!
//! It must know nothing of the shape of values.

use crate::schema::KEYWORD;
use serde_json::{Map, Value};

/// A title, pattern, format, example or meaning longer than this is not described to the model.
const CHARACTERS_MAX: usize = 120;

/// More examples are not given.
const EXAMPLES_MAX: usize = 5;

/// Keywords that the subset cannot carry and that a model keeps better when it is described.
pub const DESCRIBED: [(&str, &str); 12] = [
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

/// What the values of an `enum` mean, as generators write it: a list in the order of the values, or
/// an object by value.
const MEANINGS: [&str; 6] = [
    "enumDescriptions",
    "x-enumDescriptions",
    "x-enum-descriptions",
    "x-enum-varnames",
    "x-enumNames",
    "enumNames",
];

/// The description of the node at this path: its title where that says more than its name, its own
/// description, what its values mean, its restrictions and examples.
pub(super) fn words(node: &Map<String, Value>, path: &str) -> Option<String> {
    let text = |key| node.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    let (title, own) = (text("title"), text("description"));
    let name = path.rsplit('/').next().unwrap_or_default();
    let own = match says_more(title, own, name) {
        true if own.is_empty() => title.to_owned(),
        true => format!("{title}: {own}"),
        false => own.to_owned(),
    };
    let told = node.get(KEYWORD).and_then(|own| own.get("instructions")).and_then(Value::as_str);
    let own = match told.map(str::trim).filter(|told| !told.is_empty() && !path.is_empty()) {
        Some(told) if own.is_empty() => told.to_owned(),
        Some(told) => format!("{own} {told}"),
        None => own,
    };
    let described = DESCRIBED.iter().filter_map(|(keyword, words)| {
        let value = match node.get(*keyword)? {
            Value::Bool(true) => return Some((*words).to_owned()),
            value @ (Value::String(_) | Value::Number(_)) => short(value)?,
            _ => return None,
        };
        Some(format!("{words} {value}"))
    });
    let described: Vec<_> = meanings(node).chain(described).chain(examples(node)).collect();
    match (own.as_str(), described.join("; ").as_str()) {
        ("", "") => None,
        (own, "") => Some(own.to_owned()),
        ("", described) => Some(format!("({described})")),
        (own, described) => Some(format!("{own} ({described})")),
    }
}

/// Generators make a title of each name: `invoice_number` is `Invoice Number`.
fn says_more(title: &str, description: &str, name: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let title_letters = letters(title);
    !title_letters.is_empty()
        && title.chars().count() <= CHARACTERS_MAX
        && title_letters != letters(name)
        && !letters(description).contains(&title_letters)
}

/// What each value of an `enum` means.
fn meanings(node: &Map<String, Value>) -> impl Iterator<Item = String> {
    let values = node.get("enum").and_then(Value::as_array);
    let given = MEANINGS.iter().find_map(|keyword| node.get(*keyword));
    values.zip(given).into_iter().flat_map(|(values, given)| {
        values.iter().enumerate().filter_map(move |(index, value)| {
            let value = short(value)?;
            let meaning = match given {
                Value::Array(list) => list.get(index)?,
                by_value => by_value.get(&value)?,
            };
            Some(format!("{value}: {}", short(meaning)?))
        })
    })
}

/// What OpenAPI has as `example` and JSON Schema as `examples`.
fn examples(node: &Map<String, Value>) -> Option<String> {
    let many = node.get("examples").and_then(Value::as_array).into_iter().flatten();
    let all = many.chain(node.get("example")).filter_map(short).take(EXAMPLES_MAX);
    let all = all.collect::<Vec<_>>().join(", ");
    (!all.is_empty()).then(|| format!("for example {all}"))
}

/// A value in words, where they are few.
fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    (!text.is_empty() && text.chars().count() <= CHARACTERS_MAX).then_some(text)
}

/// The entry of a schema that carries a description.
pub(super) fn entry(words: String) -> (String, Value) {
    ("description".to_owned(), Value::String(words))
}

/// A node of the subset with these words before its own. Beside a reference nothing may stand, so
/// that becomes the only one of a choice.
pub(super) fn described(node: Value, words: Option<String>) -> Value {
    let (Value::Object(mut object), Some(words)) = (node.clone(), words) else { return node };
    if object.contains_key("$ref") {
        let choice = ("anyOf".to_owned(), Value::Array(vec![node]));
        return Value::Object(Map::from_iter([entry(words), choice]));
    }
    let there = object.get("description").and_then(Value::as_str).unwrap_or_default();
    let (key, value) = entry(joined(&words, there));
    object.insert(key, value);
    Value::Object(object)
}

/// Both texts, where they differ.
pub(super) fn joined(first: &str, second: &str) -> String {
    match (first, second) {
        (first, second) if second.is_empty() || first.contains(second) => first.to_owned(),
        ("", second) => second.to_owned(),
        (first, second) => format!("{first}; {second}"),
    }
}
