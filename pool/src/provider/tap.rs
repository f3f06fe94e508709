//! What a response shows of the tokens that it used, read while its bytes pass.
//!
//! The bytes are never held back or changed. A tap must know nothing of connections or time.

use crate::provider::classify;
use crate::typed::chat::CallError;
use crate::typed::usage::Usage;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde_json::{Deserializer, Value};

/// The longest JSON body, or line of a stream, that is kept as a whole.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;
/// What is kept of the end of a longer one: `usage` stands there, and is shorter.
const END_BYTES: usize = 16 * 1024;
/// Where a stream does not say what it used, a token of the answer is taken to be so long.
const CHARACTERS_PER_TOKEN: u64 = 4;
const USAGE_KEY: &[u8] = b"\"usage\"";

/// Reads one successful response as it passes.
#[derive(Debug)]
pub(crate) struct Tap {
    form: Form,
    headers: HeaderMap,
    /// How many bytes are yet to come, where the headers say it.
    bytes_left: Option<u64>,
    usage: Option<Usage>,
    model: Option<String>,
    /// Characters of the answer in the events so far.
    characters: u64,
    /// The event that said that the answer failed.
    error: Option<String>,
    is_ended: bool,
}

/// The form of a body.
#[derive(Debug)]
enum Form {
    Json(Capped),
    /// Server-sent events; the line that is under way.
    Events(Capped),
    /// Sound, images, nothing: it shows no usage.
    Opaque,
}

/// What a response has shown when it is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tapped {
    /// What it used, or what went wrong.
    pub(crate) result: Result<Usage, CallError>,
    /// Whether the provider did not say what it used: then the tokens of the answer are estimated
    /// by its length, and those of the question are not known.
    pub(crate) is_estimated: bool,
    /// The model as the provider names it.
    pub(crate) model: Option<String>,
}

impl Tap {
    /// For a response with these headers.
    pub(crate) fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let form = match text(CONTENT_TYPE).map(str::to_ascii_lowercase) {
            _ if status == 204 => Form::Opaque,
            Some(kind) if kind.starts_with("text/event-stream") => Form::Events(Capped::default()),
            Some(kind) if !kind.contains("json") => Form::Opaque,
            _ => Form::Json(Capped::default()),
        };
        Self {
            form,
            headers: headers.clone(),
            bytes_left: text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
            usage: None,
            model: None,
            characters: 0,
            error: None,
            is_ended: false,
        }
    }

    /// Reads the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(left) = &mut self.bytes_left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        match &mut self.form {
            Form::Opaque => {}
            Form::Json(body) => body.push(bytes),
            Form::Events(_) => {
                let mut lines = bytes.split(|byte| *byte == b'\n');
                let first = lines.next().unwrap_or_default();
                self.push_line(first);
                for line in lines {
                    self.end_line();
                    self.push_line(line);
                }
            }
        }
    }

    /// Whether the answer is complete, even if the connection is still open.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_ended || self.bytes_left == Some(0)
    }

    /// Whether what it used is known before its end.
    pub(crate) fn has_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// What it has shown so far, as the answer is not complete.
    pub(crate) fn so_far(&self) -> Usage {
        let tokens_output = self.characters.div_ceil(CHARACTERS_PER_TOKEN);
        self.usage.unwrap_or(Usage { tokens_output, ..Usage::default() })
    }

    /// What it has shown, at its end.
    pub(crate) fn finish(mut self, deployment: &str) -> Tapped {
        let read = match &self.form {
            Form::Opaque => Ok(()),
            Form::Json(body) if body.is_whole() => {
                classify::read(deployment, &self.headers, &body.bytes).map(|body| {
                    self.usage = Usage::of(&body);
                    self.model = text_of(&body, "/model");
                })
            }
            Form::Json(body) => {
                self.usage = last_usage(&body.bytes);
                Ok(())
            }
            Form::Events(_) => {
                self.end_line();
                match (&self.error, &self.usage) {
                    (Some(error), None) => {
                        let read = classify::read(deployment, &self.headers, error.as_bytes());
                        read.map(|_| ())
                    }
                    _ => Ok(()),
                }
            }
        };
        let (usage, is_estimated) = (self.so_far(), self.usage.is_none());
        Tapped { result: read.map(|()| usage), is_estimated, model: self.model }
    }

    fn push_line(&mut self, bytes: &[u8]) {
        if let Form::Events(line) = &mut self.form {
            line.push(bytes);
        }
    }

    /// One line of the stream is complete.
    fn end_line(&mut self) {
        let Form::Events(line) = &mut self.form else { return };
        let line = std::mem::take(line);
        if !line.is_whole() {
            self.usage = last_usage(&line.bytes).or(self.usage);
            return;
        }
        let Some(data) = line.bytes.strip_prefix(b"data:") else { return };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_ended = true;
        } else if let Ok(event) = serde_json::from_slice::<Value>(data) {
            self.read_event(&event);
        }
    }

    fn read_event(&mut self, event: &Value) {
        self.usage = Usage::of(event).or(self.usage);
        if self.model.is_none() {
            let model = text_of(event, "/model").or_else(|| text_of(event, "/response/model"));
            self.model = model.filter(|model| !model.is_empty());
        }
        self.characters += characters(event);
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let is_last = ["response.completed", "response.incomplete", "response.failed"];
        self.is_ended |= is_last.contains(&kind);
        let inner = event.pointer("/response/error").filter(|error| !error.is_null());
        let error = event.get("error").filter(|error| !error.is_null()).or(inner);
        if let Some(error) = error {
            self.error = Some(serde_json::json!({ "error": error }).to_string());
        } else if kind == "error" {
            self.error = Some(serde_json::json!({ "error": event }).to_string());
        }
    }
}

