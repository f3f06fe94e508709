//! A question to a model and its answer, as data.
//!
//! It must know nothing of documents, nor of who is asked or how: that is the pool's.

use super::effort::Effort;
use super::image::Image;
use super::json::{self, Repair};
use super::usage::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// A question to a model: messages, and the JSON Schema that the answer must follow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The model, by the name under which deployments offer it.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The name of the schema: letters, digits, `-` and `_`, at most 64.
    pub schema_name: String,
    /// The JSON Schema, already within the strict subset (POOL: structured outputs).
    pub schema: Value,
    /// The most tokens that the answer may have, thinking included.
    pub tokens_output_max: u32,
    /// How hard the model should think; none leaves it to the deployment's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<Effort>,
    /// Shown to the model after the words of the first message of the user, in this order: only
    /// deployments that see are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
}

impl Request {
    /// The characters (Unicode scalar values) of each message, which is what providers count at
    /// admission.
    pub fn characters(&self) -> impl Iterator<Item = usize> {
        self.messages.iter().map(|message| message.content.chars().count())
    }

    /// The characters of all messages.
    pub fn length(&self) -> u64 {
        self.characters().map(|count| count as u64).sum()
    }

    /// SHA-256 of everything that decides the answer: all but `tokens_output_max`.
    pub fn fingerprint(&self) -> [u8; 32] {
        let question = (&self.model, &self.messages, &self.schema_name, &self.schema);
        // Strings and JSON values always serialise.
        let mut text = serde_json::to_vec(&question).unwrap_or_default();
        text.extend(self.reasoning_effort.map(Effort::name).unwrap_or_default().as_bytes());
        text.extend(self.images.iter().flat_map(Image::hash));
        Sha256::digest(text).into()
    }
}

/// The answer of a deployment, raw: it is saved before anything looks into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The deployment that answered.
    pub deployment: String,
    /// The response body as it came.
    pub body: Value,
    /// How long the call took.
    pub duration_ms: u64,
}

/// A reply that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the model said: JSON and nothing else, where there is one value in it.
    pub content: String,
    /// What was done to find that.
    pub repairs: Vec<Repair>,
    /// The model as it names itself.
    pub model: String,
    /// Tokens of the question, as the provider counted them.
    pub tokens_input: u64,
    /// Tokens of the answer, as the provider counted them.
    pub tokens_output: u64,
}

/// A reply without a usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// `finish_reason: length`: asked again with more room.
    #[error(
        "the answer was cut off after {tokens_output} tokens, {tokens_reasoning} of them reasoning"
    )]
    Truncated {
        /// How long the answer was when it was cut, thinking included.
        tokens_output: u64,
        /// The tokens that the model thought with.
        tokens_reasoning: u64,
        /// Whether it still thought, or had only thought, when it was cut off.
        is_thinking: bool,
    },
    /// The provider's filter stopped the answer.
    #[error("the provider's content filter stopped the answer")]
    ContentFiltered,
    /// The model declined, in its own words.
    #[error("the model refused: {0}")]
    Refused(String),
    /// A fault of the server: no choices, no content, or no chat completion at all. The same
    /// question may well be answered when it is asked again.
    #[error("the reply has no answer in it: {0}")]
    Malformed(String),
}

