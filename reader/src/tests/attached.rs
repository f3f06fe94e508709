//! The electronic invoice that a PDF or a mail carries is found by its content.

use super::{pdf, text};
use crate::{Format, Pages};
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write;

const INVOICE: &str = "<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'>\
    <ID>A-1</ID></Invoice>";

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A PDF with these streams as objects 30, 31, ... and their specifications as 20, 21, ...
fn carrying(catalog: &str, files: &[(&str, &str, &[u8])]) -> Pages {
    let mut objects: Vec<u8> = Vec::new();
    for (number, (name, entries, bytes)) in (0..).zip(files) {
        let (file, stream) = (20 + number, 30 + number);
        let length = bytes.len();
        write!(objects, "{file} 0 obj<</Type/Filespec/F({name})/EF<</F {stream} 0 R>>>>endobj ")
            .unwrap();
        writeln!(objects, "{stream} 0 obj<</Length {length}{entries}>>stream").unwrap();
        objects.extend_from_slice(bytes);
        objects.extend_from_slice(b"\nendstream endobj ");
    }
    let content = "BT /F 9 Tf 10 50 Td (Please pay) Tj ET";
    let bytes = pdf(content, "/MediaBox[0 0 100 100]", catalog, "@objects");
    let at = bytes.windows(8).position(|window| window == b"@objects").unwrap();
    let bytes = [&bytes[..at], &objects, &bytes[at + 8..]].concat();
    text(&bytes, Format::Pdf).unwrap()
}

fn found(pages: &Pages) -> Vec<(&str, &str)> {
    let invoices = pages.e_invoices.iter();
    invoices.map(|invoice| (invoice.file.as_str(), invoice.number().unwrap_or_default())).collect()
}

fn members(pages: &Pages) -> Vec<&str> {
    pages.members.iter().map(|member| member.name.as_str()).collect()
}

const NAMES: &str = "/Names<</EmbeddedFiles<</Names[(a)20 0 R(b)21 0 R]>>>>";

#[test]
fn the_invoice_among_the_files_of_a_pdf_is_read() {
    let packed = deflated(INVOICE.as_bytes());
    let files: [(&str, &str, &[u8]); 2] =
        [("terms.txt", "", b"terms"), ("odd name.bin", "/Filter/FlateDecode", &packed)];
    let pages = carrying(NAMES, &files);
    assert_eq!(found(&pages), [("odd name.bin", "A-1")]);
    assert_eq!(members(&pages), ["terms.txt"]);
    let files: [(&str, &str, &[u8]); 2] = [
        ("a.xml", "/Filter/FlateDecode/DecodeParms[<</Predictor 1>>]", &packed),
        ("b.xml", "/Filter/FlateDecode/DecodeParms<</Predictor 12>>", &packed),
    ];
    let pages = carrying(NAMES, &files);
    assert_eq!((found(&pages), members(&pages)), (vec![("a.xml", "A-1")], vec!["b.xml"]));
    // Associated with the document and in no tree of names; and in both, which is once.
    let files: [(&str, &str, &[u8]); 1] = [("x.xml", "", INVOICE.as_bytes())];
    assert_eq!(found(&carrying("/AF[20 0 R]", &files)), [("x.xml", "A-1")]);
    let both = carrying(&format!("{NAMES}/AF[20 0 R]"), &files);
    assert_eq!((found(&both), both.warnings.len()), (vec![("x.xml", "A-1")], 0));
}

#[test]
fn an_invoice_that_is_broken_or_a_bomb_harms_no_page() {
    let laughs = format!("<!DOCTYPE x [<!ENTITY a 'ha'>]>{INVOICE}");
    let bomb = deflated(&vec![b' '; 80 << 20]);
    let files: [(&str, &str, &[u8]); 2] =
        [("factur-x.xml", "", laughs.as_bytes()), ("bomb.xml", "/Filter/FlateDecode", &bomb)];
    let pages = carrying(NAMES, &files);
    assert_eq!(pages.pages[0].text, "Please pay\n");
    assert_eq!(found(&pages), []);
    assert_eq!(
        pages.warnings,
        ["the electronic invoice factur-x.xml is not read: it declares a document type"]
    );
    assert_eq!(members(&pages), ["bomb.xml"]);
}

#[test]
fn an_invoice_that_a_mail_carries_is_a_document_of_its_own() {
    let mail = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: \
         application/xml; name=one.xml\r\nContent-Disposition: attachment; \
         filename=one.xml\r\n\r\n{INVOICE}\r\n--x--\r\n"
    );
    let pages = text(mail.as_bytes(), Format::Email).unwrap();
    assert_eq!((found(&pages), members(&pages)), (vec![], vec!["one.xml"]));
    let alone = text(INVOICE.as_bytes(), Format::Xml).unwrap();
    assert_eq!(found(&alone), [("", "A-1")]);
}
