//! Any file: each format has its reader.

use crate::{
    email::{self, Attachment},
    file_type::FileType,
    format::Format,
    html, image_file,
    limits::{Limits, TextError},
    office,
    pages::{Page, Pages},
    pdf, pdf_extract,
    picture::{self, ImageJob, PageImage},
    plain, render, rtf, xml,
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
    limits: &Limits,
) -> Result<Pages, TextError> {
    let pages_max = limits.pages_max;
    if file_type.format != Format::Email {
        return read_alone(file_type, engine, bytes, limits);
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
        if file_type.format.is_image() {
            // Most are the logos of signatures.
            mail.warnings.push(format!(
                "the attachment {name} is an image and was not read: upload it as a document of its \
                 own where it matters"
            ));
            continue;
        }
        let left = Limits { pages_max: pages_max.saturating_sub(first - 1), ..limits.clone() };
        match read_alone(file_type, engine, &bytes, &left) {
            Ok(pages) => {
                let numbered = (first..).zip(pages.pages);
                mail.pages.extend(numbered.map(|(number, page)| Page { number, ..page }));
                mail.warnings.push(format!("the attachment {name} begins at page {first}"));
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

/// The image of a page.
///
/// # Errors
/// When there is no such page, or it cannot be shown.
pub(super) fn image(
    file_type: FileType,
    bytes: &[u8],
    job: ImageJob,
    limits: &Limits,
) -> Result<PageImage, TextError> {
    let pixels = match file_type.format {
        Format::Pdf => render::pixels(bytes, job, limits.pages_max)?,
        format if format.is_image() => image_file::pixels(format, bytes, job.page, limits)?,
        format => {
            let media_type = format.media_type();
            return Err(TextError::Unsupported(format!("pages of {media_type} have no image")));
        }
    };
    picture::encode(pixels, job.side_max.min(picture::SIDE_MAX), limits)
}

/// Reads a file without what it carries.
fn read_alone(
    file_type: FileType,
    engine: Engine,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Pages, TextError> {
    let pages_max = limits.pages_max;
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
        (format @ (Format::Jpeg | Format::Png | Format::Tiff | Format::Webp), _) => {
            image_file::read(format, bytes, limits)
        }
    }
}
