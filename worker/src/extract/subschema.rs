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

/// A schema with more properties than this, or deeper ones, is taken to contain itself, and is asked as a
/// whole.
const PROPERTIES_MAX: usize = 5_000;
const DEPTH_MAX: usize = 50;

/// The schemas of the questions about these places of a schema, each with no more properties than
/// `properties_max`, in its order. A list is one question, however many its items have: the items of two
/// answers need not be the same. One that cannot be cut is asked in one question.
pub fn questions(
    schema: &Arc<CompiledSchema>,
    places: &BTreeSet<String>,
    properties_max: usize,
) -> Vec<Arc<CompiledSchema>> {
    if !is_finite(&schema.schema) {
        return vec![Arc::clone(schema)];
    }
    let root = Node::root(&schema.schema.body);
    let count =
        |place: &str| properties(&at(&root, place), 0, &mut { PROPERTIES_MAX }).unwrap_or(1);
    let mut sorted: Vec<&String> = places.iter().collect();
    sorted.sort_by_key(|place| rank(&root, place));
    let mut open: Vec<Vec<String>> = sorted
        .chunk_by(|a, b| list_of(&root, a).is_some() && list_of(&root, a) == list_of(&root, b))
        .map(|places| places.iter().map(|place| (*place).clone()).collect())
        .collect();
    open.reverse();
    let mut questions: Vec<(BTreeSet<String>, usize)> = Vec::new();
    while let Some(together) = open.pop() {
        let own: usize = together.iter().map(|place| count(place)).sum();
        let inner = match &together[..] {
            [place] if list_of(&root, place).is_none() => within(&root, place),
            _ => Vec::new(),
        };
        match questions.last_mut() {
            Some((places, sum)) if *sum + own <= properties_max => {
                places.extend(together);
                *sum += own;
            }
            _ if own > properties_max && !inner.is_empty() => {
                open.extend(inner.into_iter().rev().map(|place| vec![place]));
            }
            _ => questions.push((together.into_iter().collect(), own)),
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

/// The places of the properties of a place.
fn within(root: &Node<'_>, place: &str) -> Vec<String> {
    let node = at(root, place);
    node.names().map(|name| format!("{place}{}", pointer::of(&[name.to_owned()]))).collect()
}

/// The outermost list that a place is or lies in.
fn list_of(root: &Node<'_>, place: &str) -> Option<String> {
    let tokens = pointer::tokens(place);
    let mut outer = (1..=tokens.len()).filter_map(|end| tokens.get(..end));
    outer.find(|outer| root.at(outer).has_type("array")).map(pointer::of)
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

/// Whether the properties of a schema can be counted: it does not contain itself.
pub fn is_finite(schema: &ExtractionSchema) -> bool {
    properties(&Node::root(&schema.body), 0, &mut { PROPERTIES_MAX }).is_some()
}

/// How many properties there are at and below a place, if no more than `left`.
fn properties(node: &Node<'_>, depth: usize, left: &mut usize) -> Option<usize> {
    *left = left.checked_sub(1).filter(|_| depth <= DEPTH_MAX)?;
    let mut count = 1;
    for name in node.names() {
        count += properties(&node.property(name), depth + 1, left)?;
    }
    if node.has_type("array") {
        count += properties(&node.items(), depth + 1, left)? - 1;
    }
    Some(count)
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
    fn a_schema_that_contains_itself_is_one_question() {
        let mut body = many("a", 9);
        body["properties"]["parent"] = json!({ "$ref": "#" });
        assert_eq!(count(body), 1);
        let tree = json!({
            "type": "object", "properties": { "tree": { "$ref": "#/$defs/tree" } },
            "$defs": { "tree": { "type": "object", "properties": {
                "children": { "type": "array", "items": { "$ref": "#/$defs/tree" } },
                "left": { "$ref": "#/$defs/tree" },
            } } },
        });
        assert_eq!(count(tree), 1);
    }

    fn count(body: Value) -> usize {
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let schema = Arc::new(CompiledSchema::new(schema).unwrap());
        questions(&schema, &all(&schema), 4).len()
    }

    #[test]
    fn what_is_asked_of_the_items_of_a_list_stays_together() {
        let lines = json!({ "type": "array", "items": many("l", 6) });
        let body = object(json!({ "a": { "type": "string" }, "lines": lines }));
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let schema = Arc::new(CompiledSchema::new(schema).unwrap());
        let places = (0..6).map(|n| format!("/lines/0/l{n}")).chain(["/a".to_owned()]).collect();
        assert_eq!(questions(&schema, &places, 4).len(), 2);
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
