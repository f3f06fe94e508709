//! What is known of a document, what is asked for, and what the two make together.

use super::*;
use crate::extract::{document_text::DocumentText, evidence, form, role};
use serde_json::json;
use shared::{
    extraction::{FormField, FormValue, Page, PartyRole, Term, Terms},
    schema::builtin,
};

fn terms<const N: usize>(terms: [(Term, &str); N]) -> Terms {
    terms.map(|(term, value)| (term, value.to_owned())).into()
}

/// An invoice of a gardener: two lines, one rate.
fn invoice() -> EInvoice {
    let line = |name, quantity, price, net| {
        terms([
            (Term::ItemName, name),
            (Term::Quantity, quantity),
            (Term::Unit, "H87"),
            (Term::NetPrice, price),
            (Term::LineNet, net),
            (Term::LineTaxRate, "19.00"),
        ])
    };
    EInvoice {
        header: terms([
            (Term::InvoiceNumber, "G-5/24"),
            (Term::IssueDate, "2024-05-03"),
            (Term::Currency, "EUR"),
            (Term::Net, "50.00"),
            (Term::Tax, "9.50"),
            (Term::Gross, "59.50"),
            (Term::Due, "59.50"),
        ]),
        parties: [
            (
                PartyRole::Seller,
                terms([
                    (Term::Name, "Green Thumb GmbH"),
                    (Term::VatId, "DE136695976"),
                    (Term::AddressLine1, "Elm Row 3"),
                    (Term::Postcode, "10115"),
                    (Term::City, "Berlin"),
                    (Term::Country, "DE"),
                ]),
            ),
            (PartyRole::Buyer, terms([(Term::Name, "Park Inn")])),
        ]
        .into(),
        lines: vec![
            line("Rose bush", "4.0000", "10.00", "40.00"),
            line("Mulch", "1", "10", "10.00"),
        ],
        taxes: vec![terms([
            (Term::TaxRate, "19.00"),
            (Term::TaxBase, "50.00"),
            (Term::TaxAmount, "9.50"),
        ])],
        ..EInvoice::default()
    }
}

fn pages(text: &str, invoices: Vec<EInvoice>) -> Pages {
    let pages = vec![Page { number: 1, text: text.to_owned(), ..Page::default() }];
    Pages { pages, e_invoices: invoices, ..Pages::default() }
}

fn compiled(body: Value) -> Arc<CompiledSchema> {
    let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
    Arc::new(CompiledSchema::new(schema).unwrap())
}

fn object(properties: Value) -> Value {
    let names: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
    json!({ "type": "object", "properties": properties, "required": names })
}

fn limits(embedded: Embedded) -> AskingLimits {
    AskingLimits { embedded, properties_max: 100 }
}

fn known_of(body: Value, limits: AskingLimits) -> Known {
    known(&compiled(body), &pages("", vec![invoice()]), limits)
}

fn asked(known: &Known) -> Option<Value> {
    known.asked.first().map(|asked| asked.schema.body["properties"].clone())
}

fn builtin_invoice() -> Value {
    builtin::all().into_iter().find(|(name, _)| *name == "invoice").unwrap().1
}

/// What is printed of the values, and in which role.
fn judged(
    schema: &ExtractionSchema,
    data: &Value,
    text: &DocumentText<'_>,
) -> BTreeMap<String, Field> {
    role::judge(schema, data, text, evidence::find(schema, data, text))
}

