//! The causes of an error, for messages.

use std::{error::Error, iter::successors};

/// The causes of an error, the outermost first.
pub fn causes(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(error.source(), |&error| error.source())
}

/// The error and its causes in one line, separated by colons. A cause that an outer error already
/// quotes is left out.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
