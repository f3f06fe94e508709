//! PDF by pdf-extract: plain text in the order of the file, one page at a time.
//!
//! Its own way through all pages stops at the first bad one and does not say so, and it panics on
//! some: so each page is asked for by itself, and those that it misses are found by counting.

use crate::{
    limits::TextError,
    pages::{Page, Pages},
    pdf,
};
use pdf_extract::{Document, PlainTextOutput, output_doc_page};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "pdf-extract-0.12";

/// The text of a PDF.
pub(super) fn read(bytes: &[u8], pages_max: u32) -> Result<Pages, TextError> {
    let count = pdf::open(bytes, pages_max)?.pages().len();
    let broken = |error: &dyn std::fmt::Display| TextError::Unreadable(error.to_string());
    let mut document = Document::load_mem(bytes).map_err(|error| broken(&error))?;
    if document.is_encrypted() {
        // The other engine has just opened it without a password.
        document.decrypt("").map_err(|error| broken(&error))?;
    }
    let page = |number: u32| match read_page(&document, number) {
        Ok(text) => Page { number, text, error: None, is_picture: false },
        Err(error) => Page { number, text: String::new(), error: Some(error), is_picture: false },
    };
    let pages = (1..).take(count).map(page).collect();
    pdf::finish(Pages { engine: ENGINE.to_owned(), pages, warnings: Vec::new() })
}

fn read_page(document: &Document, number: u32) -> Result<String, String> {
    let mut text = String::new();
    let output = AssertUnwindSafe(|| {
        output_doc_page(document, &mut PlainTextOutput::new(&mut text), number)
    });
    match catch_unwind(output) {
        Ok(Ok(())) => Ok(text.trim().to_owned()),
        Ok(Err(error)) => Err(format!("pdf-extract: {error}")),
        Err(panic) => Err(pdf::broken_by(panic.as_ref())),
    }
}
