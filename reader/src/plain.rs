//! Plain text and Markdown: they are text already.
//!
//! It must know nothing of other formats.

use crate::{
    charset,
    limits::TextError,
    pages::{Page, Pages},
};
use encoding_rs::Encoding;

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "plain-1";

/// A form feed starts a new page.
const PAGE_BREAK: char = '\u{c}';

/// Plain text. A form feed starts a page.
pub(super) fn read_text(
    bytes: &[u8],
    charset: Option<&'static Encoding>,
    pages_max: u32,
) -> Result<Pages, TextError> {
    let text = decode(bytes, charset)?;
    // A form feed at the very end closes the last page and does not open another.
    let text = text.trim_end_matches(PAGE_BREAK);
    let pages = u32::try_from(text.split(PAGE_BREAK).count()).unwrap_or(u32::MAX);
    if pages > pages_max {
        return Err(TextError::TooManyPages { pages, max: pages_max });
    }
    Ok(of_texts(ENGINE, text.split(PAGE_BREAK).map(str::to_owned)))
}

/// Markdown, as it is, on one page.
pub(super) fn read_markdown(
    bytes: &[u8],
    charset: Option<&'static Encoding>,
) -> Result<Pages, TextError> {
    Ok(of_texts(ENGINE, [decode(bytes, charset)?]))
}

/// Pages numbered from 1 with these texts.
pub(super) fn of_texts(engine: &str, texts: impl IntoIterator<Item = String>) -> Pages {
    let page = |(number, text)| Page { number, text, ..Page::default() };
    let pages = (1..).zip(texts).map(page).collect();
    Pages { engine: engine.to_owned(), pages, ..Pages::default() }
}

/// UTF-8, or what is declared, without a byte order mark and with `\n` at the end of each line.
pub(super) fn decode(
    bytes: &[u8],
    charset: Option<&'static Encoding>,
) -> Result<String, TextError> {
    let text = charset::decode(bytes, charset).ok_or_else(|| {
        let at = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
        TextError::Unreadable(format!("it is not UTF-8: byte {at} does not belong to a character"))
    })?;
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_and_form_feeds_part_pages() {
        let check = |bytes: &[u8], expected: &[&str]| {
            let pages = read_text(bytes, None, 10).unwrap();
            assert_eq!(pages.pages.iter().map(|page| &page.text).collect::<Vec<_>>(), expected);
            assert!((1..).zip(&pages.pages).all(|(number, page)| page.number == number));
        };
        check(b"one\r\ntwo\rthree", &["one\ntwo\nthree"]);
        check("\u{feff}Größe".as_bytes(), &["Größe"]);
        check(b"one\x0ctwo\x0c", &["one", "two"]);
        check(b"", &[""]);
    }

    #[test]
    fn other_bytes_are_refused() {
        let Err(TextError::Unreadable(message)) = read_text(b"abc\xff", None, 10) else { panic!() };
        assert!(message.contains("byte 3"), "{message}");
        assert_eq!(
            read_text(b"a\x0cb\x0cc", None, 2),
            Err(TextError::TooManyPages { pages: 3, max: 2 })
        );
        assert!(read_markdown(b"\xc3", None).is_err());
    }
}
