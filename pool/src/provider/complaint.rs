//! What a refused request says of its own parts: which of them the deployment does not take, and
//! what the largest answer is.
//!
//! Errors come in many shapes. Where one names its place (`param`, the `loc` of pydantic, the keys of
//! `errors`), that counts; otherwise it is the first part in the message that was really sent, for
//! messages also list what could have been sent. Every part that is named is one that may be left
//! out, so a wrong reading costs little. It must know nothing of how a request is asked again.

use super::fault::{MODE_FIELDS, MODE_WORDS, plain};
use crate::typed::dialect::{Lesson, Part};
use crate::typed::effort::Effort;
use serde_json::{Map, Value};

/// What is read of a message: texts of documents may follow.
const MESSAGE_CHARS_MAX: usize = 600;
/// No model's answers are shorter than this; smaller numbers in messages mean something else.
const OUTPUT_MIN: u32 = 16;

/// What a deployment complains about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// Something to remember.
    Lesson(Lesson),
    /// Question and room are too long together: there is room for so many tokens.
    Room(u32),
    /// The way of asking for JSON.
    Mode,
}

impl Complaint {
    /// Whether it is about how large the question or its schema is.
    pub(crate) fn is_about_size(&self) -> bool {
        let Self::Lesson(lesson) = self else { return matches!(self, Self::Room(_)) };
        matches!(lesson, Lesson::SchemaProperties(_) | Lesson::SchemaLevels(_))
    }
}

/// The words of a message that mean a part, without capitals and underscores.
fn words(part: Part) -> &'static [&'static str] {
    match part {
        Part::MaxCompletionTokens => &["maxcompletiontokens"],
        Part::MaxTokens => &["maxtokens", "maxnewtokens", "maximum tokens"],
        Part::Temperature => &["temperature"],
        Part::ReasoningEffort => {
            &["reasoningeffort", "reasoning effort", "reasoning value", "not support thinking"]
        }
        Part::Strict => &["'strict'", "\"strict\"", "`strict`", ".strict"],
        Part::SystemRole => &[
            "'system'",
            "\"system\"",
            "`system`",
            "role:system",
            "system role",
            "system message",
            "system instruction",
            "developer instruction",
            "roles must alternate",
        ],
        Part::WholeAnswer => &[
            "only support stream",
            "only supports stream",
            "stream mode",
            "streaming is required",
            "stream must be",
            "stream=true",
            "'stream' must",
            "non-streaming",
        ],
        Part::StreamOptions => &["streamoptions", "includeusage"],
    }
}

/// What providers and servers say of images that their model does not take: OpenAI and Azure, vLLM,
/// DeepSeek, servers whose messages are only text, llama.cpp, Mistral, Ollama and OpenRouter. What is
/// wrong with one image is worded in other ways.
const NO_IMAGES: [&str; 9] = [
    "only supported by certain models",
    "multimodal",
    "unknown variant `image_url`",
    "must be a string",
    "valid string",
    "image input",
    "not support image",
    "support vision",
    "vision is not",
];

/// Whether a refusal of a question with images says that there is no model for images.
pub(crate) fn is_about_images(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    NO_IMAGES.into_iter().any(|words| message.contains(words))
}

/// What this body complains about, where it is about parts of the request that was sent.
pub(crate) fn read(body: &str, sent: &Map<String, Value>) -> Vec<Complaint> {
    let value: Value = serde_json::from_str(body).unwrap_or_else(|_| body.into());
    let mut message = String::new();
    collect_message(&value, &mut message);
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    let sent = Sent { body: sent };
    if let Some(complaint) = sent.room(&message).or_else(|| sent.schema_size(&message)) {
        return vec![complaint];
    }
    let mut places = Vec::new();
    collect_places(&value, &mut places);
    collect_printed_places(&message, &mut places);
    let complaints: Vec<_> =
        places.iter().filter_map(|place| sent.place(place, &message)).collect();
    // What is said of messages may repeat a document, which names anything.
    if !complaints.is_empty() || places.iter().any(|place| place.contains("messages")) {
        return complaints;
    }
    sent.first_named(&message).into_iter().collect()
}

/// The request that was sent.
struct Sent<'a> {
    body: &'a Map<String, Value>,
}

