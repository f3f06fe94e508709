//! Schemas by name and version.

use crate::harness::{Server, status_and_json};
use serde_json::{Value, json};

#[tokio::test]
async fn a_changed_schema_is_a_new_version() {
    let server = Server::start().await;
    let put = async |body: &Value| {
        let request = server.http.put(server.url("/v1/schemas/short")).json(body);
        status_and_json(request.send().await.unwrap()).await
    };
    let one = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let two = json!({ "type": "object", "properties": { "b": { "type": "string" } } });
    let (status, kept) = put(&one).await;
    assert_eq!(status, 201);
    assert_eq!(kept, json!({ "name": "short", "version": 1, "ref": "short@1", "schema": one }));
    assert_eq!(put(&one).await.0, 200);
    let (status, kept) = put(&two).await;
    assert_eq!((status, &kept["ref"]), (201, &json!("short@2")));
    let get = async |path: &str| {
        let answer = server.get(&format!("/v1/schemas{path}")).send().await.unwrap();
        let (status, answer) = status_and_json(answer).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    assert_eq!(get("/short").await["schema"], two);
    assert_eq!(get("/short@1").await["schema"], one);
    let versions = get("/short/versions").await;
    assert_eq!(versions["data"].as_array().unwrap().len(), 2);
    assert!(versions["data"][0]["created_at"].is_string());
    let all = get("").await;
    let names: Vec<_> =
        all["data"].as_array().unwrap().iter().map(|s| s["ref"].as_str().unwrap()).collect();
    assert_eq!(names, ["contract@1", "generic@1", "invoice@1", "receipt@1", "short@2"]);
    // A document keeps the version that was the newest when it came.
    assert_eq!(server.upload("schema=short", "x").await["schema"], "short@2");
    assert_eq!(server.upload("schema=short@1", "x").await["schema"], "short@1");
    assert_eq!(server.upload("", "x").await["schema"], "generic@1");
}
