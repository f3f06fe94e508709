//! What one deployment does not take of the parts of a request that may be left out, learned from
//! its own refusals.
//!
//! What is learned only grows: a part that was refused is not sent again until the deployment is
//! configured anew. So members of a fleet may put together what each has learned, in any order, and
//! a question that is asked again after each refusal is asked a bounded number of times. It must
//! know nothing of how a refusal is worded.

use super::effort::Effort;
use super::schema_size::SchemaSize;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A part of a request that may be left out, or be put in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `max_completion_tokens`: then it is `max_tokens`.
    MaxCompletionTokens,
    /// `max_tokens`: then it is `max_completion_tokens`.
    MaxTokens,
    /// `temperature`.
    Temperature,
    /// `reasoning_effort`.
    ReasoningEffort,
    /// `strict` of a schema or a tool.
    Strict,
    /// A message of the role `system`: then its text begins the first message of the user.
    SystemRole,
    /// An answer as a whole: then `stream` is set.
    WholeAnswer,
    /// `stream_options`.
    StreamOptions,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::MaxCompletionTokens,
        Self::MaxTokens,
        Self::Temperature,
        Self::ReasoningEffort,
        Self::Strict,
        Self::SystemRole,
        Self::WholeAnswer,
        Self::StreamOptions,
    ];

    /// The name used outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxTokens => "max_tokens",
            Self::Temperature => "temperature",
            Self::ReasoningEffort => "reasoning_effort",
            Self::Strict => "strict",
            Self::SystemRole => "system_role",
            Self::WholeAnswer => "whole_answer",
            Self::StreamOptions => "stream_options",
        }
    }

    /// Whether this request has it.
    pub(crate) fn is_in(self, body: &Map<String, Value>) -> bool {
        let has = |key| body.contains_key(key);
        match self {
            Self::MaxCompletionTokens
            | Self::MaxTokens
            | Self::Temperature
            | Self::ReasoningEffort
            | Self::StreamOptions => has(self.name()),
            Self::Strict => {
                let places = ["/response_format/json_schema/strict", "/tools/0/function/strict"];
                let root = |place: &str| {
                    let (key, rest) = place.trim_start_matches('/').split_once('/')?;
                    body.get(key)?.pointer(&format!("/{rest}"))
                };
                places.into_iter().any(|place| root(place).is_some())
            }
            Self::SystemRole => {
                let messages = body.get("messages").and_then(Value::as_array);
                messages.into_iter().flatten().any(|message| message["role"] == "system")
            }
            Self::WholeAnswer => !has("stream"),
        }
    }
}

/// What was learned from one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// This part is not taken.
    Refused(Part),
    /// `reasoning_effort` is taken, but not with this value.
    Effort(Effort),
    /// No answer may have more tokens than this.
    OutputMax(u32),
    /// No schema of strict output may have more properties than this.
    SchemaProperties(u32),
    /// In no schema of strict output may more objects lie within each other.
    SchemaLevels(u32),
    /// No images are taken, in any way: other deployments are asked.
    NoImages,
}

/// What a deployment does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialect {
    /// The parts of a request that it refused.
    pub refuses: BTreeSet<Part>,
    /// The values of `reasoning_effort` that it refused.
    pub efforts_refused: BTreeSet<Effort>,
    /// The most tokens of an answer, thinking included, where a refusal named them.
    pub tokens_output_max: Option<u32>,
    /// The most properties of a schema of strict output, where a refusal named them.
    pub schema_properties_max: Option<u32>,
    /// The most objects within each other in such a schema, likewise.
    pub schema_levels_max: Option<u32>,
    /// Whether it refused images.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refuses_images: bool,
}

/// Lowers a limit to what a refusal has named. False where that was known.
fn lower(known: &mut Option<u32>, named: u32) -> bool {
    let is_new = known.is_none_or(|known| named < known);
    if is_new {
        *known = Some(named);
    }
    is_new
}

impl Dialect {
    /// Whether this part may be sent.
    pub fn takes(&self, part: Part) -> bool {
        !self.refuses.contains(&part)
    }

