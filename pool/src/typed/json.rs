//! The JSON in what a model says: servers that do not enforce it put it between fences of Markdown,
//! or words or thoughts around it, write it as a string, or leave a comma behind.
//!
//! Only what can be read in one way is read. The digits of numbers stay as they were written. It must
//! know nothing of schemas.

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Error, Value};
use std::borrow::Cow;
use std::fmt;

const FENCE: &str = "```";

/// How models end their thoughts where a server leaves them in the answer.
const ENDS_OF_THOUGHTS: [&str; 6] = [
    "</think>",
    "</thinking>",
    "</thought>",
    "</reasoning>",
    "\u{25c1}/think\u{25b7}",
    "<|channel|>final<|message|>",
];
/// How they begin them.
const BEGINNINGS_OF_THOUGHTS: [&str; 6] = [
    "<think>",
    "<thinking>",
    "<thought>",
    "<reasoning>",
    "\u{25c1}think\u{25b7}",
    "<|channel|>analysis<|message|>",
];

/// What was done to read a text that is not plain JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Thoughts stood before it.
    Thoughts,
    /// A fence, or words, stood around it.
    Words,
    /// Commas that nothing followed were left out.
    Commas,
    /// It was a string of JSON.
    Twice,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thoughts => "the reply: thoughts before the JSON were left out",
            Self::Words => "the reply: words or a fence around the JSON were left out",
            Self::Commas => "the reply: commas at the end of lists or objects were left out",
            Self::Twice => "the reply: the JSON was written as a string, and was read from it",
        })
    }
}

/// The JSON in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// JSON and nothing else.
    pub text: Cow<'a, str>,
    /// What was done to read it, in no order; nothing where the text is plain JSON.
    pub repairs: Vec<Repair>,
}

impl<'a> Found<'a> {
    fn with(mut self, repair: Repair) -> Self {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
        self
    }

    fn into_owned(self) -> Found<'static> {
        Found { text: Cow::Owned(self.text.into_owned()), repairs: self.repairs }
    }
}

/// The one JSON value in a text: the whole text, or what stands after thoughts, in its only fence, or
/// as the only object among words.
///
/// # Errors
/// Why the whole text is not JSON, when there is no such value, or more than one.
pub fn find(text: &str) -> Result<Found<'_>, Error> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let error = match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => return Ok(once(text)),
        Err(error) => error,
    };
    let lower = text.to_ascii_lowercase();
    let found = match after_thoughts(text, &lower) {
        Some(found) => Some(found),
        // What stands in thoughts is no answer.
        None if is_thinking(&lower) => None,
        None => alone(text),
    };
    found.ok_or(error)
}

/// The value of [`find`].
///
/// # Errors
/// As [`find`].
pub fn read(text: &str) -> Result<Value, Error> {
    find(text).and_then(|found| serde_json::from_str(&found.text))
}

/// Whether a text that was cut off is thoughts that have not ended.
pub(crate) fn is_thought(text: &str) -> bool {
    let lower = text.trim_start().to_ascii_lowercase();
    BEGINNINGS_OF_THOUGHTS.iter().any(|mark| lower.starts_with(mark))
        && !ENDS_OF_THOUGHTS.iter().any(|mark| lower.contains(mark))
}

/// Plain JSON, unless it is a string of an object or a list.
fn once(text: &str) -> Found<'_> {
    let plain = Found { text: Cow::Borrowed(text), repairs: Vec::new() };
    let Ok(inner) = serde_json::from_str::<String>(text) else { return plain };
    let inner = inner.trim();
    if !inner.starts_with(['{', '[']) {
        return plain;
    }
    let found = value_at_start(inner).filter(|(_, rest)| rest.trim().is_empty());
    found.map_or(plain, |(found, _)| found.into_owned().with(Repair::Twice))
}

fn is_thinking(lower: &str) -> bool {
    BEGINNINGS_OF_THOUGHTS.iter().any(|mark| lower.starts_with(mark))
        || ENDS_OF_THOUGHTS.iter().any(|mark| lower.contains(mark))
}

