//! Electronic invoices become results without a model, whatever carries them, and are held against
//! what their pages show.

use crate::harness::{Place, fast, repository};
use serde_json::{Value, json};

fn of_fixtures(name: &str) -> Vec<u8> {
    std::fs::read(repository().join("fixtures/e-invoices").join(name)).unwrap()
}

/// Every way in which one invoice comes gives the same values, and no call is made.
#[tokio::test]
async fn an_electronic_invoice_costs_nothing() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let expected: Value = serde_json::from_slice(&of_fixtures("expected.json")).unwrap();
    for name in ["factur-x.pdf", "other-name.pdf", "cii.xml", "ubl.xml", "fraud.pdf"] {
        let document = place.upload(name, "invoice", of_fixtures(name)).await;
        let result = place.extraction(&document).await;
        assert_eq!(result["data"], expected["data"], "{name}");
        let usage = ["calls", "tokens_input", "tokens_output"].map(|key| &result["usage"][key]);
        assert_eq!(usage, [0; 3], "{name}");
        let printed = &expected["printed"][name];
        for (pointer, field) in result["fields"].as_object().unwrap() {
            assert_eq!(field["source"], "embedded", "{name}: {pointer}");
            // What the pages say instead.
            let instead = &field["candidates"][0]["value"];
            assert_eq!(instead, &printed[pointer], "{name}: {pointer}: {field}");
            let status = if instead.is_null() { "verified" } else { "conflict" };
            assert_eq!(field["status"], status, "{name}: {pointer}: {field}");
        }
    }
    assert_eq!(place.paid().await.len(), 0);
}

/// Where there is nothing to ask, pages without text are no fault; nothing of it is proven by them.
#[tokio::test]
async fn an_electronic_invoice_needs_no_text() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let expected: Value = serde_json::from_slice(&of_fixtures("expected.json")).unwrap();
    let document = place.upload("a.pdf", "invoice", of_fixtures("no-text.pdf")).await;
    let result = place.extraction(&document).await;
    assert_eq!(result["data"], expected["data"]);
    let fields = result["fields"].as_object().unwrap();
    assert!(fields.values().all(|field| field["status"] == "not_found"), "{fields:?}");
    let document = place.upload("a.pdf", "contract", of_fixtures("no-text.pdf")).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "no_text", "{ended}");
}

/// A model is asked for what the invoice has no place for, and its answer stands beside the rest.
#[tokio::test]
async fn a_model_is_asked_for_what_is_missing_only() {
    let answer = json!({ "animal": "bees", "total": 1 });
    let place = Place::answering(&answer.to_string()).await;
    let _sluice = place.start("up").await;
    let text = json!({ "type": "string" });
    let mut schema = json!({
        "type": "object", "required": ["animal", "total", "number"],
        "properties": { "number": text, "animal": text, "total": { "type": "number" } },
    });
    place.put_schema("animals", &schema).await;
    let document = place.upload("a.pdf", "animals", of_fixtures("factur-x.pdf")).await;
    let result = place.extraction(&document).await;
    let expected = json!({ "number": "IM-2024-0312", "animal": "bees", "total": 685.87 });
    assert_eq!(result["data"], expected);
    assert_eq!(result["usage"]["calls"], 1);
    assert_eq!(result["fields"]["/animal"]["source"], Value::Null);
    assert_eq!(result["fields"]["/total"]["source"], "embedded");
    // A schema that does not trust it is asked in full.
    schema["x-sluice"] = json!({ "embedded": "ignored" });
    place.put_schema("careful", &schema).await;
    let document = place.upload("b.pdf", "careful", of_fixtures("factur-x.pdf")).await;
    let ended = place.ended(&document).await;
    assert_ne!(ended["state"], "succeeded", "the answer lacks a number: {ended}");
}
