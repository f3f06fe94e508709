//! Parsers panic on some files: what a panic says of the page or document that caused it.

use std::any::Any;

/// The most characters of a panic's words that are told.
const WORDS_MAX: usize = 200;

/// Why reading ended in a panic.
pub(crate) fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    format!("reading it broke the reader: {}", text.chars().take(WORDS_MAX).collect::<String>())
}
