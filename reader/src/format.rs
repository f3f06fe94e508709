//! Which formats are read, and how they are told apart.

use crate::charset;
use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What RTF begins with.
const RTF: &[u8] = b"{\\rtf";
/// What a ZIP archive begins with.
const ZIP: &[u8] = b"PK\x03\x04";
/// What tells the archives of Office documents apart: names of their first parts, or what comes first.
const IN_ARCHIVES: [(&[u8], Format); 4] = [
    (b"mimetypeapplication/vnd.oasis.opendocument.text", Format::Odt),
    (b"word/", Format::Docx),
    (b"xl/", Format::Xlsx),
    (b"ppt/", Format::Pptx),
];
/// What image files begin with: JPEG (ITU-T T.81), PNG (ISO/IEC 15948), TIFF 6.0 and BigTIFF.
const IMAGES: [(&[u8], Format); 6] = [
    (b"\xff\xd8\xff", Format::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"II*\0", Format::Tiff),
    (b"MM\0*", Format::Tiff),
    (b"II+\0", Format::Tiff),
    (b"MM\0+", Format::Tiff),
];
/// Parts that every document of Office has, and the names of its files.
const OFFICE_PARTS: [&[u8]; 3] = [b"[Content_Types].xml", b"_rels/.rels", b"docProps/"];
const OFFICE_NAMES: [(&str, Format); 3] =
    [(".docx", Format::Docx), (".xlsx", Format::Xlsx), (".pptx", Format::Pptx)];

/// Fields that only programs put into an e-mail: a letter may have `From:` and `To:`.
const EMAIL_FIELDS: [&str; 7] = [
    "mime-version",
    "message-id",
    "received",
    "return-path",
    "content-transfer-encoding",
    "dkim-signature",
    "delivered-to",
];

/// Whether a text is an e-mail as mail programs store it (RFC 5322): its body is encoded, mostly.
fn is_email(text: &str) -> bool {
    let head = text.trim_start().lines().take_while(|line| !line.trim().is_empty());
    // A mailbox has a line of its own before each.
    let mut lines = head.skip_while(|line| line.starts_with("From ")).peekable();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
    };
    let mut is_of_program = false;
    while let Some(line) = lines.next() {
        match line.split_once(':') {
            Some((name, _)) if is_name(name) => {
                let name = name.to_ascii_lowercase();
                is_of_program |= EMAIL_FIELDS.contains(&name.as_str());
            }
            _ if line.starts_with([' ', '\t']) => {}
            // The head may have been cut in the middle of a line.
            _ => return is_of_program && lines.peek().is_none(),
        }
    }
    is_of_program
}