impl Sent<'_> {
    fn has(&self, part: Part) -> bool {
        part.is_in(self.body)
    }

    fn limit(&self) -> Option<u32> {
        let limits = [Part::MaxCompletionTokens, Part::MaxTokens];
        let limit = limits.into_iter().find_map(|part| self.body.get(part.name()))?;
        limit.as_u64().and_then(|tokens| u32::try_from(tokens).ok())
    }

    /// What is wrong at this place of the request, such as `body.max_tokens`.
    fn place(&self, place: &str, message: &str) -> Option<Complaint> {
        let named = |name: &str| {
            let mut names = place.split(['.', '[', ']']);
            names.any(|segment| plain(segment) == plain(name))
        };
        if named("strict") && self.has(Part::Strict) {
            return Some(Complaint::Lesson(Lesson::Refused(Part::Strict)));
        }
        if MODE_FIELDS.into_iter().any(named) {
            return Some(Complaint::Mode);
        }
        if named("messages") {
            let is_role = named("role") && self.has(Part::SystemRole);
            return is_role.then_some(Complaint::Lesson(Lesson::Refused(Part::SystemRole)));
        }
        let own = [
            Part::MaxCompletionTokens,
            Part::MaxTokens,
            Part::Temperature,
            Part::ReasoningEffort,
            Part::StreamOptions,
        ];
        let found = own.into_iter().find(|part| named(part.name()) && self.has(*part));
        let whole = || named("stream") && self.has(Part::WholeAnswer);
        let found = found.or_else(|| whole().then_some(Part::WholeAnswer))?;
        self.complaint(found, message)
    }

    /// The part that the message names first, of those that were sent.
    fn first_named(&self, message: &str) -> Option<Complaint> {
        let text = plain(message);
        let place = |word: &&str| {
            let mut places = text.match_indices(*word).map(|(at, _)| at);
            places.find(|at| is_word(&text, *at, word))
        };
        let first = |words: &[&str]| words.iter().filter_map(place).min();
        let parts = Part::ALL.into_iter().filter(|part| self.has(*part));
        let parts = parts.filter_map(|part| Some((first(words(part))?, Some(part))));
        let mode = first(&MODE_WORDS).map(|at| (at, None));
        let (_, part) = parts.chain(mode).min_by_key(|(at, _)| *at)?;
        part.map_or(Some(Complaint::Mode), |part| self.complaint(part, message))
    }

    /// What it means that this part is refused with this message.
    fn complaint(&self, part: Part, message: &str) -> Option<Complaint> {
        let text = plain(message);
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let lesson = match part {
            Part::MaxCompletionTokens | Part::MaxTokens if says(&TOO_LARGE) => {
                Lesson::OutputMax(self.output_max(message)?)
            }
            Part::ReasoningEffort => {
                let effort = self.body.get("reasoning_effort").and_then(Value::as_str)?;
                let quoted = ["'", "\"", "`"].map(|quote| format!("{quote}{effort}{quote}"));
                let is_value = quoted.iter().any(|name| text.contains(name)) || says(&OTHER_VALUE);
                let effort = Effort::named(effort).filter(|_| is_value);
                effort.map_or(Lesson::Refused(part), Lesson::Effort)
            }
            _ => Lesson::Refused(part),
        };
        Some(Complaint::Lesson(lesson))
    }

    /// The largest answer that a message about too large a room names: the largest number below the
    /// room that was asked for.
    fn output_max(&self, message: &str) -> Option<u32> {
        let limit = self.limit()?;
        numbers(message).filter(|number| (OUTPUT_MIN..limit).contains(number)).max()
    }

    /// The room that is left, where the question and the room are too long together.
    fn room(&self, message: &str) -> Option<Complaint> {
        let limit = self.limit()?;
        let text = plain(message);
        let after = |word: &str| numbers(text.split_once(word)?.1).next();
        let before = |word: &str| numbers(text.rsplit_once(word)?.0).last();
        let context =
            ["context length is", "context window of", "must be <="].into_iter().find_map(after);
        let sum = || {
            // `input length and max_tokens exceed context limit: 199211 + 20000 > 200000`
            let mut numbers = numbers(text.split_once("context limit:")?.1);
            let (input, _, context) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some((context, input))
        };
        let told = || {
            let words = [" in the messages", " in your prompt", " input tokens", " `inputs`"];
            Some((context?, words.into_iter().find_map(before)?))
        };
        let (context, input) = told().or_else(sum)?;
        let room = context.checked_sub(input)?;
        (OUTPUT_MIN..limit).contains(&room).then_some(Complaint::Room(room))
    }

    /// The size that a strict schema may have, where it is too large: `6 levels of nesting exceeds
    /// limit of 5`.
    fn schema_size(&self, message: &str) -> Option<Complaint> {
        let text = plain(message);
        let is_about = self.has(Part::Strict) && TOO_MANY.iter().any(|word| text.contains(word));
        let is_about = is_about && (text.contains("schema") || text.contains("response format"));
        let place = |words: &[&str]| words.iter().filter_map(|word| text.find(word)).min();
        let levels = place(&["nesting", "nested", " levels", "depth"]);
        let lesson = match (place(&["propert"]), levels) {
            _ if !is_about => return None,
            (Some(properties), Some(levels)) if levels < properties => Lesson::SchemaLevels,
            (Some(_), _) => Lesson::SchemaProperties,
            (None, Some(_)) => Lesson::SchemaLevels,
            (None, None) => return None,
        };
        // It may say how large the schema is, too.
        numbers(&text).min().filter(|most| *most > 1).map(|most| Complaint::Lesson(lesson(most)))
    }
}

