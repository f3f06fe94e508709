//! Typed questions to one deployment: in which mode and dialect it is asked for JSON, and what its
//! answers and refusals show of these.
//!
//! It must know nothing of quotas.

use crate::config::{DeploymentConfig, PoolError, Provider};
use crate::provider::classify::{self, classify};
use crate::provider::complaint::{self, Complaint};
use crate::provider::family::{Family, family};
use crate::provider::headers::RateLimits;
use crate::provider::transport::{Connections, NoResponse, RawResponse, Transport};
use crate::typed::chat::{CallError, Refusal, Reply, Request};
use crate::typed::dialect::{Lesson, Part, SharedDialect};
use crate::typed::effort::Effort;
use crate::typed::form::{self, Wording};
use crate::typed::mode::{Advice, Attempt, Ending, Mode, Search};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So often a question is put in other ways before its refusal counts: more than there are ways.
const TRIES_MAX: u32 = 24;

/// The way to one deployment, and how it is asked for JSON: found out once, for all calls.
#[derive(Clone)]
pub(crate) struct TypedClient {
    pub(crate) transport: Transport,
    /// What it does not take, as far as is known.
    pub(crate) dialect: SharedDialect,
    /// The field that limits the answer: tried first, and tried where that is refused.
    limits: [Part; 2],
    tries_temperature: Arc<AtomicBool>,
    effort: Option<Effort>,
    search: Arc<Mutex<Search>>,
}

/// What became of a call.
pub(crate) struct Answered {
    /// What the response said of the limiter.
    pub(crate) limits: RateLimits,
    /// Its body, or what went wrong.
    pub(crate) result: Result<Value, CallError>,
    /// Why there was no response.
    pub(crate) silence: Option<NoResponse>,
    /// How long the last request took.
    pub(crate) took: Duration,
    /// The refusals after which it was asked in another way; none of them was paid.
    pub(crate) refusals: Vec<String>,
}

impl Answered {
    /// There was no response.
    pub(crate) fn silent(silence: NoResponse, deployment: &str, took: Duration) -> Self {
        Self {
            limits: RateLimits { retry_after: silence.retry_after, ..RateLimits::default() },
            result: Err(silence.clone().error(deployment)),
            silence: Some(silence),
            took,
            refusals: Vec::new(),
        }
    }
}

/// The question is to be asked again, in another way.
struct Again {
    /// All the room that there is for the answer to this question, where a refusal said so.
    room: Option<u32>,
}

impl TypedClient {
    /// The way to this deployment. No network is used.
    pub(crate) fn new(
        connections: &mut Connections,
        config: &DeploymentConfig,
    ) -> Result<Self, PoolError> {
        let transport = Transport::new(connections, config)?;
        let tries_temperature = named_family(config).is_some_and(|family| family.takes_temperature);
        Ok(Self {
            limits: limits(config, &transport),
            transport,
            dialect: SharedDialect::default(),
            tries_temperature: Arc::new(tries_temperature.into()),
            effort: config.reasoning_effort,
            search: Arc::new(Mutex::new(Search::new(config.mode))),
        })
    }

    /// Makes one call, in the mode and dialect that are known to work or are to be tried next. What
    /// is refused for its form is asked again at once in another, as often as each refusal teaches
    /// something: nothing of that is paid. The caller sets the time limit.
    pub(crate) async fn call(&self, request: &Request) -> Answered {
        let mut request = Cow::Borrowed(request);
        let mut refusals = Vec::new();
        loop {
            let (answered, again) = self.ask(&request).await;
            match (again, &answered.result) {
                (Some(Again { room }), Err(error)) if (refusals.len() as u32) < TRIES_MAX => {
                    refusals.push(error.message().to_owned());
                    if let Some(room) = room {
                        request.to_mut().tokens_output_max = room;
                    }
                }
                _ => return Answered { refusals, ..answered },
            }
        }
    }

    /// Sends the question once, and learns from what comes.
    async fn ask(&self, request: &Request) -> (Answered, Option<Again>) {
        let attempt = self.search().attempt(|| request.fingerprint());
        let dialect = self.dialect.get();
        let spoken = dialect.clone().of_schema(&request.schema);
        let wording = Wording {
            model: self.transport.model(),
            mode: attempt.mode,
            dialect: &spoken,
            limits: self.limits,
            temperature: self.tries_temperature.load(Ordering::Relaxed),
            effort: self.effort,
        };
        let body = form::question(&wording, request);
        let begun = Instant::now();
        let response = match self.transport.chat(&body).await {
            Ok(response) => response,
            Err(silence) => {
                let deployment = self.transport.deployment();
                let answered = Answered::silent(silence, deployment, begun.elapsed());
                let (result, _) = self.learn(attempt, request, answered.result, false);
                return (Answered { result, ..answered }, None);
            }
        };
        let (took, limits) = (begun.elapsed(), response.rate_limits());
        let result = self.read(&response);
        let result = result.map_err(|error| self.without_images(request, error));
        let complaints = result.as_ref().err().map(|error| complaints(error, &response, &body));
        let complaints = complaints.unwrap_or_default();
        let is_about_part = complaints.iter().any(|complaint| *complaint != Complaint::Mode);
        let room = complaints.iter().find_map(|complaint| match complaint {
            Complaint::Room(room) => Some(*room),
            Complaint::Lesson(_) | Complaint::Mode => None,
        });
        if let Err(error) = &result {
            self.remember(&complaints, error);
        }
        let (result, is_other_mode) = self.learn(attempt, request, result, is_about_part);
        let is_other_dialect = is_about_part && self.dialect.get() != dialect;
        let again = (is_other_mode || is_other_dialect || room.is_some()).then_some(Again { room });
        (Answered { limits, result, silence: None, took, refusals: Vec::new() }, again)
    }

