//! The ways to ask for JSON of a schema, and the search for the one that a deployment knows.
//!
//! Servers disagree: some refuse `json_schema`, some answer 500 to it, some take tools and ignore
//! them. A deployment is first asked in the strongest way; what it refuses, ignores, or fails on
//! where another way works, is not used again. Each way leaves the search at most once, so a
//! search ends. It must know nothing of the network, nor of whether a call was paid.

use serde::Serialize;
use std::collections::HashSet;

/// The most questions that are remembered as having met a failure.
const BURNT_MAX: usize = 1024;

/// A way to ask for JSON of a schema, the strongest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `response_format` of type `json_schema`, strict.
    #[default]
    JsonSchema,
    /// A tool that must be called; its arguments are the answer.
    Tool,
    /// `response_format` of type `json_object`, with the schema in its key `schema`.
    JsonObjectSchema,
    /// `response_format` of type `json_object`, with the schema in the prompt.
    JsonObject,
    /// The schema in the prompt, and nothing else.
    Prompt,
}

impl Mode {
    /// All, the strongest first.
    pub const ALL: [Self; 5] =
        [Self::JsonSchema, Self::Tool, Self::JsonObjectSchema, Self::JsonObject, Self::Prompt];

    /// Whether the model is told the schema in words: then no server can ignore it.
    pub(crate) fn is_in_words(self) -> bool {
        matches!(self, Self::JsonObject | Self::Prompt)
    }

    /// The name used outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonSchema => "json_schema",
            Self::Tool => "tool",
            Self::JsonObjectSchema => "json_object_schema",
            Self::JsonObject => "json_object",
            Self::Prompt => "prompt",
        }
    }

    /// The mode of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// The setting of a mode in a configuration: `auto` is none.
pub(crate) mod setting {
    use super::Mode;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const AUTO: &str = "auto";
    const NAMES: [&str; 6] =
        [AUTO, "json_schema", "tool", "json_object_schema", "json_object", "prompt"];

    pub(crate) fn serialize<S: Serializer>(
        mode: &Option<Mode>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(mode.map_or(AUTO, Mode::name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Mode>, D::Error> {
        let name = String::deserialize(deserializer)?;
        match Mode::named(&name) {
            None if name != AUTO => Err(Error::unknown_variant(&name, &NAMES)),
            mode => Ok(mode),
        }
    }
}

/// What tells two questions apart.
pub(crate) type Fingerprint = [u8; 32];

/// One call as the search sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) mode: Mode,
    /// Whether it finds out if a way fails again of which it failed once.
    again: bool,
}

/// How a call ended, as far as its way is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer has the form that the way promises.
    Kept,
    /// There is an answer, but not in the form that the way promises.
    Ignored,
    /// The deployment says that it does not know the way.
    Refused,
    /// 500, which may mean the way or anything else.
    Failed,
    /// Nothing follows from it.
    Unrelated,
}

/// What follows from how a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Nothing.
    Nothing,
    /// The way was refused; there are others.
    AskAgain,
    /// The way was refused although it works for other questions: this question is at fault.
    QuestionAtFault,
    /// Every way that may be used was refused.
    NoneLeft,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Not known.
    Open,
    /// It failed once, by itself or because the deployment did.
    Suspect,
    /// Not known, but a way that servers ignore as easily was ignored.
    Passed,
    /// There are answers, but not in its form: better than none.
    Ignored,
    /// It is not used.
    Out,
    /// It has brought an answer.
    Works,
}

/// The search of one deployment.
#[derive(Debug)]
pub(crate) struct Search {
    marks: [(Mode, Mark); 5],
    fixed: Option<Mode>,
    /// Questions that met a failure: none of them meets the same one twice, as it may have been
    /// paid.
    burnt: HashSet<Fingerprint>,
    is_trying_again: bool,
}

impl Search {
    /// A search among all ways, or none where one is fixed.
    pub(crate) fn new(fixed: Option<Mode>) -> Self {
        let marks = Mode::ALL.map(|mode| (mode, Mark::Open));
        Self { marks, fixed, burnt: HashSet::new(), is_trying_again: false }
    }

