//! What becomes of pages that only an image shows, once it was read.
//!
//! Pure. It must know nothing of how an image is made or read.

use crate::{
    hocr::Scanned,
    layout::{self, Laid},
    pages::Page,
};

/// Where OCR is less sure of its letters than this, of 100, it may have read a page upside down, or
/// handwriting, or a pattern.
const CONFIDENCE_MIN: f32 = 75.0;

/// The page with what OCR read in its image, and what to tell of that.
pub(crate) fn read_by_ocr(page: Page, scanned: &Scanned) -> (Page, Option<String>) {
    let number = page.number;
    if scanned.glyphs.is_empty() {
        return (page, None);
    }
    let Laid { text, words } = layout::lay_out(&scanned.glyphs, page.height);
    let sure = scanned.confidence.round();
    let error = (sure < CONFIDENCE_MIN).then(|| {
        format!(
            "OCR is only {sure} % sure of its letters: scan it upright, in black and white and at \
             300 dots per inch, or set text.languages"
        )
    });
    let said = format!("page {number}: it was read by OCR, {sure} % sure of its letters");
    (Page { text, words, error, is_picture: false, ..page }, Some(said))
}

/// The page after it turned out that there is nothing on it.
pub(crate) fn blank(page: Page) -> Page {
    Page { is_picture: false, ..page }
}

/// The page after its image could not be made or read.
pub(crate) fn failed(page: Page, why: &str) -> Page {
    let error = page.error.clone().unwrap_or_else(|| why.to_owned());
    Page { error: Some(error), ..page }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Glyph, pages::Origin};

    fn page(text: &str) -> Page {
        let (width, height) = (595.0, 842.0);
        Page { number: 1, text: text.to_owned(), width, height, ..Page::default() }
    }

    fn scanned(confidence: f32) -> Scanned {
        let word = Glyph {
            text: "Total".to_owned(),
            start: [10.0, 100.0],
            end: [40.0, 100.0],
            along: [1.0, 0.0],
            size: 10.0,
            origin: Origin::Ocr,
        };
        Scanned { glyphs: vec![word], confidence }
    }

    #[test]
    fn only_what_no_text_shows_is_looked_at() {
        let error = Some("odd letters".to_owned());
        for (page, expected) in [
            (page("Total 3"), false),
            (page(" \n"), true),
            (Page { is_picture: true, ..page("7") }, true),
            (Page { error, ..page("x") }, true),
            // A text file has no pages of a size, and so no images.
            (Page { width: 0.0, ..page("") }, false),
        ] {
            assert_eq!(page.is_unread(), expected, "{page:?}");
        }
    }

    #[test]
    fn what_ocr_is_unsure_of_is_told() {
        let picture = Page { is_picture: true, ..page("") };
        let (read, said) = read_by_ocr(picture.clone(), &scanned(91.6));
        assert_eq!((read.text.as_str(), read.is_picture, read.error), ("Total\n", false, None));
        assert_eq!(said.unwrap(), "page 1: it was read by OCR, 92 % sure of its letters");
        let (unsure, _) = read_by_ocr(picture.clone(), &scanned(31.0));
        assert!(unsure.error.unwrap().contains("31 % sure"));
        assert_eq!(read_by_ocr(picture.clone(), &Scanned::default()), (picture, None));
    }
}
