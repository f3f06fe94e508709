//! The body of a chat completion: read, checked as the service checks it, and measured. It must
//! never know which deployment it is for.

use crate::{image, schema};
use serde::Deserialize;
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
    /// The tokens of its images.
    pub image_tokens: u64,
}

/// What the answer must look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Any text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema, as `json_schema`.
    Schema(Value),
    /// JSON of this schema, as `json_object` with the key `schema`.
    ObjectSchema(Value),
    /// A call of this tool.
    Tool {
        /// The tool's name.
        name: String,
        /// The schema of its arguments.
        schema: Value,
    },
}

impl Format {
    /// The way of asking for JSON, if JSON is asked for.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::Text => None,
            Self::JsonObject => Some(Mode::JsonObject),
            Self::Schema(_) => Some(Mode::JsonSchema),
            Self::ObjectSchema(_) => Some(Mode::JsonObjectSchema),
            Self::Tool { .. } => Some(Mode::Tool),
        }
    }
}

/// A way of asking for JSON.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `response_format` of type `json_schema`.
    JsonSchema,
    /// `tools` and `tool_choice`.
    Tool,
    /// `response_format` of type `json_object` with the key `schema`.
    JsonObjectSchema,
    /// `response_format` of type `json_object`.
    JsonObject,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::JsonSchema, Self::Tool, Self::JsonObjectSchema, Self::JsonObject];
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

/// What a deployment takes.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Tokens of prompt.
    pub context_tokens_max: u64,
    /// Tokens of output.
    pub output_tokens_max: u64,
    /// The ways of asking for JSON that are understood.
    pub modes: Vec<Mode>,
    /// Whether the model takes images.
    pub vision: bool,
}

impl Request {
    /// Reads a body and refuses what the service would refuse.
    pub fn read(body: &Value, bounds: &Bounds) -> Result<Self, BadRequest> {
        if body.get("stream") == Some(&Value::Bool(true)) {
            return Err(BadRequest::new(
                "stream",
                "The simulator does not stream: leave out 'stream'.",
            ));
        }
        let messages = read_messages(body, bounds.vision)?;
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

    /// What the limiter takes the prompt for: a token for four characters, one a message, and those of
    /// images.
    pub fn tokens_charged(&self) -> u64 {
        let charged =
            |message: &Message| message.text.chars().count() as u64 / 4 + 1 + message.image_tokens;
        self.messages.iter().map(charged).sum()
    }

    /// About what a tokenizer would count.
    pub fn prompt_tokens(&self) -> u64 {
        self.messages
            .iter()
            .map(|message| tokens_of(&message.text) + 4 + message.image_tokens)
            .sum()
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

fn read_messages(body: &Value, vision: bool) -> Result<Vec<Message>, BadRequest> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(BadRequest::new("messages", "Missing required parameter: 'messages'."));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
        return Err(BadRequest::new("messages", message));
    }
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| read_message(index, message, vision))
        .collect()
}

fn read_message(index: usize, message: &Value, vision: bool) -> Result<Message, BadRequest> {
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
    Ok(Message { role: role.to_owned(), text, image_tokens: read_images(message, vision)? })
}

/// The tokens of all images of a message.
fn read_images(message: &Value, vision: bool) -> Result<u64, BadRequest> {
    let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
    let images = parts.filter(|part| part["type"] == "image_url");
    let tokens = images.map(|part| match vision {
        true => image::tokens(part),
        false => Err("Invalid content type. image_url is only supported by certain models.".into()),
    });
    tokens.sum::<Result<u64, String>>().map_err(|error| BadRequest::new("messages", error))
}

/// A tool counts only where it must be called: the simulator never calls one of its own accord.
fn read_tool(body: &Value, bounds: &Bounds) -> Result<Option<Format>, BadRequest> {
    let Some(tools) = body.get("tools").filter(|tools| !tools.is_null()) else { return Ok(None) };
    let invalid = |param, message: String| Err(BadRequest::new(param, message));
    if !bounds.modes.contains(&Mode::Tool) {
        return invalid("tools", "Unsupported parameter: 'tools' is not supported.".to_owned());
    }
    let Some(name) = body.pointer("/tool_choice/function/name").and_then(Value::as_str) else {
        let message = "The simulator calls a tool only when 'tool_choice' names it.".to_owned();
        return invalid("tool_choice", message);
    };
    let mut functions = tools.as_array().into_iter().flatten().filter_map(|t| t.get("function"));
    let Some(function) = functions.find(|f| f.get("name").and_then(Value::as_str) == Some(name))
    else {
        return invalid("tool_choice", format!("Tool choice '{name}' not found in 'tools'."));
    };
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({ "type": "object" }));
    match schema::check(&schema) {
        Err(fault) if function.get("strict") == Some(&Value::Bool(true)) => {
            invalid("tools", format!("Invalid schema for function '{name}': {fault}"))
        }
        _ => Ok(Some(Format::Tool { name: name.to_owned(), schema })),
    }
}

