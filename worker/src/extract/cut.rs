//! A schema cut down to some of its fields: what the second question asks for, and how its answer
//! is put back.
//!
//! It must know nothing of why these fields are asked for.

use super::pointer;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// References that lead on to references are followed so far.
const REFERENCES_MAX: usize = 16;

/// The fields that are wanted below one place; everything where none is named.
#[derive(Debug, Default)]
struct Wanted(BTreeMap<String, Wanted>);

/// Whether an answer keeps to the form of a strict schema, so that it can be mended by field: it has at
/// least half of the properties, all of which it should have. One that has not was given without regard
/// to the schema, and what it has fits by chance.
pub fn keeps_form(strict: &Value, answer: &Value) -> bool {
    let properties = strict.get("properties").and_then(Value::as_object);
    properties.is_some_and(|properties| {
        let there = properties.keys().filter(|name| answer.get(name.as_str()).is_some()).count();
        there * 2 >= properties.len()
    })
}

/// What a strict schema says about the fields at these pointers, at their own places. Of a list
/// all items are asked for, each with its wanted fields. `None` where nothing can be left out.
pub fn cut(strict: &Value, pointers: &BTreeSet<String>) -> Option<Value> {
    let mut wanted = Wanted::default();
    for place in pointers.iter().filter(|place| !is_within(place, pointers)) {
        let add = |below, token| Wanted::entry(below, token);
        pointer::tokens(place).into_iter().fold(&mut wanted, add);
    }
    if wanted.0.is_empty() {
        return None;
    }
    let mut schema = cut_node(strict, strict, &wanted);
    let text = schema.to_string();
    if let (Some(defs), Some(object)) = (strict.get("$defs"), schema.as_object_mut())
        && text.contains("\"$ref\"")
    {
        object.insert("$defs".to_owned(), defs.clone());
    }
    // A reference to the root would mean another schema now.
    let is_smaller = schema != *strict && !text.contains("\"$ref\":\"#\"");
    is_smaller.then_some(schema)
}

/// Takes the values at these pointers over from a second answer. Items of lists are taken where
/// both answers have as many: otherwise nobody knows which is which.
pub fn take(first: &mut Value, second: &Value, pointers: &BTreeSet<String>) {
    for place in pointers {
        let tokens = pointer::tokens(place);
        let is_same = (0..tokens.len()).all(|end| {
            let list = pointer::of(tokens.get(..end).unwrap_or_default());
            let length = |value: &Value| value.pointer(&list)?.as_array().map(Vec::len);
            length(first) == length(second)
        });
        if let Some(value) = second.pointer(place).filter(|_| is_same) {
            pointer::put(first, place, value.clone());
        }
    }
}

impl Wanted {
    fn entry(&mut self, token: String) -> &mut Self {
        self.0.entry(token).or_default()
    }
}

/// Whether a place lies within another one of these.
fn is_within(place: &str, places: &BTreeSet<String>) -> bool {
    let mut tokens = pointer::tokens(place);
    while tokens.pop().is_some() {
        if places.contains(&pointer::of(&tokens)) {
            return true;
        }
    }
    false
}

fn cut_node(root: &Value, given: &Value, wanted: &Wanted) -> Value {
    if wanted.0.is_empty() {
        return given.clone();
    }
    let node = referred(root, given);
    if let Some(properties) = node.get("properties").and_then(Value::as_object) {
        if !wanted.0.keys().all(|name| properties.contains_key(name)) {
            return given.clone();
        }
        let kept = properties.iter().filter_map(|(name, property)| {
            Some((name.clone(), cut_node(root, property, wanted.0.get(name)?)))
        });
        let kept: Map<_, _> = kept.collect();
        // A strict schema requires all.
        let required = node.get("required").and_then(Value::as_array).into_iter().flatten();
        let required =
            required.filter(|name| name.as_str().is_some_and(|name| kept.contains_key(name)));
        let required: Vec<_> = required.cloned().collect();
        return with(node, [("properties", kept.into()), ("required", required.into())]);
    }
    if let Some(items) = node.get("items") {
        // All items have one schema: what is wanted of one is asked for all.
        let mut of_items = Wanted::default();
        for of_item in wanted.0.values() {
            of_items.join(of_item);
        }
        let is_whole = wanted.0.values().any(|of_item| of_item.0.is_empty());
        let items = if is_whole { items.clone() } else { cut_node(root, items, &of_items) };
        return with(node, [("items", items)]);
    }
    // What may also be null.
    let choices =
        node.get("anyOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
    let (null, others): (Vec<_>, Vec<_>) = choices.iter().partition(is_null);
    match others.as_slice() {
        [only] => {
            let only = cut_node(root, only, wanted);
            let choices: Vec<_> = std::iter::once(only).chain(null.into_iter().cloned()).collect();
            with(node, [("anyOf", choices.into())])
        }
        _ => given.clone(),
    }
}

impl Wanted {
    fn join(&mut self, other: &Self) {
        for (token, below) in &other.0 {
            let is_whole = below.0.is_empty();
            match self.0.get_mut(token) {
                Some(known) if is_whole || known.0.is_empty() => known.0.clear(),
                Some(known) => known.join(below),
                None => self.entry(token.clone()).join(below),
            }
        }
    }
}

/// The definition that a reference leads to.
fn referred<'a>(root: &'a Value, mut node: &'a Value) -> &'a Value {
    for _ in 0..REFERENCES_MAX {
        let reference = node.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|r| root.pointer(r.strip_prefix('#')?));
        match target {
            Some(target) => node = target,
            None => break,
        }
    }
    node
}

