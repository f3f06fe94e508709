//! Which formats are read, and how they are told apart.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            // The cut may have gone through a character.
            Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
                std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
            }
            Err(_) => return None,
        };
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
        let mut cut = "x".repeat(Format::SNIFF_BYTES - 1).into_bytes();
        cut.extend("ü".as_bytes());
        check(&cut, "a.txt", Some(Format::Text));
    }
}
