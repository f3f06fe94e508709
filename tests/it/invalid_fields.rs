//! A field that does not fit the schema costs that field and nothing else: it is asked for again alone,
//! and what still does not fit is set aside, shown as what it is.

use crate::broker::backends;
use crate::harness::{Place, Process, deployment, id};
use serde_json::{Value, json};

const BILL: &str = "Bill 4711\n\nOf 31.02.2024, by Quill & Co\nGoods   80.00\nFreight   ten\n\
                    Net   90.00\nTotal   107.10\n";

/// What the schema asks for. The day may be null, `freight` may be left out, a line must have an amount.
fn schema() -> Value {
    let line = json!({
        "type": "object", "required": ["text", "amount"],
        "properties": { "text": { "type": "string" }, "amount": { "type": "number" } },
    });
    json!({
        "type": "object", "required": ["bill", "day", "total", "lines"],
        "properties": {
            "bill": { "type": "string" },
            "day": { "anyOf": [{ "type": "string", "format": "date" }, { "type": "null" }] },
            "freight": { "type": "number" },
            "total": { "type": "number" },
            "lines": { "type": "array", "items": line },
        },
    })
}

/// A deployment that says this, and this of what it is asked for again.
async fn says(first: &Value, second: &Value) -> (Place, Process, Value) {
    says_on(Vec::new(), first, second).await
}

