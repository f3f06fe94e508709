//! A schema cut into questions: its properties that are asked for, and no more in one question than a
//! model answers well.
//!
//! It must know nothing of documents.

use super::{compiled::CompiledSchema, cut, node::Node, pointer};
use serde_json::Map;
use shared::schema::ExtractionSchema;
use std::{collections::BTreeSet, sync::Arc};

/// What a root may have beside its properties and still be asked for a part of them: anything else
/// may be about several.
const ROOT_KEYWORDS: [&str; 13] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "additionalProperties",
    "definitions",
    "description",
    "examples",
    "properties",
    "required",
    "title",
    "type",
    "x-sluice",
];

/// Deeper than this no properties are counted: a schema may contain itself.
const DEPTH_MAX: usize = 12;

/// The schemas of the questions about these places of a schema, each with no more properties than
/// `properties_max`, in its order. A list is one question, however many its items have: the items of two
/// answers need not be the same. One that cannot be cut is asked in one question.
pub fn questions(
    schema: &Arc<CompiledSchema>,
    places: &BTreeSet<String>,
    properties_max: usize,
) -> Vec<Arc<CompiledSchema>> {
    let root = Node::root(&schema.schema.body);
    let asked = |place: &String| (place.clone(), properties(&at(&root, place), 0));
    let mut open: Vec<(String, usize)> = places.iter().map(asked).collect();
    open.sort_by_key(|(place, _)| rank(&root, place));
    open.reverse();
    let mut questions: Vec<(BTreeSet<String>, usize)> = Vec::new();
    while let Some((place, count)) = open.pop() {
        let node = at(&root, &place);
        let inner = node.names().map(|name| format!("{place}{}", pointer::of(&[name.to_owned()])));
        let inner: Vec<_> = inner.map(|place| asked(&place)).collect();
        match questions.last_mut() {
            Some((places, sum)) if *sum + count <= properties_max => {
                places.insert(place);
                *sum += count;
            }
            _ if count > properties_max && !inner.is_empty() && !is_in_list(&root, &place) => {
                open.extend(inner.into_iter().rev());
            }
            _ => questions.push((BTreeSet::from([place]), count)),
        }
    }
    match questions.as_slice() {
        [(places, _)] => vec![part(schema, places).unwrap_or_else(|| Arc::clone(schema))],
        all => {
            let parts: Option<Vec<_>> =
                all.iter().map(|(places, _)| part(schema, places)).collect();
            parts.unwrap_or_else(|| vec![Arc::clone(schema)])
        }
    }
}

/// Every property of the root.
pub fn all(schema: &CompiledSchema) -> BTreeSet<String> {
    let root = Node::root(&schema.schema.body);
    root.names().map(|name| pointer::of(&[name.to_owned()])).collect()
}

fn at<'a>(root: &Node<'a>, place: &str) -> Node<'a> {
    root.at(&pointer::tokens(place))
}

/// Whether a place lies in the items of a list.
fn is_in_list(root: &Node<'_>, place: &str) -> bool {
    let tokens = pointer::tokens(place);
    (1..tokens.len()).any(|end| root.at(tokens.get(..end).unwrap_or_default()).has_type("array"))
}

/// The order of a place in its schema.
fn rank(root: &Node<'_>, place: &str) -> Vec<usize> {
    let tokens = pointer::tokens(place);
    let rank = |end: usize| {
        let (parents, name) = (tokens.get(..end).unwrap_or_default(), tokens.get(end)?);
        root.at(parents).names().position(|known| known == name)
    };
    (0..tokens.len()).map(|end| rank(end).unwrap_or(usize::MAX)).collect()
}

/// How many properties there are at and below a place.
fn properties(node: &Node<'_>, depth: usize) -> usize {
    if depth > DEPTH_MAX {
        return 1;
    }
    let own: usize = node.names().map(|name| properties(&node.property(name), depth + 1)).sum();
    let is_list = node.has_type("array");
    1 + own + if is_list { properties(&node.items(), depth + 1) - 1 } else { 0 }
}

/// The schema of these places alone; none where it cannot be cut.
fn part(schema: &CompiledSchema, places: &BTreeSet<String>) -> Option<Arc<CompiledSchema>> {
    let ExtractionSchema { reference, body } = &schema.schema;
    let mut keywords = body.as_object().into_iter().flat_map(Map::keys);
    let may_cut = keywords.all(|keyword| ROOT_KEYWORDS.contains(&keyword.as_str()));
    let body = cut::cut(body, places).filter(|_| may_cut)?;
    CompiledSchema::new(ExtractionSchema { reference: reference.clone(), body }).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(properties: Value) -> Value {
        let names: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({ "type": "object", "properties": properties, "required": names })
    }

    fn many(prefix: &str, count: usize) -> Value {
        let text = json!({ "type": "string" });
        let all = (0..count).map(|number| (format!("{prefix}{number}"), text.clone()));
        object(Value::Object(all.collect()))
    }

    fn names(body: Value, properties_max: usize) -> Vec<Vec<String>> {
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let schema = Arc::new(CompiledSchema::new(schema).unwrap());
        let questions = questions(&schema, &all(&schema), properties_max);
        let names = |question: &Arc<CompiledSchema>| {
            let mut names = Vec::new();
            let mut open = vec![(String::new(), question.strict.clone())];
            while let Some((place, node)) = open.pop() {
                let inner = node["properties"].as_object().cloned().unwrap_or_default();
                let items = node["items"]["properties"].as_object().cloned().unwrap_or_default();
                if inner.is_empty() && items.is_empty() {
                    names.push(place.clone());
                }
                let inner = inner.into_iter().chain(items);
                open.extend(inner.map(|(name, node)| (format!("{place}/{name}"), node)));
            }
            names.sort();
            names
        };
        questions.iter().map(names).collect()
    }

    #[test]
    fn a_schema_of_a_few_properties_is_one_question() {
        assert_eq!(names(many("a", 3), 3).len(), 1);
    }

    #[test]
    fn a_large_schema_is_several_questions_in_its_order() {
        let body = object(
            json!({ "first": many("a", 3), "second": many("b", 5), "third": { "type": "string" } }),
        );
        let questions = names(body.clone(), 4);
        let expected = [
            vec!["/first/a0", "/first/a1", "/first/a2"],
            vec!["/second/b0", "/second/b1", "/second/b2", "/second/b3"],
            vec!["/second/b4", "/third"],
        ];
        assert_eq!(questions, expected);
        // All of 369 is asked, each once.
        let body =
            object(Value::Object((0..41).map(|n| (format!("part{n}"), many("x", 8))).collect()));
        let questions = names(body, 100);
        assert_eq!(questions.len(), 4);
        let mut every: Vec<_> = questions.concat();
        every.sort();
        every.dedup();
        assert_eq!(every.len(), 328);
    }

    #[test]
    fn a_list_is_one_question() {
        let body = object(
            json!({ "n": { "type": "string" }, "lines": { "type": "array", "items": many("c", 6) } }),
        );
        let questions = names(body, 3);
        assert_eq!(questions.iter().map(Vec::len).collect::<Vec<_>>(), [1, 6]);
    }

    #[test]
    fn what_holds_for_several_properties_is_asked_together() {
        let mut body = many("a", 6);
        body["dependentRequired"] = json!({ "a0": ["a5"] });
        assert_eq!(names(body, 2).len(), 1);
    }
}
