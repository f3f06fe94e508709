//! The HTTP side: routes, keys, waiting, and the life of the listener. What an answer says and
//! whether it is let in is decided elsewhere.

use crate::completion::complete;
use crate::config::{Config, DeploymentConfig, Kind};
use crate::deployment::{Accepted, Admission, Deployment};
use crate::fault::FaultKind;
use crate::identity;
use crate::reply::{self, Surface};
use crate::request::Request;
use crate::run_state::{RunState, locked};
use crate::script::Script;
use crate::stats::Stats;
use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRef, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A body above this is refused before it is read.
const BODY_BYTES_MAX: usize = 64 << 20;
/// How long open connections may hold up the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that is to break holds after half of the body.
const BREAK_DELAY: Duration = Duration::from_millis(50);
/// `created` counts from here (2026-01-01), so that answers do not depend on the clock.
const CREATED_BASE: u64 = 1_767_225_600;

/// All that handlers share.
struct Simulator {
    config: Config,
    script: Script,
    run_state: Mutex<RunState>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// An accepted call under way; dropping it ends the call, answered or not.
struct InFlight {
    deployment: Arc<Mutex<Deployment>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        locked(&self.deployment).leave();
    }
}

/// One call, from the moment its deployment is known.
struct CallContext {
    surface: Surface,
    started: Instant,
    deployment: Arc<Mutex<Deployment>>,
}

impl FromRef<Arc<Simulator>> for RunState {
    fn from_ref(simulator: &Arc<Simulator>) -> Self {
        simulator.run_state()
    }
}

impl Simulator {
    fn run_state(&self) -> RunState {
        locked(&self.run_state).clone()
    }

    fn stats(&self) -> Stats {
        self.run_state().stats()
    }

