//! What a place in a text proves, and what it does not.

use super::*;
use serde_json::json;
use shared::extraction::{Page, Pages};

fn prove_in(body: Value, data: Value, texts: &[&str]) -> BTreeMap<String, Field> {
    let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
    let page =
        |(number, text): (u32, &&str)| Page { number, text: text.to_string(), ..Page::default() };
    let pages = (1..).zip(texts).map(page).collect();
    let pages = Pages { pages, ..Pages::default() };
    let text = DocumentText::new(&pages);
    let found = find(&schema, &data, &text).into_iter();
    found.map(|(pointer, found)| (pointer, found.field(&text))).collect()
}

/// The status, the reason, the first quote and the candidates of one value.
fn check(property: Value, value: Value, text: &str, expected: &str) {
    let body = json!({ "type": "object", "properties": { "a": property } });
    let fields = prove_in(body, json!({ "a": value }), &[text]);
    let field = serde_json::to_value(&fields["/a"]).unwrap();
    let quotes: Vec<_> = fields["/a"].evidence.iter().map(|e| e.quote.as_str()).collect();
    let mut shown = vec![field["status"].as_str().unwrap().to_owned(), quotes.join("|")];
    shown.extend(field["reason"].as_str().map(|reason| format!("({reason})")));
    for candidate in field["candidates"].as_array().into_iter().flatten() {
        shown.push(format!("or {} {}", candidate["value"], candidate["evidence"]["quote"]));
    }
    shown.retain(|part| !part.is_empty());
    assert_eq!(shown.join(" "), expected, "{value} in {text:?}");
}

fn string(value: &str, text: &str, expected: &str) {
    check(json!({ "type": "string" }), json!(value), text, expected);
}

fn number(value: f64, text: &str, expected: &str) {
    check(json!({ "type": "number" }), json!(value), text, expected);
}

#[test]
fn values_are_proven_by_value() {
    string("R-117", "No. R-117", "verified R-117");
    string("R-118", "No. R-117", "not_found");
    string("2024-03-05", "am 5. März 2024", "verified 5. März 2024");
    string("2024-03-05T00:00:00Z", "5 March 2024", "verified 5 March 2024");
    string("2024-03-06", "5 March 2024", "not_found");
    string("1234.5", "1.234,50", "verified 1.234,50");
    string("", "x", "missing");
    number(119.0, "Total 119,00 EUR", "verified 119,00");
    number(119.1, "Total 119,00 EUR", "not_found");
    number(0.19, "VAT 19 %", "verified 19");
    number(2.0, "The agreement is for two years", "verified two");
    check(json!({ "type": "number" }), Value::Null, "", "missing");
    check(json!({ "type": "boolean" }), json!(true), "yes", "inferred");
    check(json!({ "enum": ["paid", "open"] }), json!("open"), "Open items", "verified Open");
    check(json!({ "enum": ["paid", "open"] }), json!("paid"), "Open items", "inferred");
    let kind = json!({ "type": "string", "x-sluice": { "printed": false } });
    check(kind, json!("letter"), "Dear Ann", "inferred");
}

