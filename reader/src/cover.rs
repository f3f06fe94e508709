//! What a PDF carries beside its pages, and pages that are only a cover for that: portfolios and
//! dynamic forms.
//!
//! To ask a model about a cover would be paid for nothing. It must know nothing of text.

use crate::{
    form,
    limits::TextError,
    pages::{Member, Pages},
    pdf_string,
};
use hayro_syntax::{
    Pdf,
    object::{Array, Dict, Name, Object, Stream, String as PdfString},
};

/// The most names of attachments that are told.
const NAMES_MAX: usize = 10;

/// Nodes of a tree of names that are looked at, at most.
const NODES_MAX: usize = 1000;

/// What e-invoices call their XML (Factur-X, ZUGFeRD 1 and 2, XRechnung, Order-X), where no
/// relationship says it.
const E_INVOICES: [&str; 5] =
    ["factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml", "order-x.xml", "cii.xml"];

/// Refuses a PDF of which no page is there to be read.
///
/// # Errors
/// What to upload instead.
pub(crate) fn check(pdf: &Pdf) -> Result<(), TextError> {
    let Some(catalog) = catalog(pdf) else { return Ok(()) };
    if is_dynamic_form(pdf, &catalog) {
        return Err(TextError::Unsupported(
            "it is a dynamic XFA form, and its page only asks to wait: open it in Adobe Acrobat \
             Reader, print it to a PDF, and upload that"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Says of the pages what the PDF carries beside them.
pub(crate) fn add_members(pdf: &Pdf, pages: &mut Pages) {
    let Some(catalog) = catalog(pdf) else { return };
    let (same, members): (Vec<_>, Vec<_>) = attached(&catalog).into_iter().partition(is_same);
    pages.members = members.iter().map(|file| file.member.clone()).collect();
    // With more pages than a cover there is something to read.
    let is_portfolio = catalog.contains_key(b"Collection") && pdf.pages().len() == 1;
    pages.is_cover = is_portfolio && !members.is_empty();
    if !same.is_empty() {
        let names: Vec<_> = same.iter().take(NAMES_MAX).map(|file| &*file.member.name).collect();
        let names = names.join(", ");
        pages.warnings.push(format!("the files attached to it were not read: {names}"));
    }
}

/// The bytes of the member of this number, counted from 0.
pub(crate) fn member(pdf: &Pdf, number: usize) -> Option<Vec<u8>> {
    let mut files = attached(&catalog(pdf)?).into_iter().filter(|file| !is_same(file));
    let file = files.nth(number)?.file;
    let streams = file.get::<Dict<'_>>(b"EF")?;
    let stream = streams.get::<Stream<'_>>(b"UF").or_else(|| streams.get(b"F"))?;
    stream.decoded().ok().map(std::borrow::Cow::into_owned)
}

fn catalog(pdf: &Pdf) -> Option<Dict<'_>> {
    let xref = pdf.xref();
    xref.get::<Dict<'_>>(xref.root_id())
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

/// A file that a PDF carries.
struct Attached<'a> {
    member: Member,
    /// Its file specification.
    file: Dict<'a>,
}

/// Whether it is the document itself in another form (ISO 32000-2, 7.11.3: `AFRelationship`), such
/// as the XML of an e-invoice or the file that the PDF was made of.
fn is_same(attached: &Attached<'_>) -> bool {
    let relation = attached.file.get::<Name<'_>>(b"AFRelationship");
    let is_form = |name: Name<'_>| matches!(name.as_ref(), b"Alternative" | b"Source" | b"Data");
    let name = attached.member.name.to_lowercase();
    relation.is_some_and(is_form) || E_INVOICES.contains(&name.as_str())
}

/// The files that a PDF carries.
fn attached<'a>(catalog: &Dict<'a>) -> Vec<Attached<'a>> {
    let tree = catalog.get::<Dict<'_>>(b"Names");
    let tree = tree.and_then(|names| names.get::<Dict<'_>>(b"EmbeddedFiles"));
    let mut open: Vec<Dict<'_>> = tree.into_iter().collect();
    let mut files = Vec::new();
    for _ in 0..NODES_MAX {
        let Some(node) = open.pop() else { break };
        if let Some(kids) = node.get::<Array<'_>>(b"Kids") {
            let kids: Vec<_> = dicts(&kids).take(NODES_MAX).collect();
            open.extend(kids.into_iter().rev());
        }
        // Names and files by turns.
        if let Some(pairs) = node.get::<Array<'_>>(b"Names") {
            files.extend(dicts(&pairs).take(Pages::MEMBERS_MAX).filter_map(|file| {
                let name = file.get::<PdfString<'_>>(b"UF").or_else(|| file.get(b"F"))?;
                let member = Member::new(&pdf_string::decode(name.as_bytes()), None);
                Some(Attached { member, file })
            }));
        }
    }
    files.truncate(Pages::MEMBERS_MAX);
    files
}
