//! Scripted answers: a prompt in which a text occurs is answered with the contents of a file. The
//! files are read once, at the start; what stands in them is not looked at.

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One entry of `answers` in the configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// The text that must occur in the prompt, in any of its messages.
    pub when_text: String,
    /// The file whose contents are the answer; relative to the folder of the configuration.
    pub file: PathBuf,
}

impl ScriptedAnswer {
    /// Takes a relative path as one in `folder`.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        self.file = folder.join(&self.file);
    }
}

/// The scripted answers with their contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    answers: Vec<(String, String)>,
}

impl Script {
    /// Reads all files.
    ///
    /// # Errors
    /// A file that cannot be read, or an entry without a text, by its place in `answers`.
    pub(crate) fn read(answers: &[ScriptedAnswer]) -> anyhow::Result<Self> {
        let read = |(index, answer): (usize, &ScriptedAnswer)| {
            let ScriptedAnswer { when_text, file } = answer;
            ensure!(!when_text.is_empty(), "`answers[{index}]`: `when_text` is empty");
            let content = std::fs::read_to_string(file)
                .with_context(|| format!("`answers[{index}]`: cannot read {}", file.display()))?;
            Ok((when_text.clone(), content))
        };
        let answers = answers.iter().enumerate().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { answers })
    }

    /// The content of the first entry whose text occurs in the prompt.
    pub(crate) fn answer(&self, prompt: &str) -> Option<&str> {
        let mut answers = self.answers.iter();
        let found = answers.find(|(when_text, _)| prompt.contains(when_text.as_str()));
        found.map(|(_, content)| content.as_str())
    }
}