/// What stands after the last end of thoughts that JSON follows. `lower` has the same places.
fn after_thoughts<'a>(text: &'a str, lower: &str) -> Option<Found<'a>> {
    let ends = ENDS_OF_THOUGHTS.iter();
    let ends = ends.flat_map(|end| lower.rmatch_indices(end).map(|(at, _)| at + end.len()));
    // A value may name the marks, too: then what follows them is broken, and the one before counts.
    let mut ends: Vec<usize> = ends.take(ENDS_MAX).collect();
    ends.sort_unstable();
    let rests = ends.into_iter().rev().filter_map(|at| text.get(at..));
    let mut found = rests.filter_map(|rest| {
        let rest = rest.trim();
        match serde_json::from_str::<IgnoredAny>(rest) {
            Ok(_) => Some(once(rest)),
            Err(_) => alone(rest),
        }
    });
    found.next().map(|found| found.with(Repair::Thoughts))
}

/// So many ends of thoughts are looked at: each costs a look at the rest of the text.
const ENDS_MAX: usize = 16;

/// The one value in a text without thoughts.
fn alone(text: &str) -> Option<Found<'_>> {
    let whole = value_at_start(text).filter(|(_, rest)| rest.trim().is_empty());
    let whole = whole.map(|(found, _)| found);
    let within = || fenced(text).or_else(|| among_words(text)).map(|f| f.with(Repair::Words));
    whole.or_else(within)
}

fn fenced(text: &str) -> Option<Found<'_>> {
    let (mut rest, mut found) = (text, None);
    while let Some((_, inside)) = rest.split_once(FENCE) {
        // Up to the end of its line, a fence says what stands in it.
        let body = inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        rest = inside;
        for start in [inside, body] {
            let Some((value, after)) = value_at_start(start) else { continue };
            let Some(after) = after.trim_start().strip_prefix(FENCE) else { continue };
            if found.replace(value).is_some() {
                return None;
            }
            rest = after;
            break;
        }
    }
    found
}

fn among_words(text: &str) -> Option<Found<'_>> {
    let (mut rest, mut found) = (text, None);
    while let Some(start) = rest.find('{') {
        rest = rest.get(start..)?;
        match value_at_start(rest) {
            Some((value, after)) => {
                if found.replace(value).is_some() {
                    return None;
                }
                rest = after;
            }
            // A broken object: what is whole inside it is not what was asked for.
            None if begins_object(rest) => return None,
            None => rest = rest.get(1..)?,
        }
    }
    found
}

/// Whether a brace is followed by the name of a member.
fn begins_object(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with('"'))
}

/// The JSON value at the beginning of a text, and the text after it. Commas that nothing follows are
/// left out of an object or a list.
fn value_at_start(text: &str) -> Option<(Found<'_>, &str)> {
    let text = text.trim_start();
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    if let Some(Ok(_)) = values.next() {
        let (value, rest) = text.split_at_checked(values.byte_offset())?;
        return Some((Found { text: Cow::Borrowed(value), repairs: Vec::new() }, rest));
    }
    if !begins_object(text) && !text.starts_with('[') {
        return None;
    }
    let (value, rest) = without_commas(text)?;
    serde_json::from_str::<IgnoredAny>(&value).ok()?;
    Some((Found { text: Cow::Owned(value), repairs: vec![Repair::Commas] }, rest))
}

