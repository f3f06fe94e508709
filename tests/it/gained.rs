//! A new version of a schema asks for what it gained, and for nothing that is known.

use crate::harness::{Place, fast, id, letter};
use serde_json::{Value, json};

fn schema(names: &[&str], checks: &[&str]) -> Value {
    let property = |name: &&str| ((*name).to_owned(), json!({ "type": ["string", "null"] }));
    let properties: serde_json::Map<_, _> = names.iter().map(property).collect();
    json!({ "type": "object", "properties": properties, "x-sluice": { "checks": checks } })
}

async fn reprocess(place: &Place, document: &Value) -> Value {
    let path = place.url(&format!("/v1/documents/{}/reprocess", id(document)));
    let again = place.http.post(path).json(&json!({ "schema": "bill" })).send().await.unwrap();
    assert_eq!(again.status(), 202);
    place.extraction(document).await
}

#[tokio::test]
async fn a_schema_that_gained_fields_asks_for_these() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let wire = place.wire("sweden").await;
    let _sluice = place.start("up").await;
    place.put_schema("bill", &schema(&["invoice_number", "invoice_date"], &[])).await;
    let document = place.upload("a.txt", "bill", letter(7)).await;
    let first = place.extraction(&document).await;
    let before = wire.sent().len();
    let gained = ["invoice_number", "currency", "invoice_date", "total"];
    place.put_schema("bill", &schema(&gained, &[])).await;
    let second = reprocess(&place, &document).await;
    let sent = wire.sent().split_off(before);
    assert!(sent.contains("currency") && sent.contains("total"), "{sent}");
    assert!(!sent.contains("invoice_number") && !sent.contains("invoice_date"), "{sent}");
    assert_eq!(second["usage"]["calls"], 1, "{second}");
    for name in ["invoice_number", "invoice_date"] {
        assert!(first["data"][name].is_string(), "{first}");
        assert_eq!(second["data"][name], first["data"][name]);
        assert_eq!(second["fields"][format!("/{name}")], first["fields"][format!("/{name}")]);
    }
    assert_eq!(second["data"]["currency"], "EUR", "{second}");
    let names: Vec<_> = second["data"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 4, "{second}");
    // Only a check is new: nothing is asked, and the check is made.
    place.put_schema("bill", &schema(&gained, &["currency == 'EUR'"])).await;
    let third = reprocess(&place, &document).await;
    assert_eq!(third["usage"]["calls"], 0, "{third}");
    assert_eq!((&third["data"], &third["model"]), (&second["data"], &second["model"]));
    assert_eq!(third["checks"].as_array().unwrap().len(), 1, "{third}");
    assert_eq!(place.paid().await.values().sum::<u64>(), 2);
}
