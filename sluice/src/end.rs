//! How a command ends badly: what to print, and the exit code.

use std::process::ExitCode;

/// A command that did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum End {
    /// Some document failed; its own line has said so. Exit code 1.
    Failed(String),
    /// The command line, the configuration or an argument is wrong. Exit code 2.
    Usage(String),
    /// A service could not be reached. Exit code 3.
    Unreachable(String),
}

impl End {
    /// Says it on stderr, and gives the exit code.
    #[expect(clippy::print_stderr, reason = "this is what stderr is for")]
    pub(crate) fn report(&self) -> ExitCode {
        let (message, code) = match self {
            Self::Failed(message) => (message, 1),
            Self::Usage(message) => (message, 2),
            Self::Unreachable(message) => (message, 3),
        };
        if !message.is_empty() {
            eprintln!("sluice: {message}");
        }
        ExitCode::from(code)
    }

    /// A fault of the configuration or an argument.
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// A service that does not answer.
    pub(crate) fn unreachable(error: impl ToString) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<anyhow::Error> for End {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        // A closed pipe is how `| head` says thank you.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Failed(String::new());
        }
        Self::Failed(error.to_string())
    }
}
