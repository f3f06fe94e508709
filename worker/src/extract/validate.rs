//! Whether a reply fits the schema, every restriction of it included.
//!
//! It must know nothing of how a reply came about.

use super::compiled::CompiledSchema;
use pool::typed::json;
use serde_json::Value;

/// Reads a reply about a whole document.
///
/// # Errors
/// What is wrong with it, to be told to the model.
pub fn whole(schema: &CompiledSchema, content: &str) -> Result<Value, Vec<String>> {
    let mut data = read(content)?;
    schema.remove_placeholders(&mut data);
    schema.check(&data)?;
    Ok(data)
}

/// Reads a reply about a part of a document: what the root must have may stand in another part.
///
/// # Errors
/// What is wrong with it, to be told to the model.
pub fn part(schema: &CompiledSchema, content: &str) -> Result<Value, Vec<String>> {
    let mut data = read(content)?;
    schema.remove_placeholders(&mut data);
    if let Some(object) = data.as_object_mut() {
        object
            .retain(|_, value| !value.is_null() && value.as_array().is_none_or(|v| !v.is_empty()));
    }
    schema.check_part(&data)?;
    Ok(data)
}

fn read(content: &str) -> Result<Value, Vec<String>> {
    json::read(content).map_err(|error| vec![format!("it is not JSON: {error}")])
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

    #[test]
    fn nulls_that_stand_for_nothing_go() {
        let reply = json!({
            "number": "R-1", "date": null, "note": null, "remark": null,
            "lines": [{ "amount": 1, "unit": null }],
        });
        let expected = json!({ "number": "R-1", "note": null, "lines": [{ "amount": 1 }] });
        assert_eq!(whole(&schema(), &reply.to_string()), Ok(expected.clone()));
        let fenced = format!("```json\n{reply}\n```\n");
        assert_eq!(whole(&schema(), &fenced), Ok(expected));
    }

    #[test]
    fn every_restriction_is_checked_and_named() {
        let check = |reply: Value, expected: &[&str]| {
            let faults = whole(&schema(), &reply.to_string()).unwrap_err();
            assert_eq!(faults.len(), expected.len(), "{faults:?}");
            for (fault, expected) in faults.iter().zip(expected) {
                assert!(fault.contains(expected), "{fault}");
            }
        };
        check(json!({ "number": "1", "lines": [{ "amount": 1 }] }), &["/number: "]);
        check(json!({ "number": "R-1", "lines": [] }), &["/lines: "]);
        check(
            json!({ "number": "R-1", "date": "5.3.24", "lines": [{ "amount": -1 }] }),
            &["/date", "/lines/0/amount"],
        );
        check(json!({ "number": null, "lines": [{ "amount": 1 }] }), &["/number: null"]);
        check(json!([]), &["the whole: "]);
        assert!(whole(&schema(), "Sure: {").unwrap_err()[0].contains("not JSON"));
    }

    #[test]
    fn a_part_may_lack_what_the_whole_must_have() {
        let reply = json!({ "number": null, "date": null, "lines": [], "note": null });
        assert_eq!(part(&schema(), &reply.to_string()), Ok(json!({})));
        assert!(part(&schema(), &json!({ "number": "1" }).to_string()).is_err());
    }
}
