//! Any file: each format has its reader.

use crate::{
    email,
    file_type::FileType,
    format::Format,
    html, image_file,
    limits::{Limits, TextError},
    office,
    pages::Pages,
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

/// Reads a file, and names what it carries. The password is for a PDF that needs one.
pub(super) fn read(
    file_type: FileType,
    engine: Engine,
    bytes: &[u8],
    limits: &Limits,
    password: &str,
) -> Result<Pages, TextError> {
    let pages_max = limits.pages_max;
    let charset = file_type.charset;
    match (file_type.format, engine) {
        (Format::Pdf, Engine::PdfExtract) if password.is_empty() => {
            pdf_extract::read(bytes, pages_max)
        }
        // The other engine opens no file with a password.
        (Format::Pdf, Engine::Hayro | Engine::PdfExtract) => pdf::read(bytes, pages_max, password),
        (Format::Html, _) => html::read(bytes, charset),
        (Format::Text, _) => plain::read_text(bytes, charset, pages_max),
        (Format::Markdown | Format::Csv, _) => plain::read_markdown(bytes, charset),
        (Format::Xml, _) => xml::read(bytes, charset),
        (Format::Rtf, _) => rtf::read(bytes),
        (Format::Email, _) => email::read(bytes),
        (Format::Docx | Format::Xlsx | Format::Pptx | Format::Odt, _) => {
            office::read(bytes, pages_max)
        }
        (format @ (Format::Jpeg | Format::Png | Format::Tiff | Format::Webp), _) => {
            image_file::read(format, bytes, limits)
        }
    }
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
    password: &str,
) -> Result<PageImage, TextError> {
    let pixels = match file_type.format {
        Format::Pdf => render::pixels(bytes, job, limits.pages_max, password)?,
        format if format.is_image() => image_file::pixels(format, bytes, job.page, limits)?,
        format => {
            let media_type = format.media_type();
            return Err(TextError::Unsupported(format!("pages of {media_type} have no image")));
        }
    };
    picture::encode(pixels, job.side_max.min(picture::SIDE_MAX), limits)
}

/// The bytes of the file of this number that a file carries, counted from 0, as its members are
/// named by [`read`]; at most `bytes_max`.
pub(super) fn member(
    file_type: FileType,
    bytes: &[u8],
    number: usize,
    bytes_max: u64,
    password: &str,
) -> Result<Vec<u8>, TextError> {
    let found = match file_type.format {
        Format::Pdf => pdf::member(bytes, number, password)?,
        Format::Email => email::member(bytes, number)?,
        _ => None,
    };
    let missing = || TextError::Unreadable("it cannot be taken out of the file".to_owned());
    let member = found.ok_or_else(missing)?;
    match member.len() as u64 <= bytes_max {
        true => Ok(member),
        false => Err(TextError::LimitExceeded(format!("{bytes_max} bytes"))),
    }
}
