//! What to do with values that do not fit the schema and will not: they are taken out of the data,
//! so that the rest of it is a result.
//!
//! It must know nothing of how often was asked.

use super::{compiled::CompiledSchema, node::Node, pointer};
use serde_json::Value;
use shared::schema::validator::Violation;
use std::collections::BTreeSet;

/// Taking a value out may show that what it stood in does not fit without it: so often is looked
/// again. Deeper than this no schema is nested.
const LOOKS_MAX: usize = 32;

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid {
    /// Where it stood; the list, where it was an item that was left out.
    pub pointer: String,
    /// The value.
    pub value: Value,
}

/// Takes out of the data what does not fit: it becomes null where the schema allows that, and is left
/// out otherwise, as an item of a list is. Where neither is possible, what it stands in goes.
///
/// # Errors
/// What does not fit where the schema cannot be met without it.
pub fn set_aside(
    schema: &CompiledSchema,
    data: &mut Value,
    mut violations: Vec<Violation>,
    is_part: bool,
) -> Result<Vec<Invalid>, Vec<Violation>> {
    let root = Node::root(&schema.schema.body);
    let mut invalid: Vec<Invalid> = Vec::new();
    let mut tried = BTreeSet::new();
    for _ in 0..LOOKS_MAX {
        if violations.is_empty() {
            return Ok(invalid);
        }
        let mut goes: Vec<(Vec<String>, Gone)> = Vec::new();
        for violation in &violations {
            let place = gone(&root, violation, &tried, is_part);
            goes.push(place.ok_or_else(|| vec![violation.clone()])?);
        }
        // From the end, so that an item that is left out moves nothing that is still to go; what
        // stands within another that goes as well goes with it.
        goes.sort_by_key(|(tokens, _)| order(tokens));
        goes.dedup_by(|later, earlier| later.0.starts_with(&earlier.0));
        for (tokens, gone) in goes.into_iter().rev() {
            let is_item = take_out(data, &tokens, gone, &mut invalid);
            // Another item has the place of one that was left out.
            if !is_item {
                tried.insert(tokens);
            }
        }
        violations = schema.check(data, is_part);
    }
    Err(violations)
}

/// How a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// There is null in its place.
    Null,
    /// There is nothing in its place.
    Out,
}

/// What goes because of a violation: the value, or the nearest that it stands in which can.
fn gone(
    root: &Node<'_>,
    violation: &Violation,
    tried: &BTreeSet<Vec<String>>,
    is_part: bool,
) -> Option<(Vec<String>, Gone)> {
    let mut tokens = pointer::tokens(&violation.pointer);
    while let Some((name, parents)) = tokens.split_last() {
        let parent = root.at(parents);
        let node = root.at(&tokens);
        let is_item = parent.has_type("array");
        // What the root of a part lacks may stand in another part.
        let may_lack = is_item || !parent.requires(name) || (is_part && parents.is_empty());
        if !tried.contains(&tokens) {
            if node.allows_null() && !violation.is_unexpected {
                return Some((tokens, Gone::Null));
            }
            if may_lack {
                return Some((tokens, Gone::Out));
            }
        }
        tokens.pop();
    }
    None
}

/// Takes one value out, and says whether it was an item of a list.
fn take_out(data: &mut Value, tokens: &[String], gone: Gone, invalid: &mut Vec<Invalid>) -> bool {
    let place = pointer::of(tokens);
    let value = match gone {
        Gone::Null => {
            let value = data.pointer(&place).cloned();
            pointer::put(data, &place, Value::Null);
            value
        }
        Gone::Out => pointer::remove(data, &place),
    };
    // What stood in it went with it.
    invalid.retain(|known| !pointer::tokens(&known.pointer).starts_with(tokens));
    let item = tokens.split_last().filter(|(_, list)| {
        gone == Gone::Out && data.pointer(&pointer::of(list)).is_some_and(Value::is_array)
    });
    let pointer = match item {
        Some((index, list)) => {
            move_up(list, index, invalid);
            pointer::of(list)
        }
        None => place,
    };
    invalid.push(Invalid { pointer, value: value.unwrap_or_default() });
    item.is_some()
}

/// An item of a list was left out: later items have other places now.
fn move_up(list: &[String], index: &str, invalid: &mut [Invalid]) {
    let Ok(index) = index.parse::<usize>() else { return };
    for known in invalid {
        let mut tokens = pointer::tokens(&known.pointer);
        if !tokens.starts_with(list) {
            continue;
        }
        if let Some(token) = tokens.get_mut(list.len())
            && let Some(later) = token.parse::<usize>().ok().filter(|later| *later > index)
        {
            *token = (later - 1).to_string();
            known.pointer = pointer::of(&tokens);
        }
    }
}