#[test]
fn an_invoice_answers_the_whole_built_in_schema() {
    let known = known_of(builtin_invoice(), limits(Embedded::Trusted));
    assert!(known.asked.is_empty());
    let line = |text, quantity, price, amount| json!({ "description": text, "quantity": quantity, "unit_price": price, "amount": amount });
    let expected = json!({
        "invoice_number": "G-5/24", "order_number": null, "issue_date": "2024-05-03", "due_date": null,
        "seller_name": "Green Thumb GmbH", "seller_vat_id": "DE136695976", "seller_iban": null,
        "buyer_name": "Park Inn", "currency": "EUR",
        "lines": [line("Rose bush", 4, 10, 40), line("Mulch", 1, 10, 10)],
        "net": 50, "vat": json!(9.5), "total": json!(59.5),
    });
    assert_eq!(known.data, expected);
    // What it does not say may be asked for.
    let known = known_of(builtin_invoice(), limits(Embedded::Supplemented));
    let names = asked(&known).unwrap();
    let names: Vec<_> = names.as_object().unwrap().keys().collect();
    assert_eq!(names, ["order_number", "due_date", "seller_iban"]);
    let known = known_of(builtin_invoice(), limits(Embedded::Ignored));
    assert!(known.is_empty() && !known.asked.is_empty());
}

#[test]
fn nested_properties_and_other_types_are_filled() {
    let text = json!({ "type": "string" });
    let body = object(json!({
        "invoice": object(json!({ "number": text, "date": { "type": "string", "format": "date" } })),
        "vendor": object(json!({ "name": text, "address": text, "vatId": text })),
        "customer": object(json!({ "name": text, "address": { "anyOf": [object(json!({ "city": { "type": ["string", "null"] } })), { "type": "null" }] } })),
        "ship_to_party": { "$ref": "#/$defs/party" },
        "total": { "anyOf": [{ "type": "number" }, { "type": "string" }] },
        "tax_breakdown": { "type": "array", "items": object(json!({ "rate": { "type": "number" }, "base": text, "amount": { "type": "number" } })) },
        "lines": { "type": "integer" },
        "billed": { "type": "string", "x-sluice": { "concept": "net" } },
    }));
    let mut body = body;
    body["$defs"] =
        json!({ "party": { "type": ["object", "null"], "properties": { "color": text } } });
    let known = known_of(body, limits(Embedded::Trusted));
    let expected = json!({
        "invoice": { "number": "G-5/24", "date": "2024-05-03" },
        "vendor": { "name": "Green Thumb GmbH", "address": "Elm Row 3, 10115 Berlin", "vatId": "DE136695976" },
        "customer": { "name": "Park Inn", "address": null },
        "ship_to_party": {},
        "total": 59.5,
        "tax_breakdown": [{ "rate": 19, "base": "50.00", "amount": 9.5 }],
        "lines": 2,
        "billed": "50.00",
    });
    assert_eq!(known.data, expected);
    let color = object(json!({ "color": { "type": "string" } }));
    let left = asked(&known).unwrap();
    assert_eq!(left["ship_to_party"]["properties"], color["properties"]);
    assert_eq!(left.as_object().unwrap().len(), 1);
}

#[test]
fn what_an_invoice_has_no_place_for_is_asked_and_put_back() {
    let body = object(json!({
        "invoice_number": { "type": "string" },
        "tone": { "type": "string" },
        "lines": { "type": "array", "items": object(json!({
            "name": { "type": "string" }, "color": { "type": ["string", "null"] }, "amount": { "type": "number" },
        })) },
    }));
    let schema = compiled(body);
    let known = known(&schema, &pages("", vec![invoice()]), limits(Embedded::Trusted));
    let left = asked(&known).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), ["tone", "lines"]);
    assert_eq!(names(&left["lines"]["items"]["properties"]), ["name", "color"]);
    let item = |name, color| json!({ "name": name, "color": color });
    let found = json!({ "tone": "kind", "lines": [item("Roses", "red"), item("mulch", "brown")] });
    let (data, warnings) = known.with(&schema.schema, found);
    let expected = json!({
        "invoice_number": "G-5/24", "tone": "kind",
        "lines": [
            { "name": "Rose bush", "color": "red", "amount": 40 },
            { "name": "Mulch", "color": "brown", "amount": 10 },
        ],
    });
    assert_eq!((data.to_string(), warnings.len()), (expected.to_string(), 0));
    // Of items that are not the same nobody knows which is which.
    let (data, warnings) = known.with(&schema.schema, json!({ "lines": [item("?", "blue")] }));
    assert_eq!(data["lines"][0], json!({ "name": "Rose bush", "amount": 40 }));
    assert!(warnings[0].starts_with("/lines: "), "{warnings:?}");
}

