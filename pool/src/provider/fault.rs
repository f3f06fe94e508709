//! What the body of a response says went wrong, whatever its shape.
//!
//! It must know nothing of statuses, nor of what follows from a fault.

use crate::typed::chat::{Refusal, Shortage};
use serde_json::Value;

/// The most characters of a message that are kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// The fields of a request that ask for JSON.
pub(super) const MODE_FIELDS: [&str; 4] = ["response_format", "tools", "tool_choice", "functions"];

/// The words of a message that mean the way of asking for JSON, as [`plain`] text has them.
pub(super) const MODE_WORDS: [&str; 16] = [
    "responseformat",
    "response format",
    "jsonschema",
    "jsonobject",
    "json mode",
    "structured output",
    "toolchoice",
    "tool choice",
    "tool use",
    "tool call",
    "support tools",
    "'tools'",
    "\"tools\"",
    "`tools`",
    "tools param",
    "function call",
];

/// A text without capitals and underscores, as names are written in several ways.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

/// What a body says, whatever its shape; empty where it says nothing.
pub(crate) struct Fault {
    code: String,
    inner: String,
    param: String,
    message: String,
}

impl Fault {
    pub(super) fn read(body: &str) -> Self {
        let value: Value = serde_json::from_str(body).unwrap_or_default();
        // Some put the error into a list.
        let value = value.get(0).cloned().unwrap_or(value);
        // Gateways put the same fields at the top.
        let error = value.get("error").filter(|error| error.is_object()).unwrap_or(&value);
        let text = |pointer| match error.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let code = [text("/code"), text("/type")].into_iter().find(|code| !code.is_empty());
        let message = match (text("/message"), value.get("error").and_then(Value::as_str)) {
            (message, _) if !message.is_empty() => message,
            (_, Some(error)) => error.to_owned(),
            _ => body.to_owned(),
        };
        Self {
            code: code.unwrap_or_default(),
            inner: text("/innererror/code"),
            param: text("/param"),
            message: shorten(&message),
        }
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.eq_ignore_ascii_case(code)
    }

    pub(super) fn is_throttling(&self) -> bool {
        let codes = ["429", "too_many_requests", "rate_limit_exceeded", "insufficient_quota"];
        codes.iter().any(|code| self.is(code)) || self.shortage() == Shortage::Capacity
    }

    /// What a 429 is about: all that does not speak of capacity is about quota.
    pub(super) fn shortage(&self) -> Shortage {
        // `slow_down` comes when traffic grows too fast, even inside the quota.
        let codes = ["no_capacity", "nocapacity", "slow_down", "engine_overloaded"];
        let busy = self.message.contains("experiencing high demand");
        if busy || codes.iter().any(|code| self.is(code)) {
            Shortage::Capacity
        } else {
            Shortage::Quota
        }
    }

    /// What Envoy says (Azure's front end) when it lost a connection over which the call had gone.
    pub(super) fn is_broken_connection(&self) -> bool {
        self.message.contains("disconnect/reset") && !self.message.contains("connection failure")
    }

    pub(super) fn refusal(&self, status: u16) -> Refusal {
        let message = self.message.to_ascii_lowercase();
        if self.is("content_filter") || self.inner == "ResponsibleAIPolicyViolation" {
            Refusal::ContentFiltered
        } else if status == 413
            || self.is("context_length_exceeded")
            || ["maximum context length", "exceed context limit", "tokens + `max_new_tokens`"]
                .iter()
                .any(|words| message.contains(words))
        {
            Refusal::ContextTooLong
        } else if self.is_about_schema() {
            Refusal::Schema
        } else if self.is_about_mode() {
            Refusal::Mode
        } else {
            Refusal::Other
        }
    }

    /// Whether the schema, or its name, is wrong: it would be in every mode.
    fn is_about_schema(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let codes = ["invalid_json_schema", "invalid_function_parameters"];
        let params =
            ["json_schema.schema", "json_schema.name", "function.parameters", "function.name"];
        let unknown = ["unknown parameter", "unrecognized", "not supported", "unsupported"];
        message.contains("invalid schema")
            || message.contains("schema is invalid")
            || codes.iter().any(|code| self.is(code))
            || params.iter().any(|param| self.param.contains(param))
                && !unknown.iter().any(|word| message.contains(word))
    }

    /// Whether it is about the way of asking for JSON.
    pub(super) fn is_about_mode(&self) -> bool {
        let message = plain(&self.message);
        MODE_FIELDS.iter().any(|field| self.param.starts_with(field))
            || MODE_WORDS.iter().any(|word| message.contains(word))
    }

    pub(super) fn message(&self, status: u16) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            (_, "") => format!("status {status} without a message"),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

/// One line, without markup, of bounded length.
pub(super) fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('<') {
        return "a page of markup instead of an answer".to_owned();
    }
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(MESSAGE_CHARS_MAX).collect()
}
