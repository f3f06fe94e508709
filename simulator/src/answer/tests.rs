//! Answers always fit the schema, and the built-in schemas are filled from plain documents.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, json};

fn fits(schema: &Value, answer: &Value) -> Result<(), String> {
    let validator = jsonschema::validator_for(schema).map_err(|fault| fault.to_string())?;
    validator.validate(answer).map_err(|fault| format!("{fault}: {answer}"))
}

fn object(properties: Map<String, Value>) -> Value {
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({
        "type": "object", "additionalProperties": false,
        "required": required, "properties": properties,
    })
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "invoice_number",
            "total",
            "net",
            "vat",
            "lines",
            "currency",
            "buyer",
            "seller",
            "date",
            "kind",
            "description",
            "amount",
            "quantity",
            "label",
            "value",
            "name",
            "role",
            "parties",
            "iban",
            "dates",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,8}",
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({ "type": "string" }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "number" }),
        json!({ "type": ["number", "null"] }),
        json!({ "type": "integer" }),
        json!({ "type": "boolean" }),
        json!({ "type": "null" }),
        json!({ "enum": ["invoice", "other"] }),
        json!({ "type": ["string", "null"], "enum": ["a", null] }),
        json!({ "const": "x" }),
        json!({ "$ref": "#/$defs/node" }),
        json!({ "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] }),
        json!({ "$ref": "#/$defs/leaf" }),
    ])
}

fn schema() -> impl Strategy<Value = Value> {
    let node = leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::btree_map(names(), inner.clone(), 0..6)
                .prop_map(|properties| object(properties.into_iter().collect())),
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            prop::collection::vec(inner, 1..3).prop_map(|nodes| json!({ "anyOf": nodes })),
        ]
    });
    prop::collection::btree_map(names(), node, 1..6).prop_map(|properties| {
        let mut schema = object(properties.into_iter().collect());
        let again = json!({ "type": "array", "items": { "$ref": "#/$defs/node" } });
        let next = json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/node" }] });
        let node =
            [("children", again), ("next", next), ("total", json!({ "type": ["number", "null"] }))];
        let node = node.into_iter().map(|(name, node)| (name.to_owned(), node)).collect();
        schema["$defs"] = json!({ "node": object(node), "leaf": { "type": "string" } });
        schema
    })
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().map(|object| object.keys().collect()).unwrap_or_default()
}

proptest! {
    #[test]
    fn any_schema_is_answered_with_what_fits_it(
        schema in schema(),
        rows in prop::collection::vec("[ -~€äé\n]{0,60}", 0..12),
        is_bill in any::<bool>(),
    ) {
        let prompt = if is_bill { GERMAN.to_owned() } else { rows.join("\n") };
        let first = answer(&schema, &prompt);
        prop_assert_eq!(fits(&schema, &first), Ok(()));
        prop_assert_eq!(&first, &answer(&schema, &prompt));
        prop_assert_eq!(keys(&first), keys(&schema["properties"]));
    }
}

const GERMAN: &str = "<document>\n<page number=\"1\">
Muster Werkzeuge GmbH
Hauptstraße 5, 10115 Berlin
Rechnung an:   Rechnungs-Nr.: RE-2024-0815
Beispiel AG   Rechnungsdatum: 5. März 2024
Musterweg 1   Fällig am: 04.04.2024
80331 München   Ihre Bestellung: B-77
Rechnung
Pos.   Bezeichnung   Menge   Einzelpreis   Betrag
1   Bohrmaschine   2   149,50   299,00
2   Versand pauschal   1   1.000,00   1.000,00
Summe netto   1.299,00 EUR
zzgl. 19 % MwSt.   246,81 EUR
Gesamtbetrag   1.545,81 EUR
USt-IdNr.: DE123456789   IBAN: DE89 3704 0044 0532 0130 00
</page>\n</document>";

fn builtin(name: &str) -> Value {
    let all = shared::schema::builtin::all();
    all.into_iter().find(|(own, _)| *own == name).expect("built in").1
}

#[test]
fn a_bill_is_read() {
    let schema = builtin("invoice");
    let found = answer(&schema, GERMAN);
    assert_eq!(
        found,
        json!({
            "invoice_number": "RE-2024-0815",
            "order_number": "B-77",
            "issue_date": "2024-03-05",
            "due_date": "2024-04-04",
            "seller_name": "Muster Werkzeuge GmbH",
            "seller_vat_id": "DE123456789",
            "seller_iban": "DE89 3704 0044 0532 0130 00",
            "buyer_name": "Beispiel AG",
            "currency": "EUR",
            "lines": [
                { "description": "Bohrmaschine", "quantity": 2.0, "unit_price": 149.5, "amount": 299.0 },
                { "description": "Versand pauschal", "quantity": 1.0, "unit_price": 1000.0, "amount": 1000.0 },
            ],
            "net": 1299.0,
            "vat": 246.81,
            "total": 1545.81,
        })
    );
}

#[test]
fn a_receipt_is_read() {
    let text = "CAFE ROMA\nVia Appia 3, 00100 Roma\n05/03/2024 14:05\n2 x Espresso   3,00\nTorta   4,50\n\
                TOTALE EUR   7,50\nIVA 10%   0,68\nContanti   10,00\nResto   2,50";
    let found = answer(&builtin("receipt"), text);
    assert_eq!(
        found,
        json!({
            "merchant": "CAFE ROMA", "date": "2024-03-05", "time": "14:05", "currency": "EUR",
            "items": [
                { "description": "Espresso", "quantity": 2.0, "amount": 3.0 },
                { "description": "Torta", "quantity": null, "amount": 4.5 },
            ],
            "tax": 0.68, "total": 7.5, "payment_method": "Contanti",
        })
    );
}

#[test]
fn a_form_is_read() {
    let text = "Registration form\nName: Ada Lovelace\nDate of birth: 10 December 1815\nMember since   1833";
    let found = answer(&builtin("generic"), text);
    assert_eq!(found["title"], "Registration form");
    assert_eq!(found["kind"], "form");
    assert_eq!(
        found["fields"],
        json!([
            { "label": "Name", "value": "Ada Lovelace" },
            { "label": "Date of birth", "value": "10 December 1815" },
        ])
    );
}

#[test]
fn what_is_not_printed_is_null() {
    let found = answer(&builtin("invoice"), "Hello there.\nNothing to see.");
    assert_eq!(found["invoice_number"], Value::Null);
    assert_eq!(found["total"], Value::Null);
    assert_eq!(found["lines"], json!([]));
}
