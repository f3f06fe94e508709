//! Secrets never stand in logs, answers, metrics or stored files, at any level of logging.

use crate::harness::{Place, fast, faulty, fixture, id};
use serde_json::json;
use std::path::Path;

/// What the harness configures as the key of every deployment.
const CANARY: &str = "key-of-a-test";

fn files_with(folder: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, needle, found);
        } else if path.file_name().is_some_and(|name| name != "sluice.toml") {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_key_stands_nowhere_though_everything_is_logged() {
    // One deployment that answers, one that refuses the key, one that breaks off.
    let denied = faulty("france", json!([{ "kind": "unauthorized" }]));
    let broken = faulty("norway", json!([{ "kind": "reset", "times": 2 }]));
    let place = Place::new(vec![fast("sweden"), denied, broken], "calls_max = 9").await;
    let _sluice = place.spawn("up", &[("SLUICE_LOG", "trace")]);
    place.ready().await;
    let mut seen = String::new();
    for name in ["invoice-en-classic.pdf", "invoice-de-agentur.pdf", "receipt-cafe.pdf", "scan.pdf"]
    {
        let document = place.upload(name, "generic", fixture(&format!("documents/{name}"))).await;
        place.ended(&document).await;
        for part in ["", "/result", "/attempts", "/text"] {
            let path = format!("/v1/documents/{}{part}", id(&document));
            seen.push_str(&place.get(&path).await.to_string());
        }
    }
    for path in ["/metrics", "/readyz", "/openapi.json", "/v1/schemas"] {
        seen.push_str(&place.http.get(place.url(path)).send().await.unwrap().text().await.unwrap());
    }
    assert!(place.log().contains("\"level\":\"TRACE\""), "nothing was logged at trace level");
    assert!(!seen.contains(CANARY), "an answer shows the key");
    let mut found = Vec::new();
    files_with(place.folder.path(), CANARY.as_bytes(), &mut found);
    assert!(found.is_empty(), "the key stands in {found:?}");
}
