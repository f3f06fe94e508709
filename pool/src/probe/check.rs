//! Asks every deployment for one tiny typed answer, and says how each fares.
//!
//! A deployment that refuses a way of asking, or does not answer in it, is asked in another, as the
//! pool does: only what it answers can cost anything, and that is one tiny answer for each mode.

use super::fit::recognise;
use super::problem::{self, Problem, ProblemKind};
use crate::config::DeploymentConfig;
use crate::limiter::LimiterKind;
use crate::provider::headers::RateLimits;
use crate::provider::transport::{Connections, NoResponse};
use crate::provider::typed_client::{Answered, TypedClient};
use crate::typed::chat::{Message, Reply, ReplyFault, Request, Role};
use crate::typed::dialect::Dialect;
use crate::typed::form;
use crate::typed::json::Repair;
use crate::typed::mode::{Ending, Mode};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// The room for the tiny answer: models that think first need some for that.
const OUTPUT_MAX: u32 = 256;
/// The room for a model that needs more than some for that.
const THINKING_MAX: u32 = 16_384;

/// What the check of one deployment found.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The deployment.
    pub name: String,
    /// Its model.
    pub model: String,
    /// Whether it gave a structured answer.
    pub ok: bool,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Option<Problem>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The limits in the headers, where there were any.
    pub tokens_per_minute: Option<u64>,
    /// Likewise.
    pub requests_per_minute: Option<u64>,
    /// What the headers look like.
    pub limiter: Option<LimiterKind>,
    /// How it can be asked for structured answers.
    pub mode: Option<Mode>,
    /// What it does not take of requests, such as `temperature`.
    pub refuses: Vec<String>,
    /// The most tokens of an answer, where it has named them.
    pub tokens_output_max: Option<u32>,
    /// What its tokens come from, where it has no key.
    pub credential: Option<String>,
    /// What works and should be looked at all the same.
    pub warnings: Vec<String>,
}

/// Checks one deployment. `key` says in words where its key comes from; no call may take longer than
/// `patience`.
pub async fn check(deployment: &DeploymentConfig, key: &str, patience: Duration) -> Checked {
    let mut checked = Checked {
        name: deployment.name.clone(),
        model: deployment.model.clone(),
        ok: false,
        problem: None,
        latency_ms: None,
        tokens_per_minute: None,
        requests_per_minute: None,
        limiter: None,
        mode: None,
        refuses: Vec::new(),
        tokens_output_max: None,
        credential: None,
        warnings: Vec::new(),
    };
    let connections = Connections::new(patience);
    let client = connections.and_then(|mut all| TypedClient::new(&mut all, deployment));
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let (problem, remedy) = (error.to_string(), "correct the configuration".to_owned());
            let kind = ProblemKind::Configuration;
            checked.problem = Some(Problem { kind, status: None, problem, remedy });
            return checked;
        }
    };
    let mut request = request(client.transport.model());
    // Once in each mode, and once more with room to think.
    for _ in 0..=Mode::ALL.len() {
        let mode = client.mode();
        let answered = timeout(patience, client.call(&request)).await;
        let answered = answered.unwrap_or_else(|_| {
            Answered::silent(NoResponse::late(patience), &deployment.name, patience)
        });
        checked.observe(&answered, deployment);
        checked.learn(&client.dialect.get());
        checked.credential = client.transport.credential();
        if request.tokens_output_max < THINKING_MAX && is_cut_off(&answered) {
            request.tokens_output_max = THINKING_MAX;
            continue;
        }
        if checked.conclude(answered, &client, &request, deployment, key) || client.mode() == mode {
            break;
        }
    }
    checked
}

impl Checked {
    /// Takes in an answer, or what was wrong. False where another mode may do better.
    fn conclude(
        &mut self,
        answered: Answered,
        client: &TypedClient,
        request: &Request,
        deployment: &DeploymentConfig,
        key: &str,
    ) -> bool {
        let error = match (answered.result, answered.silence) {
            (Ok(body), _) => {
                // What was refused on the way has changed the mode.
                let mode = client.mode();
                match content(body, mode, request) {
                    Ok(repairs) => self.accept(mode, &answered.refusals, &repairs),
                    Err(problem) => self.keep(Problem {
                        kind: ProblemKind::Unusable,
                        status: Some(200),
                        problem: format!("{}: {problem}", mode.name()),
                        remedy: "it gives no structured answers: use another model".to_owned(),
                    }),
                }
                return self.ok;
            }
            (Err(_), Some(silence)) => {
                self.keep(problem::silent(silence));
                return true;
            }
            (Err(error), None) => error,
        };
        let status = error.status().unwrap_or_default();
        self.keep(problem::refused(deployment, status, error.message(), key));
        !matches!(status, 500 | 501)
    }

