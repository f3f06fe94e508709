//! A deployment that stands before a simulated one and refuses, or answers in its own way.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use reqwest::Client;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};

/// What it does with a request, before the simulated deployment sees it: answers itself, or lets a
/// body through.
pub(crate) type Before = fn(Map<String, Value>) -> Result<Map<String, Value>, Box<Response>>;

/// What it makes of the answer of the simulated deployment to a request.
pub(crate) type After = fn(&Value, Value) -> Response;

/// A double that runs until the test ends.
pub(crate) struct Double {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Value>>>,
}

struct Behaviour {
    before: Before,
    after: After,
    upstream: String,
    client: Client,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Double {
    /// Stands before the simulation at this address.
    pub(crate) async fn start(upstream: String, before: Before, after: After) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let client = Client::new();
        let behaviour = Behaviour { before, after, upstream, client, seen: Arc::clone(&seen) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(post(answer)).with_state(Arc::new(behaviour));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// The bodies of all requests so far.
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().expect("nothing panics while it is held").clone()
    }
}

async fn answer(State(double): State<Arc<Behaviour>>, uri: Uri, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).expect("a request is JSON");
    double.seen.lock().expect("nothing panics while it is held").push(asked.clone());
    let body = match (double.before)(asked.as_object().expect("an object").clone()) {
        Ok(body) => body,
        Err(response) => return *response,
    };
    let url = format!("{}{uri}", double.upstream);
    let answer = double.client.post(url).header("api-key", "x").json(&body).send().await;
    let answer = answer.expect("the simulation answers");
    let status = answer.status();
    let reply: Value = answer.json().await.expect("an answer is JSON");
    match status.is_success() {
        true => (double.after)(&asked, reply),
        false => (status, Json(reply)).into_response(),
    }
}

/// Lets every answer through.
pub(crate) fn as_it_is(_: &Value, reply: Value) -> Response {
    Json(reply).into_response()
}

/// A refusal in the way of OpenAI.
pub(crate) fn refused(param: &str, code: &str, message: &str) -> Box<Response> {
    let error = json!({ "message": message, "type": "invalid_request_error", "param": param, "code": code });
    Box::new((StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response())
}
