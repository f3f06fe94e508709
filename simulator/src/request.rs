//! The body of a chat completion: read, checked as the service checks it, and measured. It must
//! never know which deployment it is for.

use crate::schema;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A chat completion that somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The conversation.
    pub messages: Vec<Message>,
    /// What the answer must look like.
    pub format: Format,
    /// The most output tokens that are wanted.
    pub max_out: Option<u64>,
    /// SHA-256 of messages and schema: the same for the same question.
    pub hash: String,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: String,
    /// All its text.
    pub text: String,
}

/// What the answer must look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Any text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema.
    Schema(Value),
}

/// A request that the service does not take, always with status 400.
#[derive(Clone, Debug, PartialEq)]
pub struct BadRequest {
    /// The code in the error, if any.
    pub code: Option<&'static str>,
    /// The field that is wrong.
    pub param: Option<&'static str>,
    /// What is wrong with it.
    pub message: String,
}

impl BadRequest {
    fn new(param: &'static str, message: impl Into<String>) -> Self {
        Self { code: None, param: Some(param), message: message.into() }
    }
}

/// The sizes that a deployment takes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Tokens of prompt.
    pub context_tokens_max: u64,
    /// Tokens of output.
    pub output_tokens_max: u64,
    /// Whether schemas are understood.
    pub structured_output: bool,
}

impl Request {
    /// Reads a body and refuses what the service would refuse.
    pub fn read(body: &Value, bounds: Bounds) -> Result<Self, BadRequest> {
        if body.get("stream") == Some(&Value::Bool(true)) {
            return Err(BadRequest::new(
                "stream",
                "The simulator does not stream: leave out 'stream'.",
            ));
        }
        for param in ["tools", "functions", "tool_choice"] {
            if body.get(param).is_some_and(|value| !value.is_null()) {
                let message = format!("The simulator has no tools: leave out '{param}'.");
                return Err(BadRequest::new(param, message));
            }
        }
        let messages = read_messages(body)?;
        let format = read_format(body, bounds)?;
        let max_out = read_max_out(body, bounds)?;
        let hash = hash_of(body);
        let request = Self { messages, format, max_out, hash };
        let tokens = request.prompt_tokens();
        if tokens > bounds.context_tokens_max {
            let max = bounds.context_tokens_max;
            return Err(BadRequest {
                code: Some("context_length_exceeded"),
                param: Some("messages"),
                message: format!(
                    "This model's maximum context length is {max} tokens. However, your messages \
                     resulted in {tokens} tokens. Please reduce the length of the messages."
                ),
            });
        }
        Ok(request)
    }

    /// What the limiter takes the prompt for: a token for four characters, and one a message.
    pub fn tokens_charged(&self) -> u64 {
        self.messages.iter().map(|message| message.text.chars().count() as u64 / 4 + 1).sum()
    }

    /// About what a tokenizer would count.
    pub fn prompt_tokens(&self) -> u64 {
        self.messages.iter().map(|message| tokens_of(&message.text) + 4).sum()
    }

    /// All text of the conversation.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.messages.iter().map(|message| message.text.as_str()).collect();
        texts.join("\n")
    }

    /// Whether the model is shown an earlier answer of its own.
    pub fn is_repair(&self) -> bool {
        self.messages.iter().any(|message| message.role == "assistant")
    }

    /// The text of the first user message that holds a document, or else of all user messages.
    pub fn document(&self) -> String {
        let users = || self.messages.iter().filter(|message| message.role == "user");
        match users().find(|message| message.text.contains("<document>")) {
            Some(message) => message.text.clone(),
            None => users().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// About what a tokenizer would count in printed business text.
pub fn tokens_of(text: &str) -> u64 {
    (text.chars().count() as f64 / 2.5).ceil() as u64
}

fn read_messages(body: &Value) -> Result<Vec<Message>, BadRequest> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(BadRequest::new("messages", "Missing required parameter: 'messages'."));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
        return Err(BadRequest::new("messages", message));
    }
    messages.iter().enumerate().map(|(index, message)| read_message(index, message)).collect()
}

fn read_message(index: usize, message: &Value) -> Result<Message, BadRequest> {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    if !["system", "developer", "user", "assistant", "tool"].contains(&role) {
        let text = format!("Invalid value for 'messages[{index}].role': {role:?}.");
        return Err(BadRequest::new("messages", text));
    }
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        Some(Value::Null) | None if role == "assistant" => String::new(),
        _ => {
            let text = format!("Invalid type for 'messages[{index}].content': expected a string.");
            return Err(BadRequest::new("messages", text));
        }
    };
    Ok(Message { role: role.to_owned(), text })
}