    /// Waits, but not beyond the end of the simulator.
    async fn sleep(&self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Serves until `shutdown` completes; calls under way are then answered at once.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    run(build(config).map_err(std::io::Error::other)?, listener, shutdown).await
}

fn build(config: Config) -> anyhow::Result<Arc<Simulator>> {
    config.validate()?;
    Ok(Arc::new(Simulator {
        script: Script::read(&config.answers)?,
        run_state: Mutex::new(RunState::new(&config)),
        config,
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    }))
}

async fn run(
    simulator: Arc<Simulator>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let stop = simulator.stop.clone();
    let shutdown = async move {
        shutdown.await;
        stop.cancel();
    };
    let server = axum::serve(listener, router(Arc::clone(&simulator)));
    let server = server.with_graceful_shutdown(shutdown).into_future();
    let stopped = simulator.stop.clone();
    let overdue = async move {
        stopped.cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    let result = tokio::select! {
        result = server => result,
        () = overdue => {
            tracing::warn!("connections were still open: they are dropped");
            Ok(())
        }
    };
    simulator.tasks.close();
    simulator.tasks.wait().await;
    result
}

fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/openai/deployments/{name}/chat/completions", post(azure_deployment))
        .route("/openai/v1/chat/completions", post(azure_v1))
        .route("/v1/chat/completions", post(openai))
        .route("/v1/models", get(models))
        .route("/openai/v1/models", get(models))
        .route("/simulator/stats", get(stats))
        .route("/simulator/reset", post(reset))
        .route("/simulator/revoke", post(revoke))
        .merge(identity::routes())
        .fallback(async || reply::not_found())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(simulator)
}

async fn azure_deployment(
    State(simulator): State<Arc<Simulator>>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if query.get("api-version").is_none_or(String::is_empty) {
        return reply::not_found();
    }
    chat(simulator, Surface::AzureDeployment, Some(name), &headers, &body).await
}

async fn azure_v1(
    State(simulator): State<Arc<Simulator>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    chat(simulator, Surface::AzureV1, None, &headers, &body).await
}

async fn openai(
    State(simulator): State<Arc<Simulator>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    chat(simulator, Surface::OpenAi, None, &headers, &body).await
}

async fn models(State(simulator): State<Arc<Simulator>>) -> Response {
    let model = |deployment: &DeploymentConfig| {
        json!({ "id": deployment.name, "object": "model", "created": CREATED_BASE,
                "owned_by": "simulator" })
    };
    let data: Vec<Value> = simulator.config.deployments.iter().map(model).collect();
    axum::Json(json!({ "object": "list", "data": data })).into_response()
}

async fn stats(State(simulator): State<Arc<Simulator>>) -> Response {
    axum::Json(simulator.stats()).into_response()
}

async fn reset(State(simulator): State<Arc<Simulator>>) -> StatusCode {
    *locked(&simulator.run_state) = RunState::new(&simulator.config);
    StatusCode::NO_CONTENT
}

/// Tokens that were issued are accepted no more.
async fn revoke(State(run_state): State<RunState>) -> StatusCode {
    locked(&run_state.issuer).revoke();
    StatusCode::NO_CONTENT
}

async fn chat(
    simulator: Arc<Simulator>,
    surface: Surface,
    name: Option<String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(fault) => return reply::not_json(&fault),
    };
    let in_body = body.get("model").and_then(Value::as_str).map(str::to_owned);
    let models_too = name.is_none();
    let Some(name) = name.or(in_body) else { return reply::deployment_not_found(surface) };
    let run_state = simulator.run_state();
    let Some(deployment) = run_state.find(&name, models_too) else {
        return reply::deployment_not_found(surface);
    };
    let (bounds, key, scope) = {
        let deployment = locked(&deployment);
        let config = deployment.config();
        (deployment.bounds(), config.api_key.clone(), config.entra_scope.clone())
    };
    if key.is_some_and(|key| !holds_key(headers, &key)) {
        return reply::unauthorized(surface);
    }
    if let Some(scope) = scope {
        let (now, token) = (run_state.started.elapsed(), bearer(headers));
        if !locked(&run_state.issuer).lets_in(now, token, &scope) {
            return reply::token_refused(&scope);
        }
    }
    let request = match Request::read(&body, &bounds) {
        Ok(request) => request,
        Err(bad) => return reply::bad_request(&bad),
    };
    let call = CallContext { surface, started: run_state.started, deployment };
    let admission = locked(&call.deployment).admit(call.started.elapsed(), &request);
    match admission {
        Admission::Fault { kind, retry_after, delay } => {
            simulator.sleep(delay).await;
            fault_response(surface, kind, retry_after)
        }
        Admission::Rejected { rejection, retry_after, delay } => {
            simulator.sleep(delay).await;
            let (kind, name) = kind_and_name(&call.deployment);
            reply::rejected(surface, kind, &name, &rejection, retry_after)
        }
        Admission::Accepted(accepted) => handle_accepted(simulator, call, request, accepted).await,
    }
}

fn holds_key(headers: &HeaderMap, key: &str) -> bool {
    let own = headers.get("api-key").and_then(|value| value.to_str().ok());
    own == Some(key) || bearer(headers) == Some(key)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn kind_and_name(deployment: &Mutex<Deployment>) -> (Kind, String) {
    let deployment = locked(deployment);
    (deployment.config().kind, deployment.config().name.clone())
}

fn fault_response(surface: Surface, kind: FaultKind, retry_after: Option<f64>) -> Response {
    match kind {
        FaultKind::NoCapacity => reply::no_capacity(surface, retry_after),
        FaultKind::Unauthorized => reply::unauthorized(surface),
        FaultKind::NotFound => reply::deployment_not_found(surface),
        FaultKind::Unavailable => reply::unavailable(retry_after),
        _ => reply::server_error(),
    }
}

async fn handle_accepted(
    simulator: Arc<Simulator>,
    call: CallContext,
    request: Request,
    accepted: Accepted,
) -> Response {
    let guard = InFlight { deployment: Arc::clone(&call.deployment) };
    let mut extra_delay = Duration::ZERO;
    match accepted.fault.as_ref().map(|fault| (fault.kind, fault.seconds)) {
        Some((FaultKind::Hang, None)) => {
            // When the client gives up this future is dropped, and the guard with it.
            simulator.stop.cancelled().await;
            drop(guard);
            return reply::unavailable(None);
        }
        Some((FaultKind::Hang, Some(seconds))) => extra_delay = Duration::from_secs_f64(seconds),
        Some((FaultKind::ContentFilter, _)) => {
            simulator.sleep(accepted.delay(0)).await;
            drop(guard);
            return reply::content_filter();
        }
        _ => {}
    }
    // A provider finishes, and bills, what it began even when the client has gone: so do we.
    let tasks = simulator.tasks.clone();
    let answer =
        tasks.spawn(produce_answer(simulator, call, request, accepted, extra_delay, guard));
    answer.await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "an answer was not produced");
        reply::server_error()
    })
}

