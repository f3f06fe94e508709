//! The way to one deployment: one HTTP request per call.
//!
//! async-openai writes the request; our HTTP service under it sends it and reads the whole response
//! itself, because that crate repeats failed calls, drops headers, loses the status of bodies that
//! it cannot read, and writes such bodies to the log. It must know nothing of quotas.

use crate::config::{DeploymentConfig, PoolError};
use crate::limiter::LimiterHints;
use crate::provider::address::{self, Address};
use crate::provider::classify::{self, classify, shorten};
use crate::provider::headers::{self, NamedLimits, Remaining};
use crate::typed::chat::{CallError, Refusal, Reply, Request};
use crate::typed::form::{self, Dialect};
use crate::typed::mode::{Advice, Attempt, Ending, Mode, Search};
use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use serde_json::Value;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response that is read.
const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The HTTP client that all deployments share.
pub(crate) fn client() -> Result<reqwest::Client, PoolError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key elsewhere.
        .redirect(redirect::Policy::none());
    builder.build().map_err(|error| PoolError::Client(chain(&error)))
}

/// The way to one deployment.
#[derive(Clone)]
pub(crate) struct Transport {
    deployment: String,
    /// What the request calls the model.
    model: String,
    dialect: Dialect,
    client: Client<OpenAIConfig>,
    /// How it is asked for JSON: found out once, for all calls.
    search: Arc<Mutex<Search>>,
}

/// A response that has been read.
pub(crate) struct Answered {
    /// The limits that it named.
    pub(crate) limits: NamedLimits,
    /// What else it said of the limiter.
    pub(crate) remaining: Remaining,
    /// Its body, or what went wrong.
    pub(crate) result: Result<Value, CallError>,
}

impl Answered {
    /// What a limiter learns from it.
    pub(crate) fn hints(&self) -> LimiterHints {
        let number = |count: Option<u64>| count.map(|count| count as f64);
        let (limits, remaining) = (&self.limits, &self.remaining);
        LimiterHints {
            tokens_limit: number(limits.tokens),
            requests_limit: number(limits.requests),
            tokens_left: number(remaining.tokens_left),
            requests_left: number(remaining.requests_left),
            renews: remaining.renews,
            // Provisioned deployments name no limits, and say in milliseconds when they have room.
            exact: remaining.utilisation.is_some() || remaining.waits_exactly,
        }
    }

    /// What became of a call whose response said nothing of limits.
    pub(crate) fn unheard(result: Result<Value, CallError>) -> Self {
        Self { limits: NamedLimits::default(), remaining: Remaining::default(), result }
    }
}

/// A response on its way through async-openai, which lets through only errors unread.
#[derive(Debug, thiserror::Error)]
#[error("a response of status {status}")]
struct Unread {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What the HTTP service adds to a request.
#[derive(Clone)]
struct Wire {
    client: reqwest::Client,
    key: Option<(HeaderName, HeaderValue)>,
    api_version: Option<String>,
}

impl Transport {
    /// The way to this deployment. No network is used.
    pub(crate) fn new(
        client: &reqwest::Client,
        config: &DeploymentConfig,
    ) -> Result<Self, PoolError> {
        let Address { base, api_version, model, key } = Address::of(config)?;
        let dialect = Dialect {
            limit: address::limit_field(api_version.as_deref()),
            temperature: ["gpt-4", "gpt-3"].iter().any(|start| config.model.starts_with(start)),
        };
        let wire = Wire { client: client.clone(), key, api_version };
        let service = tower::service_fn(move |factory: HttpRequestFactory| {
            let wire = wire.clone();
            async move { wire.exchange(factory).await }
        });
        // All set here, else it would be read from the environment.
        let address = OpenAIConfig::new()
            .with_api_base(base)
            .with_api_key("")
            .with_org_id("")
            .with_project_id("");
        let client = Client::build(client.clone(), address).with_http_service(service);
        Ok(Self {
            deployment: config.name.clone(),
            model,
            dialect,
            client,
            search: Arc::new(Mutex::new(Search::new(config.mode))),
        })
    }

    /// Makes one call, in the mode that is known to work or is to be tried next. The caller sets
    /// the time limit.
    pub(crate) async fn call(&self, request: &Request) -> Answered {
        let attempt = self.search().attempt(|| request.fingerprint());
        let mut answered = self.exchange(attempt.mode, request).await;
        answered.result = self.learn(attempt, request, answered.result);
        answered
    }

    /// The mode of the calls that are made now; also brings its gauge up to date.
    pub(crate) fn show_mode(&self) -> Mode {
        let current = self.search().current();
        for mode in Mode::ALL {
            let labels = [("deployment", self.deployment.clone()), ("mode", mode.name().into())];
            let on = if mode == current { 1.0 } else { 0.0 };
            metrics::gauge!("sluice_deployment_mode", &labels).set(on);
        }
        current
    }

    fn search(&self) -> MutexGuard<'_, Search> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
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
                deployment = self.deployment,
                mode = after.name(),
                before = before.name(),
                error = result.as_ref().err().map(ToString::to_string),
                "the deployment is asked for JSON in another way"
            );
        }
        result.map_err(|error| advised(error, advice, attempt.mode))
    }

    async fn exchange(&self, mode: Mode, request: &Request) -> Answered {
        let body = form::question(&self.model, self.dialect, mode, request);
        let outcome: Result<Value, OpenAIError> = self.client.chat().create_byot(body).await;
        let error = match outcome {
            Ok(body) => return Answered::unheard(Ok(body)),
            Err(error) => error,
        };
        let unread = match error {
            OpenAIError::Boxed(error) => match error.downcast::<Unread>() {
                Ok(unread) => unread,
                Err(error) => return self.failed(false, chain(&*error)),
            },
            OpenAIError::Reqwest(error) => {
                // Addresses are no one's business who reads the error.
                let error = error.without_url();
                let unreachable = error.is_connect() || error.is_builder();
                return self.failed(unreachable, chain(&error));
            }
            error => return self.failed(false, chain(&error)),
        };
        Answered {
            limits: headers::limits(&unread.headers),
            remaining: headers::remaining(&unread.headers),
            result: self.read(&unread),
        }
    }

    fn read(&self, unread: &Unread) -> Result<Value, CallError> {
        if unread.status != 200 {
            let text = String::from_utf8_lossy(&unread.body);
            return Err(classify(&self.deployment, unread.status, &unread.headers, &text));
        }
        classify::read(&self.deployment, &unread.headers, &unread.body)
    }

    fn failed(&self, unreachable: bool, message: String) -> Answered {
        let deployment = self.deployment.clone();
        let error = if unreachable {
            CallError::Unreachable { deployment, message }
        } else {
            CallError::Unknown { deployment, status: None, message }
        };
        Answered::unheard(Err(error))
    }
}

impl Wire {
    /// Sends once and reads all of the response, which leaves as an error: see the module.
    async fn exchange(self, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let mut request = factory.build().await?;
        request.headers_mut().remove(AUTHORIZATION);
        if let Some((name, value)) = self.key {
            request.headers_mut().insert(name, value);
        }
        if let Some(version) = &self.api_version {
            request.url_mut().query_pairs_mut().append_pair("api-version", version);
        }
        let mut response = self.client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
                return Err(OpenAIError::Boxed("the response is too large".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Err(OpenAIError::Boxed(Box::new(Unread { status, headers, body })))
    }
}

/// A refused mode, as the one who asks should see it.
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

/// An error with all its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    shorten(&texts.join(": "))
}