impl Reply {
    /// The tokens as the provider counted them; zero where it does not say.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.body).unwrap_or_default()
    }

    /// Input and output tokens as the provider counted them; zero where it does not say.
    pub fn tokens(&self) -> (u64, u64) {
        let usage = self.usage();
        (usage.tokens_input, usage.tokens_output)
    }

    /// Reads the reply.
    ///
    /// # Errors
    /// When there is no usable answer in it.
    pub fn answer(&self) -> Result<Answer, ReplyFault> {
        let text = |pointer| self.body.pointer(pointer).and_then(Value::as_str);
        let usage = Usage::of(&self.body).unwrap_or_default();
        let Usage { tokens_input, tokens_output, tokens_reasoning, .. } = usage;
        // Some servers send an empty one with every answer.
        let refusal = text("/choices/0/message/refusal");
        if let Some(refusal) = refusal.filter(|refusal| !refusal.is_empty()) {
            return Err(ReplyFault::Refused(refusal.chars().take(500).collect()));
        }
        // Who was made to call a tool may say something beside it: the call counts.
        let said = || self.body.pointer("/choices/0/message/content").and_then(text_of);
        let content = self.called().or_else(said).filter(|content| !content.trim().is_empty());
        match text("/choices/0/finish_reason") {
            Some("length") => {
                let is_thinking = content.as_deref().is_none_or(json::is_thought)
                    || tokens_reasoning.saturating_mul(2) >= tokens_output.max(1);
                return Err(ReplyFault::Truncated { tokens_output, tokens_reasoning, is_thinking });
            }
            Some("content_filter") => return Err(ReplyFault::ContentFiltered),
            _ => {}
        }
        let Some(content) = content else {
            let start = self.body.to_string().chars().take(200).collect();
            return Err(ReplyFault::Malformed(start));
        };
        let model = text("/model").unwrap_or_default().to_owned();
        let (content, repairs) = match json::find(&content) {
            Ok(found) => (found.text.into_owned(), found.repairs),
            // Whoever reads it says what is wrong.
            Err(_) => (content, Vec::new()),
        };
        Ok(Answer { content, repairs, model, tokens_input, tokens_output })
    }

    /// The arguments of the first call of a tool, if there is one.
    pub fn called(&self) -> Option<String> {
        match self.body.pointer("/choices/0/message/tool_calls/0/function/arguments")? {
            Value::String(text) => Some(text.clone()),
            // Some servers give the value instead of its text.
            value @ Value::Object(_) => Some(value.to_string()),
            _ => None,
        }
    }
}

/// The text of a `content`: a string, or parts of which some are text.
pub(crate) fn text_of(content: &Value) -> Option<String> {
    let text = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some("text" | "output_text") | None => part.get("text")?.as_str().map(str::to_owned),
        Some(_) => None,
    };
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(text).collect()),
        part => text(part),
    }
}

/// A call that brought no reply, by what the caller should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// 429: the deployment has no room now. Not paid; never counted against anything.
    #[error("{deployment} has no room: {message}")]
    Throttled {
        /// Who said so.
        deployment: String,
        /// When it said to come back.
        retry_after: Duration,
        /// What is short.
        why: Shortage,
        /// What it said.
        message: String,
    },
    /// The call never reached the deployment (DNS, connect, TLS). Not paid.
    #[error("{deployment} could not be reached: {message}")]
    Unreachable {
        /// Who was to be reached.
        deployment: String,
        /// What happened.
        message: String,
    },
    /// 503 and other passing faults (409, 424, 425, 502, 520 to 523, 525 to 527, 529): the deployment
    /// did not take the call up. Also 408, 499, 500, 504 and 524 while it has answered nobody since
    /// the last failure. Not paid.
    #[error("{deployment} is not available ({status}): {message}")]
    Unavailable {
        /// Who said so.
        deployment: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// 401, 403, 404: the deployment refuses until its configuration changes. Not paid.
    #[error("{deployment} refuses calls ({status}): {message}")]
    Denied {
        /// Who said so.
        deployment: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// 400, 413, 422: this question is wrong for this deployment. Not paid.
    #[error("{deployment} does not accept the question ({status}): {message}")]
    Refused {
        /// Who said so.
        deployment: String,
        /// The HTTP status.
        status: u16,
        /// Why.
        why: Refusal,
        /// What it said.
        message: String,
    },
    /// Time-out, reset, a gateway that gave up (408, 499, 500, 504, 524), a body that is no JSON: the
    /// model may have been paid.
    #[error("no answer from {deployment}: {message}")]
    Unknown {
        /// Who was asked.
        deployment: String,
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// What happened.
        message: String,
    },
}

/// What a deployment that has no room is short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Our quota is used up: it comes back at its rate.
    Quota,
    /// The provider's machines are busy, whatever our quota: fewer and smaller calls help, and other
    /// deployments do.
    Capacity,
}

