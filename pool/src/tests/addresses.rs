//! Addresses as people paste them, against a server that knows only the right path.

use super::*;

fn compatible(endpoint: String) -> DeploymentConfig {
    DeploymentConfig { provider: Provider::Compatible, ..deployment("d", &endpoint) }
}

/// The paths that were asked for, in order.
fn paths(server: &Server) -> Vec<String> {
    let path = |request: &String| request.split(' ').nth(1).unwrap_or_default().to_owned();
    server.seen().iter().map(path).collect()
}

fn not_found() -> Deed {
    answer(404, "", r#"{"detail":"Not Found"}"#)
}

#[tokio::test]
async fn an_address_may_lack_its_version_or_have_one_too_many() {
    for (given, wrong, right) in [
        ("", "/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions", "/chat/completions"),
        ("/api/v1/chat/completions", "/api/v1/chat/completions", "/api/chat/completions"),
    ] {
        let server = Server::start([not_found()]).await;
        let pool = pool(vec![compatible(format!("{}{given}", server.url))]);
        for _ in 0..2 {
            call(&pool).await.unwrap();
        }
        // Found once, it is used from then on, and what was not asked is not counted.
        assert_eq!(paths(&server), [wrong, right, right]);
        assert_eq!(pool.snapshot()[0].calls, 2);
    }
}

#[tokio::test]
async fn a_model_that_is_missing_is_not_taken_for_a_wrong_address() {
    let missing =
        r#"{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}"#;
    let server = Server::start([answer(404, "", missing), not_found()]).await;
    let pool = pool(vec![compatible(format!("{}/v1", server.url))]);
    let error = call(&pool).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert_eq!(paths(&server), ["/v1/chat/completions", "/chat/completions"]);
}

#[tokio::test]
async fn the_target_uri_of_azures_portal_is_understood() {
    let server = Server::start([]).await;
    let uri = "/openai/deployments/g/chat/completions?api-version=2025-01-01-preview";
    let endpoint = format!("{}{uri}", server.url);
    let pool = pool(vec![DeploymentConfig { deployment: None, ..deployment("d", &endpoint) }]);
    call(&pool).await.unwrap();
    assert_eq!(paths(&server), [uri]);
}
