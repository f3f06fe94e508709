//! Answers always fit the schema; what a label names is found, and nothing else.

use super::{text::fold, value::date, value::number, *};
use proptest::prelude::*;
use serde_json::{Map, json};

fn object(properties: Map<String, Value>) -> Value {
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn schema() -> impl Strategy<Value = Value> {
    let leaves = json!([
        { "type": ["string", "null"] }, { "type": "string", "format": "date" }, { "type": "boolean" },
        { "type": "string", "format": "date-time" }, { "type": "string", "format": "email" },
        { "type": ["number", "null"] }, { "type": "integer" }, { "type": "null" }, { "const": "x" },
        { "enum": ["invoice", "other"] }, { "type": ["string", "null"], "enum": ["a", null] },
        { "$ref": "#/$defs/node" }, { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
    ]);
    let leaves: Vec<Value> = serde_json::from_value(leaves).unwrap_or_default();
    let names = "invoice_number|total|vat|lines|buyer|sellerVatId|date|description|amount|quantity|\
                 label|value|name|currency|[a-z]{1,8}";
    let node = prop::sample::select(leaves).prop_recursive(4, 40, 6, move |inner| {
        let properties = prop::collection::btree_map(names, inner.clone(), 0..6);
        prop_oneof![
            properties.prop_map(|properties| object(properties.into_iter().collect())),
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            prop::collection::vec(inner, 1..3).prop_map(|nodes| json!({ "anyOf": nodes })),
        ]
    });
    prop::collection::btree_map(names, node, 1..6).prop_map(|properties| {
        let mut schema = object(properties.into_iter().collect());
        let node = json!({
            "children": { "type": "array", "items": { "$ref": "#/$defs/node" } },
            "next": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/node" }] },
            "total": { "type": ["number", "null"] },
        });
        schema["$defs"] = json!({ "node": object(node.as_object().cloned().unwrap_or_default()) });
        schema
    })
}

proptest! {
    #[test]
    fn any_schema_is_answered_with_what_fits_it(
        schema in schema(),
        prompt in prop_oneof![Just(GERMAN.to_owned()), "([ -~€äé]{0,60}\n){0,12}"],
    ) {
        let first = answer(&schema, &prompt);
        let validator = jsonschema::options().should_validate_formats(true).build(&schema);
        let fits = validator.expect("a schema").validate(&first).map_err(|fault| fault.to_string());
        prop_assert_eq!(fits, Ok(()), "{}", first);
        prop_assert_eq!(&first, &answer(&schema, &prompt));
    }
}

const GERMAN: &str = "<document>\n<page number=\"1\">
Muster Werkzeuge GmbH
Rechnung an:   Rechnungs-Nr.: RE-2024-0815
Beispiel AG   Rechnungsdatum: 5. März 2024
80331 München   Ihre Bestellung: B-77
Pos.   Bezeichnung   Menge   Einzelpreis   Betrag
1   Bohrmaschine   2   149,50   299,00
2   Versand pauschal   1   1.000,00   1.000,00
Summe netto   1.299,00 EUR
MwSt. 19 %   246,81 EUR
Gesamtbetrag   1.545,81 EUR
USt-IdNr.: DE123456789   IBAN: DE89 3704 0044 0532 0130 00
</page>\n</document>";

fn check(schema: &str, text: &str, expected: Value) {
    let all = shared::schema::builtin::all();
    let (_, body) = all.into_iter().find(|(name, _)| *name == schema).expect("built in");
    let found = answer(&shared::schema::strict::convert(&body).expect("strict"), text);
    for (name, value) in expected.as_object().expect("properties") {
        assert_eq!(&found[name], value, "{name} of {found}");
    }
}

#[test]
fn documents_are_read() {
    let expected = json!({
        "invoice_number": "RE-2024-0815", "order_number": "B-77", "issue_date": "2024-03-05",
        "due_date": null, "seller_name": "Muster Werkzeuge GmbH", "seller_vat_id": "DE123456789",
        "seller_iban": "DE89 3704 0044 0532 0130 00", "buyer_name": "Beispiel AG", "currency": "EUR",
        "net": 1299, "vat": 246.81, "total": 1545.81, "lines": [
            { "description": "Bohrmaschine", "quantity": 2, "unit_price": 149.5, "amount": 299 },
            { "description": "Versand pauschal", "quantity": 1, "unit_price": 1000, "amount": 1000 },
        ],
    });
    check("invoice", GERMAN, expected);
    let receipt = "CAFE ROMA\nDate 05.03.2024   Time 14:05\n2 x Espresso   3.00\n1 x Cake   4.50\n\
                   TOTAL   €7.50\nIncl. VAT 10%   €0.68\nCash   10.00";
    let expected = json!({
        "merchant": "CAFE ROMA", "date": "2024-03-05", "time": "14:05", "currency": "EUR", "tax": 0.68,
        "total": 7.5, "payment_method": null, "items": [
            { "description": "Espresso", "quantity": 2, "amount": 3 },
            { "description": "Cake", "quantity": 1, "amount": 4.5 },
        ],
    });
    check("receipt", receipt, expected);
    let form = "Registration\nName: Ada Lovelace\nDate of birth:   10 December 1815\nMember   1833";
    let (name, born) = (["Name", "Ada Lovelace"], ["Date of birth", "10 December 1815"]);
    let fields = [name, born].map(|[label, value]| json!({ "label": label, "value": value }));
    check("generic", form, json!({ "title": "Registration", "date": null, "fields": fields }));
}

#[test]
fn what_no_label_names_or_two_values_claim_is_null() {
    for text in [
        "Hello there.\nNothing to see.",
        "Total   12.00\nTotal   13.00",
        "Item   VAT   Total\nPen   7%   3.00",
        "Total   10.00   12.00",
        "Total quantity: 12.00",
    ] {
        check("invoice", text, json!({ "invoice_number": null, "total": null, "vat": null }));
    }
}

#[test]
fn a_description_names_a_label_too() {
    let node =
        json!({ "type": ["string", "null"], "description": "The policy (contract number)." });
    let schema = object(Map::from_iter([("p".to_owned(), node)]));
    assert_eq!(answer(&schema, "Contract no.: A-17")["p"], "A-17");
    assert_eq!(answer(&schema, "Policy   A-18")["p"], "A-18");
}

#[test]
fn numbers_and_dates_are_read_unless_they_can_be_read_in_two_ways() {
    for text in ["1.234,56 €", "1 234,56", "CHF 1'234.56", "1,234.56 pcs."] {
        assert_eq!(number(text), Some(1234.56), "{text}");
    }
    for text in ["-$12.00", "12,00-", "- 12", "(€12)"] {
        assert_eq!(number(text), Some(-12.0), "{text}");
    }
    for text in ["1.234", "12 34", "05.03.2018", "INV-12", "1e5", "", "€"] {
        assert_eq!(number(text), None, "{text}");
    }
    for text in ["2018-03-05", "05.03.2018", "5 March 2018", "Mar 5th, 2018", "le 5 mars 2018"] {
        assert_eq!(date(text).as_deref(), Some("2018-03-05"), "{text}");
    }
    assert_eq!(date("03/14/2024").as_deref(), Some("2024-03-14"));
    for text in ["03/05/2018", "31.02.2018", "12/2018", "5 March 2018, noon"] {
        assert_eq!(date(text), None, "{text}");
    }
}

#[test]
fn synonyms_are_folded() {
    for phrase in label::GROUPS.iter().flatten() {
        assert_eq!(fold(phrase), *phrase);
    }
}