/// Why a deployment does not accept a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The question is longer than the model's context.
    ContextTooLong,
    /// The provider's content filter stopped the question.
    ContentFiltered,
    /// The deployment takes no images: others may.
    Images,
    /// The schema is not accepted.
    Schema,
    /// The way of asking for JSON is not known there. A typed question was then asked in every other
    /// way, too.
    Mode,
    /// Anything else.
    Other,
}

impl CallError {
    /// Whether it is certain that nothing was paid.
    pub fn is_unbilled(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// What happened, without the name of the deployment.
    pub fn message(&self) -> &str {
        match self {
            Self::Throttled { message, .. }
            | Self::Unreachable { message, .. }
            | Self::Unavailable { message, .. }
            | Self::Denied { message, .. }
            | Self::Refused { message, .. }
            | Self::Unknown { message, .. } => message,
        }
    }

    /// The HTTP status, when there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Throttled { .. } => Some(429),
            Self::Unreachable { .. } => None,
            Self::Unavailable { status, .. }
            | Self::Denied { status, .. }
            | Self::Refused { status, .. } => Some(*status),
            Self::Unknown { status, .. } => *status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reply_is_read_whatever_mode_made_it() {
        let check = |choice: Value, expected: Result<&str, ReplyFault>| {
            let body = json!({ "choices": [choice], "usage": { "completion_tokens": 3 } });
            let reply = Reply { deployment: "d".into(), body, duration_ms: 1 };
            let content = reply.answer().map(|answer| answer.content);
            assert_eq!(content, expected.map(str::to_owned), "{}", reply.body);
        };
        let called = |arguments: Value| json!([{ "type": "function", "function": { "name": "n", "arguments": arguments } }]);
        let text = r#"{"a":1}"#;
        let calls = called(text.into());
        check(json!({ "message": { "content": text, "refusal": "" } }), Ok(text));
        check(json!({ "message": { "content": null, "tool_calls": calls } }), Ok(text));
        check(json!({ "message": { "content": "Done.", "tool_calls": calls } }), Ok(text));
        check(json!({ "message": { "tool_calls": called(json!({ "a": 1 })) } }), Ok(text));
        check(json!({ "message": { "content": text, "tool_calls": [] } }), Ok(text));
        let parts = json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] },
            { "type": "text", "text": "{\"a\"" }, { "type": "text", "text": ":1}" }]);
        check(json!({ "message": { "content": parts } }), Ok(text));
        check(json!({ "message": { "content": "<think>{}</think>{\"a\":1}" } }), Ok(text));
        check(json!({ "message": { "content": "no JSON" } }), Ok("no JSON"));
        let cut =
            ReplyFault::Truncated { tokens_output: 3, tokens_reasoning: 0, is_thinking: false };
        let thinking =
            ReplyFault::Truncated { tokens_output: 3, tokens_reasoning: 0, is_thinking: true };
        for content in [json!(null), json!(""), json!("<think>Well, {\"a\"")] {
            check(
                json!({ "message": { "content": content }, "finish_reason": "length" }),
                Err(thinking.clone()),
            );
        }
        for message in [json!({ "content": text }), json!({ "tool_calls": calls })] {
            check(json!({ "message": message, "finish_reason": "length" }), Err(cut.clone()));
        }
        let glitch = |body: Value| {
            let reply = Reply { deployment: "d".into(), body, duration_ms: 1 };
            assert!(matches!(reply.answer(), Err(ReplyFault::Malformed(_))), "{}", reply.body);
        };
        for choices in [json!([]), json!([{ "message": {} }]), json!(null)] {
            glitch(json!({ "choices": choices }));
        }
        for content in [json!(null), json!(""), json!(" \n")] {
            glitch(json!({ "choices": [{ "message": { "content": content } }] }));
        }
        glitch(json!({ "object": "list" }));
        let refused = ReplyFault::Refused("no".into());
        check(json!({ "message": { "content": text, "refusal": "no" } }), Err(refused));
    }
}