async fn produce_answer(
    simulator: Arc<Simulator>,
    call: CallContext,
    request: Request,
    accepted: Accepted,
    extra_delay: Duration,
    guard: InFlight,
) -> Response {
    let arrived = Instant::now();
    let fault = accepted.fault.as_ref().map(|fault| fault.kind);
    let output_tokens_max = locked(&call.deployment).bounds().output_tokens_max;
    let id = format!("{}-{}", request.hash.get(..24).unwrap_or_default(), accepted.number);
    let own = Arc::clone(&simulator);
    let produce = move || complete(&request, fault, output_tokens_max, &own.script);
    let produced = tokio::task::spawn_blocking(produce).await;
    let Ok(done) = produced else { return reply::server_error() };
    let due = accepted.delay(done.completion_tokens) + extra_delay;
    simulator.sleep(due.saturating_sub(arrived.elapsed())).await;
    let now = call.started.elapsed();
    let (kind, name, model) = {
        let mut deployment = locked(&call.deployment);
        deployment.finish(now, &accepted, done.prompt_tokens, done.completion_tokens);
        let config = deployment.config();
        (config.kind, config.name.clone(), config.model().to_owned())
    };
    drop(guard);
    tracing::debug!(deployment = %name, tokens = done.completion_tokens, "answered");
    let created = CREATED_BASE + now.as_secs();
    let body = reply::completion_body(call.surface, &model, &id, created, &done);
    let mut response = if fault == Some(FaultKind::Reset) {
        broken_response(&body)
    } else {
        axum::Json(body).into_response()
    };
    let headers = response.headers_mut();
    reply::put_standing(headers, call.surface, kind, &name, &accepted.standing);
    reply::put_origin(headers, call.surface, kind, &name, &id, arrived.elapsed());
    response
}

/// An answer whose connection is closed in the middle of the body.
fn broken_response(body: &Value) -> Response {
    let whole = Bytes::from(body.to_string());
    let half = whole.slice(..whole.len() / 2);
    let broken = async {
        // The half must have left before the connection breaks.
        tokio::time::sleep(BREAK_DELAY).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let parts = stream::iter([Ok(half)]).chain(stream::once(broken));
    let mut response = Response::new(Body::from_stream(parts));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A simulator that runs beside the caller, for tests and the demo.
pub struct Running {
    address: SocketAddr,
    simulator: Arc<Simulator>,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

/// Starts a simulator on `config.listen`; port 0 takes a free one.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(&config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr().context("cannot tell the address of the listener")?;
    let simulator = build(config)?;
    let shutdown = CancellationToken::new();
    let server = spawn(Arc::clone(&simulator), listener, shutdown.clone());
    Ok(Running { address, simulator, shutdown, server })
}

/// Not async, so that the code of the server is generated in this crate only.
fn spawn(
    simulator: Arc<Simulator>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(run(simulator, listener, shutdown.cancelled_owned()))
}

impl Running {
    /// Where it listens, as `http://127.0.0.1:8089`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has happened since the start or the last reset.
    pub fn stats(&self) -> Stats {
        self.simulator.stats()
    }

    /// Forgets everything that has happened.
    pub fn reset(&self) {
        *locked(&self.simulator.run_state) = RunState::new(&self.simulator.config);
    }

    /// Ends it: calls under way are answered at once, then the listener is gone.
    pub async fn stop(self) {
        self.shutdown.cancel();
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(%fault, "the simulator ended badly"),
            Err(fault) => tracing::warn!(%fault, "the simulator was aborted"),
        }
    }
}