    /// Learns from a refusal. False where that was known.
    pub(crate) fn learn(&mut self, lesson: Lesson) -> bool {
        match lesson {
            Lesson::Refused(part) => self.refuses.insert(part),
            Lesson::Effort(effort) => self.efforts_refused.insert(effort),
            Lesson::OutputMax(tokens) => lower(&mut self.tokens_output_max, tokens),
            Lesson::SchemaProperties(most) => lower(&mut self.schema_properties_max, most),
            Lesson::SchemaLevels(most) => lower(&mut self.schema_levels_max, most),
            Lesson::NoImages => !std::mem::replace(&mut self.refuses_images, true),
        }
    }

    /// What is not taken of a request with this schema: one that is too large for strict output goes
    /// without.
    pub(crate) fn of_schema(mut self, schema: &Value) -> Self {
        let limits = [self.schema_properties_max, self.schema_levels_max];
        if limits.iter().any(Option::is_some) {
            let SchemaSize { properties, levels } = SchemaSize::of(schema);
            let is_over = |(most, size): (Option<u32>, usize)| {
                most.is_some_and(|most| size > usize::try_from(most).unwrap_or(usize::MAX))
            };
            if limits.into_iter().zip([properties, levels]).any(is_over) {
                self.refuses.insert(Part::Strict);
            }
        }
        self
    }

    /// Adds what another member of the fleet has learned. False where all of it was known.
    pub(crate) fn adopt(&mut self, other: &Self) -> bool {
        let parts = other.refuses.iter().map(|part| Lesson::Refused(*part));
        let efforts = other.efforts_refused.iter().map(|effort| Lesson::Effort(*effort));
        let lessons = parts.chain(efforts).chain(other.tokens_output_max.map(Lesson::OutputMax));
        let lessons = lessons.chain(other.schema_properties_max.map(Lesson::SchemaProperties));
        let lessons = lessons.chain(other.schema_levels_max.map(Lesson::SchemaLevels));
        let lessons = lessons.chain(other.refuses_images.then_some(Lesson::NoImages));
        // Every lesson is learned, not only the first new one.
        lessons.fold(false, |is_new, lesson| self.learn(lesson) | is_new)
    }

    /// The effort to ask for where this one is wanted: the nearest that was not refused, rather more
    /// than less; none where the deployment is to do as it does by default.
    pub(crate) fn effort(&self, wanted: Effort) -> Option<Effort> {
        if !self.takes(Part::ReasoningEffort) {
            return None;
        }
        let may = |effort: &Effort| !self.efforts_refused.contains(effort);
        let more = Effort::ALL.into_iter().filter(|effort| *effort >= wanted).find(may);
        more.or_else(|| Effort::ALL.into_iter().rev().filter(|effort| *effort < wanted).find(may))
    }

    /// What it refuses, by the names used outside.
    pub fn names(&self) -> Vec<String> {
        let efforts = self.efforts_refused.iter();
        let efforts = efforts.map(|effort| format!("reasoning_effort={}", effort.name()));
        let most = |most: Option<u32>, what| most.map(|most| format!("schema_{what}>{most}"));
        let sizes = [
            most(self.schema_properties_max, "properties"),
            most(self.schema_levels_max, "levels"),
        ];
        let parts = self.refuses.iter().map(|part| part.name().to_owned());
        let images = self.refuses_images.then(|| "images".to_owned());
        parts.chain(efforts).chain(sizes.into_iter().flatten()).chain(images).collect()
    }
}

/// The dialect of one deployment, for all its calls. Cheap to clone: clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedDialect(Arc<Mutex<Dialect>>);

impl SharedDialect {
    /// What is known now.
    pub(crate) fn get(&self) -> Dialect {
        self.lock().clone()
    }

    /// See [`Dialect::learn`].
    pub(crate) fn learn(&self, lesson: Lesson) -> bool {
        self.lock().learn(lesson)
    }

    /// See [`Dialect::adopt`].
    pub(crate) fn adopt(&self, other: &Dialect) -> bool {
        self.lock().adopt(other)
    }

