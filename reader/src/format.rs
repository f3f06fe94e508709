//! Which formats are read, and how they are told apart.

use crate::charset;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What RTF begins with: text, but not the one that is read.
const RTF: &str = "{\\rtf";

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
pub fn is_email(text: &str) -> bool {
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
}

impl Format {
    /// How many leading bytes of a file [`Format::sniff`] wants to see.
    pub const SNIFF_BYTES: usize = 4096;

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }

    /// The format of a media type that [`Format::media_type`] gave.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let all = [Self::Pdf, Self::Html, Self::Markdown, Self::Text];
        all.into_iter().find(|format| format.media_type() == media_type)
    }

    /// The format of a file that starts with `head`, or `None` when it is not one that is read.
    /// The name only tells Markdown from plain text.
    pub fn sniff(head: &[u8], name: &str) -> Option<Self> {
        let head = head.get(..Self::SNIFF_BYTES).unwrap_or(head);
        // PDF readers accept a header anywhere in the first 1024 bytes (ISO 32000-2, annex I).
        let start = head.get(..1024 + 5).unwrap_or(head);
        if start.windows(5).any(|window| window == b"%PDF-") {
            return Some(Self::Pdf);
        }
        let text = charset::decode_start(head)?;
        if is_email(&text) || text.starts_with(RTF) {
            return None;
        }
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}');
        if text.trim_start_matches('\u{feff}').trim().is_empty() || !text.chars().all(allowed) {
            return None;
        }
        let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
        let html = lower.starts_with("<!doctype html")
            || ["<html", "<head", "<body"].iter().any(|tag| lower.contains(tag));
        let name = name.to_ascii_lowercase();
        Some(if html {
            Self::Html
        } else if name.ends_with(".md") || name.ends_with(".markdown") {
            Self::Markdown
        } else {
            Self::Text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_content() {
        let check = |head: &[u8], name: &str, expected: Option<Format>| {
            assert_eq!(Format::sniff(head, name), expected, "{name}");
        };
        check(b"%PDF-1.7\n%\xe2\xe3", "a.txt", Some(Format::Pdf));
        check(b"junk first\n%PDF-1.4", "a.pdf", Some(Format::Pdf));
        check(b"<!DOCTYPE html><p>x", "a.pdf", Some(Format::Html));
        check(b"\xef\xbb\xbf  <html>", "a", Some(Format::Html));
        check(b"# Invoice", "a.md", Some(Format::Markdown));
        check("Größe".as_bytes(), "a.pdf", Some(Format::Text));
        check(b"PK\x03\x04\x14\x00", "a.pdf", None);
        check(b"\x89PNG\r\n\x1a\n\x00", "a.txt", None);
        check(b"", "a.txt", None);
        check(b" \n\t", "a.txt", None);
        check(b"{\\rtf1\\ansi Invoice}", "a.txt", None);
        check(b"From: a@b\r\nSubject: x\r\n y\r\nMIME-Version: 1.0\r\n\r\naGk=", "a.txt", None);
        check(b"From x Sat\nReceived: from y\n by z\nFrom: a@b\n\nhi", "mail", None);
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