/// By their places, items of a list by number.
fn order(tokens: &[String]) -> Vec<(usize, String)> {
    tokens.iter().map(|token| (token.parse().unwrap_or_default(), token.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::schema::ExtractionSchema;

    fn schema() -> CompiledSchema {
        let party = json!({
            "type": "object", "required": ["name"],
            "properties": { "name": { "type": "string" }, "since": { "type": ["string", "null"], "format": "date" } },
        });
        let line = json!({
            "type": "object", "required": ["amount"],
            "properties": { "amount": { "type": "number" }, "unit": { "type": "string", "maxLength": 3 } },
        });
        let body = json!({
            "type": "object", "required": ["number", "date", "lines"], "additionalProperties": false,
            "properties": {
                "number": { "type": "string" },
                "date": { "type": ["string", "null"], "format": "date" },
                "due": { "type": "string", "format": "date" },
                "buyer": { "$ref": "#/$defs/party" },
                "seller": { "anyOf": [{ "$ref": "#/$defs/party" }, { "type": "null" }] },
                "lines": { "type": "array", "minItems": 1, "items": line },
                "pair": { "type": "array", "minItems": 2, "items": { "type": "integer" } },
            },
            "$defs": { "party": party },
        });
        CompiledSchema::new(ExtractionSchema { reference: "x@1".parse().unwrap(), body }).unwrap()
    }

    fn good() -> Value {
        json!({ "number": "R-7", "date": "2024-03-05", "lines": [{ "amount": 1 }] })
    }

    fn check(changes: Value, expected: Value, aside: &[(&str, Value)]) {
        let schema = schema();
        let with = |changes: &Value| {
            let mut data = good();
            for (place, value) in changes.as_object().unwrap() {
                pointer::put(&mut data, place, value.clone());
            }
            data
        };
        let mut data = with(&changes);
        let violations = schema.check(&data, false);
        assert!(!violations.is_empty(), "{changes} fits");
        let invalid = set_aside(&schema, &mut data, violations, false).unwrap();
        assert_eq!(schema.check(&data, false), [], "{changes}: what is left fits");
        let left = with(&expected);
        assert_eq!(data, left, "{changes}");
        let mut found: Vec<_> =
            invalid.iter().map(|i| (i.pointer.as_str(), i.value.clone())).collect();
        found.sort_by(|one, other| one.0.cmp(other.0));
        assert_eq!(found, aside, "{changes}");
    }

    #[test]
    fn what_does_not_fit_goes_and_the_rest_stays() {
        check(json!({ "/date": "31.2." }), json!({ "/date": null }), &[("/date", json!("31.2."))]);
        check(json!({ "/due": "soon" }), json!({}), &[("/due", json!("soon"))]);
        check(json!({ "/extra": 1 }), json!({}), &[("/extra", json!(1))]);
        let buyer = json!({ "name": "Ann", "since": "x" });
        let since = json!({ "/buyer": { "name": "Ann", "since": null } });
        check(json!({ "/buyer": buyer }), since, &[("/buyer/since", json!("x"))]);
        // A buyer must have a name, and need not be.
        let nameless = json!({ "since": "2024-01-01" });
        check(json!({ "/buyer": nameless }), json!({}), &[("/buyer", nameless.clone())]);
        let null = json!({ "/seller": null });
        check(json!({ "/seller": nameless }), null, &[("/seller", nameless)]);
        check(json!({ "/pair": [1] }), json!({}), &[("/pair", json!([1]))]);
        // Without one of two there is no pair.
        check(json!({ "/pair": [1, "x"] }), json!({}), &[("/pair", json!([1]))]);
    }

    #[test]
    fn items_that_do_not_fit_are_left_out_and_later_ones_move_up() {
        let lines = json!([
            { "amount": "?" }, { "amount": 1, "unit": "pieces" }, { "amount": 2 }, "x",
            { "amount": 4, "unit": "boxes" },
        ]);
        let left = json!({ "/lines": [{ "amount": 1 }, { "amount": 2 }, { "amount": 4 }] });
        let aside = [
            ("/lines", json!("x")),
            ("/lines", json!({ "amount": "?" })),
            ("/lines/0/unit", json!("pieces")),
            ("/lines/2/unit", json!("boxes")),
        ];
        check(json!({ "/lines": lines }), left, &aside);
    }

    #[test]
    fn where_the_schema_cannot_be_met_without_it_nothing_is_made_up() {
        for changes in [
            json!({ "/number": 3.5 }),
            json!({ "/lines": "none" }),
            json!({ "/lines": [{ "amount": "?" }] }),
        ] {
            let schema = schema();
            let mut data = good();
            for (place, value) in changes.as_object().unwrap() {
                pointer::put(&mut data, place, value.clone());
            }
            let violations = schema.check(&data, false);
            let left = set_aside(&schema, &mut data, violations, false).unwrap_err();
            assert!(!left.is_empty(), "{changes}");
        }
        let violations = schema().check(&json!([]), false);
        assert!(set_aside(&schema(), &mut json!([]), violations, false).is_err());
    }

    #[test]
    fn a_part_may_lack_what_the_whole_must_have() {
        let schema = schema();
        let mut data = json!({ "number": 3.5, "lines": [{ "amount": 1 }] });
        let violations = schema.check(&data, true);
        let invalid = set_aside(&schema, &mut data, violations, true).unwrap();
        assert_eq!(data, json!({ "lines": [{ "amount": 1 }] }));
        assert_eq!(invalid[0].pointer, "/number");
    }
}
