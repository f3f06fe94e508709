//! The form of question and answer in each mode: what the request says, and whether the answer
//! keeps to it.
//!
//! It must know nothing of which mode is chosen, nor of how a request is sent.

use crate::typed::chat::{Message, Reply, ReplyFault, Request, Role};
use crate::typed::dialect::{Dialect, Part};
use crate::typed::effort::Effort;
use crate::typed::image::Image;
use crate::typed::json::Repair;
use crate::typed::mode::{Ending, Mode};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// How a question is put to one deployment.
pub(crate) struct Wording<'a> {
    /// What a request calls the model.
    pub(crate) model: &'a str,
    pub(crate) mode: Mode,
    /// What the deployment does not take.
    pub(crate) dialect: &'a Dialect,
    /// The field that limits the answer, and the one that is used where that was refused.
    pub(crate) limits: [Part; 2],
    /// Whether a temperature is worth a try.
    pub(crate) temperature: bool,
    /// How hard it should think, where the question does not say.
    pub(crate) effort: Option<Effort>,
}

/// The request as this deployment wants it. Key order is kept: the schema is part of the cached
/// prefix.
pub(crate) fn question(wording: &Wording<'_>, request: &Request) -> Map<String, Value> {
    let Wording { model, mode, dialect, .. } = wording;
    let mut body = Map::new();
    body.insert("model".to_owned(), (*model).into());
    let takes_system = dialect.takes(Part::SystemRole);
    body.insert("messages".to_owned(), messages(*mode, takes_system, request));
    ask_for_json(&mut body, *mode, dialect.takes(Part::Strict), request);
    let room = request.tokens_output_max.min(dialect.tokens_output_max.unwrap_or(u32::MAX));
    if let Some(limit) = wording.limits.into_iter().find(|part| dialect.takes(*part)) {
        body.insert(limit.name().to_owned(), room.into());
    }
    if wording.temperature && dialect.takes(Part::Temperature) {
        body.insert("temperature".to_owned(), 0.into());
    }
    let effort = request.reasoning_effort.or(wording.effort);
    if let Some(effort) = effort.and_then(|effort| dialect.effort(effort)) {
        body.insert("reasoning_effort".to_owned(), effort.name().into());
    }
    if !dialect.takes(Part::WholeAnswer) {
        body.insert("stream".to_owned(), true.into());
        if dialect.takes(Part::StreamOptions) {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
    }
    body
}

fn ask_for_json(body: &mut Map<String, Value>, mode: Mode, strict: bool, request: &Request) {
    let format = match mode {
        Mode::JsonSchema => {
            let mut schema = json!({ "name": request.schema_name });
            if strict {
                schema["strict"] = true.into();
            }
            schema["schema"] = request.schema.clone();
            json!({ "type": "json_schema", "json_schema": schema })
        }
        Mode::Tool => {
            let mut function = json!({
                "name": request.schema_name,
                "description": "Takes the values that were asked for.",
            });
            if strict {
                function["strict"] = true.into();
            }
            function["parameters"] = request.schema.clone();
            let choice = json!({ "name": request.schema_name });
            body.insert("tools".to_owned(), json!([{ "type": "function", "function": function }]));
            let choice = json!({ "type": "function", "function": choice });
            body.insert("tool_choice".to_owned(), choice);
            return;
        }
        Mode::JsonObjectSchema => json!({ "type": "json_object", "schema": request.schema }),
        Mode::JsonObject => json!({ "type": "json_object" }),
        Mode::Prompt => return,
    };
    body.insert("response_format".to_owned(), format);
}

fn messages(mode: Mode, takes_system: bool, request: &Request) -> Value {
    let mut messages = match mode {
        Mode::JsonObject | Mode::Prompt => with_schema(request),
        Mode::JsonSchema | Mode::Tool | Mode::JsonObjectSchema => request.messages.clone(),
    };
    if !takes_system {
        let is_system = |message: &Message| message.role == Role::System;
        let instructions = messages.iter().filter(|message| is_system(message));
        let instructions: Vec<_> = instructions.map(|message| message.content.clone()).collect();
        messages.retain(|message| !is_system(message));
        if let Some(user) = messages.first_mut() {
            user.content = format!("{}\n\n{}", instructions.join("\n\n"), user.content);
        }
    }
    let mut messages = json!(messages);
    let users = messages.as_array_mut().into_iter().flatten();
    if let Some(user) = users.into_iter().find(|message| message["role"] == "user") {
        show(user, &request.images);
    }
    messages
}

/// Puts images after the words of a message.
fn show(message: &mut Value, images: &[Image]) {
    if images.is_empty() {
        return;
    }
    let words = json!({ "type": "text", "text": message["content"] });
    let image = |image: &Image| {
        let url = format!("data:image/png;base64,{}", STANDARD.encode(&image.png));
        // The small print of documents needs all of it.
        json!({ "type": "image_url", "image_url": { "url": url, "detail": "high" } })
    };
    message["content"] = std::iter::once(words).chain(images.iter().map(image)).collect();
}

/// The messages with the schema in words.
fn with_schema(request: &Request) -> Vec<Message> {
    let schema = format!(
        "Answer with one JSON object and nothing else. It follows this JSON Schema, and has every \
         property that the schema requires:\n{}",
        request.schema
    );
    let mut messages = request.messages.clone();
    // With the instructions, before the document: so it is part of what providers cache.
    match messages.first_mut().filter(|message| message.role == Role::System) {
        Some(system) => system.content = format!("{}\n\n{schema}", system.content),
        None => messages.insert(0, Message { role: Role::System, content: schema }),
    }
    messages
}

/// Whether a reply has the form that the mode promises.
pub(crate) fn ending(mode: Mode, request: &Request, reply: &Reply) -> Ending {
    let answer = match reply.answer() {
        Ok(answer) => answer,
        Err(ReplyFault::Malformed(_)) if mode == Mode::Tool => return Ending::Ignored,
        Err(_) => return Ending::Unrelated,
    };
    let read = || serde_json::from_str::<Value>(&answer.content).ok();
    let kept = match mode {
        Mode::Tool => reply.called().is_some(),
        Mode::JsonObject | Mode::Prompt => read().is_some_and(|value| value.is_object()),
        // Where the form is enforced there is nothing to mend; thoughts may go before.
        Mode::JsonSchema | Mode::JsonObjectSchema => {
            answer.repairs.iter().all(|repair| *repair == Repair::Thoughts)
                && read().is_some_and(|value| fits(&request.schema, &value))
        }
    };
    if kept { Ending::Kept } else { Ending::Ignored }
}

/// Whether the value has the properties that the schema names, as it must where it was enforced.
fn fits(schema: &Value, value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let names = |key| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let has_all = names("required").filter_map(Value::as_str).all(|name| object.contains_key(name));
    let known = schema.get("properties").and_then(Value::as_object);
    has_all && known.is_none_or(|known| object.keys().all(|name| known.contains_key(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let message = |role, content: &str| Message { role, content: content.into() };
        Request {
            model: "m".into(),
            messages: vec![message(Role::System, "Read."), message(Role::User, "Total 3")],
            schema_name: "invoice".into(),
            schema: json!({
                "type": "object", "additionalProperties": false,
                "required": ["total"], "properties": { "total": { "type": "number" } },
            }),
            tokens_output_max: 500,
            reasoning_effort: None,
            images: Vec::new(),
        }
    }

    #[test]
    fn each_mode_asks_in_its_way() {
        let dialect = Dialect::default();
        let questions = Mode::ALL.map(|mode| question(&wording(mode, &dialect), &request()));
        insta::assert_snapshot!(serde_json::to_string_pretty(&questions).unwrap());
    }

    fn wording(mode: Mode, dialect: &Dialect) -> Wording<'_> {
        let limits = [Part::MaxCompletionTokens, Part::MaxTokens];
        let effort = Some(Effort::Minimal);
        Wording { model: "m", mode, dialect, limits, temperature: true, effort }
    }

    #[test]
    fn nothing_is_sent_that_was_refused() {
        for mode in Mode::ALL {
            for part in Part::ALL {
                let dialect = Dialect { refuses: [part].into(), ..Dialect::default() };
                let body = question(&wording(mode, &dialect), &request());
                assert!(!part.is_in(&body), "{part:?} {mode:?} {body:?}");
                let limits = [Part::MaxCompletionTokens, Part::MaxTokens];
                assert_eq!(limits.into_iter().filter(|limit| limit.is_in(&body)).count(), 1);
                let told = body["messages"].to_string();
                assert!(told.contains("Read.") && told.contains("Total 3"), "{told}");
            }
        }
        let dialect = Dialect {
            refuses: Part::ALL.into(),
            efforts_refused: [Effort::Minimal].into(),
            tokens_output_max: Some(80),
            ..Dialect::default()
        };
        let body = question(&wording(Mode::Prompt, &dialect), &request());
        let names: Vec<&str> = body.keys().map(String::as_str).collect();
        assert_eq!(names, ["model", "messages", "stream"]);
        let dialect = Dialect { refuses: [Part::MaxTokens].into(), ..dialect };
        let body = question(&wording(Mode::Prompt, &dialect), &request());
        assert_eq!(
            (&body["max_completion_tokens"], &body["reasoning_effort"]),
            (&json!(80), &json!("low"))
        );
    }

    #[test]
    fn images_stand_after_the_words_of_the_user() {
        let image = |png: &'static [u8]| Image { png: png.into(), width: 1, height: 1 };
        let shown = Request { images: vec![image(b"one"), image(b"two")], ..request() };
        for takes_system in [true, false] {
            let messages = messages(Mode::JsonSchema, takes_system, &shown);
            let user = messages.as_array().unwrap().iter().find(|m| m["role"] == "user").unwrap();
            let parts = user["content"].as_array().unwrap();
            assert!(parts[0]["text"].as_str().unwrap().ends_with("Total 3"), "{user}");
            let urls = parts[1..].iter().map(|part| part["image_url"]["url"].as_str().unwrap());
            let expected = ["data:image/png;base64,b25l", "data:image/png;base64,dHdv"];
            assert!(urls.eq(expected), "{user}");
        }
        // Another image is another question.
        let other = Request { images: vec![image(b"one"), image(b"2")], ..request() };
        assert_ne!(shown.fingerprint(), other.fingerprint());
        assert_ne!(shown.fingerprint(), request().fingerprint());
    }

    #[test]
    fn the_schema_in_the_prompt_needs_no_instructions() {
        let mut request = request();
        request.messages.remove(0);
        let messages = messages(Mode::JsonObject, true, &request);
        assert_eq!(messages[0]["role"], "system");
        assert!(messages[0]["content"].as_str().unwrap().contains(r#""required":["total"]"#));
        assert_eq!(messages[1]["content"], "Total 3");
    }

    #[test]
    fn an_answer_keeps_to_its_mode_or_not() {
        let check = |mode, message: Value, finish_reason: &str, expected| {
            let body =
                json!({ "choices": [{ "message": message, "finish_reason": finish_reason }] });
            let reply = Reply { deployment: "d".into(), body, duration_ms: 1 };
            assert_eq!(ending(mode, &request(), &reply), expected, "{mode:?} {}", reply.body);
        };
        let content = |text: &str| json!({ "content": text });
        let (good, fenced) = (content(r#"{"total":3}"#), content("```json\n{\"total\":3}\n```"));
        let called = json!({ "content": null, "tool_calls": [
            { "type": "function", "function": { "name": "invoice", "arguments": "{\"total\":3}" } },
        ] });
        for mode in [Mode::JsonSchema, Mode::JsonObjectSchema] {
            check(mode, good.clone(), "stop", Ending::Kept);
            check(mode, fenced.clone(), "stop", Ending::Ignored);
            let thought = content(r#"<think>{"sum":3}?</think>{"total":3}"#);
            check(mode, thought, "stop", Ending::Kept);
            check(mode, content(r#"{"total":3,}"#), "stop", Ending::Ignored);
            check(mode, content(r#"{"sum":3}"#), "stop", Ending::Ignored);
            check(mode, content(r#"{"total":3,"sum":3}"#), "stop", Ending::Ignored);
            check(mode, content("The total is 3."), "stop", Ending::Ignored);
            check(mode, good.clone(), "length", Ending::Unrelated);
            check(mode, content("half"), "content_filter", Ending::Unrelated);
            check(mode, json!({ "refusal": "no" }), "stop", Ending::Unrelated);
            check(mode, json!({}), "stop", Ending::Unrelated);
        }
        check(Mode::Tool, called, "tool_calls", Ending::Kept);
        check(Mode::Tool, fenced.clone(), "stop", Ending::Ignored);
        check(Mode::Tool, json!({ "content": null }), "stop", Ending::Ignored);
        check(Mode::JsonObject, fenced.clone(), "stop", Ending::Kept);
        check(Mode::Prompt, fenced, "stop", Ending::Kept);
        check(Mode::JsonObject, content("no"), "stop", Ending::Ignored);
    }
}