async fn says_on(
    backend: Vec<(&'static str, String)>,
    first: &Value,
    second: &Value,
) -> (Place, Process, Value) {
    let files = tempfile::tempdir().unwrap();
    let answers = [("This does not fit the schema", second), ("Bill 4711", first)];
    let answers = answers.map(|(when_text, answer)| {
        let file = files.path().join(format!("{}.json", when_text.len()));
        std::fs::write(&file, answer.to_string()).unwrap();
        json!({ "when_text": when_text, "file": file })
    });
    let fast = json!({ "name": "sweden", "model": "gpt-4o", "tokens_per_minute": 100_000_000,
        "requests_per_minute": 600_000,
        "latency": { "ttft_ms": [0, 0], "tokens_per_second": [1e9, 1e9], "rejection_ms": [0, 0] } });
    let mut place = Place::scripted(vec![deployment(fast)], json!(answers), "").await;
    place.settings = backend;
    let sluice = place.start("up").await;
    let url = place.url("/v1/schemas/bill");
    let stored = place.http.put(url).json(&schema()).send().await.unwrap();
    assert!(stored.status().is_success(), "{}", stored.text().await.unwrap());
    let document = place.upload("bill.txt", "bill", BILL.into()).await;
    let ended = place.ended(&document).await;
    (place, sluice, ended)
}

async fn result(place: &Place, ended: &Value, state: &str) -> Value {
    assert_eq!(ended["state"], state, "{ended}\n{}", place.log());
    place.get(&format!("/v1/documents/{}/result", id(ended))).await
}

fn bill(changes: Value) -> Value {
    let mut bill = json!({
        "bill": "4711", "day": null, "freight": null, "total": 107.1,
        "lines": [{ "text": "Goods", "amount": 80 }, { "text": "Freight", "amount": 10 }],
    });
    for (name, value) in changes.as_object().unwrap() {
        bill[name] = value.clone();
    }
    bill
}

fn warns(extraction: &Value, of: &str) -> bool {
    let warnings = extraction["warnings"].as_array().unwrap();
    warnings.iter().any(|warning| warning.as_str().unwrap().contains(of))
}

#[tokio::test]
async fn only_the_fields_that_do_not_fit_are_asked_for_again() {
    let first = bill(json!({ "day": "31.02.2024", "total": "much", "bill": "4711" }));
    let second = json!({ "day": "2024-02-29", "total": 107.1, "bill": "not asked for" });
    let (place, _sluice, ended) = says(&first, &second).await;
    let extraction = result(&place, &ended, "succeeded").await;
    let mut expected = bill(json!({ "day": "2024-02-29" }));
    expected.as_object_mut().unwrap().remove("freight");
    assert_eq!(extraction["data"], expected);
    assert_eq!(extraction["usage"]["calls"], 2);
}

#[tokio::test]
async fn what_still_does_not_fit_is_set_aside_and_the_document_is_partial() {
    for backend in backends().await {
        is_partial_on(backend).await;
    }
}

async fn is_partial_on(backend: Vec<(&'static str, String)>) {
    let first = bill(json!({ "day": "31.02.2024", "freight": "ten" }));
    let second = json!({ "day": "the 31st", "freight": "ten" });
    let (place, _sluice, ended) = says_on(backend, &first, &second).await;
    let extraction = result(&place, &ended, "partial").await;
    let mut expected = bill(json!({}));
    expected.as_object_mut().unwrap().remove("freight");
    assert_eq!(extraction["data"], expected);
    let fields = &extraction["fields"];
    for (place, value) in [("/day", "the 31st"), ("/freight", "ten")] {
        assert_eq!(fields[place]["status"], "invalid", "{fields}");
        assert_eq!(fields[place]["candidates"], json!([{ "value": value }]), "{fields}");
    }
    assert_eq!(fields["/bill"]["status"], "verified", "{fields}");
    assert_eq!(fields["/bill"].get("candidates"), None);
    assert!(warns(&extraction, "/day: "), "{extraction}");
    // Another run asks for it again.
    let url = place.url(&format!("/v1/documents/{}/reprocess", id(&ended)));
    let again: Value =
        place.http.post(url).json(&json!({})).send().await.unwrap().json().await.unwrap();
    let again = place.ended(&again).await;
    let extraction = result(&place, &again, "partial").await;
    assert_eq!(extraction["usage"]["calls"], 2);
}

#[tokio::test]
async fn a_second_answer_that_is_none_costs_nothing_else() {
    let first = bill(json!({ "day": "31.02.2024" }));
    let (place, _sluice, ended) = says(&first, &json!("I cannot say.")).await;
    let extraction = result(&place, &ended, "partial").await;
    assert_eq!(extraction["fields"]["/day"]["candidates"], json!([{ "value": "31.02.2024" }]));
    assert_eq!(extraction["data"]["total"], 107.1);
}

#[tokio::test]
async fn a_line_that_does_not_fit_is_left_out_and_shown() {
    let lines = json!([
        { "text": "Goods", "amount": 80 }, { "text": "Freight", "amount": "ten" },
        { "text": "Stamps", "amount": 1 },
    ]);
    let still = json!({ "lines": [{ "amount": 80 }, { "amount": "ten" }, { "amount": 1 }] });
    let (place, _sluice, ended) = says(&bill(json!({ "lines": lines })), &still).await;
    let extraction = result(&place, &ended, "partial").await;
    let left = json!([{ "text": "Goods", "amount": 80 }, { "text": "Stamps", "amount": 1 }]);
    assert_eq!(extraction["data"]["lines"], left);
    let list = &extraction["fields"]["/lines"];
    assert_eq!(list["status"], "invalid", "{extraction}");
    let out = json!([{ "value": { "text": "Freight", "amount": "ten" } }]);
    assert_eq!(list["candidates"], out);
    assert_eq!(extraction["fields"]["/lines/0/amount"]["status"], "verified");
}

#[tokio::test]
async fn what_the_schema_cannot_be_met_without_fails_and_says_so() {
    let first = bill(json!({ "total": "much" }));
    let (place, _sluice, ended) = says(&first, &json!({ "total": "a lot" })).await;
    assert_eq!(ended["state"], "failed", "{ended}\n{}", place.log());
    assert_eq!(ended["failure"]["code"], "invalid_reply");
    let message = ended["failure"]["message"].as_str().unwrap();
    assert!(message.contains("/total: \"a lot\"") && message.contains("null"), "{message}");
}

#[tokio::test]
async fn another_form_of_the_same_value_is_read_and_costs_no_call() {
    let first = bill(json!({
        "bill": 4711, "day": "2024-03-05T00:00:00Z", "freight": "10,00 EUR", "total": "107.10",
    }));
    let (place, _sluice, ended) = says(&first, &json!({})).await;
    let extraction = result(&place, &ended, "succeeded").await;
    let expected = bill(json!({ "bill": "4711", "day": "2024-03-05", "freight": 10 }));
    assert_eq!(extraction["data"], expected);
    assert_eq!(extraction["usage"]["calls"], 1);
    for place in ["/bill", "/day", "/freight", "/total"] {
        assert!(warns(&extraction, &format!("{place}: ")), "{place}: {extraction}");
    }
    assert_eq!(extraction["fields"]["/total"]["status"], "verified");
}
