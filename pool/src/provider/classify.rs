//! Turns a response that is no reply into what its caller should do.
//!
//! It goes by the HTTP status first: bodies come in many shapes, and some have none. It must know
//! nothing of how the response was got.

use crate::provider::fault::{Fault, shorten};
use crate::provider::headers;
use crate::typed::chat::{CallError, Refusal, Shortage};
use crate::typed::stream::{self, Streamed};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::error::Error;

/// The class of a response whose status is not 200.
pub(crate) fn classify(
    deployment: &str,
    status: u16,
    headers: &HeaderMap,
    body: &str,
) -> CallError {
    let fault = Fault::read(body);
    let deployment = deployment.to_owned();
    match status {
        429 if fault.is("insufficient_quota") => {
            CallError::Denied { deployment, status, message: fault.message(status) }
        }
        429 => {
            let (wait, why) = (headers::retry_after(headers), fault.shortage());
            // A data centre without capacity needs longer than a quota that refills.
            let factor = if why == Shortage::Capacity { 2 } else { 1 };
            let retry_after = (wait * factor).min(headers::WAIT_MAX);
            CallError::Throttled { deployment, retry_after, why, message: fault.message(status) }
        }
        404 if fault.is_about_mode() => {
            let why = Refusal::Mode;
            CallError::Refused { deployment, status, why, message: fault.message(status) }
        }
        // 3xx and 405 mean a wrong address: no question will fare better.
        300..=399 | 401..=407 | 410 | 421 => {
            CallError::Denied { deployment, status, message: fault.message(status) }
        }
        // A proxy also says so when the connection behind it broke: then the call was taken up.
        _ if status >= 500 && fault.is_broken_connection() => unknown(deployment, status, &fault),
        _ if gave_up_waiting(status) || status == 501 => unknown(deployment, status, &fault),
        409 | 424 | 425 | 502.. => {
            CallError::Unavailable { deployment, status, message: fault.message(status) }
        }
        400..=499 => {
            let why = fault.refusal(status);
            CallError::Refused { deployment, status, why, message: fault.message(status) }
        }
        _ => unknown(deployment, status, &fault),
    }
}

/// Whether a status says that a gateway, or the service itself, gave up on a call that it had taken
/// up: the model may have been paid.
pub(crate) fn gave_up_waiting(status: u16) -> bool {
    matches!(status, 408 | 499 | 500 | 504 | 524)
}

/// Reads the body of a response whose status is 200: a chat completion, or a stream of its chunks.
/// Some servers answer 200 and put an error into the body.
pub(crate) fn read(deployment: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, CallError> {
    let fault = |message| CallError::Unknown {
        deployment: deployment.to_owned(),
        status: Some(200),
        message,
    };
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value,
        Err(error) => match stream::read(&String::from_utf8_lossy(body)) {
            Some(Streamed::Completion(value) | Streamed::Failed(value)) => value,
            Some(Streamed::CutOff) => {
                return Err(fault("the stream ended before the answer did".to_owned()));
            }
            None => return Err(fault(format!("the body is not JSON: {error}"))),
        },
    };
    if value.get("choices").is_some() || value.get("error").is_none_or(Value::is_null) {
        return Ok(value);
    }
    let text = value.to_string();
    let error = Fault::read(&text);
    if error.is_throttling() {
        return Err(classify(deployment, 429, headers, &text));
    }
    // Nothing was answered, but it is not certain that nothing was paid.
    Err(fault(error.message(200)))
}

fn unknown(deployment: String, status: u16, fault: &Fault) -> CallError {
    CallError::Unknown { deployment, status: Some(status), message: fault.message(status) }
}

/// What the body of such a response says went wrong, on one line.
pub(crate) fn message(status: u16, body: &[u8]) -> String {
    Fault::read(&String::from_utf8_lossy(body)).message(status)
}