fn read_format(body: &Value, bounds: &Bounds) -> Result<Format, BadRequest> {
    if let Some(tool) = read_tool(body, bounds)? {
        return Ok(tool);
    }
    let format = body.get("response_format").unwrap_or(&Value::Null);
    if format.is_null() {
        return Ok(Format::Text);
    }
    let invalid = |message: String| Err(BadRequest::new("response_format", message));
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => match format.get("schema") {
            Some(schema) if bounds.modes.contains(&Mode::JsonObjectSchema) => {
                Ok(Format::ObjectSchema(schema.clone()))
            }
            Some(_) => invalid("Unknown parameter: 'response_format.schema'.".to_owned()),
            None if bounds.modes.contains(&Mode::JsonObject) => Ok(Format::JsonObject),
            None => invalid(unsupported("json_object")),
        },
        Some("json_schema") if !bounds.modes.contains(&Mode::JsonSchema) => {
            invalid(unsupported("json_schema"))
        }
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

fn unsupported(kind: &str) -> String {
    format!(
        "Invalid parameter: 'response_format' of type '{kind}' is not supported with this model."
    )
}

fn read_max_out(body: &Value, bounds: &Bounds) -> Result<Option<u64>, BadRequest> {
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
    let places = [
        "/response_format/json_schema/schema",
        "/response_format/schema",
        "/tools/0/function/parameters",
    ];
    let schema = places.into_iter().find_map(|place| body.pointer(place));
    let question = json!([body.get("messages"), schema]);
    let digest = Sha256::digest(question.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds {
            context_tokens_max: 100,
            output_tokens_max: 50,
            modes: Mode::ALL.to_vec(),
            vision: true,
        }
    }

    fn message(text: &str) -> Value {
        json!([{ "role": "user", "content": text }])
    }

    fn refused(body: &Value, expected: &str) {
        let error = Request::read(body, &bounds()).expect_err("refused").message;
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    #[test]
    fn bad_bodies_are_refused() {
        refused(&json!({}), "'messages'");
        refused(&json!({ "messages": [] }), "empty array");
        refused(&json!({ "messages": [{ "role": "me", "content": "" }] }), "messages[0].role");
        refused(&json!({ "messages": message("x"), "stream": true }), "stream");
        refused(&json!({ "messages": message("x"), "tools": [] }), "tool_choice");
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
    fn images_are_decoded_and_counted_or_refused() {
        // A PNG of one pixel, from Wikipedia's page on data URLs.
        let dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let body = |url: String| {
            let image = json!({ "type": "image_url", "image_url": { "url": url } });
            let text = json!({ "type": "text", "text": "What is it?" });
            json!({ "messages": [{ "role": "user", "content": [text, image] }] })
        };
        let shown = body(format!("data:image/png;base64,{dot}"));
        let bounds = Bounds { context_tokens_max: 1000, ..bounds() };
        let request = Request::read(&shown, &bounds).expect("good");
        assert_eq!((request.tokens_charged(), request.prompt_tokens()), (2 + 1 + 255, 5 + 4 + 255));
        let refused = |body: &Value, bounds: &Bounds, expected: &str| {
            let error = Request::read(body, bounds).expect_err("refused").message;
            assert!(error.contains(expected), "{error}");
        };
        let blind = Bounds { vision: false, ..bounds.clone() };
        refused(&shown, &blind, "image_url is only supported by certain models");
        refused(&body("https://example.com/a.png".into()), &bounds, "data URLs");
        refused(&body("data:image/png;base64,%".into()), &bounds, "Invalid base64");
        refused(&body("data:image/png;base64,iVBORw0KGgo=".into()), &bounds, "unsupported image");
    }

    #[test]
    fn each_mode_is_read_or_refused() {
        let schema = json!({ "type": "object", "properties": {} });
        let format = |format: Value| json!({ "messages": message("x"), "response_format": format });
        let tools = json!({
            "messages": message("x"),
            "tools": [{ "type": "function", "function": { "name": "n", "parameters": schema } }],
            "tool_choice": { "type": "function", "function": { "name": "n" } },
        });
        let named = json!({ "name": "n", "schema": schema });
        for (mode, body, param) in [
            (
                Mode::JsonSchema,
                format(json!({ "type": "json_schema", "json_schema": named })),
                "response_format",
            ),
            (Mode::Tool, tools, "tools"),
            (
                Mode::JsonObjectSchema,
                format(json!({ "type": "json_object", "schema": schema })),
                "response_format",
            ),
            (Mode::JsonObject, format(json!({ "type": "json_object" })), "response_format"),
        ] {
            let read = Request::read(&body, &bounds()).expect("good");
            assert_eq!(read.format.mode(), Some(mode));
            let others = Mode::ALL.into_iter().filter(|other| *other != mode).collect();
            let bounds = Bounds { modes: others, ..bounds() };
            let refused = Request::read(&body, &bounds).expect_err("refused");
            assert_eq!(refused.param, Some(param), "{mode:?}: {refused:?}");
        }
    }

    #[test]
    fn a_prompt_is_measured_as_observed() {
        let body = json!({ "messages": message(&"x".repeat(28)) });
        let request = Request::read(&body, &bounds()).expect("good");
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
        let request = Request::read(&body, &bounds()).expect("good");
        assert_eq!(request.document(), "<document>a</document>");
        assert!(request.is_repair());
    }
}