fn text_of(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// The characters of the answer in one event of a stream.
fn characters(event: &Value) -> u64 {
    let length = |text: Option<&Value>| {
        text.and_then(Value::as_str).map_or(0, |text| text.chars().count() as u64)
    };
    let choices = event.get("choices").and_then(Value::as_array).into_iter().flatten();
    let in_choices: u64 = choices
        .map(|choice| {
            let delta = |name| length(choice.pointer(name));
            let calls = choice.pointer("/delta/tool_calls").and_then(Value::as_array);
            let calls = calls.into_iter().flatten();
            let arguments: u64 =
                calls.map(|call| length(call.pointer("/function/arguments"))).sum();
            let texts = ["/delta/content", "/delta/refusal", "/delta/reasoning_content", "/text"];
            arguments + texts.map(delta).iter().sum::<u64>()
        })
        .sum();
    // Events of the Responses API have the text itself as their delta.
    in_choices + length(event.get("delta"))
}

/// The last `usage` in the end of a text of JSON.
fn last_usage(end: &[u8]) -> Option<Usage> {
    // In a string its quotes would have a backslash before them.
    let places = end.windows(USAGE_KEY.len()).enumerate();
    let mut places = places.filter(|(_, bytes)| *bytes == USAGE_KEY);
    places
        .by_ref()
        .filter_map(|(at, _)| {
            let rest = end.get(at + USAGE_KEY.len()..)?.trim_ascii_start().strip_prefix(b":")?;
            let value = Deserializer::from_slice(rest).into_iter::<Value>().next()?.ok()?;
            Usage::read(&value)
        })
        .last()
}

/// Bytes that are kept as a whole up to a limit, and from then on only their end.
#[derive(Debug, Default)]
struct Capped {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Capped {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > WHOLE_BYTES_MAX || self.is_cut && self.bytes.len() > 2 * END_BYTES {
            self.is_cut = true;
            self.bytes.drain(..self.bytes.len() - END_BYTES);
        }
    }

    fn is_whole(&self) -> bool {
        !self.is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    fn tap(kind: &'static str, chunks: &[&[u8]]) -> Tapped {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let mut tap = Tap::new(200, &headers);
        chunks.iter().for_each(|chunk| tap.push(chunk));
        tap.finish("d")
    }

    /// Reads the text in pieces of every small length.
    fn check(kind: &'static str, text: &str, expected: (u64, u64, bool, Option<&str>)) {
        for size in [1, 2, 3, 7, text.len().max(1)] {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let Tapped { result, is_estimated, model } = tap(kind, &chunks);
            let usage = result.unwrap();
            let found = (usage.tokens_input, usage.tokens_output, is_estimated, model.as_deref());
            assert_eq!(found, expected, "{size}: {text}");
        }
    }

    const EVENTS: &str = "text/event-stream; charset=utf-8";

    fn events(all: &[Value]) -> String {
        let mut text = ": waiting\n\n".to_owned();
        all.iter().for_each(|event| text.push_str(&format!("data: {event}\r\n\r\n")));
        text + "data: [DONE]\n\n"
    }

    fn delta(delta: Value) -> Value {
        json!({ "model": "gpt-4o", "choices": [{ "delta": delta }], "usage": null })
    }

    #[test]
    fn the_usage_of_json_is_read() {
        let text =
            r#"{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}}"#;
        check("application/json", text, (12, 3, false, Some("gpt-4o")));
        check("application/json", r#"{"data":[]}"#, (0, 0, true, None));
        check("audio/mpeg", "sound", (0, 0, true, None));
    }

    #[test]
    fn the_usage_of_events_is_read_or_counted() {
        let usage =
            json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 4 } });
        let deltas = [delta(json!({ "content": "Zwölf " })), delta(json!({ "content": "Äpfel" }))];
        let told = [deltas[0].clone(), deltas[1].clone(), usage];
        check(EVENTS, &events(&told), (9, 4, false, Some("gpt-4o")));
        // 11 characters.
        check(EVENTS, &events(&deltas), (0, 3, true, Some("gpt-4o")));
        let call = json!({ "tool_calls": [{ "function": { "arguments": "{\"a\":12}" } }] });
        check(EVENTS, &events(&[delta(call)]), (0, 2, true, Some("gpt-4o")));
        check(EVENTS, &events(&[json!({ "choices": [{ "text": "12345" }] })]), (0, 2, true, None));
    }

    #[test]
    fn the_events_of_the_responses_api_are_read() {
        let text = json!({ "type": "response.output_text.delta", "delta": "12345" });
        let usage = json!({ "input_tokens": 7, "output_tokens": 2 });
        let end = json!({
            "type": "response.completed", "response": { "model": "gpt-5", "usage": usage },
        });
        check(EVENTS, &events(&[text.clone(), end]), (7, 2, false, Some("gpt-5")));
        check(EVENTS, &events(&[text]), (0, 2, true, None));
    }

    #[test]
    fn of_a_long_body_the_end_is_read() {
        let long = "\\\"usage\\\": {} ".repeat(WHOLE_BYTES_MAX / 10);
        let text = format!(
            r#"{{"data":"{long}","usage" : {{"prompt_tokens":5,"usage":1}},"object":"list"}}"#
        );
        assert!(text.len() > WHOLE_BYTES_MAX);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(50_000).collect();
        let tapped = tap("application/json", &chunks);
        assert_eq!((tapped.result.unwrap().tokens_input, tapped.is_estimated), (5, false));
        let event = format!("data: {{\"response\":{text}}}\n\n");
        let chunks: Vec<&[u8]> = event.as_bytes().chunks(50_000).collect();
        assert_eq!(tap(EVENTS, &chunks).result.unwrap().tokens_input, 5);
    }

    #[test]
    fn an_error_in_place_of_an_answer_is_found() {
        let throttled = r#"{"error":{"code":"429","message":"slow"}}"#;
        for (kind, text) in [
            ("application/json", throttled.to_owned()),
            (EVENTS, format!("data: {throttled}\n\n")),
            (EVENTS, "data: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\"}\n\n".to_owned()),
        ] {
            let result = tap(kind, &[text.as_bytes()]).result;
            assert!(matches!(result, Err(CallError::Throttled { .. })), "{text}: {result:?}");
        }
        let failed = json!({
            "type": "response.failed", "response": { "error": { "code": "server_error" } },
        });
        let result = tap(EVENTS, &[events(&[failed]).as_bytes()]).result;
        assert!(matches!(result, Err(CallError::Unknown { .. })), "{result:?}");
        let result = tap("application/json", &[b"{\"choices\": ["]).result;
        assert!(matches!(result, Err(CallError::Unknown { .. })), "{result:?}");
    }

    #[test]
    fn an_answer_is_complete_when_it_says_so() {
        let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("4"))]);
        let mut tap = Tap::new(200, &headers);
        tap.push(b"{ }");
        assert!(!tap.is_complete());
        tap.push(b" ");
        assert!(tap.is_complete());
        headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(EVENTS))]);
        let mut tap = Tap::new(200, &headers);
        tap.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"12345\"}}]}\n\ndata: [DONE]");
        assert_eq!((tap.is_complete(), tap.so_far().tokens_output), (false, 2));
        tap.push(b"\n");
        assert!(tap.is_complete());
    }
}
