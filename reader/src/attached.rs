//! The files that a PDF carries beside its pages: their names, and the electronic invoice among them.
//!
//! It must know nothing of text.

use crate::{
    e_invoice::{self, EInvoice},
    pages::Pages,
    pdf_string,
};
use flate2::read::ZlibDecoder;
use hayro_syntax::{
    Filter, Pdf,
    object::{Array, Dict, Object, Stream, String as PdfString},
};
use std::{borrow::Cow, collections::BTreeSet, io::Read};

/// The most files that are looked at.
const FILES_MAX: usize = 100;

/// The most names of files that are told.
const NAMES_MAX: usize = 10;

/// So much of each name is told.
const NAME_CHARS_MAX: usize = 100;

/// Nodes of a tree of names that are looked at, at most.
const NODES_MAX: usize = 1000;

/// The most bytes of all files that are inflated together.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// A file that a PDF carries.
pub(crate) struct AttachedFile<'a> {
    name: String,
    bytes: Option<Stream<'a>>,
}

/// The files of a PDF: by its names, and those that are associated with it (ISO 32000-2, 7.11.4 and
/// 14.13), each once.
pub(crate) fn files(pdf: &Pdf) -> Vec<AttachedFile<'_>> {
    let xref = pdf.xref();
    let Some(catalog) = xref.get::<Dict<'_>>(xref.root_id()) else { return Vec::new() };
    let mut specifications = named(&catalog);
    specifications.extend(catalog.get::<Array<'_>>(b"AF").iter().flat_map(dicts).take(FILES_MAX));
    let mut known = BTreeSet::new();
    let files = specifications.into_iter().filter_map(|file| {
        let name = file.get::<PdfString<'_>>(b"UF").or_else(|| file.get(b"F"))?;
        let name = pdf_string::decode(name.as_bytes()).chars().take(NAME_CHARS_MAX).collect();
        let bytes = file.get::<Dict<'_>>(b"EF");
        let bytes =
            bytes.and_then(|bytes| bytes.get::<Stream<'_>>(b"F").or_else(|| bytes.get(b"UF")));
        Some(AttachedFile { name, bytes })
    });
    let files = files.filter(|file| {
        let id = file.bytes.as_ref().map(|bytes| bytes.obj_id());
        known.insert((file.name.clone(), id))
    });
    files.take(FILES_MAX).collect()
}

/// The names of files, as they are told; none where there are none.
pub(crate) fn names(files: &[AttachedFile<'_>]) -> Option<String> {
    let names: Vec<_> = files.iter().take(NAMES_MAX).map(|file| file.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Reads the electronic invoices that a PDF carries, and says what else it does.
pub(crate) fn read(pdf: &Pdf, pages: &mut Pages) {
    let mut left = INFLATED_BYTES_MAX;
    let mut unread = Vec::new();
    for file in files(pdf) {
        let bytes = file.bytes.as_ref().and_then(|stream| bytes(stream, &mut left));
        match bytes.map(|bytes| EInvoice::read(&bytes)) {
            Some(Ok(Some(invoice))) => {
                pages.carry([EInvoice { file: file.name, ..invoice }]);
            }
            Some(Err(why)) => {
                let name = file.name;
                pages.warnings.push(format!("the electronic invoice {name} is not read: {why}"));
            }
            None | Some(Ok(None)) => unread.push(file),
        }
    }
    let unread = names(&unread);
    let unread = unread.map(|names| format!("the files attached to it were not read: {names}"));
    pages.warnings.extend(unread);
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
