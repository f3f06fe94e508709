//! PDF by pdf-extract, where it is chosen: plain text in the order of the file, without places.

use crate::{
    attached,
    limits::TextError,
    pages::{Page, Pages},
    pdf,
    second::Second,
};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "pdf-extract-0.12";

/// The text of a PDF.
pub(super) fn read(bytes: &[u8], pages_max: u32) -> Result<Pages, TextError> {
    let file = pdf::open(bytes, pages_max, "")?;
    let count = file.pages().len();
    let second = Second::open(bytes).map_err(TextError::Unreadable)?;
    // It leaves out pages that it misses: they are found by counting.
    let page = |number: u32| match second.page(number) {
        Ok(text) => Page { number, text, ..Page::default() },
        Err(error) => Page { number, error: Some(error), ..Page::default() },
    };
    let pages = (1..).take(count).map(page).collect();
    let mut pages = Pages { engine: ENGINE.to_owned(), pages, ..Pages::default() };
    attached::read(&file, &mut pages);
    pdf::finish(pages)
}