/// The object or list at the beginning of a text without the commas that nothing follows, and the
/// text after it.
fn without_commas(text: &str) -> Option<(String, &str)> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut value = String::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' | '[' => depth += 1,
            '}' | ']' => {
                let kept = value.trim_end();
                if kept.ends_with(',') {
                    let kept = kept.len() - 1;
                    value.truncate(kept);
                }
                depth = depth.checked_sub(1)?;
            }
            _ => {}
        }
        value.push(c);
        if depth == 0 {
            return Some((value, text.get(at + c.len_utf8()..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn one_value_is_found_and_two_are_none() {
        let check =
            |text: &str, expected: Value| assert_eq!(read(text).unwrap(), expected, "{text}");
        check(" {\"a\":1}\n", json!({ "a": 1 }));
        check("```json\n{\"a\":1}\n```", json!({ "a": 1 }));
        check("```{\"a\":1}```", json!({ "a": 1 }));
        check("```json {\"a\":1} ```", json!({ "a": 1 }));
        check("Here it is:\n```JSON\r\n[1,2]\r\n```\r\nGood luck!", json!([1, 2]));
        check("``` \n{\"a\":\"```\"}\n```", json!({ "a": "```" }));
        check("Sure {as asked}: {\"a\":{\"b\":2}} {done}", json!({ "a": { "b": 2 } }));
        check("Not {\"a\":1} but\n```json\n{\"a\":2}\n```", json!({ "a": 2 }));
        check("An unclosed ```json\n{\"a\":1}", json!({ "a": 1 }));
        let none = |text: &str| assert!(read(text).is_err(), "{text}");
        none("");
        none("no JSON");
        none("the total is 3");
        none("{\"a\":1} or {\"a\":2}");
        none("<think>{\"a\":1}");
        none("<think>{\"a\":1}</think> done");
        none("<think>Hm.</think> {\"a\":1} or {\"a\":2}");
        none("{\"a\":1,,}");
        none("{,}");
        none(&"[".repeat(100_000));
        none(&"{\"a\":1,".repeat(100_000));
        none(&"</think>{\"a\":".repeat(10_000));
        none("```json\n{\"a\":1}\n```\n```json\n{\"a\":2}\n```");
        none("Sure: {\"a\":[{\"b\":1},{\"b\"");
        none("Sure: {\"a\":{\"b\":1} oops}");
        none(&"{".repeat(100_000));
        none(&"{\"a\":".repeat(100_000));
        none(&"```".repeat(100_000));
    }

    #[test]
    fn what_was_done_to_read_it_is_said() {
        use Repair::{Commas, Thoughts, Twice, Words};
        let check = |text: &str, expected: &str, repairs: &[Repair]| {
            let found = find(text).unwrap();
            assert_eq!((&*found.text, &*found.repairs), (expected, repairs), "{text}");
        };
        check(" {\"a\": 1.50} ", "{\"a\": 1.50}", &[]);
        check("\"plain\"", "\"plain\"", &[]);
        check("```json\n{\"a\":1}\n```", "{\"a\":1}", &[Words]);
        check("{\"a\":[1, 2, ],\n}\n", "{\"a\":[1, 2]}", &[Commas]);
        check("{\"a\":\",]\\\",}\",}", "{\"a\":\",]\\\",}\"}", &[Commas]);
        check("Here: {\"a\":1,} it is", "{\"a\":1}", &[Commas, Words]);
        check(r#""{\"a\": 1}""#, "{\"a\": 1}", &[Twice]);
        check("<think>I try {\"a\": 2}.</think>\n{\"a\":1}", "{\"a\":1}", &[Thoughts]);
        check("No tag before.</think>{\"a\":1}", "{\"a\":1}", &[Thoughts]);
        check("<THINK>x</Think> ```{\"a\":1}```", "{\"a\":1}", &[Words, Thoughts]);
        let named = "<think>x</think>{\"a\":\"</think>\"}";
        check(named, "{\"a\":\"</think>\"}", &[Thoughts]);
        check("{\"a\":\"<think>\"}", "{\"a\":\"<think>\"}", &[]);
        let channels = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>[1]";
        check(channels, "[1]", &[Thoughts]);
        check(
            "{\"n\": 12345678901234567890123.10,}",
            "{\"n\": 12345678901234567890123.10}",
            &[Commas],
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[`{}\\[\\]\", a]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_comes_out_of_its_fence(
            value in any_json(),
            info in prop_oneof![Just(""), Just("json"), Just("JSON")],
            gap in prop_oneof![Just("\n"), Just("\r\n"), Just(" \n")],
            (before, after) in ("[a-zA-Z ,.:\n]{0,20}", "[a-zA-Z ,.:\n]{0,20}"),
            pretty in any::<bool>(),
        ) {
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            // What is printed and read is compared: printing a number may change it.
            let expected: Value = serde_json::from_str(&text).unwrap();
            let fenced = format!("{before}\n```{info}{gap}{text}{gap}```{after}");
            prop_assert_eq!(read(&fenced).unwrap(), expected);
        }

        #[test]
        fn any_object_comes_out_of_words(
            value in any_json(),
            (before, after) in ("[a-zA-Z0-9 ,.:\n]{0,20}", "[a-zA-Z0-9 ,.:\n]{0,20}"),
        ) {
            let text = json!({ "value": value }).to_string();
            let expected: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read(&format!("{before}{text}{after}")).unwrap(), expected.clone());
            prop_assert_eq!(read(&text).unwrap(), expected.clone());
            prop_assert_eq!(read(&Value::from(text.clone()).to_string()).unwrap(), expected.clone());
            let thought = format!("<think>{before} {text}</think>{text}");
            prop_assert_eq!(read(&thought).unwrap(), expected);
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,200}") {
            let _ = read(&text);
        }
    }
}
