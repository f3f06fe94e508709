//! What servers write when they refuse a part of a request, in the shapes that are known of them.

use super::Complaint::{Lesson as Learned, Mode, Room};
use super::*;
use crate::typed::dialect::Lesson::{
    Effort as Value_, OutputMax, Refused, SchemaLevels, SchemaProperties,
};
use proptest::prelude::*;
use serde_json::json;

fn body(limit: &str) -> Map<String, Value> {
    let body = json!({
        "model": "m", "messages": [{ "role": "system", "content": "" }], limit: 20_000,
        "temperature": 0, "reasoning_effort": "minimal",
        "response_format": { "type": "json_schema", "json_schema": { "strict": true } },
    });
    body.as_object().unwrap().clone()
}

fn check(refusal: &Value, expected: &[Complaint]) {
    let text = refusal.as_str().map_or_else(|| refusal.to_string(), str::to_owned);
    let limit = if expected == [Learned(Refused(Part::MaxTokens))] {
        "max_tokens"
    } else {
        "max_completion_tokens"
    };
    assert_eq!(read(&text, &body(limit)), expected, "{text}");
}

fn openai(message: &str, param: Value, code: Value) -> Value {
    json!({ "error": { "message": message, "type": "invalid_request_error", "param": param, "code": code } })
}

fn said(message: &str) -> Value {
    openai(message, json!(null), json!(null))
}

#[test]
fn errors_that_name_the_place_are_read() {
    let use_other = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    check(
        &openai(use_other, "max_tokens".into(), "unsupported_parameter".into()),
        &[Learned(Refused(Part::MaxTokens))],
    );
    let value = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.";
    check(
        &openai(value, "temperature".into(), "unsupported_value".into()),
        &[Learned(Refused(Part::Temperature))],
    );
    let forbidden = |loc: Value| json!({ "type": "extra_forbidden", "loc": loc, "msg": "Extra inputs are not permitted", "input": "max_tokens" });
    let both = [json!(["body", "max_completion_tokens"]), json!(["body", "temperature"])];
    let detail = json!({ "detail": both.map(forbidden) });
    let lessons = [Part::MaxCompletionTokens, Part::Temperature].map(|part| Learned(Refused(part)));
    check(&detail, &lessons);
    check(&json!({ "object": "error", "message": detail }), &lessons);
    let strict = json!(["body", "response_format", "json_schema", "strict"]);
    check(&json!({ "detail": [forbidden(strict)] }), &[Learned(Refused(Part::Strict))]);
    check(&json!({ "detail": [forbidden(json!(["body", "response_format"]))] }), &[Mode]);
    let v1 = json!({ "loc": ["body", "reasoning_effort"], "msg": "extra fields not permitted", "type": "value_error.extra" });
    check(&json!({ "detail": [v1] }), &[Learned(Refused(Part::ReasoningEffort))]);
    let printed = "[{'type': 'extra_forbidden', 'loc': ('body', 'temperature'), 'msg': 'Extra inputs are not permitted', 'input': 0}]";
    check(
        &json!({ "object": "error", "message": printed, "code": 400 }),
        &[Learned(Refused(Part::Temperature))],
    );
    let net = json!({ "title": "One or more validation errors occurred.", "errors": { "max_completion_tokens": ["is not known"] } });
    check(&net, &[Learned(Refused(Part::MaxCompletionTokens))]);
    let role = "Unsupported value: 'messages[0].role' does not support 'system' with this model.";
    check(
        &openai(role, "messages[0].role".into(), "unsupported_value".into()),
        &[Learned(Refused(Part::SystemRole))],
    );
    // A document may name anything.
    let echo = json!({ "type": "string_type", "loc": ["body", "messages", 1, "content"], "msg": "Input should be a valid string", "input": "the temperature" });
    check(&json!({ "detail": [echo] }), &[]);
}

