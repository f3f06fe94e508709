//! The way of a document, as its user sees it.

use crate::harness::{Place, fast, fixture, id};
use serde_json::{Value, json};

fn expected(name: &str) -> Value {
    serde_json::from_slice(&fixture(&format!("expected/{name}.json"))).unwrap()
}

#[tokio::test]
async fn a_document_becomes_typed_json_with_evidence() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let name = "invoice-en-classic.pdf";
    let bytes = fixture(&format!("documents/{name}"));
    let document = place.upload(name, "invoice", bytes.clone()).await;
    let extraction = place.extraction(&document).await;
    for (key, value) in expected(name)["data"].as_object().unwrap() {
        if !value.is_array() {
            assert_eq!(&extraction["data"][key], value, "{key}");
        }
    }
    assert_eq!(extraction["schema"], "invoice@1");
    assert_eq!(extraction["model"]["deployment"], "sweden");
    assert_eq!(extraction["usage"]["calls"], 1);
    assert!(extraction["usage"]["cost"].as_f64().unwrap() > 0.0);
    let text = place.get(&format!("/v1/documents/{}/text", id(&document))).await;
    let page = text["pages"][0]["text"].as_str().unwrap();
    let total = &extraction["fields"]["/total"];
    assert_eq!(total["status"], "verified", "{extraction}");
    assert!(page.contains(total["evidence"][0]["quote"].as_str().unwrap()));
    let checks = extraction["checks"].as_array().unwrap();
    assert!(!checks.is_empty() && checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    let source = place.http.get(place.url(&format!("/v1/documents/{}/source", id(&document))));
    let source = source.send().await.unwrap();
    assert_eq!(source.headers()["content-type"], "application/pdf");
    assert_eq!(source.bytes().await.unwrap(), bytes);
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&document))).await;
    assert_eq!(attempts["data"][0]["outcome"], "answered");
}

#[tokio::test]
async fn a_caller_may_wait_for_the_end() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let request = place
        .http
        .post(place.url("/v1/documents?schema=invoice"))
        .header("prefer", "wait=30")
        .body(fixture("documents/invoice-de-agentur.pdf"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["state"], "succeeded", "{body}");
    assert_eq!(body["extraction"]["data"]["currency"], "EUR", "{body}");
}

#[tokio::test]
async fn any_schema_can_be_given_at_run_time() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let schema = json!({
        "type": "object",
        "properties": {
            "invoice_number": { "type": "string", "minLength": 1 },
            "total": { "type": "number", "exclusiveMinimum": 0 },
            "remark": { "type": "string" },
        },
        "required": ["invoice_number", "total"],
        "x-sluice": { "checks": ["total > 0"] },
    });
    let put = place.http.put(place.url("/v1/schemas/short")).json(&schema).send().await.unwrap();
    assert_eq!(put.status(), 201);
    let document =
        place.upload("x.pdf", "short", fixture("documents/invoice-en-classic.pdf")).await;
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["schema"], "short@1");
    let data = extraction["data"].as_object().unwrap();
    assert!(data["total"].is_number() && !data.contains_key("remark"), "{extraction}");
    assert_eq!(extraction["checks"][0]["ok"], true);
}

#[tokio::test]
async fn a_deleted_document_leaves_nothing() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let document =
        place.upload("a.pdf", "invoice", fixture("documents/invoice-en-classic.pdf")).await;
    place.extraction(&document).await;
    let url = place.url(&format!("/v1/documents/{}", id(&document)));
    assert_eq!(place.http.delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(place.http.get(&url).send().await.unwrap().status(), 410);
    let mut left = Vec::new();
    files(&place.folder.path().join("blobs"), &mut left);
    // Schemas belong to no document.
    left.retain(|path| !path.starts_with(place.folder.path().join("blobs/schemas")));
    assert!(left.is_empty(), "{left:?}");
}

fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}
