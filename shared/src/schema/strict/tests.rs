//! What strict schemas accept, and what is refused.

use super::*;

fn strict(body: Value) -> Value {
    convert(&body).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(body: Value) -> Vec<(String, String)> {
    let faults = convert(&body).expect_err("refused");
    faults.into_iter().map(|fault| (fault.path, fault.message)).collect()
}

/// The schema of one property as the model gets it.
fn property(body: Value) -> Value {
    let root = json!({ "type": "object", "properties": { "a": body }, "required": ["a"] });
    strict(root)["properties"]["a"].clone()
}

#[test]
fn objects_are_closed_and_whole() {
    let body = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "x",
        "type": "object", "x-sluice": { "model": "m" },
        "properties": {
            "name": { "type": "string", "minLength": 1, "description": "As printed." },
            "kind": { "enum": ["a", "b"] },
            "when": { "type": "string", "format": "date" },
            "lines": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/line" } },
            "shop": { "$ref": "#/definitions/shop" },
        },
        "required": ["name", "lines"],
        "$defs": { "line": { "properties": { "n": { "type": "integer" } }, "required": ["n"] } },
        "definitions": { "shop": { "type": "object", "properties": { "x": { "type": "boolean" } } } },
    });
    insta::assert_json_snapshot!(strict(body));
}