#[test]
fn errors_in_words_are_read() {
    let max_tokens = [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "litellm.BadRequestError: AzureException BadRequestError - Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens is deprecated: please use max_completion_tokens instead",
    ];
    for message in max_tokens {
        check(&said(message), &[Learned(Refused(Part::MaxTokens))]);
    }
    let max_completion_tokens = [
        "Unrecognized request argument supplied: max_completion_tokens",
        "Extra inputs are not permitted, field: 'max_completion_tokens', value: 4096",
        "Please use max_tokens instead of max_completion_tokens.",
        "property 'max_completion_tokens' is unsupported",
        "Invalid JSON payload received. Unknown name \"max_completion_tokens\": Cannot find field.",
        "Malformed input request: #: extraneous key [max_completion_tokens] is not permitted, please reformat your input and try again.",
        "Additional properties are not allowed ('max_completion_tokens' was unexpected)",
        "json: unknown field \"max_completion_tokens\"",
        "Unrecognized field \"max_completion_tokens\" (class ChatRequest), not marked as ignorable (3 known properties: \"temperature\", \"max_tokens\", \"response_format\"])",
    ];
    for message in max_completion_tokens {
        check(&said(message), &[Learned(Refused(Part::MaxCompletionTokens))]);
    }
    let serde = "Failed to deserialize the JSON body into the target type: unknown field `max_completion_tokens`, expected one of `model`, `messages`, `max_tokens`, `temperature`, `response_format` at line 1 column 90";
    check(&serde.into(), &[Learned(Refused(Part::MaxCompletionTokens))]);
    let list = json!([{ "error": { "code": 400, "message": "Unknown name \"temperature\": Cannot find field.", "status": "INVALID_ARGUMENT" } }]);
    check(&list, &[Learned(Refused(Part::Temperature))]);
    let temperature = [
        "litellm.UnsupportedParamsError: gpt-5 models don't support temperature=0. Only temperature=1 is supported. To drop unsupported params set `litellm.drop_params = True`",
        "`temperature` is deprecated for this model.",
    ];
    for message in temperature {
        check(&said(message), &[Learned(Refused(Part::Temperature))]);
    }
    let effort = [
        "litellm.UnsupportedParamsError: mistral does not support parameters: ['reasoning_effort'], for model=m. To drop these, set `litellm.drop_params=True`",
        "Model m does not support parameter reasoningEffort.",
        "\"m\" does not support thinking",
        "Unsupported parameter(s): `reasoning_effort`",
    ];
    for message in effort {
        check(&said(message), &[Learned(Refused(Part::ReasoningEffort))]);
    }
    check(&said("System role not supported"), &[Learned(Refused(Part::SystemRole))]);
    check(
        &said("Developer instruction is not enabled for models/m"),
        &[Learned(Refused(Part::SystemRole))],
    );
    check(
        &said("Unknown name \"strict\" at 'tools[0].function': Cannot find field."),
        &[Learned(Refused(Part::Strict))],
    );
    let stream = "This model only support stream mode, please enable the stream parameter to access the model.";
    check(&said(stream), &[Learned(Refused(Part::WholeAnswer))]);
    check(
        &said("parameter.enable_thinking must be set to false for non-streaming calls"),
        &[Learned(Refused(Part::WholeAnswer))],
    );
    check(&said("This response_format type is unavailable now"), &[Mode]);
    check(&"unknown field `tools`, expected `messages`".into(), &[Mode]);
    check(&said("unknown variant `json_schema`, expected `text` or `json_object`"), &[Mode]);
    check(&said("\"auto\" tool choice requires --enable-auto-tool-choice"), &[Mode]);
    for nothing in
        ["Bad Request", "", "the model is busy", "top_p must be below 1", "systematic error"]
    {
        check(&said(nothing), &[]);
        check(&nothing.into(), &[]);
    }
}

#[test]
fn another_effort_is_told_from_none_at_all() {
    let minimal = Learned(Value_(Effort::Minimal));
    let messages = [
        "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: 'low', 'medium', and 'high'.",
        "`reasoning_effort` must be one of `low`, `medium`, or `high`",
        "invalid reasoning value: 'minimal' (must be \"high\", \"medium\", \"low\", or \"none\")",
    ];
    for message in messages {
        check(&said(message), &[minimal]);
    }
    let pydantic = json!({ "detail": [{ "type": "literal_error", "loc": ["body", "reasoning_effort"], "msg": "Input should be 'low', 'medium' or 'high'" }] });
    check(&pydantic, &[minimal]);
}