/// An error with all its causes, on one line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    shorten(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn class(status: u16, body: &str) -> String {
        match classify("d", status, &HeaderMap::new(), body) {
            CallError::Throttled { retry_after, why: Shortage::Quota, .. } => {
                format!("throttled {} ms", retry_after.as_millis())
            }
            CallError::Throttled { retry_after, why: Shortage::Capacity, .. } => {
                format!("busy {} ms", retry_after.as_millis())
            }
            CallError::Unreachable { .. } => "unreachable".into(),
            CallError::Unavailable { .. } => "unavailable".into(),
            CallError::Denied { status, .. } => format!("denied {status}"),
            CallError::Refused { why, .. } => format!("refused {why:?}"),
            CallError::Unknown { status, .. } => format!("unknown {status:?}"),
        }
    }

    #[test]
    fn every_seen_body_has_its_class() {
        let quota = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 7 seconds."}}"#;
        let v1 = r#"{"error":{"type":"too_many_requests","code":"too_many_requests","message":"Too Many Requests"}}"#;
        let filter = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#;
        let inner = r#"{"error":{"message":"filtered","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
        let context = r#"{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
        let schema = r#"{"error":{"message":"Invalid schema for response_format 'invoice': ...","type":"invalid_request_error","param":"response_format","code":null}}"#;
        let function = r#"{"error":{"message":"Invalid schema for function 'invoice': In context=()","param":"tools[0].function.parameters","code":"invalid_function_parameters"}}"#;
        let large = r#"{"error":{"message":"max_tokens is too large: 99999. This model supports at most 16384","type":"invalid_request_error","param":"max_tokens","code":null}}"#;
        let html = "<html><body><h1>502 Bad Gateway</h1></body></html>";
        let capacity = |code| {
            format!(
                r#"{{"error":{{"code":"{code}","message":"The system is currently experiencing high demand"}}}}"#
            )
        };
        let table: &[(u16, &str, &str)] = &[
            (429, quota, "throttled 1000 ms"),
            (429, v1, "throttled 1000 ms"),
            (429, &capacity("NoCapacity"), "busy 2000 ms"),
            (429, &capacity("no_capacity"), "busy 2000 ms"),
            (429, &capacity("429"), "busy 2000 ms"),
            (429, r#"{"error":{"code":"slow_down","message":"Slow down."}}"#, "busy 2000 ms"),
            (429, r#"{"statusCode":429,"message":"Rate limit is exceeded."}"#, "throttled 1000 ms"),
            (429, r#"{"error":{"code":429,"message":"slow"}}"#, "throttled 1000 ms"),
            (429, html, "throttled 1000 ms"),
            (429, "", "throttled 1000 ms"),
            (429, r#"{"error":{"code":"insufficient_quota","message":"billing"}}"#, "denied 429"),
            (400, filter, "refused ContentFiltered"),
            (400, inner, "refused ContentFiltered"),
            (400, context, "refused ContextTooLong"),
            (413, "", "refused ContextTooLong"),
            (400, schema, "refused Schema"),
            (400, large, "refused Other"),
            (400, function, "refused Schema"),
            (
                400,
                r#"{"error":{"message":"Invalid 'response_format.json_schema.name': string does not match pattern.","param":"response_format.json_schema.name"}}"#,
                "refused Schema",
            ),
            (
                400,
                r#"{"error":{"message":"Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.","param":"response_format"}}"#,
                "refused Mode",
            ),
            (
                400,
                r#"{"error":{"code":"BadRequest","message":"response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later"}}"#,
                "refused Mode",
            ),
            (
                400,
                r#"{"error":{"message":"Unknown parameter: 'response_format.schema'.","param":"response_format.schema"}}"#,
                "refused Mode",
            ),
            (
                400,
                r#"{"error":{"message":"This response_format type is unavailable now","code":"invalid_request_error"}}"#,
                "refused Mode",
            ),
            (
                400,
                r#"{"error":"'response_format.type' must be 'json_schema' or 'text'"}"#,
                "refused Mode",
            ),
            (
                400,
                r#"{"error":{"message":"registry/m does not support tools","type":"api_error"}}"#,
                "refused Mode",
            ),
            (
                400,
                r#"{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice"}"#,
                "refused Mode",
            ),
            (
                404,
                r#"{"error":{"message":"No endpoints found that support tool use.","code":404}}"#,
                "refused Mode",
            ),
            (
                422,
                r#"{"detail":[{"loc":["body","response_format","type"],"msg":"unexpected value"}]}"#,
                "refused Mode",
            ),
            (422, r#"{"detail":[{"loc":["body"]}]}"#, "refused Other"),
            (431, "", "refused Other"),
            (
                401,
                r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}"#,
                "denied 401",
            ),
            (403, r#"{"statusCode":403,"message":"Out of call volume quota."}"#, "denied 403"),
            (404, r#"{"error":{"code":"DeploymentNotFound","message":"no"}}"#, "denied 404"),
            (404, html, "denied 404"),
            (302, "", "denied 302"),
            (408, r#"{"error":{"code":"Timeout","message":"x"}}"#, "unknown Some(408)"),
            (409, "", "unavailable"),
            (424, r#"{"error":{"code":"424","message":"failed dependency"}}"#, "unavailable"),
            (425, "", "unavailable"),
            (499, "", "unknown Some(499)"),
            (500, r#"{"error":{"code":"InternalServerError","message":"x"}}"#, "unknown Some(500)"),
            (501, "", "unknown Some(501)"),
            (502, html, "unavailable"),
            (520, html, "unavailable"),
            (524, html, "unknown Some(524)"),
            (527, "", "unavailable"),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                "unavailable",
            ),
            (503, "", "unavailable"),
            (
                503,
                r#"{"error":{"code":"ServiceUnavailable","message":"try later"}}"#,
                "unavailable",
            ),
            (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
                "unavailable",
            ),
            (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                "unknown Some(503)",
            ),
            (504, "upstream request timeout", "unknown Some(504)"),
            (204, "", "unknown Some(204)"),
        ];
        for (status, body, expected) in table {
            assert_eq!(class(*status, body), *expected, "{status} {body}");
        }
    }

    #[test]
    fn an_error_inside_a_200_is_an_error() {
        let check = |body: &str, expected: &str| {
            let read = read("d", &HeaderMap::new(), body.as_bytes());
            let found = match read {
                Ok(_) => "reply".to_owned(),
                Err(CallError::Throttled { why, .. }) => format!("throttled {why:?}"),
                Err(CallError::Denied { status, .. }) => format!("denied {status}"),
                Err(CallError::Unknown { status, .. }) => format!("unknown {status:?}"),
                Err(error) => format!("{error:?}"),
            };
            assert_eq!(found, expected, "{body}");
        };
        let v1 = r#"{"error":{"type":"too_many_requests","code":"too_many_requests","message":"Too Many Requests"}}"#;
        check(v1, "throttled Quota");
        check(&format!("event: error\ndata: {v1}\n\n"), "throttled Quota");
        check(r#"{"error":{"code":429,"message":"slow"}}"#, "throttled Quota");
        check(r#"{"error":{"code":"no_capacity"}}"#, "throttled Capacity");
        check(r#"{"error":{"code":"insufficient_quota"}}"#, "denied 429");
        check(r#"{"error":{"code":502,"message":"Provider returned error"}}"#, "unknown Some(200)");
        check(r#"{"error":"boom"}"#, "unknown Some(200)");
        check("", "unknown Some(200)");
        check("<html></html>", "unknown Some(200)");
        check("data: nothing", "unknown Some(200)");
        check(r#"{"choices":[],"error":null}"#, "reply");
        check(r#"{"choices":[{}],"error":{"code":429}}"#, "reply");
        check(r#"{"error":null}"#, "reply");
    }

    #[test]
    fn messages_are_short_single_lines() {
        let error = classify("d", 503, &HeaderMap::new(), &"word\n".repeat(1000));
        let CallError::Unavailable { message, .. } = error else { panic!("{error:?}") };
        assert!(message.chars().count() <= 300 && !message.contains('\n'));
        let error = classify("d", 500, &HeaderMap::new(), "<html>secret</html>");
        assert_eq!(error.to_string(), "no answer from d: a page of markup instead of an answer");
        let error = classify("d", 500, &HeaderMap::new(), r#"{"error":"boom"}"#);
        assert_eq!(error.to_string(), "no answer from d: boom");
    }

    #[test]
    fn a_capacity_wait_stays_bounded() {
        let headers = [("retry-after", "50")];
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let headers: HeaderMap =
            headers.map(|(n, v): (reqwest::header::HeaderName, _)| (n, v)).collect();
        let body = r#"{"error":{"code":"no_capacity"}}"#;
        let error = classify("d", 429, &headers, body);
        let CallError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, Duration::from_secs(60));
    }
}