#[test]
fn what_may_mean_something_else_is_printed_with_it() {
    string(
        "2024-03-05",
        "on 05/03/2024",
        r#"printed 05/03/2024 (ambiguous) or "2024-05-03" "05/03/2024""#,
    );
    number(1234.0, "Sum 1.234", r#"printed 1.234 (ambiguous) or 1.234 "1.234""#);
    number(640.0, "1 640,00", r#"printed 640,00 (ambiguous) or 1640 "1 640,00""#);
    string("Smith", "Dr. Smith-Jones", "printed Smith (ambiguous)");
    string("CAD", "Total $5", "printed $ (ambiguous)");
    // It is sure where it also stands alone.
    string("Smith", "Dr. Smith-Jones and Smith", "verified Smith");
}

#[test]
fn what_is_printed_otherwise_is_in_conflict() {
    number(218.48, "Amount -218,48 EUR", r#"conflict 218,48 (sign) or -218.48 "218,48""#);
    number(-66.1, "Amount 66.10", r#"conflict 66.10 (sign) or 66.1 "66.10""#);
    string(
        "2024-05-03",
        "am 05.03.2024",
        r#"conflict 05.03.2024 (day_order) or "2024-03-05" "05.03.2024""#,
    );
    string(
        "2024-03-05T23:59:00Z",
        "ETA 05.03.2024 23:10",
        "conflict 05.03.2024\n23:10 (time) or \"2024-03-05T23:10:00\" \"05.03.2024\\n23:10\"",
    );
    // A place that says the value outweighs one that does not.
    number(218.48, "Credit -218,48, invoice 218,48", "verified 218,48");
}

#[test]
fn times_are_compared_where_a_value_has_one() {
    string("2024-03-05T17:20:00+01:00", "2024-03-05 17:20 CET", "verified 2024-03-05\n17:20");
    string("2024-03-05T09:05:00", "5 March 2024 at 9:05 am", "verified 5 March 2024\n9:05 am");
    string("2024-03-05T09:05:00", "5 March 2024", "not_found");
    string("09:05:00Z", "at 9:05 am", "verified 9:05 am");
    string("09:06", "at 9:05 am", "not_found");
}

#[test]
fn a_part_of_something_longer_proves_nothing() {
    for (part, text) in [
        ("2024-31", "Invoice R-2024-31/B"),
        ("118-22", "Order 4500-118-22"),
        ("7.3", "Batch 7.3.1"),
        ("0117", "INV-0117"),
        ("INV-0117", "INV-0117-A"),
        ("4711", "K4711/9"),
        ("DE89 3704", "IBAN DE89 3704 0044 0532 0130 00"),
        ("2024117", "Room 2024117-B"),
        ("640", "1.640,00"),
        ("17", "at 17:20"),
    ] {
        string(part, text, "not_found");
    }
    for part in [117.0, 31.0, 7.3] {
        number(part, "INV-0117, R-2024-31/B, Batch 7.3.1", "not_found");
    }
    number(3.0, "on 03.05.2024 and 3 May 2024", "not_found");
}

#[test]
fn currencies_are_proven_by_their_signs() {
    string("EUR", "Total 5 €", "verified €");
    string("EUR", "Total EUR1.190,00", "verified EUR");
    string("USD", "Total R$5", "not_found");
    string("GBP", "Total €5", "not_found");
    string("JPY", "請求書 合計金額11,000円", "verified 円");
    string("SEK", "Faktura, belopp att betala: 5 kr", "verified kr");
    string("NOK", "Faktura, belopp att betala: 5 kr", "printed kr (ambiguous)");
    string("TRY", "Try again", "not_found");
}

#[test]
fn the_pieces_of_an_address_may_stand_in_any_order() {
    let text = "Springfield 62704\n12 Main Street\nUSA";
    string("12 Main Street, Springfield 62704", text, "verified 12 Main Street\nSpringfield 62704");
    string("12 Main Street, Springfield 62705", text, "not_found");
    string("Main Street, Shelbyville 62704", text, "not_found");
    string("Technology Inc", "Acme Technology, Inc.", "verified Technology, Inc");
    string(
        "Harbour Light Trading Company",
        "Seller: Harbour Ligth Trading Company, London",
        r#"printed Harbour Ligth Trading Company (spelling) or "Harbour Ligth Trading Company" "Harbour Ligth Trading Company""#,
    );
    string("Harbour Li", "Harbour Lo", "not_found");
    string("Harbour Light 117 Trading", "Harbour Light 118 Trading", "not_found");
    string("Krankenversicherung", "die Kranken-\nVersicherung", "verified Kranken-\nVersicherung");
}

#[test]
fn items_are_proven_where_they_stand() {
    let text = "1 Main Street\nQty   Item   Amount\n1   Bolts   1.00\n2   Nuts   2.00\n\
                1   Nuts   2.00\nNet   5.00\nTotal   5.00";
    let line = |quantity, item, amount| json!({ "q": quantity, "item": item, "amount": amount });
    let data = json!({
        "lines": [line(1, "Bolts", 1.0), line(2, "Nuts", 2.0), line(1, "Nuts", 2.0)],
        "total": 5.0,
    });
    let fields = prove_in(json!({ "type": "object" }), data, &["Cover 5", text]);
    assert!(fields.values().all(|field| field.status == FieldStatus::Verified), "{fields:?}");
    assert_eq!(fields["/lines/2/amount"].evidence.len(), 1);
    assert_eq!(fields["/total"].evidence.len(), 3);
}