    fn learn(&mut self, dialect: &Dialect) {
        self.refuses = dialect.names();
        self.tokens_output_max = dialect.tokens_output_max;
    }

    /// The first problem counts: the others are of ways that were tried instead.
    fn keep(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    fn accept(&mut self, mode: Mode, refusals: &[String], repairs: &[Repair]) {
        self.ok = true;
        self.mode = Some(mode);
        let refusals = refusals.iter().map(|said| format!("asked in another way after: {said}"));
        self.warnings.extend(refusals.chain(repairs.iter().map(ToString::to_string)));
        if let Some(problem) = self.problem.take() {
            let name = mode.name();
            self.warnings.push(format!("asked by {name}, because of {}", problem.problem));
        }
    }

    fn observe(&mut self, answered: &Answered, deployment: &DeploymentConfig) {
        if answered.silence.is_some() {
            return;
        }
        self.latency_ms = answered.took.as_millis().try_into().ok();
        let limits = &answered.limits;
        self.tokens_per_minute = limits.tokens_limit.or(self.tokens_per_minute);
        self.requests_per_minute = limits.requests_limit.or(self.requests_per_minute);
        if answered.result.is_ok() {
            self.limiter = recognise(limits, deployment);
        }
        self.warnings = differences(limits, self.limiter, deployment);
    }
}

/// What the headers say that the configuration does not.
fn differences(
    limits: &RateLimits,
    limiter: Option<LimiterKind>,
    deployment: &DeploymentConfig,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut compare =
        |key: &str, seen: Option<u64>, configured: Option<u64>| match (seen, configured) {
            (Some(seen), Some(configured)) if seen != configured => {
                warnings
                    .push(format!("{key} is configured as {configured}, the provider says {seen}"));
            }
            _ => {}
        };
    compare("tokens_per_minute", limits.tokens_limit, deployment.tokens_per_minute);
    compare("requests_per_minute", limits.requests_limit, deployment.requests());
    let configured = Some(deployment.limiter).filter(|kind| *kind != LimiterKind::Auto);
    if let (Some(configured), Some(seen)) = (configured, limiter)
        && configured != seen
    {
        let (configured, seen) = (configured.name(), seen.name());
        warnings.push(format!("limiter is configured as {configured}, it looks like {seen}"));
    }
    warnings
}

/// The tiny question.
fn request(model: &str) -> Request {
    let content = "Which city is named, and is it a capital? <document>\nCity: Paris\n</document>";
    Request {
        model: model.to_owned(),
        messages: vec![Message { role: Role::User, content: content.to_owned() }],
        schema_name: "answer".to_owned(),
        schema: json!({
            "type": "object",
            "properties": { "city": { "type": "string" }, "is_capital": { "type": "boolean" } },
            "required": ["city", "is_capital"],
            "additionalProperties": false,
        }),
        tokens_output_max: OUTPUT_MAX,
        reasoning_effort: None,
        images: Vec::new(),
    }
}

fn is_cut_off(answered: &Answered) -> bool {
    let Ok(body) = &answered.result else { return false };
    let reply = Reply { deployment: String::new(), body: body.clone(), duration_ms: 0 };
    matches!(reply.answer(), Err(ReplyFault::Truncated { .. }))
}

/// What had to be done to read an answer that keeps to its mode as the pool demands.
fn content(body: Value, mode: Mode, request: &Request) -> Result<Vec<Repair>, String> {
    let reply = Reply { deployment: String::new(), body, duration_ms: 0 };
    let ending = form::ending(mode, request, &reply);
    let answer = reply.answer().map_err(|fault| fault.to_string())?;
    match ending {
        Ending::Kept => Ok(answer.repairs),
        _ => Err("the answer does not follow the schema".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_configuration_is_said() {
        let deployment = DeploymentConfig {
            tokens_per_minute: Some(60_000),
            requests_per_minute: Some(360),
            limiter: LimiterKind::Window,
            ..DeploymentConfig::default()
        };
        let limits = RateLimits {
            tokens_limit: Some(30_000),
            requests_limit: Some(360),
            ..RateLimits::default()
        };
        let warnings = differences(&limits, Some(LimiterKind::Bucket), &deployment);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("60000") && warnings[0].contains("30000"));
        assert!(warnings[1].contains("window") && warnings[1].contains("bucket"));
    }
}