#[test]
fn nodes_are_brought_into_the_subset() {
    let check = |given, expected| assert_eq!(property(given), expected);
    check(json!({ "const": "x" }), json!({ "type": "string", "enum": ["x"] }));
    check(
        json!({ "enum": ["a", null] }),
        json!({ "type": ["null", "string"], "enum": ["a", null] }),
    );
    check(
        json!({ "oneOf": [{ "type": "string" }, { "type": "number", "minimum": 3 }] }),
        json!({ "anyOf": [{ "type": "string" }, { "type": "number", "description": "(at least 3)" }] }),
    );
    check(
        json!({ "type": ["array", "null"], "items": { "type": "string" } }),
        json!({ "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "null" }] }),
    );
    check(
        json!({ "allOf": [{ "type": "string" }, { "pattern": "^x" }] }),
        json!({ "type": "string", "description": "(pattern ^x)" }),
    );
    // A choice that only restricts is checked locally.
    check(
        json!({ "type": "string", "anyOf": [{ "minLength": 1 }, { "maxLength": 0 }] }),
        json!({ "type": "string" }),
    );
}

/// A property of a schema with these definitions, as the model gets it.
fn referring(definitions: Value, body: Value) -> Value {
    let root = json!({
        "type": "object", "properties": { "a": body }, "required": ["a"], "$defs": definitions,
    });
    strict(root)["properties"]["a"].clone()
}

#[test]
fn what_is_said_beside_a_reference_is_kept() {
    let definitions = json!({
        "address": {
            "title": "Address", "type": "object", "properties": { "city": { "type": "string" } },
            "required": ["city"],
        },
        "amount": { "type": "number", "minimum": 0, "description": "In euros." },
        "kind": { "enum": ["a", "b"] },
        "alias": { "$ref": "#/$defs/amount" },
        "again": { "$ref": "#/$defs/address", "description": "Of the sender." },
    });
    let check = |body: Value, expected: Value| {
        assert_eq!(referring(definitions.clone(), body), expected);
    };
    let address = json!({ "$ref": "#/$defs/address" });
    check(address.clone(), address.clone());
    check(
        json!({ "$ref": "#/$defs/address", "description": "Where it is delivered to." }),
        json!({ "description": "Where it is delivered to.", "anyOf": [address] }),
    );
    check(
        json!({ "allOf": [address], "title": "Delivery", "description": "Where it goes to." }),
        json!({ "description": "Delivery: Where it goes to.", "anyOf": [address] }),
    );
    // As pydantic writes what is optional, and OpenAPI what is nullable.
    let optional = json!({ "description": "Where.", "anyOf": [address, { "type": "null" }] });
    check(
        json!({ "anyOf": [address, { "type": "null" }], "default": null, "description": "Where." }),
        optional.clone(),
    );
    check(
        json!({ "$ref": "#/$defs/address", "nullable": true, "description": "Where." }),
        optional.clone(),
    );
    check(json!({ "oneOf": [{ "type": "null" }, address], "description": "Where." }), optional);
    // A plain value takes the words itself, and what stands with it is not lost.
    check(
        json!({ "$ref": "#/$defs/amount", "description": "Paid in advance." }),
        json!({ "type": "number", "description": "Paid in advance.; In euros. (at least 0)" }),
    );
    check(
        json!({ "$ref": "#/$defs/kind", "description": "Which." }),
        json!({ "type": "string", "description": "Which.", "enum": ["a", "b"] }),
    );
    // What restricts is merged, through as many references as there are.
    check(
        json!({ "$ref": "#/$defs/alias", "type": "number", "maximum": 9 }),
        json!({ "type": "number", "description": "In euros. (at least 0; at most 9)" }),
    );
    check(
        json!({ "$ref": "#/$defs/address", "required": ["city", "zip"], "properties": { "zip": { "type": "string" } } }),
        json!({
            "type": "object", "description": "Address", "required": ["zip", "city"],
            "additionalProperties": false,
            "properties": { "zip": { "type": "string" }, "city": { "type": "string" } },
        }),
    );
    check(
        json!({ "$ref": "#/$defs/again", "description": "Of the ship." }),
        json!({ "description": "Of the ship.", "anyOf": [{ "$ref": "#/$defs/again" }] }),
    );
    // A tree may describe its branches.
    let node = json!({ "node": { "type": "object", "required": ["left"], "properties": {
        "left": { "description": "The smaller half.", "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
    } } });
    check_tree(&node);
    let root = json!({ "$ref": "#/$defs/r", "description": "A bill.", "$defs": {
        "r": { "type": "object", "properties": { "x": { "type": "string" } }, "description": "Any." },
    } });
    assert_eq!(strict(root)["description"], "A bill.; Any.");
}

fn check_tree(definitions: &Value) {
    let root = json!({
        "type": "object", "required": ["a"], "$defs": definitions,
        "properties": { "a": { "$ref": "#/$defs/node", "description": "The root." } },
    });
    let converted = strict(root);
    let branch = &converted["$defs"]["node"]["properties"]["left"];
    assert_eq!(branch["description"], "The smaller half.");
    assert_eq!(branch["anyOf"][0], json!({ "$ref": "#/$defs/node" }));
}

#[test]
fn one_or_null_is_the_same_however_it_is_written() {
    let expected = json!({ "type": ["string", "null"], "description": "A note." });
    for given in [
        json!({ "type": ["string", "null"], "description": "A note." }),
        json!({ "type": "string", "nullable": true, "description": "A note." }),
        json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "description": "A note." }),
        json!({ "oneOf": [{ "type": "null" }, { "type": "string" }], "description": "A note." }),
        json!({ "anyOf": [{ "type": "string", "description": "A note." }, { "const": null }] }),
    ] {
        assert_eq!(property(given.clone()), expected, "{given}");
    }
    let list = json!({ "type": "array", "items": { "type": "string" } });
    let either = json!({ "anyOf": [list, { "type": "null" }] });
    assert_eq!(
        property(json!({ "type": ["null", "array"], "items": { "type": "string" } })),
        either
    );
    assert_eq!(property(either.clone()), either);
}

#[test]
fn titles_examples_and_meanings_go_along() {
    let check = |given: Value, expected: &str| {
        let mut given = given;
        given["type"] = json!("string");
        assert_eq!(property(given.clone())["description"], expected, "{given}");
    };
    check(json!({ "title": "Lender" }), "Lender");
    check(json!({ "title": "Lender", "description": "As printed." }), "Lender: As printed.");
    // What generators make of the name says nothing.
    check(json!({ "title": "A", "description": "As printed." }), "As printed.");
    check(json!({ "title": "Lender", "description": "The lender's name." }), "The lender's name.");
    check(json!({ "examples": ["R-1", "R-2"] }), "(for example R-1, R-2)");
    check(
        json!({ "description": "Which.", "minLength": 2, "example": "DE" }),
        "Which. (characters, at least 2; for example DE)",
    );
    check(json!({ "examples": ["x".repeat(200), "y"] }), "(for example y)");
    check(
        json!({ "enum": ["n", "c"], "x-enumDescriptions": ["net", "cash"] }),
        "(n: net; c: cash)",
    );
    check(json!({ "enum": ["n", "c"], "x-enumDescriptions": { "c": "cash" } }), "(c: cash)");
    let choices = json!({ "oneOf": [
        { "const": "n", "title": "Net" }, { "const": "c", "description": "Paid at once." },
    ] });
    let choices = property(choices);
    assert_eq!(choices["anyOf"][0]["description"], "Net");
    assert_eq!(choices["anyOf"][1]["description"], "Paid at once.");
}

#[test]
fn instructions_of_a_property_are_described() {
    let own = json!({ "instructions": "Without the deposit." });
    let body = json!({ "type": "number", "description": "The sum.", "x-sluice": own });
    assert_eq!(property(body)["description"], "The sum. Without the deposit.");
}

#[test]
fn what_refers_to_itself_may() {
    let tree = json!({
        "type": "object", "required": ["children"],
        "properties": { "children": { "type": "array", "items": { "$ref": "#" } } },
    });
    assert_eq!(strict(tree)["properties"]["children"]["items"], json!({ "$ref": "#" }));
    let node = json!({
        "$ref": "#/$defs/node",
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } } },
    });
    let converted = strict(node);
    assert_eq!(
        converted["properties"]["next"],
        json!({ "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] })
    );
}

#[test]
fn what_the_subset_cannot_carry_is_named_with_its_place() {
    let check = |body: Value, path: &str, part: &str| {
        let faults = faults(body);
        let is_named = |(at, message): &(String, String)| at == path && message.contains(part);
        assert!(faults.iter().any(is_named), "{faults:?}");
    };
    let with = |a: Value| json!({ "type": "object", "properties": { "a": a } });
    check(
        json!({ "type": "array", "items": { "type": "string" } }),
        "",
        "the root must be an object",
    );
    check(json!({ "type": "object" }), "", "needs properties");
    check(with(json!({})), "/properties/a", "say which type");
    check(with(json!(true)), "/properties/a", "say which type");
    check(
        with(json!({ "type": "object", "additionalProperties": { "type": "string" } })),
        "/properties/a/additionalProperties",
        "{name, value}",
    );
    check(with(json!({ "type": "array" })), "/properties/a/items", "say which type");
    check(
        with(json!({ "type": "array", "prefixItems": [{ "type": "string" }] })),
        "/properties/a/prefixItems",
        "use an object",
    );
    check(with(json!({ "$ref": "#/$defs/none" })), "/properties/a", "leads nowhere");
    check(json!({ "$ref": "#" }), "", "leads nowhere");
    let properties: Map<_, _> =
        (0..=PROPERTIES_MAX).map(|n| (format!("p{n}"), json!({ "type": "string" }))).collect();
    check(json!({ "type": "object", "properties": properties }), "", "5001 properties");
    let mut deep = json!({ "type": "string" });
    for _ in 0..=LEVELS_MAX {
        deep = with(deep);
    }
    check(deep, "", "11 deep");
    let mut abyss = json!({ "type": "string" });
    for _ in 0..60 {
        abyss = with(abyss);
    }
    check(abyss, &"/properties/a".repeat(DEPTH_MAX + 1), "nested more than");
}

#[test]
fn a_part_of_a_document_may_lack_everything() {
    let body = json!({
        "type": "object", "required": ["a", "b", "c"],
        "properties": {
            "a": { "type": "string" },
            "b": { "type": "array", "items": { "type": "string" } },
            "c": { "type": "object", "properties": { "x": { "type": "string" } }, "required": ["x"] },
        },
    });
    let relaxed = relax(&strict(body));
    assert_eq!(relaxed["properties"]["a"]["type"], json!(["string", "null"]));
    assert_eq!(relaxed["properties"]["b"]["type"], "array");
    assert_eq!(relaxed["properties"]["c"]["anyOf"][1], json!({ "type": "null" }));
}

#[test]
fn every_built_in_schema_can_be_asked_for() {
    for (name, body) in super::super::builtin::all() {
        assert_eq!(super::super::faults(&body), [], "{name}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// Any schema, usable or not.
    fn schema() -> impl Strategy<Value = Value> {
        let kind = prop::sample::select(vec!["string", "number", "integer", "boolean", "null"]);
        let leaf = prop_oneof![
            kind.prop_map(|kind| json!({ "type": kind })),
            Just(json!({ "enum": ["a", 1, null] })),
            Just(json!({ "$ref": "#" })),
            Just(json!({ "$ref": "#/properties/a" })),
            Just(json!({ "type": "string", "format": "date", "minLength": 3 })),
            Just(json!({})),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let object = prop::collection::vec(inner.clone(), 0..4).prop_map(|nodes| {
                let names = ["a", "b", "c", "d"].map(str::to_owned);
                let properties: Map<_, _> = names.into_iter().zip(nodes).collect();
                json!({ "type": "object", "properties": properties, "required": ["a"] })
            });
            prop_oneof![
                object,
                inner
                    .clone()
                    .prop_map(|items| json!({ "type": ["array", "null"], "items": items })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({ "anyOf": all })),
                prop::collection::vec(inner, 1..3).prop_map(|all| json!({ "allOf": all })),
            ]
        })
    }

    fn objects(node: &Value, check: &mut impl FnMut(&Map<String, Value>)) {
        match node {
            Value::Object(object) => {
                check(object);
                object.values().for_each(|node| objects(node, check));
            }
            Value::Array(items) => items.iter().for_each(|node| objects(node, check)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn whatever_converts_is_closed_and_has_only_known_keywords(body in schema()) {
            if let Ok(strict) = convert(&body) {
                prop_assert!(jsonschema::draft202012::new(&strict).is_ok(), "{strict}");
                let mut wrong = None;
                objects(&strict, &mut |object| {
                    let Some(properties) = object.get("properties").and_then(Value::as_object) else {
                        return;
                    };
                    let names: Vec<_> = properties.keys().cloned().collect();
                    if object.get("type") == Some(&json!("object"))
                        && (object["required"] != json!(names)
                            || object["additionalProperties"] != json!(false))
                    {
                        wrong = Some(object.clone());
                    }
                });
                prop_assert_eq!(wrong, None);
            }
        }
    }
}
