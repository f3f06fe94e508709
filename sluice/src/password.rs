//! What a PDF opens with, from where no other user of the machine sees it.

use crate::end::End;
use clap::Args;
use shared::config::Secret;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordSource {
    /// A file with the password that PDFs open with; the end of its line does not count
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The environment variable that holds the password that PDFs open with
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
}

impl PasswordSource {
    /// The password, if one is named.
    ///
    /// # Errors
    /// When it cannot be read. The message never holds it.
    pub(crate) fn read(&self) -> Result<Option<Secret>, End> {
        if let Some(file) = &self.password_file {
            let unreadable = |error| End::Usage(format!("{}: {error}", file.display()));
            let text = std::fs::read_to_string(file).map_err(unreadable)?;
            return Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))));
        }
        let Some(name) = &self.password_env else { return Ok(None) };
        let unset = |_| End::Usage(format!("--password-env: the variable {name} is not set"));
        std::env::var(name).map(Secret::new).map(Some).map_err(unset)
    }
}