    /// Remembers what the deployment does not take.
    fn remember(&self, complaints: &[Complaint], error: &CallError) {
        for complaint in complaints {
            if let Complaint::Lesson(lesson) = complaint
                && self.dialect.learn(*lesson)
            {
                tracing::warn!(
                    deployment = self.transport.deployment(),
                    refuses = ?self.dialect.get().names(),
                    error = error.message(),
                    "the deployment does not take a part of the request and is asked in another way"
                );
            }
        }
    }

    /// The refusal of a question with images, where it says that the deployment takes none.
    fn without_images(&self, request: &Request, error: CallError) -> CallError {
        let status = match &error {
            CallError::Refused { status, .. }
            | CallError::Denied { status: status @ 404, .. }
            | CallError::Unknown { status: Some(status @ (500 | 501)), .. } => *status,
            _ => return error,
        };
        if request.images.is_empty() || !complaint::is_about_images(error.message()) {
            return error;
        }
        self.remember(&[Complaint::Lesson(Lesson::NoImages)], &error);
        let deployment = self.transport.deployment().to_owned();
        let message = error.message().to_owned();
        CallError::Refused { deployment, status, why: Refusal::Images, message }
    }

    /// The mode of the calls that are made now.
    pub(crate) fn mode(&self) -> Mode {
        self.search().current()
    }

    /// As [`Self::mode`]; also brings its gauge up to date.
    pub(crate) fn show_mode(&self) -> Mode {
        let current = self.mode();
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
            self.tries_temperature.store(family.takes_temperature, Ordering::Relaxed);
        }
        Ok(body)
    }

    /// Learns which modes work, and says whether the question is to be asked in another one.
    fn learn(
        &self,
        attempt: Attempt,
        request: &Request,
        result: Result<Value, CallError>,
        is_about_part: bool,
    ) -> (Result<Value, CallError>, bool) {
        let (ending, result) = match result {
            // The search is over: what a reply looks like says nothing new.
            Ok(body) if self.search().works(attempt.mode) => return (Ok(body), false),
            Ok(body) => {
                let reply = Reply { deployment: String::new(), body, duration_ms: 0 };
                (form::ending(attempt.mode, request, &reply), Ok(reply.body))
            }
            // Of the mode nothing was said yet.
            Err(error) if is_about_part => (Ending::Unrelated, Err(error)),
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
        let result = result.map_err(|error| advised(error, advice, attempt.mode));
        (result, advice == Advice::AskAgain)
    }
}

/// The family of a deployment's model by its names, until a response names it.
fn named_family(config: &DeploymentConfig) -> Option<Family> {
    family(config.provider_model()).or_else(|| family(&config.model))
}

/// The field that limits the answer: the one that is tried first, and the other. Versions of 2024 know
/// only `max_tokens` for all models, and some compatible servers pass over `max_completion_tokens`
/// and then limit nothing; models that reason refuse `max_tokens`.
pub(crate) fn limits(config: &DeploymentConfig, transport: &Transport) -> [Part; 2] {
    let reasons = named_family(config).is_some_and(|family| !family.takes_temperature);
    let is_old = transport.api_version().is_some_and(|version| version.starts_with("2024-"));
    match is_old || (config.provider == Provider::Compatible && !reasons) {
        true => [Part::MaxTokens, Part::MaxCompletionTokens],
        false => [Part::MaxCompletionTokens, Part::MaxTokens],
    }
}

/// What a refusal says of the parts of the request that was sent.
fn complaints(
    error: &CallError,
    response: &RawResponse,
    sent: &Map<String, Value>,
) -> Vec<Complaint> {
    let text = String::from_utf8_lossy(&response.body);
    match error {
        CallError::Refused { why: Refusal::Mode | Refusal::Other, .. } => {
            complaint::read(&text, sent)
        }
        // The fault is in the question, but some of it may be left out.
        CallError::Refused { why: Refusal::ContextTooLong | Refusal::Schema, .. } => {
            let mut complaints = complaint::read(&text, sent);
            complaints.retain(Complaint::is_about_size);
            complaints
        }
        // Some servers break over an argument that they do not know.
        CallError::Unknown { status: Some(500 | 501), .. } if is_unknown_argument(&text) => {
            complaint::read(&text, sent)
        }
        _ => Vec::new(),
    }
}

fn is_unknown_argument(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["unexpected keyword", "unsupported param", "extra_forbidden"].iter().any(|w| text.contains(w))
}

/// A refused mode, as the caller should see it.
fn advised(error: CallError, advice: Advice, mode: Mode) -> CallError {
    let CallError::Refused { deployment, status, why, message } = error else { return error };
    let mode = mode.name();
    let (why, message) = match advice {
        Advice::Nothing if why == Refusal::Mode => (Refusal::Other, message),
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
