//! Documents whose pages are only a cover for what they carry: portfolios and dynamic forms.
//!
//! To ask a model about a cover would be paid for nothing. It must know nothing of text.

use crate::{form, limits::TextError};
use hayro_syntax::{Pdf, object::Dict};

/// Says when the pages of a PDF are not what it is about.
///
/// # Errors
/// What to upload instead.
pub(crate) fn check(pdf: &Pdf) -> Result<(), TextError> {
    let xref = pdf.xref();
    let Some(catalog) = xref.get::<Dict<'_>>(xref.root_id()) else { return Ok(()) };
    if is_dynamic_form(pdf, &catalog) {
        return Err(TextError::Unsupported(
            "it is a dynamic XFA form, and its page only asks to wait: open it in Adobe Acrobat \
             Reader, print it to a PDF, and upload that"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Whether a form is drawn by its viewer from XML (XFA), and its page is a stand-in: there is not
/// one field on its pages.
fn is_dynamic_form(pdf: &Pdf, catalog: &Dict<'_>) -> bool {
    let form = catalog.get::<Dict<'_>>(b"AcroForm");
    form.is_some_and(|form| form.contains_key(b"XFA"))
        && pdf.pages().iter().all(|page| form::widgets(page).next().is_none())
}
