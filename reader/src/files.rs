//! Any file: each format has its reader.

use crate::{
    e_invoice::EInvoice,
    email::{self, Attachment},
    file_type::FileType,
    format::Format,
    html,
    limits::TextError,
    office,
    pages::{Page, Pages},
    pdf, pdf_extract, plain, rtf, xml,
};
use serde::{Deserialize, Serialize};

/// What a file is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// hayro with rows.
    Hayro,
    /// pdf-extract.
    PdfExtract,
}

/// Reads a file, and what it carries.
pub(super) fn read(
    file_type: FileType,
    engine: Engine,
    bytes: &[u8],
    pages_max: u32,
) -> Result<Pages, TextError> {
    if file_type.format != Format::Email {
        return read_alone(file_type, engine, bytes, pages_max);
    }
    let (mut mail, attachments) = email::read(bytes)?;
    for Attachment { name, content_type, bytes } in attachments {
        let first = u32::try_from(mail.pages.len() + 1).unwrap_or(u32::MAX);
        if first > pages_max {
            mail.warnings
                .push(format!("the attachment {name} is left out: {pages_max} pages are read"));
            continue;
        }
        let Some(file_type) = FileType::sniff(&bytes, &name, content_type.as_deref()) else {
            mail.warnings.push(format!("the attachment {name} is of no format that is read"));
            continue;
        };
        match read_alone(file_type, engine, &bytes, pages_max.saturating_sub(first - 1)) {
            Ok(pages) => {
                let numbered = (first..).zip(pages.pages);
                mail.pages.extend(numbered.map(|(number, page)| Page { number, ..page }));
                mail.warnings.push(format!("the attachment {name} begins at page {first}"));
                mail.carry(pages.e_invoices.into_iter().map(|invoice| named(invoice, &name)));
                mail.warnings.extend(pages.warnings.iter().map(|said| format!("{name}: {said}")));
            }
            Err(error) => {
                let error = Some(format!("the attachment {name}: {error}"));
                mail.pages.push(Page { number: first, error, ..Page::default() });
            }
        }
    }
    Ok(mail)
}

/// The invoice, by the file that carries it.
fn named(mut invoice: EInvoice, file: &str) -> EInvoice {
    if invoice.file.is_empty() {
        file.clone_into(&mut invoice.file);
    }
    invoice
}

/// Reads a file without what it carries, but for the electronic invoice of a PDF.
fn read_alone(
    file_type: FileType,
    engine: Engine,
    bytes: &[u8],
    pages_max: u32,
) -> Result<Pages, TextError> {
    let charset = file_type.charset;
    match (file_type.format, engine) {
        (Format::Pdf, Engine::Hayro) => pdf::read(bytes, pages_max),
        (Format::Pdf, Engine::PdfExtract) => pdf_extract::read(bytes, pages_max),
        (Format::Html, _) => html::read(bytes, charset),
        (Format::Text, _) => plain::read_text(bytes, charset, pages_max),
        (Format::Markdown | Format::Csv, _) => plain::read_markdown(bytes, charset),
        (Format::Xml, _) => xml::read(bytes, charset),
        (Format::Rtf, _) => rtf::read(bytes),
        // A mail within a mail: what that carries is named, and goes no deeper.
        (Format::Email, _) => email::read(bytes).map(|(mut mail, attachments)| {
            let unread = attachments.iter().map(|file| format!("{} is not read", file.name));
            mail.warnings.extend(unread);
            mail
        }),
        (Format::Docx | Format::Xlsx | Format::Pptx | Format::Odt, _) => {
            office::read(bytes, pages_max)
        }
    }
}
