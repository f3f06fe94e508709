//! One value from the values of a document's parts.
//!
//! It must know nothing of how the parts were found.

use super::{node::Node, pointer, set_aside::Invalid};
use serde_json::{Map, Value};
use shared::{extraction::FieldStatus, schema::ExtractionSchema};
use std::collections::BTreeSet;

/// Puts parts together, in the order of the document: lists follow each other; of numbers the last
/// one counts, because sums stand behind what they sum up and running totals before them; of
/// everything else the first. What no part has is null, or an empty list, where the schema requires
/// it and allows that.
pub fn merge(schema: &ExtractionSchema, mut parts: Vec<Value>) -> Value {
    if parts.len() < 2 {
        return parts.pop().unwrap_or_default();
    }
    let merged = parts.into_iter().reduce(join).unwrap_or_default();
    let Value::Object(mut found) = merged else { return merged };
    let node = Node::root(&schema.body);
    let mut ordered = Map::new();
    for name in node.names() {
        let property = node.property(name);
        match found.remove(name) {
            Some(value) => ordered.insert(name.to_owned(), value),
            None if !node.requires(name) => None,
            None if property.allows_null() => ordered.insert(name.to_owned(), Value::Null),
            None if property.has_type("array") => {
                ordered.insert(name.to_owned(), Value::Array(vec![]))
            }
            None => None,
        };
    }
    ordered.extend(found);
    Value::Object(ordered)
}

/// Takes single values out of the parts that do not stand in them, where another part has one at the
/// same place that does. `status` tells what was found of a value of a part. Items of lists stay:
/// nobody knows which is which.
pub fn prefer_printed(
    parts: &mut [&mut Value],
    status: impl Fn(usize, &str) -> Option<FieldStatus>,
) {
    use FieldStatus::{Conflict, NotFound, Printed, Verified};
    let places: BTreeSet<String> = parts.iter().flat_map(|part| single(part)).collect();
    for place in places {
        let has = |index: &usize, wanted: &[FieldStatus]| {
            let is_there = parts.get(*index).and_then(|part| part.pointer(&place));
            is_there.is_some_and(|value| !value.is_null())
                && status(*index, &place).is_some_and(|found| wanted.contains(&found))
        };
        let printed = (0..parts.len()).any(|index| has(&index, &[Verified, Printed, Conflict]));
        let unfound: Vec<_> = (0..parts.len()).filter(|index| has(index, &[NotFound])).collect();
        for index in unfound.into_iter().filter(|_| printed) {
            if let Some(value) = parts.get_mut(index).and_then(|part| part.pointer_mut(&place)) {
                *value = Value::Null;
            }
        }
    }
}

/// The places of the single values of a part.
fn single(part: &Value) -> Vec<String> {
    let mut open = vec![(Vec::new(), part)];
    let mut places = Vec::new();
    while let Some((tokens, value)) = open.pop() {
        match value {
            Value::Object(entries) => open.extend(entries.iter().map(|(name, value)| {
                let tokens: Vec<String> = tokens.iter().chain([name]).cloned().collect();
                (tokens, value)
            })),
            Value::Array(_) | Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                places.push(pointer::of(&tokens))
            }
        }
    }
    places
}

/// What was set aside in the parts, at its places in the whole: the items of a list stand after those
/// of the parts before.
pub fn moved(parts: &[Value], invalid: Vec<Vec<Invalid>>) -> Vec<Invalid> {
    let place = |index: usize, place: &str| {
        let mut tokens = pointer::tokens(place);
        for end in 0..tokens.len() {
            let list = pointer::of(tokens.get(..end).unwrap_or_default());
            let length = |part: &Value| part.pointer(&list)?.as_array().map(Vec::len);
            if parts.get(index).and_then(length).is_none() {
                continue;
            }
            let before: usize = parts.iter().take(index).filter_map(length).sum();
            if let Some(token) = tokens.get_mut(end)
                && let Ok(own) = token.parse::<usize>()
            {
                *token = (before + own).to_string();
            }
            break;
        }
        pointer::of(&tokens)
    };
    let parts = invalid.into_iter().enumerate();
    let moved = parts.flat_map(|(index, invalid)| {
        let there =
            move |Invalid { pointer, value }| Invalid { pointer: place(index, &pointer), value };
        invalid.into_iter().map(there)
    });
    moved.collect()
}