#[test]
fn a_line_may_have_a_name_and_a_description() {
    let text = json!({ "type": ["string", "null"] });
    let item = object(json!({ "name": text, "description": text, "price": { "type": "number" } }));
    let body = object(json!({ "lines": { "type": "array", "items": item } }));
    let known = known_of(body, limits(Embedded::Trusted));
    let expected = json!({ "name": "Rose bush", "description": null, "price": 10 });
    assert_eq!(known.data["lines"][0], expected);
}

#[test]
fn what_does_not_fit_is_asked_and_what_cannot_be_null_too() {
    let body = object(json!({
        "invoice_number": { "type": "string", "pattern": "^R-" },
        "order_number": { "type": "string" },
        "due_date": { "type": ["string", "null"] },
        "currency": { "enum": ["EUR", "USD"] },
        "total": { "type": "integer" },
        "lines": { "type": "array", "minItems": 1, "items": object(json!({
            "description": { "type": "string", "maxLength": 5 }, "amount": { "type": "number" },
        })) },
    }));
    let known = known_of(body, limits(Embedded::Trusted));
    let lines = json!([{ "amount": 40 }, { "description": "Mulch", "amount": 10 }]);
    assert_eq!(known.data, json!({ "due_date": null, "currency": "EUR", "lines": lines }));
    let left = asked(&known).unwrap();
    let names: Vec<_> = left.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["invoice_number", "order_number", "total", "lines"]);
}

#[test]
fn a_schema_may_refuse_and_one_about_something_else_is_asked_in_full() {
    let text = json!({ "type": ["string", "null"] });
    let mut body = object(json!({ "invoice_number": text }));
    body["x-sluice"] = json!({ "embedded": "ignored" });
    assert!(known_of(body, limits(Embedded::Trusted)).is_empty());
    let body = object(json!({ "chapter": text, "order_number": text }));
    let known = known_of(body, limits(Embedded::Trusted));
    assert!(known.is_empty() && known.warnings[0].contains("says nothing"));
    assert_eq!(asked(&known).unwrap().as_object().unwrap().len(), 2);
    // What the root says of several of its properties holds for none of them alone.
    let mut body = object(json!({ "invoice_number": text, "chapter": text }));
    body["minProperties"] = json!(2);
    let known = known_of(body, limits(Embedded::Trusted));
    assert_eq!(asked(&known).unwrap().as_object().unwrap().len(), 2);
    assert!(!known.is_empty());
}

#[test]
fn of_several_invoices_none_is_taken() {
    let other = EInvoice { header: terms([(Term::InvoiceNumber, "G-6")]), ..invoice() };
    let pages = pages("", vec![invoice(), other]);
    let known = known(&compiled(builtin_invoice()), &pages, limits(Embedded::Trusted));
    assert!(known.is_empty() && !known.asked.is_empty());
    assert!(known.warnings[0].contains("G-5/24, G-6"), "{:?}", known.warnings);
}

#[test]
fn a_profile_without_lines_says_so() {
    let profile = "urn:factur-x.eu:1p0:minimum".to_owned();
    let invoice = EInvoice { lines: vec![], taxes: vec![], profile, ..invoice() };
    let pages = pages("", vec![invoice]);
    let known = known(&compiled(builtin_invoice()), &pages, limits(Embedded::Trusted));
    assert_eq!(known.data["lines"], json!([]));
    assert!(known.warnings[1].contains("supplemented"), "{:?}", known.warnings);
}

