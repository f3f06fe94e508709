//! Whether a reply fits the schema, every restriction of it included.
//!
//! It must know nothing of how a reply came about.

use super::{compiled::CompiledSchema, convert::converted, node::Node, pointer};
use pool::typed::json;
use serde_json::{Map, Value};
use shared::schema::validator::Violation;
use std::collections::BTreeSet;

/// A value that is shown in a warning is cut after so many characters.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// The values of a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// The values, as far as possible in the form of the schema.
    pub data: Value,
    /// Where they do not fit it.
    pub violations: Vec<Violation>,
    /// What was given in another form.
    pub warnings: Vec<String>,
}

/// Reads a reply about a whole document, or about a part of it, and adds the values that were not
/// asked for because they are known.
///
/// # Errors
/// When it is no JSON, and why, to be told to the model.
pub fn read(
    schema: &CompiledSchema,
    content: &str,
    known: &Map<String, Value>,
    is_part: bool,
) -> Result<Values, String> {
    let mut data = json::read(content).map_err(|error| format!("it is not JSON: {error}"))?;
    if let Some(object) = data.as_object_mut() {
        object.extend(known.clone());
    }
    Ok(check(schema, data, is_part))
}

/// Puts values of a whole document, or of a part of it, into the form of the schema where they can mean
/// one thing, and finds what does not fit. What the root must have may stand in another part.
pub fn check(schema: &CompiledSchema, mut data: Value, is_part: bool) -> Values {
    schema.remove_placeholders(&mut data);
    if let Some(object) = data.as_object_mut().filter(|_| is_part) {
        object
            .retain(|_, value| !value.is_null() && value.as_array().is_none_or(|v| !v.is_empty()));
    }
    let mut violations = schema.check(&data, is_part);
    let mut warnings = Vec::new();
    for Violation { pointer, .. } in violations.iter().filter(|v| v.is_unexpected) {
        if pointer::remove(&mut data, pointer).is_some() {
            warnings.push(format!("{pointer}: the schema knows no such field: it was left out"));
        }
    }
    if !warnings.is_empty() {
        violations = schema.check(&data, is_part);
    }
    let places: BTreeSet<_> = violations.iter().map(|v| v.pointer.as_str()).collect();
    let root = Node::root(&schema.schema.body);
    let mut mended = data.clone();
    let changed = places.into_iter().filter_map(|place| {
        let value = mended.pointer_mut(place)?;
        let new = converted(&root.at(&pointer::tokens(place)), value)?;
        Some((place.to_owned(), std::mem::replace(value, new)))
    });
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() {
        return Values { data, violations, warnings };
    }
    let violations = schema.check(&mended, is_part);
    for (place, old) in changed {
        if violations.iter().any(|violation| violation.pointer == place) {
            // It did not help: what the model said is kept.
            pointer::put(&mut mended, &place, old);
        } else if let Some(new) = mended.pointer(&place) {
            warnings.push(format!("{place}: {} was read as {new}", shown(&old)));
        }
    }
    Values { data: mended, violations, warnings }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::schema::ExtractionSchema;

    fn schema() -> CompiledSchema {
        let body = json!({
            "type": "object",
            "properties": {
                "number": { "type": "string", "pattern": "^R-" },
                "date": { "type": "string", "format": "date" },
                "note": { "type": ["string", "null"] },
                "remark": { "$ref": "#/$defs/text" },
                "lines": {
                    "type": "array", "minItems": 1,
                    "items": {
                        "type": "object", "required": ["amount"],
                        "properties": { "amount": { "type": "number", "minimum": 0 }, "unit": { "type": "string" } },
                    },
                },
            },
            "required": ["number", "lines"],
            "$defs": { "text": { "type": "string" } },
        });
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        CompiledSchema::new(schema).unwrap()
    }

    fn whole(reply: &str) -> Values {
        read(&schema(), reply, &Map::new(), false).unwrap()
    }

    #[test]
    fn nulls_that_stand_for_nothing_go() {
        let reply = json!({
            "number": "R-1", "date": null, "note": null, "remark": null,
            "lines": [{ "amount": 1, "unit": null }],
        });
        let data = json!({ "number": "R-1", "note": null, "lines": [{ "amount": 1 }] });
        let expected = Values { data, ..Values::default() };
        assert_eq!(whole(&reply.to_string()), expected);
        let fenced = format!("```json\n{reply}\n```\n");
        assert_eq!(whole(&fenced), expected);
    }

    #[test]
    fn every_restriction_is_checked_and_named() {
        let check = |reply: Value, expected: &[&str]| {
            let violations = whole(&reply.to_string()).violations;
            assert_eq!(violations.len(), expected.len(), "{violations:?}");
            for (violation, expected) in violations.iter().zip(expected) {
                let violation = violation.to_string();
                assert!(violation.contains(expected), "{violation}");
            }
        };
        check(json!({ "number": "1", "lines": [{ "amount": 1 }] }), &["/number: "]);
        check(json!({ "number": "R-1", "lines": [] }), &["/lines: "]);
        check(
            json!({ "number": "R-1", "date": "5/3/24", "lines": [{ "amount": -1 }] }),
            &["/date", "/lines/0/amount"],
        );
        check(json!({ "number": null, "lines": [{ "amount": 1 }] }), &["/number: null"]);
        check(json!({ "number": "R-1" }), &["/lines: "]);
        check(json!([]), &["the whole: "]);
        assert!(read(&schema(), "Sure: {", &Map::new(), false).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_part_may_lack_what_the_whole_must_have() {
        let part = |reply: Value| read(&schema(), &reply.to_string(), &Map::new(), true).unwrap();
        let reply = json!({ "number": null, "date": null, "lines": [], "note": null });
        assert_eq!(part(reply), Values { data: json!({}), ..Values::default() });
        assert_eq!(part(json!({ "number": "1" })).violations.len(), 1);
    }

    #[test]
    fn what_the_schema_does_not_know_is_left_out() {
        let mut body = schema().schema.body;
        body["additionalProperties"] = false.into();
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let schema = CompiledSchema::new(schema).unwrap();
        let lines = json!([{ "amount": 1, "more": 2 }]);
        let reply = json!({ "number": "R-1", "lines": lines, "a/b": { "x": 1 } });
        let values = read(&schema, &reply.to_string(), &Map::new(), false).unwrap();
        assert_eq!(values.data, json!({ "number": "R-1", "lines": lines }));
        assert_eq!(values.violations, []);
        assert!(values.warnings[0].starts_with("/a~1b: "), "{:?}", values.warnings);
    }

    #[test]
    fn values_in_another_form_are_read_where_that_helps() {
        let reply = json!({
            "number": "R-1", "date": "2018-12-06T00:00:00Z",
            "lines": [{ "amount": "119.00" }, { "amount": "-5" }, { "amount": "1.234" }],
        });
        let Values { data, violations, warnings } = whole(&reply.to_string());
        let lines = json!([{ "amount": 119 }, { "amount": "-5" }, { "amount": "1.234" }]);
        assert_eq!(data, json!({ "number": "R-1", "date": "2018-12-06", "lines": lines }));
        let places: Vec<_> = violations.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(places, ["/lines/1/amount", "/lines/2/amount"]);
        assert_eq!(
            warnings,
            [
                "/date: \"2018-12-06T00:00:00Z\" was read as \"2018-12-06\"",
                "/lines/0/amount: \"119.00\" was read as 119",
            ]
        );
    }
}