#[test]
fn the_largest_answer_is_read_from_the_refusal_of_a_larger_one() {
    let messages = [
        "max_tokens is too large: 20000. This model supports at most 16384 completion tokens, whereas you provided 20000.",
        "Invalid max_completion_tokens value, the valid range of max_tokens is [1, 16384]",
        "<400> InternalError.Algo.InvalidParameter: Range of max_completion_tokens should be [1, 16384]",
        "`max_completion_tokens` must be less than or equal to `16384`, the maximum value for `max_completion_tokens` is less than the `context_window` for this model",
        "max_completion_tokens: 20000 > 16384, which is the maximum allowed number of output tokens for gpt-4-0613",
        "max_completion_tokens cannot be greater than 16,384.",
    ];
    for message in &messages[1..] {
        check(&said(message), &[Learned(OutputMax(16_384))]);
    }
    assert_eq!(
        read(&said(messages[0]).to_string(), &body("max_tokens")),
        [Learned(OutputMax(16_384))]
    );
    let pydantic = json!({ "detail": [{ "type": "less_than_equal", "loc": ["body", "max_completion_tokens"], "msg": "Input should be less than or equal to 16384", "input": 20000, "ctx": { "le": 16384 } }] });
    check(&pydantic, &[Learned(OutputMax(16_384))]);
    // Without a number nothing is learned: the parameter is known there.
    check(&said("max_completion_tokens is too large"), &[]);
}

#[test]
fn the_room_beside_the_question_is_read() {
    let messages = [
        "This model's maximum context length is 16384 tokens. However, you requested 21000 tokens (1000 in the messages, 20000 in the completion). Please reduce the length of the messages or completion.",
        "'max_tokens' or 'max_completion_tokens' is too large: 20000. This model's maximum context length is 16384 tokens and your request has 1000 input tokens (20000 > 16384 - 1000).",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 16384. Given: 1000 `inputs` tokens and 20000 `max_new_tokens`",
        "input length and `max_tokens` exceed context limit: 1000 + 20000 > 16384, decrease input length or `max_tokens` and try again",
    ];
    for message in messages {
        check(&said(message), &[Room(15_384)]);
    }
    let full = "This model's maximum context length is 16384 tokens. However, your messages resulted in 20001 tokens.";
    check(&said(full), &[]);
}

proptest! {
    #[test]
    fn any_text_is_read(text in ".{0,300}", limit in prop_oneof![Just("max_tokens"), Just("x")]) {
        let complaints = read(&text, &body(limit));
        // Nothing is said of what was not sent.
        prop_assert!(limit != "x" || !complaints.contains(&Learned(Refused(Part::MaxTokens))));
    }
}

#[test]
fn sizes_of_schemas_are_read() {
    let schema = |text: &str| {
        let message = format!("Invalid schema for response_format 'answer': {text}");
        openai(&message, "response_format".into(), json!(null))
    };
    let cases = [
        ("7 levels of nesting exceeds limit of 5.", SchemaLevels(5)),
        ("In context=(), 12 levels of nesting exceed limit of 10", SchemaLevels(10)),
        ("In context=(), 369 properties exceed the limit of 100", SchemaProperties(100)),
        ("A schema may have up to 100 object properties, this one has 369.", SchemaProperties(100)),
        ("Too many properties: 5,200 (at most 5,000).", SchemaProperties(5_000)),
        ("the schema exceeds the maximum depth of 5", SchemaLevels(5)),
    ];
    for (text, lesson) in cases {
        check(&schema(text), &[Learned(lesson)]);
    }
    // What is said of keywords is not of sizes, and without `strict` nothing is learned of them.
    check(&schema("In context=('properties', '5'), 'maximum' is not permitted."), &[Mode]);
    let mut loose = body("max_tokens");
    loose.remove("response_format");
    let text = schema("7 levels of nesting exceeds limit of 5.").to_string();
    assert!(!read(&text, &loose).contains(&Learned(SchemaLevels(5))));
}