/// How messages say that a number is too large.
const TOO_LARGE: [&str; 12] = [
    "too large",
    "too high",
    "at most",
    "less than",
    "greater than",
    "maximum",
    "exceed",
    "range",
    "<=",
    " > ",
    "up to",
    "lower than",
];

/// How messages say that there is more of something than is taken.
const TOO_MANY: [&str; 9] = [
    "exceed",
    "limit of",
    "at most",
    "maximum of",
    "maximum number",
    "too many",
    "too deep",
    "more than",
    "up to",
];

/// How messages say that another value would do.
const OTHER_VALUE: [&str; 6] =
    ["one of", "should be", "supported values", "reasoning value", "invalid value", "must be"];

/// Whether a word stands alone at a place of a text.
fn is_word(text: &str, at: usize, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric();
    let before = text.get(..at).and_then(|text| text.chars().next_back());
    let after = text.get(at + word.len()..).and_then(|text| text.chars().next());
    let goes_on = |c: char| joins(c) && c != 's';
    let joins_before = word.starts_with(joins) && before.is_some_and(joins);
    let joins_after = word.ends_with(joins) && after.is_some_and(goes_on);
    !(joins_before || joins_after)
}

/// The whole numbers of a text, with or without commas between thousands.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    let tokens = text.split(|c: char| !(c.is_alphanumeric() || c == ',' || c == '.' || c == '-'));
    tokens.filter_map(|token| {
        let token = token.trim_end_matches([',', '.']).replace(',', "");
        token.parse().ok()
    })
}

/// All that a body says in words.
fn collect_message(value: &Value, message: &mut String) {
    match value {
        Value::String(text) => {
            message.push_str(text);
            message.push(' ');
        }
        Value::Array(items) => items.iter().for_each(|item| collect_message(item, message)),
        Value::Object(members) => {
            // Of the rest some repeat the question.
            let names =
                ["error", "errors", "message", "detail", "msg", "code", "type", "ctx", "le"];
            for name in names {
                members.get(name).into_iter().for_each(|value| collect_message(value, message));
            }
        }
        Value::Number(number) => message.push_str(&format!("{number} ")),
        Value::Bool(_) | Value::Null => {}
    }
}

/// The places of the request that a body names: `param`, `loc`, and the keys of `errors`.
fn collect_places(value: &Value, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_places(item, places)),
        Value::Object(members) => {
            match members.get("param").and_then(Value::as_str) {
                Some(param) if !param.is_empty() => places.push(param.to_owned()),
                _ => {}
            }
            if let Some(Value::Array(segments)) = members.get("loc") {
                let segment = |segment: &Value| match segment {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                places.push(segments.iter().map(segment).collect::<Vec<_>>().join("."));
            }
            if let Some(Value::Object(errors)) = members.get("errors") {
                places.extend(errors.keys().cloned());
            }
            for name in ["error", "errors", "detail", "message"] {
                members.get(name).into_iter().for_each(|value| collect_places(value, places));
            }
        }
        _ => {}
    }
}

/// The places in a message that pydantic wrote as text: `'loc': ('body', 'max_tokens')`.
fn collect_printed_places(message: &str, places: &mut Vec<String>) {
    let mut rest = message;
    while let Some((_, after)) = rest.split_once("'loc': (") {
        let Some((place, after)) = after.split_once(')') else { return };
        let segments = place.split(',').map(|segment| segment.trim().trim_matches(['\'', '"']));
        places.push(segments.collect::<Vec<_>>().join("."));
        rest = after;
    }
}

#[cfg(test)]
#[path = "complaint_tests.rs"]
mod tests;