fn join(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Array(mut first), Value::Array(second)) => {
            first.extend(second);
            Value::Array(first)
        }
        (Value::Object(mut first), Value::Object(second)) => {
            for (name, value) in second {
                let there = first.get_mut(&name).map(Value::take).unwrap_or_default();
                first.insert(name, join(there, value));
            }
            Value::Object(first)
        }
        (first, Value::Null) => first,
        (Value::Null, second) | (Value::Number(_), second @ Value::Number(_)) => second,
        (first, _) => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_become_one() {
        let body = json!({
            "type": "object",
            "properties": {
                "number": { "type": "string" },
                "buyer": { "type": "object", "properties": { "name": { "type": "string" } } },
                "note": { "type": ["string", "null"] },
                "lines": { "type": "array", "items": { "type": "integer" } },
                "fees": { "type": "array", "items": { "type": "integer" } },
                "total": { "type": "number" },
            },
            "required": ["number", "note", "lines", "fees", "total"],
        });
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let parts = vec![
            json!({ "number": "R-1", "lines": [1, 2], "total": 3 }),
            json!({ "buyer": { "name": "Ann" }, "lines": [3], "total": 6 }),
            json!({ "number": "other", "total": 7.14 }),
        ];
        let expected = json!({
            "number": "R-1", "buyer": { "name": "Ann" }, "note": null, "lines": [1, 2, 3], "fees": [],
            "total": 7.14,
        });
        let merged = merge(&schema, parts);
        assert_eq!(merged.to_string(), expected.to_string());
        assert_eq!(merge(&schema, vec![json!({ "total": 1 })]), json!({ "total": 1 }));
    }

    #[test]
    fn a_value_that_is_printed_beats_one_that_is_not() {
        use FieldStatus::{NotFound, Verified};
        let mut parts = [
            json!({ "number": "guess", "date": "a", "buyer": { "name": "?" }, "lines": ["x"] }),
            json!({ "number": "R-1", "date": "b", "buyer": { "name": "Ann" }, "lines": ["y"] }),
        ];
        let status = |part: usize, place: &str| match (part, place) {
            (1, "/number" | "/buyer/name") => Some(Verified),
            (0, "/lines/0") | (1, _) => Some(Verified),
            _ => Some(NotFound),
        };
        let unfound = |part: usize, place: &str| match place {
            "/date" => Some(NotFound),
            _ => status(part, place),
        };
        prefer_printed(&mut parts.iter_mut().collect::<Vec<_>>(), unfound);
        let expected =
            json!({ "number": null, "date": "a", "buyer": { "name": null }, "lines": ["x"] });
        assert_eq!(parts[0], expected);
        assert_eq!(parts[1]["number"], "R-1");
    }

    #[test]
    fn what_was_set_aside_moves_with_its_list() {
        let parts = [
            json!({ "lines": [{ "a": 1 }, { "a": 2 }], "n": { "notes": ["x"] } }),
            json!({ "lines": [{ "a": 3, "parts": [1, 2] }], "n": { "notes": ["y"] } }),
        ];
        let invalid = |pointer: &str| Invalid { pointer: pointer.to_owned(), value: json!(1) };
        let first = vec![invalid("/lines/1/b"), invalid("/date")];
        let second = ["/lines/0/b", "/lines/0/parts/1", "/lines", "/n/notes/0", "/date"];
        let moved = moved(&parts, vec![first, second.map(invalid).to_vec()]);
        let places: Vec<_> = moved.iter().map(|invalid| invalid.pointer.as_str()).collect();
        let there = ["/lines/2/b", "/lines/2/parts/1", "/lines", "/n/notes/1", "/date"];
        assert_eq!(places, [&["/lines/1/b", "/date"][..], &there].concat());
    }
}
