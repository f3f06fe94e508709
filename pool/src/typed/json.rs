//! The JSON in what a model says: servers that do not enforce it put it between fences of Markdown,
//! or words around it.
//!
//! It must know nothing of schemas.

use serde_json::{Deserializer, Error, Value};

const FENCE: &str = "```";

/// The one JSON value in a text: the whole text, or what stands in its only fence, or the only
/// object among words.
///
/// # Errors
/// Why the whole text is not JSON, when there is no such value, or more than one.
pub fn read(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text.trim())
        .or_else(|error| fenced(text).or_else(|| among_words(text)).ok_or(error))
}

fn fenced(text: &str) -> Option<Value> {
    let (mut rest, mut found) = (text, None);
    while let Some((_, inside)) = rest.split_once(FENCE) {
        // Up to the end of its line, a fence says what stands in it.
        let body = inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        rest = inside;
        for start in [inside, body] {
            let Some((value, after)) = first(start) else { continue };
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

fn among_words(text: &str) -> Option<Value> {
    let (mut rest, mut found) = (text, None);
    while let Some(start) = rest.find('{') {
        rest = rest.get(start..)?;
        match first(rest) {
            Some((value, after)) => {
                if found.replace(value).is_some() {
                    return None;
                }
                rest = after;
            }
            // A broken object: what is whole inside it is not what was asked for.
            None if rest.get(1..)?.trim_start().starts_with('"') => return None,
            None => rest = rest.get(1..)?,
        }
    }
    found
}

/// The JSON value at the beginning of a text, and the text after it.
fn first(text: &str) -> Option<(Value, &str)> {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
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
        none("```json\n{\"a\":1}\n```\n```json\n{\"a\":2}\n```");
        none("Sure: {\"a\":[{\"b\":1},{\"b\"");
        none("Sure: {\"a\":{\"b\":1} oops}");
        none(&"{".repeat(100_000));
        none(&"{\"a\":".repeat(100_000));
        none(&"```".repeat(100_000));
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
            prop_assert_eq!(read(&text).unwrap(), expected);
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,200}") {
            let _ = read(&text);
        }
    }
}
