//! Asks every deployment for one tiny typed answer, and says how each fares.
//!
//! A deployment that refuses the first way of asking for structured answers is asked in the others,
//! so a check makes at most four calls of each.

use super::caller::{Caller, ProbeResponse};
use super::fit::recognise;
use super::problem::{self, Problem, ProblemKind};
use crate::config::DeploymentConfig;
use crate::limiter::LimiterKind;
use crate::provider::headers::RateLimits;
use crate::typed::chat::{Message, Reply, Request, Role};
use crate::typed::form::{self, Dialect};
use crate::typed::mode::{Ending, Mode};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// The room for the tiny answer: models that think first need some for that.
const OUTPUT_MAX: u32 = 256;

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
        warnings: Vec::new(),
    };
    let caller = match Caller::new(deployment, patience) {
        Ok(caller) => caller,
        Err(error) => {
            let (problem, remedy) = (error.to_string(), "correct the configuration".to_owned());
            let kind = ProblemKind::Configuration;
            checked.problem = Some(Problem { kind, status: None, problem, remedy });
            return checked;
        }
    };
    let request = request(caller.model());
    let dialect = Dialect { limit: caller.limit_field(), temperature: false };
    for mode in Mode::ALL {
        let body = form::question(caller.model(), dialect, mode, &request);
        let answer = match caller.ask(&body).await {
            Ok(answer) => answer,
            Err(error) => {
                checked.problem = Some(problem::silent(error));
                return checked;
            }
        };
        checked.observe(&answer, deployment);
        if answer.status == 200 {
            match content(answer, mode, &request) {
                Ok(is_fenced) => {
                    checked.accept(mode, is_fenced);
                    return checked;
                }
                Err(problem) => checked.keep(Problem {
                    kind: ProblemKind::Unusable,
                    status: Some(200),
                    problem: format!("{}: {problem}", mode.name()),
                    remedy: "it gives no structured answers: use another model".to_owned(),
                }),
            }
        } else {
            let may_be_the_mode = matches!(answer.status, 400 | 422 | 500 | 501);
            checked.keep(problem::refused(deployment, answer.status, &answer.message, key));
            if !may_be_the_mode {
                return checked;
            }
        }
    }
    checked
}

impl Checked {
    /// The first problem counts: the others are of ways that were tried instead.
    fn keep(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    fn accept(&mut self, mode: Mode, is_fenced: bool) {
        self.ok = true;
        self.mode = Some(mode);
        if let Some(problem) = self.problem.take() {
            let name = mode.name();
            self.warnings.push(format!("asked by {name}, because of {}", problem.problem));
        }
        if is_fenced {
            self.warnings.push("it puts JSON into a fence".to_owned());
        }
    }

    fn observe(&mut self, answer: &ProbeResponse, deployment: &DeploymentConfig) {
        self.latency_ms = answer.took.as_millis().try_into().ok();
        let limits = &answer.limits;
        self.tokens_per_minute = limits.tokens_limit.or(self.tokens_per_minute);
        self.requests_per_minute = limits.requests_limit.or(self.requests_per_minute);
        if answer.status == 200 {
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
    let mut compare = |key: &str, seen: Option<u64>, configured: u64| match seen {
        Some(seen) if seen != configured => {
            warnings.push(format!("{key} is configured as {configured}, the provider says {seen}"));
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
    }
}

/// Whether the answer keeps to its mode as the pool demands, and whether it stands in a fence.
fn content(answer: ProbeResponse, mode: Mode, request: &Request) -> Result<bool, String> {
    let reply = Reply { deployment: String::new(), body: answer.body, duration_ms: 0 };
    let ending = form::ending(mode, request, &reply);
    let content = reply.answer().map_err(|fault| fault.to_string())?.content;
    match ending {
        Ending::Kept => Ok(content.trim_start().starts_with("```")),
        _ => Err("the answer does not follow the schema".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_configuration_is_said() {
        let deployment = DeploymentConfig {
            tokens_per_minute: 60_000,
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
