//! The endpoints that issue tokens, over HTTP: Entra ID's, and those of managed identities on
//! virtual machines (IMDS) and in App Service. Who gets a token is decided elsewhere.

use crate::entra::{Proof, TokenRefusal, TokenRequest};
use crate::fault::FaultKind;
use crate::reply;
use crate::run_state::{RunState, locked};
use axum::body::Bytes;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

type Pairs = HashMap<String, String>;

/// The routes of all of them.
pub(crate) fn routes<S>() -> Router<S>
where
    RunState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route("/metadata/identity/oauth2/token", get(machine))
        .route("/msi/token", get(app_service))
}

async fn token(
    State(run_state): State<RunState>,
    Path(tenant): Path<String>,
    body: Bytes,
) -> Response {
    // A form's body is what a query is.
    let uri = format!("/?{}", String::from_utf8_lossy(&body)).parse::<Uri>();
    let pairs = uri.ok().and_then(|uri| Query::<Pairs>::try_from_uri(&uri).ok());
    let pairs = pairs.map(|Query(pairs)| pairs).unwrap_or_default();
    let get = |name: &str| pairs.get(name).map(String::as_str);
    let proof = match (get("client_secret"), get("client_assertion")) {
        (Some(secret), _) => Proof::Secret(secret),
        (None, assertion) => Proof::Assertion(assertion.unwrap_or_default()),
    };
    let request = TokenRequest {
        tenant: Some(&tenant),
        client_id: get("client_id"),
        scope: get("scope").unwrap_or_default(),
        proof,
    };
    if get("grant_type") != Some("client_credentials") {
        let said = "AADSTS900144: The request body must contain 'grant_type'.".to_owned();
        return refused(TokenRefusal::Wrong(400, "invalid_request", said));
    }
    answer(&run_state, &request, |token, seconds| {
        json!({ "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
                "access_token": token })
    })
}

async fn machine(
    State(run_state): State<RunState>,
    Query(query): Query<Pairs>,
    headers: HeaderMap,
) -> Response {
    if headers.get("metadata").is_none_or(|value| value != "true") {
        let said = "Required metadata header not specified".to_owned();
        return refused(TokenRefusal::Wrong(400, "bad_request_102", said));
    }
    managed(&run_state, &query, Proof::Machine, |token, seconds| {
        json!({ "access_token": token, "refresh_token": "", "expires_in": seconds.to_string(),
                "expires_on": expires_on(seconds), "token_type": "Bearer",
                "resource": query.get("resource") })
    })
}

async fn app_service(
    State(run_state): State<RunState>,
    Query(query): Query<Pairs>,
    headers: HeaderMap,
) -> Response {
    let header = headers.get("x-identity-header").and_then(|value| value.to_str().ok());
    let proof = Proof::AppService(header.unwrap_or_default());
    managed(&run_state, &query, proof, |token, seconds| {
        json!({ "access_token": token, "expires_on": expires_on(seconds), "token_type": "Bearer",
                "resource": query.get("resource"), "client_id": query.get("client_id") })
    })
}

fn managed(
    run_state: &RunState,
    query: &Pairs,
    proof: Proof<'_>,
    body: impl Fn(&str, u64) -> Value,
) -> Response {
    let get = |name: &str| query.get(name).map(String::as_str);
    if get("api-version").is_none() {
        let said = "api-version is missing".to_owned();
        return refused(TokenRefusal::Wrong(400, "bad_request", said));
    }
    let scope = format!("{}/.default", get("resource").unwrap_or_default());
    let request = TokenRequest { tenant: None, client_id: get("client_id"), scope: &scope, proof };
    answer(run_state, &request, body)
}

fn answer(
    run_state: &RunState,
    request: &TokenRequest<'_>,
    body: impl Fn(&str, u64) -> Value,
) -> Response {
    let outcome = locked(&run_state.issuer).issue(run_state.started.elapsed(), request);
    match outcome {
        Ok((token, seconds)) => Json(body(&token, seconds)).into_response(),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: TokenRefusal) -> Response {
    match refusal {
        TokenRefusal::Fault { kind: FaultKind::NoCapacity, retry_after } => {
            let said = "Too many requests".to_owned();
            let response = error(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", &said);
            reply::with_retry_after(response, retry_after)
        }
        TokenRefusal::Fault { kind: FaultKind::Unavailable, retry_after } => {
            reply::unavailable(retry_after)
        }
        TokenRefusal::Fault { .. } => reply::server_error(),
        TokenRefusal::Wrong(status, code, said) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            let said =
                format!("{said} Trace ID: 0 Correlation ID: 0 Timestamp: 2026-01-01 00:00:00Z");
            error(status, code, &said)
        }
    }
}

fn error(status: StatusCode, code: &str, said: &str) -> Response {
    (status, Json(json!({ "error": code, "error_description": said }))).into_response()
}

/// In seconds since 1970, as text.
#[expect(
    clippy::disallowed_methods,
    reason = "these services say when a token expires by the clock"
)]
fn expires_on(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() + seconds).to_string()
}
