//! One answer, good or changed by a fault: what stands in it and how much it counts. Pure.

use crate::answer::answer;
use crate::fault::FaultKind;
use crate::reply::Completion;
use crate::request::{Format, Request, tokens_of};
use crate::script::Script;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Characters a token stands for, as [`tokens_of`] counts.
const CHARS_PER_TOKEN: f64 = 2.5;

/// Produces the answer to a request: the scripted one if there is any, changed by `fault`.
pub(crate) fn complete(
    request: &Request,
    fault: Option<FaultKind>,
    output_tokens_max: u64,
    script: &Script,
) -> Completion {
    let mut content = content(request, fault, script);
    let mut finish_reason = "stop";
    let max_out = request.max_out.unwrap_or(output_tokens_max).min(output_tokens_max);
    if tokens_of(&content) > max_out {
        content = first_chars(&content, (max_out as f64 * CHARS_PER_TOKEN) as usize);
        finish_reason = "length";
    }
    match fault {
        Some(FaultKind::Length) => {
            content = first_half(&content);
            finish_reason = "length";
        }
        Some(FaultKind::ContentFilterOutput) => {
            content = first_half(&content);
            finish_reason = "content_filter";
        }
        _ => {}
    }
    let completion_tokens = tokens_of(&content);
    let (content, refusal) = match fault {
        Some(FaultKind::Refusal) => (None, Some(content)),
        Some(FaultKind::NullContent) => (None, None),
        _ => (Some(content), None),
    };
    let tool = match &request.format {
        Format::Tool { name, .. } if content.is_some() && !ignores_format(fault) => {
            Some(name.clone())
        }
        _ => None,
    };
    let prompt_tokens = request.prompt_tokens();
    let has_choice = fault != Some(FaultKind::EmptyChoices);
    Completion {
        content,
        tool,
        refusal,
        finish_reason,
        has_choice,
        prompt_tokens,
        completion_tokens,
    }
}

/// Whether the form of the answer is not the one that was asked for.
fn ignores_format(fault: Option<FaultKind>) -> bool {
    matches!(fault, Some(FaultKind::Fenced | FaultKind::FormatIgnored))
}

fn content(request: &Request, fault: Option<FaultKind>, script: &Script) -> String {
    if fault == Some(FaultKind::Refusal) {
        return "I'm sorry, but I can't assist with that request.".to_owned();
    }
    let text = match (script.answer(&request.text()), schema(request, fault)) {
        (Some(scripted), _) => scripted.to_owned(),
        (None, Some(schema)) => answer(&schema, &request.document()).to_string(),
        (None, None) => return "This answer was made by a simulator: it is no model.".to_owned(),
    };
    match fault {
        Some(FaultKind::InvalidJson) => format!("Sure: {}", first_half(&text)),
        Some(FaultKind::InvalidReply) => corrupted(&text).to_string(),
        _ if ignores_format(fault) => {
            let json: Option<Value> = serde_json::from_str(&text).ok();
            let shown = json.map_or(text, |json| format!("{json:#}"));
            format!("Here is the JSON:\n```json\n{shown}\n```")
        }
        _ => text,
    }
}

/// The schema of the answer, if one is asked for.
fn schema(request: &Request, fault: Option<FaultKind>) -> Option<Cow<'_, Value>> {
    let in_prompt = || schema_in(&request.text());
    match &request.format {
        _ if fault == Some(FaultKind::FormatIgnored) => {
            Some(Cow::Owned(in_prompt().unwrap_or_else(own_schema)))
        }
        Format::Text => None,
        Format::JsonObject => {
            Some(Cow::Owned(in_prompt().unwrap_or_else(|| json!({ "type": "object" }))))
        }
        Format::Schema(schema) | Format::ObjectSchema(schema) | Format::Tool { schema, .. } => {
            Some(Cow::Borrowed(schema))
        }
    }
}

/// What a model makes up that was told of no schema.
fn own_schema() -> Value {
    json!({ "type": "object", "required": ["answer"], "properties": { "answer": { "type": "null" } } })
}

/// An answer whose first property has a type that it cannot have.
fn corrupted(text: &str) -> Value {
    let mut value = serde_json::from_str(text).unwrap_or_else(|_| json!("invalid"));
    match value.as_object_mut().and_then(|object| object.values_mut().next()) {
        Some(first) if first.is_object() => *first = json!("invalid"),
        Some(first) => *first = json!({ "invalid": true }),
        None => value = json!("invalid"),
    }
    value
}

/// The first JSON Schema of an object that stands in a text.
fn schema_in(text: &str) -> Option<Value> {
    text.match_indices('{').take(20).find_map(|(start, _)| {
        let rest = text.get(start..)?;
        let value = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok()?;
        value.get("properties").is_some_and(Value::is_object).then_some(value)
    })
}

fn first_half(text: &str) -> String {
    first_chars(text, text.chars().count() / 2)
}

fn first_chars(text: &str, count: usize) -> String {
    text.chars().take(count).collect()
}