#[test]
fn values_are_held_against_what_is_printed() {
    let text = "Green Thumb GmbH\nInvoice G-5/24 of 03/05/2024\nRose bush   4   10.00   40.00\n\
                Total   EUR   59.50\n";
    let schema = compiled(builtin_invoice());
    let pages = pages(text, vec![invoice()]);
    let known = known(&schema, &pages, limits(Embedded::Trusted));
    let (data, _) = known.with(&schema.schema, Value::Null);
    let text = DocumentText::new(&pages);
    let mut fields = judged(&schema.schema, &data, &text);
    known.judge(&data, &text, &mut fields);
    assert!(fields.values().all(|field| field.source == Some(FieldSource::Embedded)));
    let status = |place: &str| fields[place].status;
    assert_eq!(status("/invoice_number"), FieldStatus::Verified);
    // The invoice says which of two days it is.
    assert_eq!(status("/issue_date"), FieldStatus::Verified);
    assert_eq!(status("/lines/0/amount"), FieldStatus::Verified);
    assert_eq!(status("/buyer_name"), FieldStatus::NotFound);
    assert_eq!(status("/due_date"), FieldStatus::Missing);
    // A model's value is no longer that of the invoice.
    let mut other = data.clone();
    other["total"] = json!(40);
    let mut fields = judged(&schema.schema, &other, &text);
    known.judge(&other, &text, &mut fields);
    assert_eq!(fields["/total"].source, None);
}

#[test]
fn amounts_need_not_agree_where_the_invoice_says_what_it_takes() {
    let mut reduced = invoice();
    reduced.lines[0].insert(Term::LineAdjustment, "4.00".to_owned());
    reduced.lines[0].insert(Term::LineNet, "36.00".to_owned());
    reduced.lines[1].insert(Term::LineNet, "11.00".to_owned());
    let text = "Rose bush   4   10.00   36.00\nMulch   1   10.00   11.00\n";
    let (schema, pages) = (compiled(builtin_invoice()), pages(text, vec![reduced]));
    let known = known(&schema, &pages, limits(Embedded::Trusted));
    let (data, _) = known.with(&schema.schema, Value::Null);
    let text = DocumentText::new(&pages);
    let mut fields = judged(&schema.schema, &data, &text);
    form::judge(&data, &text, &[], &mut fields);
    known.judge(&data, &text, &mut fields);
    assert_eq!(fields["/lines/0/amount"].status, FieldStatus::Verified);
    assert_eq!(fields["/lines/1/amount"].status, FieldStatus::Conflict);
}

#[test]
fn the_fields_of_a_form_answer_properties_of_their_names() {
    let field = |name: &str, value: FormValue| FormField {
        name: name.to_owned(),
        label: String::new(),
        value,
        bounds: [10.0, 20.0, 30.0, 40.0],
    };
    let text = |text: &str| FormValue::Text(text.to_owned());
    let fields = vec![
        field("amount", text("2,345.60")),
        field("Start date", text("3 April 2024")),
        field("owncar", FormValue::Ticked(true)),
        field("code", text("007")),
        field("reason", text("soon")),
        field("child.name", text("Bo")),
    ];
    let page = Page { number: 2, text: "2,345.60 007".to_owned(), fields, ..Page::default() };
    let pages = Pages { pages: vec![page], ..Pages::default() };
    let schema = compiled(object(json!({
        "amount": { "type": "number" },
        "start_date": { "type": "string", "format": "date" },
        "own_car": { "type": "boolean" },
        "code": { "type": "string" },
        "reason": { "type": "integer" },
        "child": object(json!({ "name": { "type": "string" }, "age": { "type": "integer" } })),
    })));
    let known = known(&schema, &pages, limits(Embedded::Trusted));
    let expected = json!({
        "amount": 2345.6, "start_date": "2024-04-03", "own_car": true, "code": "007",
        "child": { "name": "Bo" },
    });
    assert_eq!(known.data, expected);
    let left = asked(&known).unwrap();
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["reason", "child"]);
    let (data, _) = known.with(&schema.schema, Value::Null);
    let text = DocumentText::new(&pages);
    let mut fields = judged(&schema.schema, &data, &text);
    known.judge(&data, &text, &mut fields);
    let (tick, code) = (&fields["/own_car"], &fields["/code"]);
    assert_eq!((tick.status, tick.source), (FieldStatus::Verified, Some(FieldSource::Form)));
    assert_eq!(tick.evidence[0].quote, "[x]");
    assert_eq!((code.status, code.evidence[0].page), (FieldStatus::Verified, 2));
    // It is filled in, and something else is shown.
    assert_eq!(fields["/start_date"].status, FieldStatus::NotFound);
}

