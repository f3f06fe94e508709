//! The files that a PDF carries beside its pages: the electronic invoices among them, and those that
//! are documents of their own.
//!
//! It must know nothing of text.

use crate::{
    e_invoice::{self, EInvoice},
    pages::{Member, Pages},
    pdf_string,
};
use flate2::read::ZlibDecoder;
use hayro_syntax::{
    Filter, Pdf,
    object::{Array, Dict, Name, Object, Stream, String as PdfString},
};
use std::{borrow::Cow, collections::BTreeSet, io::Read};

/// The most files that are looked at.
const FILES_MAX: usize = Pages::MEMBERS_MAX;

/// The most names of files that are told.
const NAMES_MAX: usize = 10;

/// What electronic invoices are called (Factur-X, ZUGFeRD 1 and 2, XRechnung, Order-X), where no
/// relationship says it.
const E_INVOICES: [&str; 5] =
    ["factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml", "order-x.xml", "cii.xml"];

/// Nodes of a tree of names that are looked at, at most.
const NODES_MAX: usize = 1000;

/// The most bytes of all files that are inflated together.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// A file that a PDF carries.
struct AttachedFile<'a> {
    member: Member,
    /// Whether it says the same as the pages in another form, such as the file that the PDF was made of
    /// (ISO 32000-2, 7.11.3: `AFRelationship`).
    is_same: bool,
    bytes: Option<Stream<'a>>,
}

/// The files of a PDF: by its names, and those that are associated with it (ISO 32000-2, 7.11.4 and
/// 14.13), each once.
fn files(pdf: &Pdf) -> Vec<AttachedFile<'_>> {
    let xref = pdf.xref();
    let Some(catalog) = xref.get::<Dict<'_>>(xref.root_id()) else { return Vec::new() };
    let mut specifications = named(&catalog);
    specifications.extend(catalog.get::<Array<'_>>(b"AF").iter().flat_map(dicts).take(FILES_MAX));
    let mut known = BTreeSet::new();
    let files = specifications.into_iter().filter_map(|file| {
        let name = file.get::<PdfString<'_>>(b"UF").or_else(|| file.get(b"F"))?;
        let member = Member::new(&pdf_string::decode(name.as_bytes()), None);
        let relation = file.get::<Name<'_>>(b"AFRelationship");
        let is_form =
            |name: Name<'_>| matches!(name.as_ref(), b"Alternative" | b"Source" | b"Data");
        let is_same = relation.is_some_and(is_form)
            || E_INVOICES.contains(&member.name.to_lowercase().as_str());
        let bytes = file.get::<Dict<'_>>(b"EF");
        let bytes =
            bytes.and_then(|bytes| bytes.get::<Stream<'_>>(b"F").or_else(|| bytes.get(b"UF")));
        Some(AttachedFile { member, is_same, bytes })
    });
    let files = files.filter(|file| {
        let id = file.bytes.as_ref().map(|bytes| bytes.obj_id());
        known.insert((file.member.name.clone(), id))
    });
    files.take(FILES_MAX).collect()
}

/// What a file is to the document.
enum Role {
    Invoice(EInvoice),
    /// An electronic invoice that cannot be read, and why.
    Broken(String),
    /// It says the same as the pages.
    Same,
    Member,
}

/// The files with what they are.
fn with_roles(pdf: &Pdf) -> impl Iterator<Item = (AttachedFile<'_>, Role)> {
    let mut left = INFLATED_BYTES_MAX;
    files(pdf).into_iter().map(move |file| {
        let bytes = file.bytes.as_ref().and_then(|stream| bytes(stream, &mut left));
        let role = match bytes.map(|bytes| EInvoice::read(&bytes)) {
            Some(Ok(Some(invoice))) => Role::Invoice(invoice),
            Some(Err(why)) => Role::Broken(why.to_string()),
            _ if file.is_same => Role::Same,
            _ => Role::Member,
        };
        (file, role)
    })
}

/// Reads the electronic invoices that a PDF carries, and names what else it does.
pub(crate) fn read(pdf: &Pdf, pages: &mut Pages) {
    let mut same = Vec::new();
    for (AttachedFile { member, .. }, role) in with_roles(pdf) {
        let name = member.name.clone();
        match role {
            Role::Invoice(invoice) => pages.carry([EInvoice { file: name, ..invoice }]),
            Role::Broken(why) => {
                pages.warnings.push(format!("the electronic invoice {name} is not read: {why}"));
            }
            Role::Same => same.push(name),
            Role::Member => pages.members.push(member),
        }
    }
    if !same.is_empty() {
        same.truncate(NAMES_MAX);
        let names = same.join(", ");
        pages.warnings.push(format!("the files attached to it were not read: {names}"));
    }
    let xref = pdf.xref();
    let catalog = xref.get::<Dict<'_>>(xref.root_id());
    let is_portfolio = catalog.is_some_and(|catalog| catalog.contains_key(b"Collection"));
    // With more pages than a cover there is something to read.
    pages.is_cover = is_portfolio && pdf.pages().len() == 1 && !pages.members.is_empty();
}

/// The bytes of the member of this number, counted from 0.
pub(crate) fn member(pdf: &Pdf, number: usize) -> Option<Vec<u8>> {
    let mut members = with_roles(pdf).filter(|(_, role)| matches!(role, Role::Member));
    let (file, _) = members.nth(number)?;
    file.bytes?.decoded().ok().map(Cow::into_owned)
}

/// The bytes of a file that may be an invoice: as it is or deflated, and not too large.
fn bytes<'a>(stream: &Stream<'a>, left: &mut usize) -> Option<Cow<'a, [u8]>> {
    let raw = stream.raw_data();
    let max = e_invoice::BYTES_MAX.min(*left);
    match stream.filters().as_slice() {
        [] if raw.len() <= max => Some(raw),
        [Filter::FlateDecode] if !is_predicted(stream.dict()) => {
            let mut bytes = Vec::new();
            let mut inflated = ZlibDecoder::new(&*raw).take(max as u64 + 1);
            let is_whole = inflated.read_to_end(&mut bytes).is_ok();
            *left -= bytes.len().min(*left);
            (is_whole && bytes.len() <= max).then_some(Cow::Owned(bytes))
        }
        _ => None,
    }
}

