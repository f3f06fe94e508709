//! What a file is: its format, and the character set that it came with.

use crate::{charset, format::Format};
use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

/// A format, and what whoever sent the file said of its character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct FileType {
    /// The format, found from the content.
    pub format: Format,
    /// The character set of a text that does not say its own; UTF-8 where nobody says anything.
    pub(crate) charset: Option<&'static Encoding>,
}

impl FileType {
    /// The type of a file that starts with `head` (see [`Format::sniff`]), for which `content_type` was
    /// declared, as by the header of that name; none where it is not one that is read.
    pub fn sniff(head: &[u8], name: &str, content_type: Option<&str>) -> Option<Self> {
        let declared = content_type.and_then(charset::of_content_type);
        let format = Format::sniff(head, name, declared)?;
        Some(Self { format, charset: declared.filter(|_| format.is_text()) })
    }

    /// The media type, with the character set where there is one: `text/plain; charset=windows-1252`.
    pub fn media_type(self) -> String {
        let media_type = self.format.media_type();
        match self.charset {
            Some(charset) => {
                format!("{media_type}; charset={}", charset.name().to_ascii_lowercase())
            }
            None => media_type.to_owned(),
        }
    }

    /// The type of a media type that [`FileType::media_type`] gave; plain text for any other.
    pub fn from_media_type(media_type: &str) -> Self {
        let (format, _) = media_type.split_once(';').unwrap_or((media_type, ""));
        let format = Format::from_media_type(format).unwrap_or(Format::Text);
        Self { format, charset: charset::of_content_type(media_type) }
    }
}

impl From<Format> for FileType {
    fn from(format: Format) -> Self {
        Self { format, charset: None }
    }
}

impl From<FileType> for String {
    fn from(file_type: FileType) -> Self {
        file_type.media_type()
    }
}

impl From<String> for FileType {
    fn from(media_type: String) -> Self {
        Self::from_media_type(&media_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_character_set_of_the_header_stays_with_texts() {
        let check = |head: &[u8], content_type: Option<&str>, expected: Option<&str>| {
            let found = FileType::sniff(head, "a.txt", content_type);
            assert_eq!(found.map(FileType::media_type).as_deref(), expected, "{content_type:?}");
            if let Some(found) = found {
                assert_eq!(FileType::from_media_type(&found.media_type()), found);
            }
        };
        let latin = Some("text/plain;  Charset=\"ISO-8859-1\"");
        check(b"Stra\xdfe", latin, Some("text/plain; charset=windows-1252"));
        check(b"Stra\xdfe", None, None);
        check(b"Stra\xdfe", Some("text/plain; charset=utf-8"), None);
        check(b"Stra\xdfe", Some("text/plain; charset=klingon"), None);
        // The first bytes may be the same in every character set.
        check(b"Street", latin, Some("text/plain; charset=windows-1252"));
        check(b"Street", Some("text/plain; charset=utf-8"), Some("text/plain"));
        check(b"%PDF-1.7", latin, Some("application/pdf"));
        let html = Some("text/html; charset=windows-1251");
        check(b"<html>\xcf\xf0\xe8", html, Some("text/html; charset=windows-1251"));
    }
}
