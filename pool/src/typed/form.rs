//! The form of question and answer in each mode: what the request says, and whether the answer
//! keeps to it.
//!
//! It must know nothing of which mode is chosen, nor of how a request is sent.

use crate::typed::chat::{Message, Reply, ReplyFault, Request, Role};
use crate::typed::json;
use crate::typed::mode::{Ending, Mode};
use serde_json::{Map, Value, json};

/// Where requests differ by server and model.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    /// The field that limits the answer.
    pub(crate) limit: &'static str,
    /// Newer models take no other temperature than their own.
    pub(crate) temperature: bool,
}

/// The request as providers want it. Key order is kept: the schema is part of the cached prefix.
pub(crate) fn question(model: &str, dialect: Dialect, mode: Mode, request: &Request) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), messages(mode, request));
    match mode {
        Mode::JsonSchema => {
            let schema = json!({
                "name": request.schema_name, "strict": true, "schema": request.schema,
            });
            let format = json!({ "type": "json_schema", "json_schema": schema });
            body.insert("response_format".to_owned(), format);
        }
        Mode::Tool => {
            let function = json!({
                "name": request.schema_name,
                "description": "Takes the values that were asked for.",
                "strict": true,
                "parameters": request.schema,
            });
            let choice = json!({ "name": request.schema_name });
            body.insert("tools".to_owned(), json!([{ "type": "function", "function": function }]));
            let choice = json!({ "type": "function", "function": choice });
            body.insert("tool_choice".to_owned(), choice);
        }
        Mode::JsonObjectSchema => {
            let format = json!({ "type": "json_object", "schema": request.schema });
            body.insert("response_format".to_owned(), format);
        }
        Mode::JsonObject => {
            body.insert("response_format".to_owned(), json!({ "type": "json_object" }));
        }
    }
    body.insert(dialect.limit.to_owned(), request.tokens_output_max.into());
    if dialect.temperature {
        body.insert("temperature".to_owned(), 0.into());
    }
    Value::Object(body)
}

fn messages(mode: Mode, request: &Request) -> Value {
    if mode != Mode::JsonObject {
        return json!(request.messages);
    }
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
    json!(messages)
}

/// Whether a reply has the form that the mode promises.
pub(crate) fn ending(mode: Mode, request: &Request, reply: &Reply) -> Ending {
    let content = match reply.answer() {
        Ok(answer) => answer.content,
        Err(ReplyFault::Malformed(_)) if mode == Mode::Tool => return Ending::Ignored,
        Err(_) => return Ending::Unrelated,
    };
    let kept = match mode {
        Mode::Tool => reply.called().is_some(),
        Mode::JsonObject => json::read(&content).is_ok_and(|value| value.is_object()),
        Mode::JsonSchema | Mode::JsonObjectSchema => {
            serde_json::from_str(&content).is_ok_and(|value| fits(&request.schema, &value))
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
        }
    }

    #[test]
    fn each_mode_asks_in_its_way() {
        let dialect = Dialect { limit: "max_completion_tokens", temperature: true };
        let questions = Mode::ALL.map(|mode| question("m", dialect, mode, &request()));
        insta::assert_snapshot!(serde_json::to_string_pretty(&questions).unwrap());
    }

    #[test]
    fn the_schema_in_the_prompt_needs_no_instructions() {
        let mut request = request();
        request.messages.remove(0);
        let messages = messages(Mode::JsonObject, &request);
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
        check(Mode::JsonObject, fenced, "stop", Ending::Kept);
        check(Mode::JsonObject, content("no"), "stop", Ending::Ignored);
    }
}
