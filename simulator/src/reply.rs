//! What goes over the wire: bodies and headers of answers and errors, as each surface sends them.

use crate::config::Kind;
use crate::deployment::RetryAfter;
use crate::limiter::{Limit, Rejection, Standing};
use crate::request::BadRequest;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::time::Duration;

/// The three ways to address a deployment; they word errors and headers differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// `/openai/deployments/{name}/...`
    AzureDeployment,
    /// `/openai/v1/...`
    AzureV1,
    /// `/v1/...`
    OpenAi,
}

impl Surface {
    pub(crate) fn is_azure(self) -> bool {
        self != Self::OpenAi
    }
}

/// The content of a finished answer.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) content: Option<String>,
    /// The tool whose arguments the content is.
    pub(crate) tool: Option<String>,
    pub(crate) refusal: Option<String>,
    pub(crate) finish_reason: &'static str,
    /// Whether there is a choice at all.
    pub(crate) has_choice: bool,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

pub(crate) fn error(status: StatusCode, body: Value) -> Response {
    (status, Json(json!({ "error": body }))).into_response()
}

pub(crate) fn not_found() -> Response {
    let body = json!({ "code": "404", "message": "Resource not found" });
    error(StatusCode::NOT_FOUND, body)
}

pub(crate) fn deployment_not_found(surface: Surface) -> Response {
    let body = if surface.is_azure() {
        json!({
            "code": "DeploymentNotFound",
            "message": "The API deployment for this resource does not exist. If you created the \
                        deployment within the last 5 minutes, please wait a moment and try again.",
        })
    } else {
        json!({
            "message": "The model does not exist or you do not have access to it.",
            "type": "invalid_request_error", "param": null, "code": "model_not_found",
        })
    };
    error(StatusCode::NOT_FOUND, body)
}

pub(crate) fn unauthorized(surface: Surface) -> Response {
    let body = if surface.is_azure() {
        json!({
            "code": "401",
            "message": "Access denied due to invalid subscription key or wrong API endpoint. Make \
                        sure to provide a valid key for an active subscription and use a correct \
                        regional API endpoint for your resource.",
        })
    } else {
        json!({
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error", "param": null, "code": "invalid_api_key",
        })
    };
    error(StatusCode::UNAUTHORIZED, body)
}

pub(crate) fn token_refused(scope: &str) -> Response {
    let audience = scope.trim_end_matches("/.default");
    let message = format!(
        "Unauthorized. Access token is missing, invalid, audience is incorrect ({audience}), or have \
         expired."
    );
    error(StatusCode::UNAUTHORIZED, json!({ "code": "401", "message": message }))
}

pub(crate) fn bad_request(bad: &BadRequest) -> Response {
    let body = json!({
        "message": bad.message, "type": "invalid_request_error",
        "param": bad.param, "code": bad.code,
    });
    error(StatusCode::BAD_REQUEST, body)
}

pub(crate) fn not_json(fault: &serde_json::Error) -> Response {
    let message = format!("We could not parse the JSON body of your request. ({fault})");
    bad_request(&BadRequest { code: None, param: None, message })
}

pub(crate) fn unavailable(retry_after: Option<f64>) -> Response {
    let message =
        "The service is temporarily unable to process your request. Please try again later.";
    let body = json!({ "code": "ServiceUnavailable", "message": message });
    with_retry_after(error(StatusCode::SERVICE_UNAVAILABLE, body), retry_after)
}

pub(crate) fn server_error() -> Response {
    let message = "The server had an error while processing your request. Sorry about that!";
    let body = json!({ "code": "InternalServerError", "message": message });
    error(StatusCode::INTERNAL_SERVER_ERROR, body)
}

pub(crate) fn no_capacity(surface: Surface, retry_after: Option<f64>) -> Response {
    let code = if surface == Surface::AzureDeployment { "NoCapacity" } else { "no_capacity" };
    let message = "The system is currently experiencing high demand and cannot process your \
                   request. Your request exceeds the maximum usage size allowed during peak load. \
                   For improved capacity reliability, consider switching to Provisioned Throughput.";
    let body = json!({ "code": code, "message": message });
    with_retry_after(error(StatusCode::TOO_MANY_REQUESTS, body), retry_after)
}

pub(crate) fn content_filter() -> Response {
    let not_filtered = || json!({ "filtered": false, "severity": "safe" });
    let body = json!({
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content \
                    management policy. Please modify your prompt and retry.",
        "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": { "filtered": true, "severity": "high" },
                "self_harm": not_filtered(), "sexual": not_filtered(), "violence": not_filtered(),
                "jailbreak": { "detected": false, "filtered": false },
            },
        },
    });
    error(StatusCode::BAD_REQUEST, body)
}