fn read_format(body: &Value, bounds: Bounds) -> Result<Format, BadRequest> {
    let format = body.get("response_format").unwrap_or(&Value::Null);
    if format.is_null() {
        return Ok(Format::Text);
    }
    let invalid = |message: String| Err(BadRequest::new("response_format", message));
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") if !bounds.structured_output => invalid(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with \
             this model."
                .to_owned(),
        ),
        Some("json_schema") => {
            let wrapper = format.get("json_schema").unwrap_or(&Value::Null);
            let Some(name) = wrapper.get("name").and_then(Value::as_str) else {
                return invalid(
                    "Missing required parameter: 'response_format.json_schema.name'.".to_owned(),
                );
            };
            let Some(schema) = wrapper.get("schema").filter(|schema| schema.is_object()) else {
                return invalid(
                    "Missing required parameter: 'response_format.json_schema.schema'.".to_owned(),
                );
            };
            let is_strict = wrapper.get("strict") == Some(&Value::Bool(true));
            match schema::check(schema) {
                Err(fault) if is_strict => {
                    invalid(format!("Invalid schema for response_format '{name}': {fault}"))
                }
                _ => Ok(Format::Schema(schema.clone())),
            }
        }
        other => invalid(format!("Invalid value for 'response_format.type': {other:?}.")),
    }
}

fn read_max_out(body: &Value, bounds: Bounds) -> Result<Option<u64>, BadRequest> {
    for param in ["max_completion_tokens", "max_tokens"] {
        let Some(value) = body.get(param).filter(|value| !value.is_null()) else { continue };
        let max = bounds.output_tokens_max;
        return match value.as_u64() {
            Some(tokens) if tokens > max => Err(BadRequest::new(
                param,
                format!(
                    "{param} is too large: {tokens}. This model supports at most {max} completion \
                     tokens, whereas you provided {tokens}."
                ),
            )),
            Some(tokens) if tokens > 0 => Ok(Some(tokens)),
            _ => Err(BadRequest::new(param, format!("Invalid value for '{param}': {value}."))),
        };
    }
    Ok(None)
}

fn hash_of(body: &Value) -> String {
    let question =
        json!([body.get("messages"), body.pointer("/response_format/json_schema/schema")]);
    let digest = Sha256::digest(question.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { context_tokens_max: 100, output_tokens_max: 50, structured_output: true };

    fn message(text: &str) -> Value {
        json!([{ "role": "user", "content": text }])
    }

    fn refused(body: &Value, expected: &str) {
        let error = Request::read(body, BOUNDS).expect_err("refused").message;
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    #[test]
    fn bad_bodies_are_refused() {
        refused(&json!({}), "'messages'");
        refused(&json!({ "messages": [] }), "empty array");
        refused(&json!({ "messages": [{ "role": "me", "content": "" }] }), "messages[0].role");
        refused(&json!({ "messages": message("x"), "stream": true }), "stream");
        refused(&json!({ "messages": message("x"), "tools": [] }), "tools");
        refused(&json!({ "messages": message("x"), "max_tokens": 51 }), "is too large: 51");
        refused(&json!({ "messages": message(&"x".repeat(500)) }), "maximum context length is 100");
        let format = json!({ "type": "json_schema", "json_schema": {
            "name": "n", "strict": true, "schema": { "type": "object" } } });
        refused(
            &json!({ "messages": message("x"), "response_format": format }),
            "Invalid schema for response_format 'n': In context=()",
        );
    }

    #[test]
    fn a_prompt_is_measured_as_observed() {
        let body = json!({ "messages": message(&"x".repeat(28)) });
        let request = Request::read(&body, BOUNDS).expect("good");
        assert_eq!(request.tokens_charged(), 8);
        assert_eq!(request.hash.len(), 64);
    }

    #[test]
    fn the_document_is_that_of_the_first_question() {
        let body = json!({ "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "<document>a</document>" }] },
            { "role": "assistant", "content": "{}" },
            { "role": "user", "content": "mend it" },
        ] });
        let request = Request::read(&body, BOUNDS).expect("good");
        assert_eq!(request.document(), "<document>a</document>");
        assert!(request.is_repair());
    }
}
