//! Values that stand in the text and are in conflict all the same.

use super::*;
use crate::extract::evidence::find;
use serde_json::json;
use shared::{
    extraction::{Page, Pages},
    schema::ExtractionSchema,
};

/// The values in conflict: pointer, reason, and the candidates.
fn conflicts(data: Value, text: &str, rules: &[&str]) -> Vec<String> {
    let page = Page { number: 1, text: text.into(), ..Page::default() };
    let pages = Pages { pages: vec![page], ..Pages::default() };
    let text = DocumentText::new(&pages);
    let body = json!({ "type": "object", "x-sluice": { "checks": rules } });
    let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
    let found = find(&schema, &data, &text).into_iter();
    let mut fields = found.map(|(pointer, found)| (pointer, found.field(&text))).collect();
    let checks = crate::extract::rules::check(&schema, &data);
    judge(&data, &text, &checks, &mut fields);
    let conflicts = fields.iter().filter(|(_, field)| field.status == FieldStatus::Conflict);
    let shown = conflicts.map(|(pointer, field)| {
        let reason = serde_json::to_value(field.reason).unwrap();
        let candidates =
            field.candidates.iter().map(|candidate| format!(" or {}", candidate.value));
        format!("{pointer} {}{}", reason.as_str().unwrap(), candidates.collect::<String>())
    });
    shown.collect()
}

#[test]
fn a_code_that_breaks_its_rules_is_in_conflict() {
    let text = "IBAN DE89 3704 0044 0532 0130 01, USt-IdNr. 201/113/40209, EAN 4006381333932";
    let data = json!({
        "iban": "DE89 3704 0044 0532 0130 01", "vat_id": "201/113/40209",
        "items": [{ "ean": "4006381333932" }],
    });
    let expected = ["/iban form", "/items/0/ean form", "/vat_id form"];
    assert_eq!(conflicts(data, text, &[]), expected);
    let text = "IBAN DE89 3704 0044 0532 0130 00, DE136695976, DE** **** 12";
    let data = json!({ "iban": "DE89370400440532013000", "vat_id": "DE136695976", "payer_iban": "DE** **** 12" });
    assert_eq!(conflicts(data, text, &[]), [""; 0]);
}

#[test]
fn dates_in_the_wrong_order_are_in_conflict() {
    let check = |due: &str, expected: &[&str]| {
        let data = json!({ "issue_date": "2024-03-05", "due_date": due });
        assert_eq!(conflicts(data, "2024-03-05, 2024-02-05, 2024-04-05", &[]), expected);
    };
    check("2024-04-05", &[]);
    check("2024-03-05", &[]);
    check("2024-02-05", &["/due_date dates", "/issue_date dates"]);
}

#[test]
fn amounts_that_do_not_add_up_are_in_conflict() {
    let text = "Net 100.00   VAT 19 %   19.00   Total 119.00   Paid 50.00";
    let check = |net: f64, tax: f64, total: f64, expected: &[&str]| {
        let data = json!({ "net": net, "vat": tax, "total": total });
        assert_eq!(conflicts(data, text, &[]), expected, "{net} + {tax} = {total}");
    };
    check(100.0, 19.0, 119.0, &[]);
    // The one that is wrong is known where the right one is printed.
    check(100.0, 19.0, 50.0, &["/total amounts or 119"]);
    check(50.0, 19.0, 119.0, &["/net amounts or 100"]);
    check(100.0, 50.0, 119.0, &["/vat amounts or 19"]);
    check(119.0, 19.0, 100.0, &["/net amounts", "/total amounts", "/vat amounts"]);
    let data = json!({ "net": 100.0, "vat": 19.0, "total": 50.0, "shipping": 4 });
    assert_eq!(conflicts(data, text, &[]), [""; 0]);
}

#[test]
fn the_amount_of_an_item_is_its_quantity_times_its_price() {
    let text = "3   Bolts   2.50   7.50\n2   Nuts   10.00   18.00   10 %\n4   Nails   1.00   7.50";
    let item = |quantity, price, amount| json!({ "quantity": quantity, "unit_price": price, "amount": amount });
    let check = |item: Value, expected: &[&str]| {
        assert_eq!(conflicts(json!({ "lines": [item] }), text, &[]), expected);
    };
    check(item(3.0, 2.5, 7.5), &[]);
    // Less ten per cent, as the document says.
    check(item(2.0, 10.0, 18.0), &[]);
    check(item(3.0, 2.5, 18.0), &["/lines/0/amount amounts or 7.5"]);
    // Outside of a list they need not be of one thing.
    assert_eq!(conflicts(item(3.0, 2.5, 18.0), text, &[]), [""; 0]);
}

#[test]
fn what_a_failed_check_compares_is_in_conflict() {
    let data = json!({ "a": 5, "b": 6, "c": 7, "lines": [{ "x": 5 }] });
    let rules = ["a == b", "sum(lines[].x) == c", "a < c"];
    assert_eq!(
        conflicts(data, "5 apples, 6 pears, 7 plums", &rules),
        ["/a check", "/b check", "/c check"]
    );
}