pub(crate) fn with_retry_after(mut response: Response, seconds: Option<f64>) -> Response {
    if let Some(seconds) = seconds {
        put(response.headers_mut(), "retry-after", seconds.ceil());
    }
    response
}

/// The 429 of a limiter.
pub(crate) fn rejected(
    surface: Surface,
    kind: Kind,
    deployment: &str,
    rejection: &Rejection,
    retry_after: RetryAfter,
) -> Response {
    let seconds = match retry_after {
        RetryAfter::Seconds(seconds) => seconds.ceil() as u64,
        RetryAfter::True | RetryAfter::Missing => rejection.wait.as_secs_f64().ceil() as u64,
    };
    let mut response =
        error(StatusCode::TOO_MANY_REQUESTS, rejected_body(surface, rejection, seconds));
    let headers = response.headers_mut();
    let standing = &rejection.standing;
    let is_tokens = rejection.limit != Limit::Requests;
    match (surface, kind) {
        (Surface::OpenAi, Kind::Window | Kind::Bucket) => put_openai(headers, standing),
        (_, Kind::Bucket) => {
            put(headers, "x-ratelimit-type", if is_tokens { "Tokens" } else { "Requests" });
            put_bucket(headers, deployment, standing);
            let emptied = if is_tokens { "tokens" } else { "requests" };
            put(headers, &format!("x-ratelimit-remaining-{emptied}"), 0);
        }
        (_, Kind::Window) => {
            let reset =
                if is_tokens { "x-ratelimit-reset-tokens" } else { "x-ratelimit-reset-requests" };
            if retry_after != RetryAfter::Missing {
                put(headers, reset, seconds);
            }
        }
        (_, Kind::Ptu) => {}
        _ => put_limits(headers, standing),
    }
    if retry_after == RetryAfter::Missing {
        return response;
    }
    put(headers, "retry-after", seconds);
    let is_true = retry_after == RetryAfter::True;
    match kind {
        Kind::Ptu if is_true => put(headers, "retry-after-ms", rejection.wait.as_millis().max(1)),
        // This is what the service has been seen to send: the whole seconds are to be believed.
        Kind::Bucket if surface.is_azure() => put(headers, "retry-after-ms", 0),
        _ => {}
    }
    response
}

fn rejected_body(surface: Surface, rejection: &Rejection, seconds: u64) -> Value {
    let what = match rejection.limit {
        Limit::Requests => "call rate limit",
        Limit::Tokens | Limit::Utilisation => "token rate limit",
    };
    let standing = &rejection.standing;
    match surface {
        Surface::AzureDeployment => json!({
            "code": "429",
            "message": format!(
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version \
                 2024-10-21 have exceeded {what} of your current AIServices S0 pricing tier. \
                 Please retry after {seconds} seconds. Please go here: \
                 https://aka.ms/oai/quotaincrease if you would like to further increase the \
                 default rate limit."
            ),
        }),
        Surface::AzureV1 => json!({
            "type": "too_many_requests", "code": "too_many_requests",
            "message": "Too Many Requests",
        }),
        Surface::OpenAi => {
            let (kind, name, limit) = match rejection.limit {
                Limit::Requests => ("requests", "requests per min (RPM)", standing.requests_limit),
                _ => ("tokens", "tokens per min (TPM)", standing.tokens_limit),
            };
            json!({
                "message": format!(
                    "Rate limit reached on {name}: Limit {limit}. Please try again in {seconds}s."
                ),
                "type": kind, "param": null, "code": "rate_limit_exceeded",
            })
        }
    }
}

/// The headers about limits on an answer.
pub(crate) fn put_standing(
    headers: &mut HeaderMap,
    surface: Surface,
    kind: Kind,
    deployment: &str,
    standing: &Standing,
) {
    match (surface, kind) {
        (_, Kind::Ptu) => {}
        (Surface::OpenAi, Kind::Window | Kind::Bucket) => put_openai(headers, standing),
        (_, Kind::Bucket) => put_bucket(headers, deployment, standing),
        (_, Kind::Window) => {
            put(headers, "x-ratelimit-remaining-requests", standing.requests_left);
            put(headers, "x-ratelimit-remaining-tokens", standing.tokens_left);
        }
        _ => put_limits(headers, standing),
    }
}

/// What many gateways say: both limits, and what is left.
fn put_limits(headers: &mut HeaderMap, standing: &Standing) {
    put(headers, "x-ratelimit-limit-requests", standing.requests_limit);
    put(headers, "x-ratelimit-limit-tokens", standing.tokens_limit);
    put(headers, "x-ratelimit-remaining-requests", standing.requests_left.max(0));
    put(headers, "x-ratelimit-remaining-tokens", standing.tokens_left.max(0));
}