/// A node of which some keywords are others; definitions stay at the root.
fn with<const N: usize>(node: &Value, keywords: [(&str, Value); N]) -> Value {
    let mut node = node.clone();
    if let Some(object) = node.as_object_mut() {
        object.shift_remove("$defs");
        object.extend(keywords.map(|(name, value)| (name.to_owned(), value)));
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(pointers: &[&str]) -> BTreeSet<String> {
        pointers.iter().map(|place| (*place).to_owned()).collect()
    }

    fn object(properties: Value) -> Value {
        let names: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
    }

    #[test]
    fn a_schema_is_cut_down_to_what_is_wanted() {
        let (text, day) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
        let party = object(json!({ "name": text, "since": day }));
        let line = object(
            json!({ "text": text, "amount": { "type": "number" }, "by": { "$ref": "#/$defs/party" } }),
        );
        let none = json!({ "type": "null" });
        let mut strict = object(json!({
            "number": text, "date": day,
            "buyer": { "$ref": "#/$defs/party" },
            "seller": { "anyOf": [{ "$ref": "#/$defs/party" }, none] },
            "lines": { "type": "array", "items": line },
        }));
        strict["$defs"] = json!({ "party": party });
        let check = |wanted: &[&str], expected: Option<Value>| {
            assert_eq!(cut(&strict, &places(wanted)), expected, "{wanted:?}");
        };
        check(&["/date"], Some(object(json!({ "date": day }))));
        let since = object(json!({ "since": day }));
        check(&["/buyer/since"], Some(object(json!({ "buyer": since }))));
        let seller = object(json!({ "seller": { "anyOf": [since, none] } }));
        check(&["/seller/since"], Some(seller));
        let lines = |item: Value| object(json!({ "lines": { "type": "array", "items": item } }));
        let amount = object(json!({ "amount": { "type": "number" } }));
        check(&["/lines/0/amount", "/lines/12/amount"], Some(lines(amount)));
        let two = object(json!({ "text": text, "by": since }));
        check(&["/lines/0/text", "/lines/1/by/since"], Some(lines(two)));
        let mut whole = lines(line);
        whole["$defs"] = strict["$defs"].clone();
        check(&["/lines/0/text", "/lines/1"], Some(whole.clone()));
        check(&["/lines", "/lines/1/text"], Some(whole.clone()));
        check(&["/lines/1/unknown"], Some(whole));
        check(&[""], None);
        check(&["/unknown"], None);
        let every = ["/number", "/date", "/buyer", "/seller", "/lines"];
        check(&every, None);
    }

    #[test]
    fn an_answer_without_regard_to_the_schema_is_not_mended_by_field() {
        let strict = object(json!({ "a": {}, "b": {}, "c": {} }));
        let check = |answer: Value, expected| assert_eq!(keeps_form(&strict, &answer), expected);
        check(json!({ "a": null, "b": 1, "c": "x" }), true);
        check(json!({ "a": null, "b": "2" }), true);
        check(json!({ "a": 1, "answer": null }), false);
        check(json!({ "answer": null }), false);
        check(json!([1, 2, 3]), false);
    }

    #[test]
    fn the_second_answer_is_put_back() {
        let first =
            json!({ "date": "x", "lines": [{ "a": 1, "b": "?" }, { "a": 2, "b": 3 }], "n": {} });
        let check = |second: Value, wanted: &[&str], expected: Value| {
            let mut data = first.clone();
            take(&mut data, &second, &places(wanted));
            let mut all = first.clone();
            for (place, value) in expected.as_object().unwrap() {
                pointer::put(&mut all, place, value.clone());
            }
            assert_eq!(data, all, "{second}");
        };
        check(json!({ "date": "2024-01-01" }), &["/date"], json!({ "/date": "2024-01-01" }));
        check(json!({ "date": null, "lines": [] }), &["/date"], json!({ "/date": null }));
        let lines = json!({ "lines": [{ "b": 7 }, { "b": 8 }] });
        check(lines.clone(), &["/lines/0/b"], json!({ "/lines/0/b": 7 }));
        check(json!({ "lines": [{ "b": 7 }] }), &["/lines/0/b"], json!({}));
        check(json!({ "lines": [] }), &["/lines"], json!({ "/lines": [] }));
        check(json!({ "n": { "new": 1 } }), &["/n/new"], json!({ "/n/new": 1 }));
        check(json!([1]), &["/date"], json!({}));
    }
}
