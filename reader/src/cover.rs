//! Documents whose pages are only a cover for what they carry: portfolios and dynamic forms.
//!
//! To ask a model about a cover would be paid for nothing. It must know nothing of text.

use crate::{form, limits::TextError, pdf_string};
use hayro_syntax::{
    Pdf,
    object::{Array, Dict, Object, String as PdfString},
};

/// The most names of attachments that are told.
const NAMES_MAX: usize = 10;

/// So much of each name is told.
const NAME_CHARS_MAX: usize = 100;

/// Nodes of a tree of names that are looked at, at most.
const NODES_MAX: usize = 1000;

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
    // With more pages than a cover there is something to read.
    if catalog.contains_key(b"Collection") && pdf.pages().len() == 1 {
        let names = attachments(&catalog);
        if !names.is_empty() {
            let names = names.join(", ");
            return Err(TextError::Unsupported(format!(
                "it is a PDF portfolio, and its page is only a cover: upload what is attached to it \
                 ({names}), each as a document of its own"
            )));
        }
    }
    Ok(())
}

/// What should be said of the files that a PDF carries beside its pages, if it carries any.
pub(crate) fn warning(pdf: &Pdf) -> Option<String> {
    let xref = pdf.xref();
    let names = attachments(&xref.get::<Dict<'_>>(xref.root_id())?);
    let names = (!names.is_empty()).then(|| names.join(", "))?;
    Some(format!("the files attached to it were not read: {names}"))
}

/// Whether a form is drawn by its viewer from XML (XFA), and its page is a stand-in: there is not
/// one field on its pages.
fn is_dynamic_form(pdf: &Pdf, catalog: &Dict<'_>) -> bool {
    let form = catalog.get::<Dict<'_>>(b"AcroForm");
    form.is_some_and(|form| form.contains_key(b"XFA"))
        && pdf.pages().iter().all(|page| form::widgets(page).next().is_none())
}

/// The dictionaries of an array, of whatever else is in it.
fn dicts<'a>(array: &Array<'a>) -> impl Iterator<Item = Dict<'a>> {
    array.iter::<Object<'_>>().filter_map(Object::into_dict)
}

/// The names of the files that a PDF carries.
fn attachments(catalog: &Dict<'_>) -> Vec<String> {
    let tree = catalog.get::<Dict<'_>>(b"Names");
    let tree = tree.and_then(|names| names.get::<Dict<'_>>(b"EmbeddedFiles"));
    let mut open: Vec<Dict<'_>> = tree.into_iter().collect();
    let mut names = Vec::new();
    for _ in 0..NODES_MAX {
        let Some(node) = open.pop() else { break };
        if let Some(kids) = node.get::<Array<'_>>(b"Kids") {
            open.extend(dicts(&kids).take(NODES_MAX));
        }
        // Names and files by turns.
        if let Some(pairs) = node.get::<Array<'_>>(b"Names") {
            names.extend(dicts(&pairs).take(NAMES_MAX).filter_map(|file| {
                let name = file.get::<PdfString<'_>>(b"UF").or_else(|| file.get(b"F"))?;
                Some(pdf_string::decode(name.as_bytes()).chars().take(NAME_CHARS_MAX).collect())
            }));
        }
    }
    names.truncate(NAMES_MAX);
    names
}