#[test]
fn what_the_pages_say_instead_is_a_conflict() {
    let check = |text: &str, expected: &[(&str, FieldStatus, &[Value])]| {
        let (schema, pages) = (compiled(builtin_invoice()), pages(text, vec![invoice()]));
        let known = known(&schema, &pages, limits(Embedded::Trusted));
        let (data, _) = known.with(&schema.schema, Value::Null);
        let text = DocumentText::new(&pages);
        let mut fields = judged(&schema.schema, &data, &text);
        known.judge(&data, &text, &mut fields);
        for (place, status, candidates) in expected {
            let field = &fields[*place];
            let found: Vec<_> = field.candidates.iter().map(|c| c.value.clone()).collect();
            assert_eq!((field.status, &found[..]), (*status, *candidates), "{place}");
            let is_conflict = *status == FieldStatus::Conflict;
            assert_eq!(field.reason == Some(Reason::Embedded), is_conflict);
        }
    };
    use FieldStatus::{Conflict, NotFound, Verified};
    let lines = "Roses 4 x 10.00 40.00, mulch 1 x 10.00, 19.00 %";
    // One sum is another, and so is the day.
    check(
        &format!("{lines} net 50.00 tax 9.50 total 89.50 of 4 May 2024"),
        &[
            ("/net", Verified, &[]),
            ("/total", Conflict, &[json!(89.5)]),
            ("/issue_date", Conflict, &[json!("2024-05-04")]),
        ],
    );
    // All three are others: the least stands for the least.
    check(
        &format!("{lines} net 100.00 tax 19.01 total 119.01"),
        &[
            ("/net", Conflict, &[json!(100)]),
            ("/vat", Conflict, &[json!(19.01)]),
            ("/total", Conflict, &[json!(119.01)]),
            ("/issue_date", NotFound, &[]),
        ],
    );
    // Which of two is meant nobody knows.
    check(
        &format!("{lines} net 50.00 tax 9.50 from 77.10 to 89.50"),
        &[("/total", NotFound, &[json!(77.1), json!(89.5)])],
    );
    // Numbers without cents are no sums.
    check(&format!("{lines} net 50.00 tax 9.50 phone 12345 1.2"), &[("/total", NotFound, &[])]);
}

#[test]
fn another_account_than_that_of_the_invoice_is_a_conflict() {
    let mut invoice = invoice();
    invoice.header.insert(Term::Iban, "DE89370400440532013000".to_owned());
    let (schema, pages) =
        (compiled(builtin_invoice()), pages("Pay to GB29 NWBK 6016 1331 9268 19.", vec![invoice]));
    let known = known(&schema, &pages, limits(Embedded::Trusted));
    let (data, _) = known.with(&schema.schema, Value::Null);
    let text = DocumentText::new(&pages);
    let mut fields = judged(&schema.schema, &data, &text);
    known.judge(&data, &text, &mut fields);
    let field = &fields["/seller_iban"];
    assert_eq!((field.status, field.reason), (FieldStatus::Conflict, Some(Reason::Embedded)));
    let candidate = &field.candidates[0];
    assert_eq!(candidate.value, json!("GB29NWBK60161331926819"));
    assert_eq!(candidate.evidence.as_ref().unwrap().quote, "GB29 NWBK 6016 1331 9268 19");
}
