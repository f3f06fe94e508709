//! Health, metrics, and the description of the API.

use crate::harness::{Server, status_and_json};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Read};

#[tokio::test]
async fn health_and_metrics() {
    let server = Server::start().await;
    let (status, alive) = status_and_json(server.get("/healthz").send().await.unwrap()).await;
    assert_eq!((status, alive), (200, json!({ "status": "ok" })));
    let (status, ready) = status_and_json(server.get("/readyz").send().await.unwrap()).await;
    assert_eq!((status, ready), (200, json!({ "status": "ok" })));
    server.upload("", "text").await;
    let metrics = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    for name in [
        "sluice_queue_depth",
        "sluice_in_flight",
        "sluice_upload_bytes_total",
        "sluice_http_requests_total",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

#[tokio::test]
async fn the_description_lists_every_route() {
    let server = Server::start().await;
    let api: Value = server.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"), "{}", api["openapi"]);
    let mut routes = BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let expected = [
        "DELETE /v1/documents/{id}",
        "GET /healthz",
        "GET /metrics",
        "GET /problems/{code}",
        "GET /readyz",
        "GET /v1/deployments",
        "GET /v1/documents",
        "GET /v1/documents/{id}",
        "GET /v1/documents/{id}/attempts",
        "GET /v1/documents/{id}/pages",
        "GET /v1/documents/{id}/pages/{page}",
        "GET /v1/documents/{id}/result",
        "GET /v1/documents/{id}/source",
        "GET /v1/documents/{id}/text",
        "GET /v1/schemas",
        "GET /v1/schemas/{name}",
        "GET /v1/schemas/{name}/versions",
        "POST /v1/documents",
        "POST /v1/documents/retry",
        "POST /v1/documents/{id}/cancel",
        "POST /v1/documents/{id}/reprocess",
        "POST /v1/documents/{id}/retry",
        "PUT /v1/schemas/{name}",
    ];
    assert_eq!(routes, expected.map(str::to_owned).into());
    let references = api.to_string();
    for reference in references.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(api["components"]["schemas"].get(name).is_some(), "{name} is not described");
    }
    let description = api["info"]["description"].as_str().unwrap();
    for code in ["too_large", "backlog_full", "password_required", "attempts_exhausted"] {
        assert!(description.contains(code), "{code}");
    }
    assert_eq!(api["components"]["schemas"]["Problem"]["example"]["code"], "too_large");
}

#[tokio::test]
async fn the_page_needs_no_internet() {
    let server = Server::start().await;
    for (path, leads_to) in [("/", "/docs/"), ("/docs", "/docs/")] {
        let answer = server.get(path).send().await.unwrap();
        assert_eq!(answer.headers()["location"], leads_to, "{path}");
    }
    let answer = server.get("/docs/").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let mut page = String::new();
    GzDecoder::new(&answer.bytes().await.unwrap()[..]).read_to_string(&mut page).unwrap();
    assert!(page.contains("swagger-ui-bundle.js"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(
            server.get(&format!("/docs/{file}")).send().await.unwrap().status(),
            200,
            "{file}"
        );
    }
    let meaning: Value =
        server.get("/problems/too_large").send().await.unwrap().json().await.unwrap();
    assert_eq!(meaning["status"], 413);
}

#[tokio::test]
async fn every_answer_has_an_id() {
    let server = Server::start().await;
    let mine = server.get("/healthz").header("x-request-id", "mine").send().await.unwrap();
    assert_eq!(mine.headers()["x-request-id"], "mine");
    let made = server.get("/nothing").send().await.unwrap();
    assert_eq!(made.headers()["x-request-id"].len(), 36);
}
