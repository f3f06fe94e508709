//! What becomes of each property of a schema, for who wrote it: its concept, its checks, and what strict
//! output changes of it.
//!
//! It must know nothing of documents.

use super::{
    concept::{Concept, Property},
    node::Node,
};
use serde_json::Value;
use shared::schema::{ExtractionSchema, SchemaFault, strict::DESCRIBED};

/// Deeper than this no property is explained: a schema may contain itself.
const DEPTH_MAX: usize = 12;

const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "object", "array"];

/// A property as a model is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its name with those of what it is in, as checks have it: `lines[].amount`.
    pub path: String,
    /// Its types.
    pub types: Vec<&'static str>,
    /// What it is in business, as far as its name or `x-sluice.concept` tell.
    pub concept: Option<&'static str>,
    /// The checks that name it.
    pub checks: Vec<String>,
    /// What is changed of it for strict output, and how it is made good.
    pub changes: Vec<String>,
}

/// Every property of a schema, in its order.
///
/// # Errors
/// Concepts that are not known, with their places.
pub fn explain(schema: &ExtractionSchema) -> Result<Vec<Explained>, Vec<SchemaFault>> {
    let checks = schema.checks().into_iter().map(str::to_owned).collect();
    let mut explainer = Explainer { checks, explained: Vec::new(), faults: Vec::new() };
    explainer.properties(&Node::root(&schema.body), &[], false, "");
    match explainer.faults.is_empty() {
        true => Ok(explainer.explained),
        false => Err(explainer.faults),
    }
}

struct Explainer {
    checks: Vec<String>,
    explained: Vec<Explained>,
    faults: Vec<SchemaFault>,
}

impl Explainer {
    fn properties(&mut self, node: &Node<'_>, parents: &[&str], is_item: bool, path: &str) {
        if parents.len() > DEPTH_MAX {
            return;
        }
        for name in node.names() {
            let (property, path) = (node.property(name), format!("{path}{name}"));
            let of = Property { parents, name, is_item };
            self.property(&property, of, node.requires(name), path.clone());
            let inner = [parents, &[name]].concat();
            self.properties(&property, &inner, is_item, &format!("{path}."));
            self.properties(&property.items(), &inner, true, &format!("{path}[]."));
        }
    }

    fn property(&mut self, node: &Node<'_>, of: Property<'_>, is_required: bool, path: String) {
        let given = node.keyword("concept").and_then(Value::as_str);
        let concept = given.map_or_else(|| Concept::of(of), Concept::named);
        if let (Some(given), None) = (given, concept) {
            let known: Vec<_> = Concept::ALL.iter().map(|(name, _)| *name).collect();
            let message = format!("{given} is no concept: use one of {}", known.join(", "));
            self.faults.push(SchemaFault { path: path.clone(), message });
        }
        let named = Concept::ALL.iter().find(|(_, known)| Some(*known) == concept);
        let has_inner = node.names().next().is_some() || node.has_type("array");
        let mut changes = Vec::new();
        if !is_required {
            changes.push(match node.allows_null() {
                true => "optional: it is asked for, and null where it is not there".to_owned(),
                false => "optional: it is asked for, and left out where it is null".to_owned(),
            });
        }
        let restricted = DESCRIBED.iter().filter_map(|(keyword, _)| {
            let value = node.says(keyword)?;
            Some(format!("{keyword} {value}: described to the model, and checked here"))
        });
        changes.extend(restricted);
        let is_named = |check: &&String| {
            let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
            check.split(|c| !is_part(c)).any(|word| word == path)
        };
        self.explained.push(Explained {
            types: TYPES.into_iter().filter(|kind| node.has_type(kind)).collect(),
            concept: named.map(|(name, _)| *name).filter(|_| !has_inner),
            checks: self.checks.iter().filter(is_named).cloned().collect(),
            changes,
            path,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(body: Value) -> ExtractionSchema {
        ExtractionSchema { reference: "x@1".parse().unwrap(), body }
    }

    #[test]
    fn each_property_is_explained() {
        let line = json!({ "type": "object", "required": ["amount"], "properties": { "amount": { "type": "number", "minimum": 0 } } });
        let explained = explain(&schema(json!({
            "type": "object", "required": ["lines", "billed"],
            "properties": {
                "lines": { "type": "array", "items": line },
                "billed": { "type": ["number", "null"], "x-sluice": { "concept": "net" } },
                "remark": { "type": "string" },
            },
            "x-sluice": { "checks": ["sum(lines[].amount) == billed"] },
        })))
        .unwrap();
        let check = vec!["sum(lines[].amount) == billed".to_owned()];
        let of = |path: &str, kind, concept, checks: &[String], changes: &[&str]| Explained {
            path: path.to_owned(),
            types: vec![kind],
            concept,
            checks: checks.to_vec(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        };
        let minimum = "minimum 0: described to the model, and checked here";
        let expected = [
            of("lines", "array", None, &[], &[]),
            of("lines[].amount", "number", Some("line_amount"), &check, &[minimum]),
            of("billed", "number", Some("net"), &check, &[]),
            of(
                "remark",
                "string",
                None,
                &[],
                &["optional: it is asked for, and left out where it is null"],
            ),
        ];
        assert_eq!(explained, expected);
    }

    #[test]
    fn a_concept_that_is_not_known_is_a_fault() {
        let body = json!({ "type": "object", "properties": { "a": { "type": "string", "x-sluice": { "concept": "nett" } } } });
        let faults = explain(&schema(body)).unwrap_err();
        assert!(faults[0].message.contains("nett is no concept: use one of "), "{faults:?}");
    }
}
