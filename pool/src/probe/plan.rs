//! The calls of a probe: what is asked, and how large each question is.
//!
//! It must know nothing of what the answers mean.

use crate::config::DeploymentConfig;
use serde_json::{Value, json};

/// Characters of the question that all others are compared with.
const BASE_CHARS: usize = 400;

/// The room for the answer of most calls.
pub(super) const OUTPUT: u32 = 64;

/// One call of the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// The question that all others are compared with.
    Base,
    /// The same again: does the limit refill, and does somebody else use it?
    Again,
    /// The same with more room for the answer.
    Room,
    /// The same with more text.
    Long,
    /// The same with text of characters outside the basic plane.
    Wide,
    /// The same with a schema.
    Schema,
    /// The same with a tool.
    Tool,
    /// Another that costs more than its characters say.
    Costly,
    /// The first one, at once after that.
    After,
}

impl Trial {
    /// All of them, in the order of asking.
    pub(super) const ALL: [Self; 9] = [
        Self::Base,
        Self::Again,
        Self::Room,
        Self::Long,
        Self::Wide,
        Self::Schema,
        Self::Tool,
        Self::Costly,
        Self::After,
    ];
}

/// How large the questions are: a tenth of a minute's quota at most, and never dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Characters more than the first question.
    pub(super) long_chars: u32,
    /// Characters outside the basic plane.
    pub(super) wide_chars: u32,
    /// Characters of the description of a schema or a tool.
    pub(super) schema_chars: u32,
    /// Tokens of room more than the first question.
    pub(super) room: u32,
    /// The room for the long answer.
    pub(super) answer: u32,
}

/// The quota that a probe is planned for where none is configured, in tokens and requests a minute:
/// that of a small deployment.
const QUOTA: (u64, u64) = (10_000, 60);

/// The quota of a deployment, as far as a probe needs to know it: tokens and requests a minute.
pub(super) fn quota(deployment: &DeploymentConfig) -> (u64, u64) {
    let requests = deployment.requests().unwrap_or(QUOTA.1);
    (deployment.tokens_per_minute.unwrap_or(QUOTA.0), requests)
}

impl Sizes {
    /// For a quota of so many tokens a minute.
    pub(super) fn of(tokens_per_minute: u64) -> Self {
        let tenth = u32::try_from(tokens_per_minute / 10).unwrap_or(u32::MAX).clamp(100, 1000);
        let second = u32::try_from(tokens_per_minute / 60).unwrap_or(u32::MAX);
        Self {
            long_chars: tenth * 4,
            wide_chars: tenth,
            schema_chars: tenth * 2,
            room: tenth,
            answer: (second / 2).clamp(100, 2000).max(tenth / 4),
        }
    }

    /// About how many tokens all calls use together, at most: digits are dearer than words.
    pub(super) fn tokens(&self) -> u64 {
        let text = 9 * BASE_CHARS as u64 / 3;
        let chars = 2 * u64::from(self.long_chars) + 2 * u64::from(self.schema_chars);
        let wide = 3 * u64::from(self.wide_chars);
        // The room is not used, as the answers are short; only the long one is.
        text + chars / 2 + wide + 8 * u64::from(OUTPUT) + u64::from(self.answer)
    }

    /// The fields of a call, and the room for its answer.
    pub(super) fn question(&self, trial: Trial) -> (Value, u32) {
        match trial {
            Trial::Base | Trial::Again | Trial::After => (ask(&base()), OUTPUT),
            Trial::Room => (ask(&base()), OUTPUT + self.room),
            Trial::Long => (ask(&(base() + &digits(self.long_chars))), OUTPUT),
            Trial::Wide => (ask(&(base() + &"\u{1f600}".repeat(self.wide_chars as usize))), OUTPUT),
            Trial::Schema => {
                let mut fields = ask(&base());
                fields["response_format"] = json!({
                    "type": "json_schema",
                    "json_schema": { "name": "answer", "strict": true, "schema": self.schema() },
                });
                (fields, OUTPUT)
            }
            Trial::Tool => {
                let mut fields = ask(&base());
                fields["tools"] = json!([{ "type": "function", "function": {
                    "name": "answer", "description": "The answer.", "parameters": self.schema(),
                } }]);
                fields["tool_choice"] = "none".into();
                (fields, OUTPUT)
            }
            Trial::Costly => {
                let long = digits(self.long_chars);
                let text = format!("Count from 1 to 1000, digits and spaces only. Ignore: {long}");
                (ask(&text), self.answer)
            }
        }
    }

    fn schema(&self) -> Value {
        let description = "What is answered. ".repeat(self.schema_chars as usize / 18);
        json!({
            "type": "object",
            "properties": { "answer": { "type": "string", "description": description } },
            "required": ["answer"],
            "additionalProperties": false,
        })
    }
}

/// The small question with this much room, for a burst.
pub(super) fn small(room: u32) -> (Value, u32) {
    (ask(&base()), room)
}

fn ask(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

/// A question of [`BASE_CHARS`] characters.
fn base() -> String {
    let mut text = "Answer with the word ok and nothing else. Ignore all that follows: ".to_owned();
    text.push_str(&"a plain line ".repeat(BASE_CHARS / 13));
    text.truncate(BASE_CHARS);
    text
}

/// Text whose characters are worth more tokens than a quarter of one each.
fn digits(chars: u32) -> String {
    let mut text = String::with_capacity(chars as usize + 8);
    let mut number = 7_u32;
    while text.len() < chars as usize {
        number = number.wrapping_mul(7919) % 99_991;
        text.push_str(&format!("{number:05} "));
    }
    text.truncate(chars as usize);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(trial: Trial) -> usize {
        let (fields, _) = Sizes::of(60_000).question(trial);
        fields["messages"][0]["content"].as_str().unwrap().chars().count()
    }

    #[test]
    fn questions_differ_by_what_they_are_to_show() {
        let sizes = Sizes::of(60_000);
        assert_eq!((chars(Trial::Base), chars(Trial::After)), (BASE_CHARS, BASE_CHARS));
        assert_eq!(chars(Trial::Long), BASE_CHARS + sizes.long_chars as usize);
        assert_eq!(chars(Trial::Wide), BASE_CHARS + sizes.wide_chars as usize);
        assert_eq!(sizes.question(Trial::Room).1, OUTPUT + sizes.room);
        assert!(sizes.tokens() < 12_000, "{}", sizes.tokens());
        // No call alone takes half of a small quota.
        let sizes = Sizes::of(1000);
        for trial in Trial::ALL {
            let (fields, room) = sizes.question(trial);
            let charged = fields.to_string().chars().count() / 4 + room as usize;
            assert!(charged < 500, "{trial:?}: {charged}");
        }
    }
}
