//! Which values are what their field says, and what is told of the others.

use super::*;
use crate::extract::evidence::find;
use serde_json::json;
use shared::extraction::{Page, Pages};

fn fields(properties: Value, data: &Value, text: &str) -> BTreeMap<String, Field> {
    let body = json!({ "type": "object", "properties": properties });
    let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
    let page = Page { number: 1, text: text.into(), ..Page::default() };
    let pages = Pages { pages: vec![page], ..Pages::default() };
    let text = DocumentText::new(&pages);
    let found = find(&schema, data, &text);
    judge(&schema, data, &text, found)
}

/// The status of each value, with its reason, its label and its candidates.
fn check(data: Value, text: &str, expected: &[&str]) {
    let shown = fields(json!({}), &data, text).into_iter().map(|(pointer, field)| {
        let field = serde_json::to_value(field).unwrap();
        let mut shown = vec![pointer, field["status"].as_str().unwrap().to_owned()];
        shown.extend(field["reason"].as_str().map(str::to_owned));
        shown.extend(field["label"].as_str().map(|label| format!("by {label}")));
        let candidates = field["candidates"].as_array().into_iter().flatten();
        shown.extend(candidates.map(|candidate| format!("or {}", candidate["value"])));
        shown.join(" ")
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{text}");
}

const INVOICE: &str = "Birch & Rowan Joinery Ltd\nVAT Reg No 123 4567 82\n\n\
    Invoice No: BR-2231   Customer No: C-7710\nInvoice date: 3 June 2024   Due date: 1 July 2024\n\n\
    Subtotal   400.00\nVAT 20 %   80.00\nTotal due   480.00\n";

#[test]
fn a_label_supports_its_value_and_contradicts_others() {
    check(
        json!({ "invoice_number": "BR-2231", "due_date": "2024-07-01", "net": 400.0 }),
        INVOICE,
        &[
            "/due_date verified by Due date",
            "/invoice_number verified by Invoice No",
            "/net verified by Subtotal",
        ],
    );
    check(
        json!({ "invoice_number": "C-7710", "issue_date": "2024-07-01", "net": 480.0 }),
        INVOICE,
        &[
            "/invoice_number conflict label by Customer No or \"BR-2231\"",
            "/issue_date conflict label by Due date or \"2024-06-03\"",
            "/net conflict label by Total due or 400",
        ],
    );
}

#[test]
fn a_value_has_the_form_of_its_field() {
    check(
        json!({ "invoice_number": "2024-06-03", "buyer": "BR-2231", "seller": "Invoice No: BR-2231" }),
        INVOICE,
        &[
            "/buyer conflict form",
            "/invoice_number conflict form or \"BR-2231\"",
            "/seller conflict label",
        ],
    );
}

#[test]
fn a_part_of_a_supported_value_is_supported() {
    let text = "Loading 7 May 2024 at 6:40 am, unloading 8 May 2024, 14:15\nGate opens 5:30\n";
    let data = json!({
        "loading": "2024-05-07T06:40:00", "unloading": "2024-05-08", "clock": "06:40:00",
        "hour": "14:15:00", "other": "05:30:00",
    });
    check(
        data,
        text,
        &[
            "/clock verified",
            "/hour verified",
            "/loading verified by Loading",
            "/other printed unlabelled",
            "/unloading verified by unloading",
        ],
    );
}

#[test]
fn a_property_that_is_called_by_a_small_word_is_named_by_it() {
    check(
        json!({ "de": "2024-06-03", "fr": "2024-07-01", "of": 17 }),
        "de 3 June 2024\nfr 1 July 2024\nBest of 17\n",
        &["/de verified by de", "/fr verified by fr", "/of verified by of"],
    );
}

#[test]
fn an_honorific_behind_a_name_is_of_whom_is_addressed() {
    for addressed in ["海山工業株式会社 御中", "海山工業株式会社御中", "海山工業株式会社　様"]
    {
        let text = format!("納品のご案内\n{addressed}\n青葉印刷株式会社\n");
        check(
            json!({ "buyer": "海山工業株式会社", "seller": "海山工業株式会社" }),
            &text,
            &["/buyer conflict shared_place", "/seller conflict shared_place"],
        );
        check(json!({ "buyer": "海山工業株式会社" }), &text, &["/buyer verified"]);
        let seller = fields(json!({}), &json!({ "seller": "海山工業株式会社" }), &text);
        assert_ne!(seller["/seller"].status, FieldStatus::Verified, "{text}");
    }
}

#[test]
fn a_free_text_between_commas_stands_as_a_whole() {
    check(
        json!({ "place": "Ravensburg", "word": "pumps" }),
        "Lieferschein\nMühlweg 3, 88212 Ravensburg, Deutschland\nwe sell pumps and more\n",
        &["/place verified", "/word printed unlabelled"],
    );
}

#[test]
fn the_sign_of_a_currency_names_what_is_called_by_it() {
    let text = "Transfer of 2,300.50 kr and CHF410.20, fee €12.80 and €14.10\n";
    check(
        json!({ "francs": 410.2, "amount_chf": 2300.5, "euros": 12.8, "freight_chf": 410.2 }),
        text,
        &[
            "/amount_chf printed unlabelled",
            "/euros printed unlabelled",
            "/francs verified by CHF",
            "/freight_chf printed unlabelled",
        ],
    );
}
