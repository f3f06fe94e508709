//! Text strings of PDF (ISO 32000-2, 7.9.2.2): UTF-16 or UTF-8 with a byte order mark, or
//! PDFDocEncoding.
//!
//! Pure.

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};

/// PDFDocEncoding from 0x18 (ISO 32000-2, table D.2); below that it is ASCII.
const ACCENTS: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];

/// PDFDocEncoding from 0x80; from 0xa1 it is Latin 1.
#[rustfmt::skip]
const SIGNS: [char; 33] = [
    '•', '†', '‡', '…', '—', '–', 'ƒ', '⁄', '‹', '›', '−', '‰', '„', '“', '”', '‘', '’', '‚', '™',
    'ﬁ', 'ﬂ', 'Ł', 'Œ', 'Š', 'Ÿ', 'Ž', 'ı', 'ł', 'œ', 'š', 'ž', '\u{fffd}', '€',
];

/// The text of a text string.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let marks = [(&b"\xfe\xff"[..], UTF_16BE), (b"\xff\xfe", UTF_16LE), (b"\xef\xbb\xbf", UTF_8)];
    for (mark, encoding) in marks {
        if let Some(rest) = bytes.strip_prefix(mark) {
            return encoding.decode_without_bom_handling(rest).0.into_owned();
        }
    }
    let of = |table: &[char], at: u8| table.get(usize::from(at)).copied().unwrap_or('\u{fffd}');
    let character = |byte: &u8| match *byte {
        byte @ 0x18..=0x1f => of(&ACCENTS, byte - 0x18),
        byte @ 0x80..=0xa0 => of(&SIGNS, byte - 0x80),
        byte => char::from(byte),
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn each_encoding_is_read() {
        assert_eq!(decode(b"Stra\xdfe 5 \xa0"), "Straße 5 €");
        assert_eq!(decode(b"\xfe\xff\x01\x41\x20\xac"), "Ł€");
        assert_eq!(decode(b"\xff\xfeA\0"), "A");
        assert_eq!(decode(b"\xef\xbb\xbf\xc5\x81"), "Ł");
        assert_eq!(decode(b"\x8d9\x8e \x84 \x1f"), "“9” — ˜");
    }
}