fn put_bucket(headers: &mut HeaderMap, deployment: &str, standing: &Standing) {
    put(headers, "x-ratelimit-limit-requests", standing.requests_limit);
    put(headers, "x-ratelimit-limit-tokens", standing.tokens_limit);
    put(headers, "x-ratelimit-remaining-requests", standing.requests_left);
    put(headers, "x-ratelimit-remaining-tokens", standing.tokens_left);
    put(headers, "x-ratelimit-renewalperiod-requests", 60);
    put(headers, "x-ratelimit-renewalperiod-tokens", 60);
    // Milliseconds, as seen on the newest models; the unit is known to vary.
    put(headers, "x-ratelimit-reset-requests", standing.requests_reset.as_millis());
    put(headers, "x-ratelimit-reset-tokens", standing.tokens_reset.as_millis());
    put(headers, "x-ratelimit-key", deployment);
    put(headers, "x-ratelimit-abusepenalty-active", "False");
}

fn put_openai(headers: &mut HeaderMap, standing: &Standing) {
    put(headers, "x-ratelimit-limit-requests", standing.requests_limit);
    put(headers, "x-ratelimit-limit-tokens", standing.tokens_limit);
    put(headers, "x-ratelimit-remaining-requests", standing.requests_left.max(0));
    put(headers, "x-ratelimit-remaining-tokens", standing.tokens_left.max(0));
    put(headers, "x-ratelimit-reset-requests", printed(standing.requests_reset));
    put(headers, "x-ratelimit-reset-tokens", printed(standing.tokens_reset));
}

/// A duration as OpenAI prints it: `12ms`, `1.5s`, `6m0s`.
fn printed(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1_000 => format!("{millis}ms"),
        millis @ 1_000..60_000 => format!("{}s", millis as f64 / 1_000.0),
        millis => format!("{}m{}s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// The headers that say where an answer comes from.
pub(crate) fn put_origin(
    headers: &mut HeaderMap,
    surface: Surface,
    kind: Kind,
    deployment: &str,
    id: &str,
    elapsed: Duration,
) {
    put(headers, "x-request-id", id);
    put(headers, "openai-processing-ms", elapsed.as_millis());
    if !surface.is_azure() {
        return;
    }
    put(headers, "apim-request-id", id);
    put(headers, "x-ms-client-request-id", id);
    put(headers, "x-ms-region", "Simulated");
    put(headers, "azureml-model-session", "simulated");
    if kind == Kind::Bucket {
        put(headers, "x-ms-deployment-name", deployment);
        put(headers, "x-envoy-upstream-service-time", elapsed.as_millis());
    }
}

fn put(headers: &mut HeaderMap, name: &str, value: impl ToString) {
    // A name of a deployment can hold what a header cannot; such a header is left out.
    let name = HeaderName::try_from(name);
    let value = HeaderValue::try_from(value.to_string());
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.insert(name, value);
    }
}

/// The body of an answer.
pub(crate) fn completion_body(
    surface: Surface,
    model: &str,
    id: &str,
    created: u64,
    done: &Completion,
) -> Value {
    let mut message =
        json!({ "role": "assistant", "content": done.content, "refusal": done.refusal });
    if let Some(tool) = &done.tool {
        let function = json!({ "name": tool, "arguments": done.content });
        message["content"] = Value::Null;
        message["tool_calls"] =
            json!([{ "id": format!("call_{id}"), "type": "function", "function": function }]);
    }
    let mut choice = json!({
        "index": 0,
        "message": message,
        "logprobs": null,
        "finish_reason": done.finish_reason,
    });
    let mut body = json!({
        "id": format!("chatcmpl-{id}"),
        "object": "chat.completion",
        "created": created,
        "model": if model == "gpt-4o" { "gpt-4o-2024-08-06" } else { model },
        "system_fingerprint": "fp_simulated",
        "usage": {
            "prompt_tokens": done.prompt_tokens,
            "completion_tokens": done.completion_tokens,
            "total_tokens": done.prompt_tokens + done.completion_tokens,
            "prompt_tokens_details": { "cached_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0 },
        },
    });
    if surface.is_azure() {
        let hate = done.finish_reason == "content_filter";
        choice["content_filter_results"] = filter_results(hate);
        body["prompt_filter_results"] =
            json!([{ "prompt_index": 0, "content_filter_results": filter_results(false) }]);
    }
    body["choices"] = if done.has_choice { json!([choice]) } else { json!([]) };
    body
}

fn filter_results(hate: bool) -> Value {
    let not_filtered = || json!({ "filtered": false, "severity": "safe" });
    let severity = if hate { "high" } else { "safe" };
    json!({
        "hate": { "filtered": hate, "severity": severity },
        "self_harm": not_filtered(), "sexual": not_filtered(), "violence": not_filtered(),
    })
}
