//! A second opinion on pages that the first engine cannot read: by pdf-extract, one page at a time.
//!
//! Its own way through all pages stops at the first bad one and does not say so, and it panics on
//! some. It must know nothing of why a page is doubted.

use crate::panic;
use pdf_extract::{Document, PlainTextOutput, output_doc_page};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A PDF, opened.
pub(crate) struct Second(Document);

impl Second {
    /// Opens a PDF that needs no password.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn open(bytes: &[u8]) -> Result<Self, String> {
        let open = || {
            let mut document = Document::load_mem(bytes)?;
            if document.is_encrypted() {
                document.decrypt("")?;
            }
            Ok(Self(document))
        };
        let opened: Result<_, pdf_extract::Error> =
            catch_unwind(AssertUnwindSafe(open)).map_err(|panic| panic::reason(panic.as_ref()))?;
        opened.map_err(|error| error.to_string())
    }

    /// The text of a page, counted from 1, in the order of the file.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn page(&self, number: u32) -> Result<String, String> {
        let mut text = String::new();
        let output = AssertUnwindSafe(|| {
            output_doc_page(&self.0, &mut PlainTextOutput::new(&mut text), number)
        });
        match catch_unwind(output) {
            Ok(Ok(())) => Ok(text.trim().to_owned()),
            Ok(Err(error)) => Err(format!("pdf-extract: {error}")),
            Err(panic) => Err(panic::reason(panic.as_ref())),
        }
    }
}
