//! What changed from one version of a schema to the next: which values of an earlier result still
//! hold, and which fields are to be asked for.
//!
//! It must know nothing of where results are kept.

use super::{compiled::CompiledSchema, pointer};
use serde_json::{Map, Value};
use shared::extraction::{Extraction, FieldStatus, ModelUsed};
use std::collections::BTreeSet;

/// What of an earlier result still holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The values of fields of the root.
    pub values: Map<String, Value>,
    /// The places of the fields of the root that are to be asked for.
    pub wanted: BTreeSet<String>,
    /// Who gave the values.
    pub model: ModelUsed,
}

/// What still holds of a result of another version of the schema, about the same text. `None` where
/// that is nothing, or where the schema asks in other words, of another model.
pub fn kept(old: &CompiledSchema, new: &CompiledSchema, earlier: &Extraction) -> Option<Kept> {
    let asks = |schema: &CompiledSchema| {
        let schema = &schema.schema;
        let definitions = ["$defs", "definitions"].map(|name| schema.body.get(name).cloned());
        let model = schema.model().map(str::to_owned);
        (schema.instructions().to_owned(), model, schema.reasoning_effort(), definitions)
    };
    if asks(old) != asks(new) {
        return None;
    }
    let names = new.strict.get("properties")?.as_object()?.keys();
    let (same, others): (Vec<_>, Vec<_>) =
        names.partition(|name| is_same(old, new, name) && is_valid(earlier, name));
    if same.is_empty() {
        return None;
    }
    let values =
        same.into_iter().filter_map(|name| Some((name.clone(), earlier.data.get(name)?.clone())));
    let wanted = others.into_iter().map(|name| pointer::of(std::slice::from_ref(name)));
    let model = earlier.model.clone();
    Some(Kept { values: values.collect(), wanted: wanted.collect(), model })
}

/// Whether both versions say the same of a field of the root.
fn is_same(old: &CompiledSchema, new: &CompiledSchema, name: &str) -> bool {
    let said = |schema: &CompiledSchema| {
        [&schema.schema.body, &schema.strict]
            .map(|body| body.get("properties").and_then(|all| all.get(name)).cloned())
    };
    said(old) == said(new)
}

/// Whether nothing of a field had to be set aside, or was from elsewhere than a model.
fn is_valid(earlier: &Extraction, name: &str) -> bool {
    let place = pointer::of(&[name.to_owned()]);
    let below = format!("{place}/");
    earlier.fields.iter().all(|(of, field)| {
        let is_asked = field.status != FieldStatus::Invalid && field.source.is_none();
        (*of != place && !of.starts_with(&below)) || is_asked
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::{extraction::Field, schema::ExtractionSchema};

    fn schema(properties: Value, instructions: &str) -> CompiledSchema {
        let body = json!({
            "type": "object", "properties": properties, "required": ["number"],
            "x-sluice": { "instructions": instructions },
        });
        let reference = "x@1".parse().unwrap();
        CompiledSchema::new(ExtractionSchema { reference, body }).unwrap()
    }

    fn earlier(invalid: &[&str]) -> Extraction {
        let field = |place: &&str| ((*place).to_owned(), Field::of(FieldStatus::Invalid));
        let json = json!({
            "document": "doc_0193a1c2f0b47d3e9a51c0ffee123456", "schema": "x@1", "state": "succeeded",
            "data": { "number": "R-1", "lines": [{ "a": 1 }] }, "fields": {}, "checks": [],
            "usage": { "calls": 1, "replayed": 0, "tokens_input": 1, "tokens_output": 1, "cost": null },
            "model": { "deployment": "d", "model": "m" },
            "text": { "engine": "e", "pages": 1, "pages_without_text": [] },
            "timings_ms": { "queued": 0, "text": 0, "waited_for_quota": 0, "model": 0, "total": 0 },
            "warnings": [],
        });
        let earlier: Extraction = serde_json::from_value(json).unwrap();
        Extraction { fields: invalid.iter().map(field).collect(), ..earlier }
    }

    #[test]
    fn values_hold_where_schema_and_text_are_the_same() {
        let text = json!({ "type": "string" });
        let lines = json!({ "type": "array", "items": { "type": "object", "properties": { "a": { "type": "number" } } } });
        let old = schema(json!({ "number": text, "lines": lines, "due": text }), "");
        let check = |new: CompiledSchema, invalid: &[&str], expected: Option<(Value, &[&str])>| {
            let expected = expected.map(|(values, wanted)| Kept {
                values: values.as_object().unwrap().clone(),
                wanted: wanted.iter().map(|place| (*place).to_owned()).collect(),
                model: earlier(&[]).model,
            });
            assert_eq!(kept(&old, &new, &earlier(invalid)), expected);
        };
        let all = json!({ "number": "R-1", "lines": [{ "a": 1 }] });
        let gained = || {
            schema(
                json!({ "number": text, "lines": lines, "due": text, "a/b": text, "c": text }),
                "",
            )
        };
        check(gained(), &[], Some((all.clone(), &["/a~1b", "/c"])));
        // What was not there is not asked for again; what was set aside is.
        check(
            gained(),
            &["/lines/0/a"],
            Some((json!({ "number": "R-1" }), &["/a~1b", "/c", "/lines"])),
        );
        check(schema(json!({ "number": text, "lines": lines }), ""), &[], Some((all, &[])));
        let described = json!({ "type": "string", "description": "of the seller" });
        let other = schema(json!({ "number": described, "lines": lines }), "");
        check(other, &[], Some((json!({ "lines": [{ "a": 1 }] }), &["/number"])));
        check(schema(json!({ "number": text }), "In other words."), &[], None);
        check(schema(json!({ "number": described }), ""), &[], None);
    }
}
