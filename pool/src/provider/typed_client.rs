//! Typed questions to one deployment: in which mode it is asked for JSON, and what its answers show
//! of that.
//!
//! It must know nothing of quotas.

use crate::config::{DeploymentConfig, PoolError};
use crate::limiter::LimiterHints;
use crate::provider::classify::{self, classify};
use crate::provider::family::family;
use crate::provider::transport::{RawResponse, Transport};
use crate::typed::chat::{CallError, Refusal, Reply, Request};
use crate::typed::form::{self, Dialect};
use crate::typed::mode::{Advice, Attempt, Ending, Mode, Search};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The way to one deployment, and how it is asked for JSON: found out once, for all calls.
#[derive(Clone)]
pub(crate) struct TypedClient {
    pub(crate) transport: Transport,
    takes_temperature: Arc<AtomicBool>,
    search: Arc<Mutex<Search>>,
}

/// What became of a call.
pub(crate) struct Answered {
    /// What the response said of the limiter.
    pub(crate) hints: LimiterHints,
    /// Its body, or what went wrong.
    pub(crate) result: Result<Value, CallError>,
}

impl TypedClient {
    /// The way to this deployment. No network is used.
    pub(crate) fn new(
        client: &reqwest::Client,
        config: &DeploymentConfig,
    ) -> Result<Self, PoolError> {
        // Until a response names the model, its names have to do.
        let family = family(config.provider_model()).or_else(|| family(&config.model));
        let takes_temperature = family.is_some_and(|family| family.takes_temperature);
        Ok(Self {
            transport: Transport::new(client, config)?,
            takes_temperature: Arc::new(takes_temperature.into()),
            search: Arc::new(Mutex::new(Search::new(config.mode))),
        })
    }

    /// Makes one call, in the mode that is known to work or is to be tried next. The caller sets
    /// the time limit.
    pub(crate) async fn call(&self, request: &Request) -> Answered {
        let attempt = self.search().attempt(|| request.fingerprint());
        let dialect = Dialect {
            limit: self.transport.limit_field(),
            temperature: self.takes_temperature.load(Ordering::Relaxed),
        };
        let body = form::question(self.transport.model(), dialect, attempt.mode, request);
        let (hints, result) = match self.transport.chat(&body).await {
            Ok(response) => (response.rate_limits().hints(), self.read(&response)),
            Err(error) => (LimiterHints::default(), Err(error.error(self.transport.deployment()))),
        };
        Answered { hints, result: self.learn(attempt, request, result) }
    }

    /// The mode of the calls that are made now; also brings its gauge up to date.
    pub(crate) fn show_mode(&self) -> Mode {
        let current = self.search().current();
        for mode in Mode::ALL {
            let deployment = self.transport.deployment().to_owned();
            let labels = [("deployment", deployment), ("mode", mode.name().into())];
            let on = if mode == current { 1.0 } else { 0.0 };
            metrics::gauge!("sluice_deployment_mode", &labels).set(on);
        }
        current
    }

    fn search(&self) -> MutexGuard<'_, Search> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, response: &RawResponse) -> Result<Value, CallError> {
        let RawResponse { status, headers, body } = response;
        let deployment = self.transport.deployment();
        if *status != 200 {
            return Err(classify(deployment, *status, headers, &String::from_utf8_lossy(body)));
        }
        let body = classify::read(deployment, headers, body)?;
        if let Some(family) = body.get("model").and_then(Value::as_str).and_then(family) {
            self.takes_temperature.store(family.takes_temperature, Ordering::Relaxed);
        }
        Ok(body)
    }

    /// Learns which modes work, and says of a refused one whether asking again makes sense.
    fn learn(
        &self,
        attempt: Attempt,
        request: &Request,
        result: Result<Value, CallError>,
    ) -> Result<Value, CallError> {
        let (ending, result) = match result {
            // The search is over: what a reply looks like says nothing new.
            Ok(body) if self.search().works(attempt.mode) => return Ok(body),
            Ok(body) => {
                let reply = Reply { deployment: String::new(), body, duration_ms: 0 };
                (form::ending(attempt.mode, request, &reply), Ok(reply.body))
            }
            Err(error) => {
                let ending = match &error {
                    CallError::Refused { why: Refusal::Mode, .. } => Ending::Refused,
                    CallError::Unknown { status: Some(500 | 501), .. } => Ending::Failed,
                    _ => Ending::Unrelated,
                };
                (ending, Err(error))
            }
        };
        let (before, advice, after) = {
            let mut search = self.search();
            let before = search.current();
            let advice = search.ended(attempt, ending, || request.fingerprint());
            (before, advice, search.current())
        };
        if before != after {
            self.show_mode();
            tracing::warn!(
                deployment = self.transport.deployment(),
                mode = after.name(),
                before = before.name(),
                error = result.as_ref().err().map(ToString::to_string),
                "the deployment is asked for JSON in another way"
            );
        }
        result.map_err(|error| advised(error, advice, attempt.mode))
    }
}

/// A refused mode, as the caller should see it.
fn advised(error: CallError, advice: Advice, mode: Mode) -> CallError {
    let CallError::Refused { deployment, status, why, message } = error else { return error };
    let mode = mode.name();
    let (why, message) = match advice {
        Advice::Nothing | Advice::AskAgain => (why, message),
        // Other questions are answered in this mode, so it is known there.
        Advice::QuestionAtFault => (Refusal::Schema, message),
        Advice::NoneLeft => (
            Refusal::Other,
            format!("it cannot be asked for JSON, at last not by {mode}: {message}"),
        ),
    };
    CallError::Refused { deployment, status, why, message }
}