/// The formats that are read. Found from the content, never from the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `application/pdf`
    Pdf,
    /// `text/html`
    Html,
    /// `text/markdown`
    Markdown,
    /// `text/plain`
    Text,
    /// `text/csv`
    Csv,
    /// `application/xml`
    Xml,
    /// `application/rtf`
    Rtf,
    /// `message/rfc822`
    Email,
    /// Word's
    Docx,
    /// Excel's
    Xlsx,
    /// PowerPoint's
    Pptx,
    /// OpenDocument's text
    Odt,
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/tiff`, of one page or several
    Tiff,
    /// `image/webp`
    Webp,
}

impl Format {
    /// How many leading bytes of a file [`Format::sniff`] wants to see.
    pub const SNIFF_BYTES: usize = 4096;

    const ALL: [Self; 16] = [
        Self::Pdf,
        Self::Html,
        Self::Markdown,
        Self::Text,
        Self::Csv,
        Self::Xml,
        Self::Rtf,
        Self::Email,
        Self::Docx,
        Self::Xlsx,
        Self::Pptx,
        Self::Odt,
        Self::Jpeg,
        Self::Png,
        Self::Tiff,
        Self::Webp,
    ];

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
            Self::Csv => "text/csv",
            Self::Xml => "application/xml",
            Self::Rtf => "application/rtf",
            Self::Email => "message/rfc822",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Pptx => {
                "application/vnd.openxmlformats-officedocument.presentationml.presentation"
            }
            Self::Odt => "application/vnd.oasis.opendocument.text",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Tiff => "image/tiff",
            Self::Webp => "image/webp",
        }
    }

    /// Whether its bytes are characters of some set, which the file itself may not say.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Html | Self::Markdown | Self::Text | Self::Csv | Self::Xml)
    }

    /// Whether it is an image file: its pages have no text of their own.
    pub(crate) fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Tiff | Self::Webp)
    }

    /// Whether its pages can be made images.
    pub(crate) fn has_page_images(self) -> bool {
        self == Self::Pdf || self.is_image()
    }

    /// The format of a media type that [`Format::media_type`] gave.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.media_type() == media_type)
    }

    /// The format of a file that starts with `head`, or `None` when it is not one that is read.
    /// `charset` is what was declared outside of the file. The name only tells Markdown and CSV from plain text, and archives of Office documents that
    /// begin alike.
    pub(crate) fn sniff(
        head: &[u8],
        name: &str,
        charset: Option<&'static Encoding>,
    ) -> Option<Self> {
        let head = head.get(..Self::SNIFF_BYTES).unwrap_or(head);
        if let Some(format) = image(head) {
            return Some(format);
        }
        // Its fields are ASCII, whatever its text is; and it may carry the start of any other file.
        if is_email(&String::from_utf8_lossy(head)) {
            return Some(Self::Email);
        }
        // PDF readers accept a header anywhere in the first 1024 bytes (ISO 32000-2, annex I).
        let start = head.get(..1024 + 5).unwrap_or(head);
        if start.windows(5).any(|window| window == b"%PDF-") {
            return Some(Self::Pdf);
        }
        let name = name.to_ascii_lowercase();
        if head.starts_with(ZIP) {
            return in_archive(head, &name);
        }
        if head.starts_with(RTF) {
            return Some(Self::Rtf);
        }
        let text = charset::decode_start(head, charset)?;
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}');
        if text.trim_start_matches('\u{feff}').trim().is_empty() || !text.chars().all(allowed) {
            return None;
        }
        let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
        let html = lower.starts_with("<!doctype html")
            || ["<html", "<head", "<body"].iter().any(|tag| lower.contains(tag));
        let is_xml =
            lower.starts_with("<?xml") || (lower.starts_with('<') && lower.contains("xmlns"));
        Some(if html {
            Self::Html
        } else if is_xml {
            Self::Xml
        } else if name.ends_with(".csv") || name.ends_with(".tsv") {
            Self::Csv
        } else if name.ends_with(".md") || name.ends_with(".markdown") {
            Self::Markdown
        } else {
            Self::Text
        })
    }
}

/// The format of an image file that begins so.
fn image(head: &[u8]) -> Option<Format> {
    // A RIFF file says what it holds after its length.
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Some(Format::Webp);
    }
    IMAGES.into_iter().find(|(start, _)| head.starts_with(start)).map(|(_, format)| format)
}

/// The format of the document that is such an archive.
fn in_archive(head: &[u8], name: &str) -> Option<Format> {
    let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    let found = IN_ARCHIVES.into_iter().find(|(part, _)| has(part)).map(|(_, format)| format);
    let named = || OFFICE_NAMES.into_iter().find(|(end, _)| name.ends_with(end));
    let is_office = || OFFICE_PARTS.into_iter().any(has);
    found.or_else(|| named().filter(|_| is_office()).map(|(_, format)| format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_content() {
        let check = |head: &[u8], name: &str, expected: Option<Format>| {
            assert_eq!(Format::sniff(head, name, None), expected, "{name}");
        };
        check(b"%PDF-1.7\n%\xe2\xe3", "a.txt", Some(Format::Pdf));
        check(b"junk first\n%PDF-1.4", "a.pdf", Some(Format::Pdf));
        check(b"<!DOCTYPE html><p>x", "a.pdf", Some(Format::Html));
        check(b"\xef\xbb\xbf  <html>", "a", Some(Format::Html));
        check(b"# Invoice", "a.md", Some(Format::Markdown));
        check("Größe".as_bytes(), "a.pdf", Some(Format::Text));
        check(b"PK\x03\x04\x14\x00", "a.pdf", None);
        check(b"\x89PNG\r\n\x1a\n\x00", "a.txt", Some(Format::Png));
        check(b"\xff\xd8\xff\xe0\0\x10JFIF", "a.pdf", Some(Format::Jpeg));
        check(b"II*\0\x08\0\0\0", "a", Some(Format::Tiff));
        check(b"MM\0*\0\0\0\x08", "a", Some(Format::Tiff));
        check(b"II+\0\x08\0\0\0", "a", Some(Format::Tiff));
        check(b"RIFF\x24\0\0\0WEBPVP8 ", "a.png", Some(Format::Webp));
        check(b"RIFF\x24\0\0\0WAVEfmt ", "a.png", None);
        check(b"GIF89a\x01\0\x01\0\x80", "a.png", None);
        check(b"", "a.txt", None);
        check(b" \n\t", "a.txt", None);
        check(b"{\\rtf1\\ansi Invoice}", "a.txt", Some(Format::Rtf));
        check(
            b"From: a@b\r\nSubject: x\r\n y\r\nMIME-Version: 1.0\r\n\r\naGk=",
            "a.txt",
            Some(Format::Email),
        );
        check(b"From x Sat\nReceived: from y\n by z\nFrom: a@b\n\nhi", "mail", Some(Format::Email));
        check(b"MIME-Version: 1.0\nX: y\n\nStra\xdfe", "a.eml", Some(Format::Email));
        check(b"<?xml version=\"1.0\"?><Invoice/>", "a.txt", Some(Format::Xml));
        check(b"<Invoice xmlns=\"urn:x\">", "a", Some(Format::Xml));
        check(b"a;b\n1;2\n", "A.CSV", Some(Format::Csv));
        let parts: &[u8] = b"PK\x03\x04\x14\0[Content_Types].xml\x01PK\x03\x04word/document.xml";
        check(parts, "a.xlsx", Some(Format::Docx));
        check(b"PK\x03\x04\x14\0[Content_Types].xml", "a.XLSX", Some(Format::Xlsx));
        check(b"PK\x03\x04\x14\0[Content_Types].xml", "a.zip", None);
        check(b"PK\x03\x04\x14\0photos/1.jpg", "a.docx", None);
        let odt: &[u8] = b"PK\x03\x04\x14\0mimetypeapplication/vnd.oasis.opendocument.textPK";
        check(odt, "a", Some(Format::Odt));
        check(b"From: Ann\nTo: Bob\n\nPlease pay.", "a.eml", Some(Format::Text));
        check(b"Invoice: 7\nMessage-ID of the order\n\n", "a.txt", Some(Format::Text));
        check(b"<html><meta charset=iso-8859-1>Stra\xdfe", "a.txt", Some(Format::Html));
        check(b"\xff\xfea\0b\0", "a.txt", Some(Format::Text));
        check(b"Stra\xdfe", "a.txt", None);
        let mut cut = "x".repeat(Format::SNIFF_BYTES - 1).into_bytes();
        cut.extend("ü".as_bytes());
        check(&cut, "a.txt", Some(Format::Text));
    }
}
