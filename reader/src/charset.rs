//! The character set of a text: UTF-8, or what its byte order mark or its markup declares.
//!
//! Pure. It must know nothing of what the text says.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// A declaration stands at the beginning (HTML: within the first 1024 bytes; some are later).
const DECLARED_BYTES_MAX: usize = 4096;

/// What stands before the name of a character set, in HTML and in XML.
const MARKS: [&str; 2] = ["charset=", "encoding="];

/// The text of these bytes without a byte order mark; none where they are in no character set that
/// is known: undeclared, they must be UTF-8.
pub fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, bytes.get(length..)?),
        None => match std::str::from_utf8(bytes) {
            // What is UTF-8 is so by no accident, whatever it declares.
            Ok(text) => return Some(Cow::Borrowed(text)),
            Err(_) => (declared(bytes)?, bytes),
        },
    };
    encoding.decode_without_bom_handling_and_without_replacement(bytes)
}

/// The text of the first bytes of a file, of which the last may be a part of a character.
pub fn decode_start(head: &[u8]) -> Option<Cow<'_, str>> {
    if Encoding::for_bom(head).is_none() {
        match std::str::from_utf8(head) {
            Ok(text) => return Some(Cow::Borrowed(text)),
            Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
                return std::str::from_utf8(head.get(..error.valid_up_to())?)
                    .ok()
                    .map(Cow::Borrowed);
            }
            Err(_) => {
                declared(head)?;
            }
        }
    }
    // No character has more than four bytes.
    (0..4).find_map(|cut| decode(head.get(..head.len().checked_sub(cut)?)?))
}

/// What markup says of its character set, which is then one in which it can be read so far.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..DECLARED_BYTES_MAX).unwrap_or(bytes).trim_ascii_start();
    if !head.starts_with(b"<") {
        return None;
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let label = MARKS.iter().find_map(|mark| {
        let rest = head.split_once(mark)?.1.trim_start_matches(['"', '\'', ' ']);
        rest.split(['"', '\'', ' ', ';', '>', '/', '?']).next()
    });
    let encoding = Encoding::for_label(label?.as_bytes())?;
    // It was read byte by byte, so it is not UTF-16.
    let is_wide = encoding == UTF_16LE || encoding == UTF_16BE;
    Some(if is_wide { UTF_8 } else { encoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_in_the_character_set_that_they_declare() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            assert_eq!(decode(bytes).as_deref(), expected, "{bytes:?}");
        };
        check("Größe".as_bytes(), Some("Größe"));
        check(b"\xef\xbb\xbfa", Some("a"));
        check(b"\xff\xfeG\0r\0\xf6\0", Some("Grö"));
        check(b"\xfe\xff\0G\0\xfc", Some("Gü"));
        check(b"<meta charset=latin1>Stra\xdfe", Some("<meta charset=latin1>Straße"));
        let meta = b"<html><meta content='text/html; charset=windows-1251'>\xcf\xf0\xe8";
        check(meta, Some("<html><meta content='text/html; charset=windows-1251'>При"));
        let xml = b"<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>\x93\xfa";
        check(xml, Some("<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>日"));
        // UTF-8 that declares something else is UTF-8 all the same.
        check("<meta charset=latin1>é".as_bytes(), Some("<meta charset=latin1>é"));
        check(b"Stra\xdfe", None);
        check(b"charset=latin1 Stra\xdfe", None);
        check(b"<meta charset=klingon>\xdf", None);
        check(b"<meta charset=utf-16>\xdf", None);
    }

    #[test]
    fn a_start_may_end_within_a_character() {
        let euro = "a€".as_bytes();
        assert_eq!(decode_start(&euro[..3]).as_deref(), Some("a"));
        assert_eq!(decode_start(b"\xff\xfea\0b").as_deref(), Some("a"));
        assert_eq!(decode_start(b"Stra\xdfe"), None);
    }
}