/// Whether the bytes are differences, as those of pictures may be (ISO 32000-2, table 8).
fn is_predicted(stream: &Dict<'_>) -> bool {
    let parameters = stream.get::<Dict<'_>>(b"DecodeParms").or_else(|| {
        let all = stream.get::<Array<'_>>(b"DecodeParms")?;
        dicts(&all).next()
    });
    parameters.and_then(|parameters| parameters.get::<i32>(b"Predictor")).is_some_and(|by| by > 1)
}

/// The files by the tree of their names.
fn named<'a>(catalog: &Dict<'a>) -> Vec<Dict<'a>> {
    let tree = catalog.get::<Dict<'_>>(b"Names");
    let tree = tree.and_then(|names| names.get::<Dict<'_>>(b"EmbeddedFiles"));
    let mut open: Vec<Dict<'_>> = tree.into_iter().collect();
    let mut files = Vec::new();
    for _ in 0..NODES_MAX {
        let Some(node) = open.pop() else { break };
        if let Some(kids) = node.get::<Array<'_>>(b"Kids") {
            open.extend(dicts(&kids).take(NODES_MAX));
        }
        // Names and files by turns.
        if let Some(pairs) = node.get::<Array<'_>>(b"Names") {
            files.extend(dicts(&pairs).take(FILES_MAX));
        }
    }
    files
}

/// The dictionaries of an array, of whatever else is in it.
fn dicts<'a>(array: &Array<'a>) -> impl Iterator<Item = Dict<'a>> {
    array.iter::<Object<'_>>().filter_map(Object::into_dict)
}
