//! Where words stand: on the page as it is shown.

use super::{page, pdf, text};
use crate::{Bounds, Format, Origin, Page, Word};

fn read(bytes: &[u8]) -> Page {
    text(bytes, Format::Pdf).unwrap().pages.remove(0)
}

fn is_near(bounds: Bounds, expected: Bounds) -> bool {
    bounds.iter().zip(expected).all(|(is, expected)| (is - expected).abs() < 1.0)
}

/// The word of this text.
fn word(page: &Page, text: &str) -> Word {
    let is = |word: &&Word| page.text.get(word.start as usize..word.end as usize) == Some(text);
    *page.words.iter().find(is).unwrap_or_else(|| panic!("{text} in {page:?}"))
}

#[test]
fn each_word_of_the_text_has_its_box() {
    let page = read(&page("BT /F 10 Tf 10 50 Td (Net 12.00) Tj 0 -14 Td (Total) Tj ET"));
    assert_eq!((page.width, page.height), (100.0, 100.0));
    let words: Vec<&str> =
        page.words.iter().map(|word| &page.text[word.start as usize..word.end as usize]).collect();
    assert_eq!(words, ["Net", "12.00", "Total"]);
    // The widths are those of Helvetica: N 722, e 556, t 278; a digit 556, a point 278.
    assert!(is_near(word(&page, "Net").bounds, [10.0, 48.0, 25.6, 57.5]), "{page:?}");
    assert!(is_near(word(&page, "12.00").bounds, [28.3, 48.0, 53.3, 57.5]), "{page:?}");
    assert_eq!(word(&page, "Total").origin, Origin::Text);
}

#[test]
fn boxes_are_those_of_the_page_as_it_is_shown() {
    let check = |entries: &str, size: (f32, f32), expected: Bounds| {
        let content = "BT /F 10 Tf 60 150 Td (Net) Tj ET";
        let page = read(&pdf(content, entries, "", ""));
        assert_eq!((page.width, page.height), size, "{entries}");
        assert!(is_near(word(&page, "Net").bounds, expected), "{entries}: {page:?}");
    };
    check("/MediaBox[0 0 200 300]", (200.0, 300.0), [60.0, 148.0, 75.6, 157.5]);
    let cropped = "/MediaBox[0 0 200 300]/CropBox[50 100 150 300]";
    check(cropped, (100.0, 200.0), [10.0, 48.0, 25.6, 57.5]);
    // Turned clockwise, the left side is on top: x is what y was, and y falls with x.
    let turned = "/MediaBox[0 0 200 300]/Rotate 90";
    check(turned, (300.0, 200.0), [148.0, 124.4, 157.5, 140.0]);
    let both = "/MediaBox[0 0 200 300]/CropBox[50 100 150 300]/Rotate 270";
    check(both, (200.0, 100.0), [142.5, 10.0, 152.0, 25.6]);
}

#[test]
fn text_that_goes_upwards_has_an_upright_box() {
    let page = read(&page("BT /F 10 Tf 0 1 -1 0 50 20 Tm (Net) Tj ET"));
    assert!(is_near(word(&page, "Net").bounds, [42.5, 20.0, 52.0, 35.6]), "{page:?}");
}