    fn lock(&self) -> MutexGuard<'_, Dialect> {
        // Nothing panics while it is held, and every change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_nearest_effort_that_is_taken_is_asked_for() {
        let mut dialect = Dialect::default();
        assert_eq!(dialect.effort(Effort::Minimal), Some(Effort::Minimal));
        dialect.learn(Lesson::Effort(Effort::Minimal));
        assert_eq!(dialect.effort(Effort::Minimal), Some(Effort::Low));
        dialect.learn(Lesson::Effort(Effort::XHigh));
        assert_eq!(dialect.effort(Effort::XHigh), Some(Effort::High));
        for effort in Effort::ALL {
            dialect.learn(Lesson::Effort(effort));
        }
        assert_eq!(dialect.effort(Effort::Low), None);
        let mut dialect = Dialect::default();
        dialect.learn(Lesson::Refused(Part::ReasoningEffort));
        assert_eq!(dialect.effort(Effort::Low), None);
    }

    #[test]
    fn every_name_is_that_of_its_serialization() {
        for part in Part::ALL {
            assert_eq!(serde_json::to_value(part).unwrap(), part.name());
        }
        for effort in Effort::ALL {
            assert_eq!(serde_json::to_value(effort).unwrap(), effort.name());
            assert_eq!(Effort::named(effort.name()), Some(effort));
        }
    }

    #[test]
    fn every_part_is_seen_in_the_request_that_has_it() {
        let body = json!({
            "max_completion_tokens": 1, "max_tokens": 1, "temperature": 0, "stream_options": {},
            "reasoning_effort": "low", "messages": [{ "role": "system", "content": "" }],
            "tools": [{ "function": { "strict": true } }],
        });
        let body = body.as_object().unwrap();
        assert!(Part::ALL.into_iter().all(|part| part.is_in(body)));
        let format = json!({ "response_format": { "json_schema": { "strict": true } } });
        assert!(Part::Strict.is_in(format.as_object().unwrap()));
        let stream = json!({ "stream": true });
        assert!(Part::ALL.into_iter().all(|part| !part.is_in(stream.as_object().unwrap())));
    }

    #[test]
    fn a_schema_that_is_too_large_goes_without_strict() {
        let inner = json!({ "type": "object", "properties": { "a": {}, "b": {} } });
        let schema = json!({ "type": "object", "properties": { "c": inner, "d": {} } });
        let mut dialect = Dialect::default();
        for (lesson, is_strict) in [
            (Lesson::SchemaProperties(4), true),
            (Lesson::SchemaLevels(2), true),
            (Lesson::SchemaProperties(3), false),
        ] {
            dialect.learn(lesson);
            assert_eq!(dialect.clone().of_schema(&schema).takes(Part::Strict), is_strict);
        }
        assert!(dialect.of_schema(&json!({})).takes(Part::Strict));
        let mut dialect = Dialect::default();
        dialect.learn(Lesson::SchemaLevels(1));
        assert!(!dialect.clone().of_schema(&schema).takes(Part::Strict));
        assert_eq!(dialect.names(), ["schema_levels>1"]);
    }

    fn any_lesson() -> impl Strategy<Value = Lesson> {
        prop_oneof![
            prop::sample::select(&Part::ALL[..]).prop_map(Lesson::Refused),
            prop::sample::select(&Effort::ALL[..]).prop_map(Lesson::Effort),
            (1_u32..100).prop_map(Lesson::OutputMax),
            (1_u32..100).prop_map(Lesson::SchemaProperties),
            (1_u32..100).prop_map(Lesson::SchemaLevels),
            Just(Lesson::NoImages),
        ]
    }

    proptest! {
        #[test]
        fn members_come_to_know_the_same_in_any_order(
            one in prop::collection::vec(any_lesson(), 0..8),
            other in prop::collection::vec(any_lesson(), 0..8),
        ) {
            let learned = |lessons: &[Lesson]| {
                let mut dialect = Dialect::default();
                for lesson in lessons {
                    dialect.learn(*lesson);
                }
                dialect
            };
            let (mut a, mut b) = (learned(&one), learned(&other));
            let (was_a, was_b) = (a.clone(), b.clone());
            prop_assert_eq!(a.adopt(&was_b), a != was_a);
            b.adopt(&was_a);
            prop_assert_eq!(&a, &b);
            prop_assert!(!a.adopt(&b), "nothing new is in what is known");
            let text = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Dialect>(&text).unwrap(), a);
        }
    }
}