    /// The way of the next call about this question, which is told apart only where that matters.
    pub(crate) fn attempt(&mut self, question: impl FnOnce() -> Fingerprint) -> Attempt {
        let mode = self.current();
        let suspect = self.marks.iter().take_while(|(other, _)| *other != mode);
        let mut suspect = suspect.filter(|(_, mark)| *mark == Mark::Suspect).map(|(mode, _)| *mode);
        match suspect.next() {
            Some(suspect)
                if self.fixed.is_none()
                    && self.works(mode)
                    && !self.is_trying_again
                    && self.burnt.len() < BURNT_MAX
                    && !self.burnt.contains(&question()) =>
            {
                self.is_trying_again = true;
                Attempt { mode: suspect, again: true }
            }
            _ => Attempt { mode, again: false },
        }
    }

    /// The way that is used now: the strongest that works, else the strongest that may.
    pub(crate) fn current(&self) -> Mode {
        let first = |mark| self.marks.iter().find(|(_, m)| *m == mark).map(|(mode, _)| *mode);
        let order = [Mark::Works, Mark::Open, Mark::Passed, Mark::Ignored];
        self.fixed.or_else(|| order.into_iter().find_map(first)).unwrap_or(Mode::Prompt)
    }

    /// Whether answers have come in this way.
    pub(crate) fn works(&self, mode: Mode) -> bool {
        self.marks.contains(&(mode, Mark::Works))
    }

    /// Learns from how a call ended.
    pub(crate) fn ended(
        &mut self,
        attempt: Attempt,
        ending: Ending,
        question: impl FnOnce() -> Fingerprint,
    ) -> Advice {
        let Attempt { mode, again } = attempt;
        if again {
            self.is_trying_again = false;
        }
        let works = self.works(mode);
        match ending {
            Ending::Kept => self.mark(mode, Mark::Works),
            // The prompt is all that is left to go by.
            Ending::Ignored if mode.is_in_words() => self.mark(mode, Mark::Works),
            Ending::Ignored if !works && self.fixed.is_none() => self.fall_back(mode),
            Ending::Refused if works => return Advice::QuestionAtFault,
            Ending::Refused if self.fixed.is_some() => return Advice::NoneLeft,
            Ending::Refused => return self.refused(mode),
            Ending::Failed if !works && self.fixed.is_none() => self.failed(mode, again, question),
            Ending::Ignored | Ending::Failed | Ending::Unrelated => {}
        }
        Advice::Nothing
    }

    /// A server that ignores one mode probably ignores the others that can be ignored.
    fn fall_back(&mut self, from: Mode) {
        self.mark(from, Mark::Ignored);
        for (mode, mark) in &mut self.marks {
            if *mark == Mark::Open && !mode.is_in_words() {
                *mark = Mark::Passed;
            }
        }
    }

    fn refused(&mut self, mode: Mode) -> Advice {
        self.mark(mode, Mark::Out);
        if self.marks.iter().any(|(_, mark)| *mark != Mark::Out) {
            self.forgive();
            return Advice::AskAgain;
        }
        // Perhaps only this question's schema was too much for all of them.
        *self = Self::new(None);
        Advice::NoneLeft
    }

    fn failed(&mut self, mode: Mode, again: bool, question: impl FnOnce() -> Fingerprint) {
        if again {
            self.mark(mode, Mark::Out);
        } else if !self.marks.contains(&(mode, Mark::Out)) {
            self.mark(mode, Mark::Suspect);
        }
        if self.marks.iter().any(|(_, mark)| *mark == Mark::Suspect) {
            if self.burnt.len() < BURNT_MAX {
                self.burnt.insert(question());
            }
        } else {
            self.burnt.clear();
        }
        self.forgive();
    }

    /// When every mode that is left has failed, the deployment failed, not the modes.
    fn forgive(&mut self) {
        if self.marks.iter().all(|(_, mark)| matches!(mark, Mark::Suspect | Mark::Out)) {
            self.burnt.clear();
            for (_, mark) in self.marks.iter_mut().filter(|(_, mark)| *mark == Mark::Suspect) {
                *mark = Mark::Open;
            }
        }
    }

    fn mark(&mut self, mode: Mode, mark: Mark) {
        for (_, old) in self.marks.iter_mut().filter(|(other, _)| *other == mode) {
            *old = mark;
        }
    }
}

#[cfg(test)]
#[path = "mode_tests.rs"]
mod tests;
