//! Asks every deployment for one tiny typed answer, and says how each fares.
//!
//! A deployment that refuses the first way of asking for structured answers is asked in the others,
//! so a check makes at most four calls of each.

use super::{
    fit::recognise,
    remedy::{self, Problem},
    wire::{Answer, Limits, Wire},
};
use pool::LimiterKind;
use pool::Mode;
use serde::Serialize;
use serde_json::{Value, json};
use shared::config::Deployment;
use std::time::Duration;

/// The room for the tiny answer: models that think first need some for that.
const OUTPUT_MAX: u32 = 256;

/// What the check of one deployment found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) model: String,
    /// Whether it gave a structured answer.
    pub(super) ok: bool,
    #[serde(flatten)]
    pub(super) problem: Option<Problem>,
    /// How long the answer took, in milliseconds.
    pub(super) latency_ms: Option<u64>,
    /// The limits in the headers, where there were any.
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) requests_per_minute: Option<u64>,
    /// What the headers look like.
    pub(super) limiter: Option<LimiterKind>,
    /// How it can be asked for structured answers.
    pub(super) mode: Option<Mode>,
    /// What works and should be looked at all the same.
    pub(super) warnings: Vec<String>,
}

/// Checks one deployment.
pub(super) async fn check(deployment: &Deployment, key: &str, patience: Duration) -> Checked {
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
    let wire = match Wire::new(deployment, patience) {
        Ok(wire) => wire,
        Err(problem) => {
            let remedy = "correct the configuration".to_owned();
            let kind = remedy::ProblemKind::Configuration;
            checked.problem = Some(Problem { kind, status: None, problem, remedy });
            return checked;
        }
    };
    for mode in Mode::ALL {
        let answer = match wire.call(&question(mode), OUTPUT_MAX).await {
            Ok(answer) => answer,
            Err(silence) => {
                checked.problem = Some(remedy::silent(&silence));
                return checked;
            }
        };
        checked.observe(&answer, deployment);
        if answer.status == 200 {
            match content(&answer.body, mode) {
                Ok(is_fenced) => {
                    checked.accept(mode, is_fenced);
                    return checked;
                }
                Err(problem) => checked.keep(Problem {
                    kind: remedy::ProblemKind::Unusable,
                    status: Some(200),
                    problem: format!("{}: {problem}", mode.name()),
                    remedy: "it gives no structured answers: use another model".to_owned(),
                }),
            }
        } else {
            let problem = remedy::refused(deployment, answer.status, &answer.message(), key);
            let may_be_the_mode = matches!(answer.status, 400 | 422 | 500 | 501);
            checked.keep(problem);
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

    fn observe(&mut self, answer: &Answer, deployment: &Deployment) {
        self.latency_ms = answer.took.as_millis().try_into().ok();
        let limits = &answer.limits;
        self.tokens_per_minute = limits.limit_tokens.or(self.tokens_per_minute);
        self.requests_per_minute = limits.limit_requests.or(self.requests_per_minute);
        if answer.status == 200 {
            self.limiter = recognise(limits, deployment);
        }
        self.warnings = differences(limits, self.limiter, deployment);
    }
}

/// What the headers say that the configuration does not.
fn differences(
    limits: &Limits,
    limiter: Option<LimiterKind>,
    deployment: &Deployment,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut compare = |key: &str, seen: Option<u64>, configured: u64| match seen {
        Some(seen) if seen != configured => {
            warnings.push(format!("{key} is configured as {configured}, the provider says {seen}"));
        }
        _ => {}
    };
    compare("tokens_per_minute", limits.limit_tokens, deployment.tokens_per_minute);
    compare("requests_per_minute", limits.limit_requests, deployment.requests());
    let configured = Some(deployment.limiter).filter(|kind| *kind != LimiterKind::Auto);
    if let (Some(configured), Some(seen)) = (configured, limiter)
        && configured != seen
    {
        let (configured, seen) = (configured.name(), seen.name());
        warnings.push(format!("limiter is configured as {configured}, it looks like {seen}"));
    }
    warnings
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": { "city": { "type": "string" }, "is_capital": { "type": "boolean" } },
        "required": ["city", "is_capital"],
        "additionalProperties": false,
    })
}

/// The question, asked in this way.
pub(super) fn question(mode: Mode) -> Value {
    let text = "Which city is named, and is it a capital? <document>\nCity: Paris\n</document>";
    let schema = schema();
    let ask = |text: &str| json!([{ "role": "user", "content": text }]);
    match mode {
        Mode::JsonSchema => json!({
            "messages": ask(text),
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": "answer", "strict": true, "schema": schema },
            },
        }),
        Mode::Tool => json!({
            "messages": ask(text),
            "tools": [{ "type": "function", "function": {
                "name": "answer", "description": "The answer.", "parameters": schema,
            } }],
            "tool_choice": { "type": "function", "function": { "name": "answer" } },
        }),
        Mode::JsonObjectSchema => json!({
            "messages": ask(&format!("{text}\nAnswer in JSON.")),
            "response_format": { "type": "json_object", "schema": schema },
        }),
        Mode::JsonObject => json!({
            "messages": ask(&format!("{text}\nAnswer with a JSON object of this schema: {schema}")),
            "response_format": { "type": "json_object" },
        }),
    }
}

/// Whether the answer follows the schema, and whether it stands in a fence.
fn content(body: &Value, mode: Mode) -> Result<bool, String> {
    let pointer = match mode {
        Mode::Tool => "/choices/0/message/tool_calls/0/function/arguments",
        _ => "/choices/0/message/content",
    };
    let text = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().trim();
    if text.is_empty() {
        let reason = body.pointer("/choices/0/finish_reason").and_then(Value::as_str);
        return Err(format!("no answer in it ({})", reason.unwrap_or("no reason given")));
    }
    let fenced = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    let inner = fenced.map(|rest| rest.trim_end().trim_end_matches("```")).unwrap_or(text);
    let value: Value =
        serde_json::from_str(inner.trim()).map_err(|_| "the answer is not JSON".to_owned())?;
    match (value["city"].is_string() || value["city"].is_null(), value.as_object()) {
        (true, Some(fields)) if fields.contains_key("city") => Ok(fenced.is_some()),
        _ => Err("the answer does not follow the schema".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_where_its_mode_puts_it() {
        let content = |mode, message: Value| {
            super::content(
                &json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }),
                mode,
            )
        };
        let good = r#"{"city":"Paris","is_capital":true}"#;
        assert_eq!(content(Mode::JsonSchema, json!({ "content": good })), Ok(false));
        let fenced = format!("```json\n{good}\n```");
        assert_eq!(content(Mode::JsonObject, json!({ "content": fenced })), Ok(true));
        let call = json!({ "tool_calls": [{ "function": { "arguments": good } }] });
        assert_eq!(content(Mode::Tool, call), Ok(false));
        for bad in [json!({}), json!({ "content": "Paris" }), json!({ "content": "{\"a\":1}" })] {
            assert!(content(Mode::JsonSchema, bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_differs_from_the_configuration_is_said() {
        let deployment = Deployment {
            tokens_per_minute: 60_000,
            requests_per_minute: Some(360),
            limiter: LimiterKind::Window,
            ..Deployment::default()
        };
        let limits =
            Limits { limit_tokens: Some(30_000), limit_requests: Some(360), ..Limits::default() };
        let warnings = differences(&limits, Some(LimiterKind::Bucket), &deployment);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("60000") && warnings[0].contains("30000"));
        assert!(warnings[1].contains("window") && warnings[1].contains("bucket"));
    }
}
