//! One chat completion out of the events of a stream, for deployments that answer in no other way.
//!
//! Server-sent events as in the HTML standard (9.2), each with a chunk of a chat completion. It must
//! know nothing of connections.

use crate::typed::chat::text_of;
use serde_json::{Map, Value, json};

/// What a stream has brought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Streamed {
    /// A chat completion, as if it had come as a whole.
    Completion(Value),
    /// An event that says what went wrong.
    Failed(Value),
    /// It ended before the answer did.
    CutOff,
}

/// The last event of a stream.
const DONE: &str = "[DONE]";

/// Whether these bytes end with the last event of a stream: some servers leave the connection open.
pub(crate) fn is_over(bytes: &[u8]) -> bool {
    bytes.trim_ascii_end().ends_with(b"data: [DONE]")
}

/// Reads a stream; none where the text is none.
pub(crate) fn read(text: &str) -> Option<Streamed> {
    let mut stream = Stream::default();
    let mut is_stream = false;
    for data in events(text) {
        is_stream = true;
        if data.trim() == DONE {
            stream.is_done = true;
            break;
        }
        let Ok(event) = serde_json::from_str::<Value>(&data) else { continue };
        let is_error = event.get("error").is_some_and(|error| !error.is_null());
        if is_error && event.get("choices").is_none() {
            return Some(Streamed::Failed(event));
        }
        stream.add(event);
    }
    is_stream.then(|| stream.end())
}

/// The data of each event.
fn events(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    std::iter::from_fn(move || {
        let mut data: Option<String> = None;
        for line in lines.by_ref() {
            match line.strip_prefix("data:") {
                Some(more) => {
                    let more = more.strip_prefix(' ').unwrap_or(more);
                    match &mut data {
                        Some(data) => *data = format!("{data}\n{more}"),
                        None => data = Some(more.to_owned()),
                    }
                }
                None if line.is_empty() && data.is_some() => break,
                // Names, numbers and comments.
                None => {}
            }
        }
        data
    })
}

/// What has come so far.
#[derive(Default)]
struct Stream {
    /// The members of the chunks beside `choices`; the last of each counts.
    members: Map<String, Value>,
    message: Map<String, Value>,
    finish_reason: Value,
    has_choice: bool,
    is_done: bool,
}

impl Stream {
    fn add(&mut self, event: Value) {
        let Value::Object(event) = event else { return };
        for (name, value) in event {
            match (name.as_str(), value) {
                ("choices", Value::Array(choices)) => {
                    // Only one answer was asked for.
                    let first = |choice: &Value| choice["index"].as_u64().unwrap_or_default() == 0;
                    choices.into_iter().filter(first).for_each(|choice| self.add_choice(choice));
                }
                (_, Value::Null) => {}
                (_, value) => drop(self.members.insert(name, value)),
            }
        }
    }

    fn add_choice(&mut self, mut choice: Value) {
        self.has_choice = true;
        if let Some(reason) = choice.get("finish_reason").filter(|reason| !reason.is_null()) {
            self.finish_reason = reason.clone();
        }
        // Some servers call it as in an answer that is no stream.
        let name = if choice.get("delta").is_some() { "delta" } else { "message" };
        let delta = choice.get_mut(name).map(Value::take);
        let Some(Value::Object(delta)) = delta else { return };
        for (name, value) in delta {
            match value {
                Value::Null => {}
                Value::Array(calls) if name == "tool_calls" => {
                    calls.into_iter().for_each(|call| self.add_call(call));
                }
                value if name == "content" => {
                    if let Some(text) = text_of(&value) {
                        append(&mut self.message, name, &text);
                    }
                }
                // `role` is said once, or with every chunk.
                Value::String(text) if name != "role" => append(&mut self.message, name, &text),
                value => drop(self.message.insert(name, value)),
            }
        }
    }

    /// A part of the call of a tool: only the arguments come in pieces.
    fn add_call(&mut self, call: Value) {
        let calls = self.message.entry("tool_calls").or_insert_with(|| json!([]));
        let Some(calls) = calls.as_array_mut() else { return };
        let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
        let same = |other: &&mut Value| other.get("index") == call.get("index");
        match calls.iter_mut().find(same) {
            Some(known) => {
                if let Some(Value::String(text)) = known.pointer_mut("/function/arguments") {
                    text.push_str(arguments.unwrap_or_default());
                }
            }
            None => calls.push(call),
        }
    }

    fn end(mut self) -> Streamed {
        if !self.has_choice || (self.finish_reason.is_null() && !self.is_done) {
            return Streamed::CutOff;
        }
        let message = Value::Object(self.message);
        let choice = json!({ "index": 0, "message": message, "finish_reason": self.finish_reason });
        self.members.insert("choices".to_owned(), json!([choice]));
        Streamed::Completion(Value::Object(self.members))
    }
}

fn append(message: &mut Map<String, Value>, name: String, text: &str) {
    match message.entry(name).or_insert_with(|| "".into()) {
        Value::String(known) => known.push_str(text),
        other => *other = text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(choices: Value) -> String {
        format!("data: {}\n\n", json!({ "model": "m", "usage": null, "choices": choices }))
    }

    fn completion(text: &str) -> Value {
        match read(text) {
            Some(Streamed::Completion(body)) => body,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_pieces_make_one_answer() {
        let piece = |content: Value| {
            chunk(json!([{ "index": 0, "delta": { "role": "assistant", "content": content } }]))
        };
        let end = chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]));
        let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\r\n\r\n";
        let parts =
            json!([{ "type": "thinking", "thinking": [] }, { "type": "text", "text": "1}" }]);
        let text = [
            ": a comment\n\n".to_owned(),
            piece("".into()),
            piece("{\"a\":".into()),
            piece(parts),
            end,
            usage.to_owned(),
            "data: [DONE]\n\n".to_owned(),
        ];
        let body = completion(&text.concat());
        assert_eq!(body["choices"][0]["message"]["content"], "{\"a\":1}");
        assert_eq!(body["choices"][0]["message"]["role"], "assistant");
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        assert_eq!((&body["model"], &body["usage"]["prompt_tokens"]), (&json!("m"), &json!(3)));
        assert!(is_over(text.concat().as_bytes()));
    }

    #[test]
    fn the_arguments_of_a_tool_come_in_pieces() {
        let piece = |call: Value| chunk(json!([{ "delta": { "tool_calls": [call] } }]));
        let text = [
            piece(json!({ "index": 0, "id": "c", "function": { "name": "n", "arguments": "" } })),
            piece(json!({ "index": 0, "function": { "arguments": "{\"a\"" } })),
            piece(json!({ "index": 0, "function": { "arguments": ":1}" } })),
            chunk(json!([{ "delta": {}, "finish_reason": "tool_calls" }])),
        ];
        let body = completion(&text.concat());
        let call = &body["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"], json!({ "name": "n", "arguments": "{\"a\":1}" }));
    }

    #[test]
    fn a_stream_that_breaks_is_no_answer() {
        let piece = chunk(json!([{ "delta": { "content": "{\"a\"" } }]));
        assert_eq!(read(&piece), Some(Streamed::CutOff));
        assert_eq!(read("data: [DONE]\n\n"), Some(Streamed::CutOff));
        let error = "event: error\ndata: {\"error\":{\"code\":429}}\n\n";
        assert!(matches!(read(&(piece + error)), Some(Streamed::Failed(_))));
        assert_eq!(read("{\"choices\":[]}"), None);
        assert_eq!(read(""), None);
    }
}
