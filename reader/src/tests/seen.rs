//! What a reader sees is read, what is hidden is not, and nothing is said to be hidden that is seen.

use super::{page, text};
use crate::Format;

/// Reads a page of 100 points; `expected` is its text, rows parted by `|`.
fn check(content: &str, expected: &str, hidden: usize) {
    let pages = text(&page(content), Format::Pdf).unwrap();
    let rows: Vec<&str> = pages.pages[0].text.lines().filter(|row| !row.is_empty()).collect();
    assert_eq!(rows.join("|"), expected, "{content}");
    let warning = format!("page 1: {hidden} hidden characters were left out");
    let expected = if hidden > 0 { vec![warning] } else { Vec::new() };
    assert_eq!(pages.warnings, expected, "{content}");
    assert_eq!(pages.pages[0].hidden.is_empty(), hidden == 0, "{content}");
}

#[test]
fn what_is_painted_over_is_hidden() {
    let secret = "BT /F 9 Tf 10 50 Td (secret) Tj ET BT /F 9 Tf 10 20 Td (open) Tj ET ";
    check(&format!("{secret} 0 g 5 45 60 15 re f"), "open", 6);
    check(&format!("{secret} 1 g 5 45 60 15 re f"), "open", 6);
    check(&format!("{secret} 12 w 5 52 m 70 52 l S"), "open", 6);
    // Only the middle of the word.
    check(&format!("{secret} 0 g 18 45 10 15 re f"), "se et|open", 2);
    // What is written on top of the patch is seen.
    let patched = format!("{secret} 1 g 5 45 60 15 re f 0 g BT /F 9 Tf 10 50 Td (public) Tj ET");
    check(&patched, "public|open", 6);
    let again = format!("{secret} 1 g 5 45 60 15 re f 0 g BT /F 9 Tf 10 50 Td (secret) Tj ET");
    check(&again, "secret|open", 0);
}

#[test]
fn what_is_marked_or_struck_out_is_seen() {
    let marked = "BT /F 9 Tf 10 50 Td (marked) Tj ET ";
    check(&format!("{marked} /Half gs 1 1 0 rg 5 45 60 15 re f"), "marked", 0);
    check(&format!("{marked} /Multiply gs 1 1 0 rg 5 45 60 15 re f"), "marked", 0);
    check(&format!("{marked} 1 w 5 53 m 70 53 l S"), "marked", 0);
    check(&format!("{marked} 2 w 5 45 60 15 re S"), "marked", 0);
    // A frame is painted around it, not over it.
    check(&format!("{marked} 0 g 5 45 60 15 re 6 46 58 13 re f*"), "marked", 0);
    let large = "BT /F 40 Tf 10 40 Td (old) Tj ET 5 w 5 52 m 90 52 l S";
    check(large, "old", 0);
}

#[test]
fn pale_text_is_seen_on_what_is_dark() {
    let pale = "BT 1 g /F 9 Tf 10 50 Td (pale) Tj ET";
    check(&format!("20 w 0 53 m 90 53 l S {pale}"), "pale", 0);
    check(&format!("q /Half gs 0 0 0.4 rg 5 45 60 15 re f Q {pale}"), "pale", 0);
    check(&format!("q 0.2 g 5 45 60 15 re f Q q /Pale gs 1 g 5 45 60 15 re f Q {pale}"), "pale", 0);
    check(&format!("q 0.1 0.2 0.6 rg 0.8 G 1 w 5 45 60 15 re B Q {pale}"), "pale", 0);
}

#[test]
fn pale_text_is_hidden_on_what_is_pale() {
    let pale = "BT 1 g /F 9 Tf 10 50 Td (pale) Tj ET";
    check(pale, "", 4);
    // A tint that nobody notices makes it no darker.
    check(&format!("q /Pale gs 0.9 g 5 45 60 15 re f Q {pale}"), "", 4);
    check(&format!("20 w 0 90 m 90 90 l S {pale}"), "", 4);
}

#[test]
fn edges_and_shadows_are_read_once() {
    check("BT 2 Tr 1 g 0 G /F 9 Tf 10 50 Td (edged) Tj ET", "edged", 0);
    check("BT 1 Tr /F 9 Tf 10 50 Td (outline) Tj ET", "outline", 0);
    let shadow =
        "BT 0.7 g /F 12 Tf 11.5 48.5 Td (Total) Tj ET BT 0 g /F 12 Tf 10 50 Td (Total) Tj ET";
    check(shadow, "Total", 0);
    let white = "BT 1 g /F 12 Tf 11 49 Td (Total) Tj ET BT 0 g /F 12 Tf 10 50 Td (Total) Tj ET";
    check(white, "Total", 0);
    // As letters of one string after the other, each twice.
    let twice = "BT /F 9 Tf 10 50 Td (f) Tj 0.3 0 Td (f) Tj 2.2 0 Td (a) Tj 0.3 0 Td (a) Tj ET";
    check(twice, "fa", 0);
}

#[test]
fn the_layer_of_a_small_picture_is_read_and_no_other() {
    let picture = "q 40 0 0 50 10 40 cm BI /W 1/H 1/BPC 8/CS/G ID x EI Q ";
    let layer = "BT 3 Tr /F 9 Tf 12 60 Td (3.40) Tj ET";
    let pages = text(&page(&format!("{picture} {layer}")), Format::Pdf).unwrap();
    assert_eq!(pages.pages[0].text.trim(), "3.40");
    assert_eq!(pages.pages[0].words[0].origin, crate::Origin::Ocr);
    assert!(pages.warnings[0].contains("invisible layer"), "{:?}", pages.warnings);
    // Before the picture, so under it.
    let under = "BT /F 9 Tf 12 60 Td (3.40) Tj ET";
    let pages = text(&page(&format!("{under} {picture}")), Format::Pdf).unwrap();
    assert_eq!(pages.pages[0].text.trim(), "3.40");
    // A letterhead has no layer: what is written on it is seen.
    let on = "BT 0 Tr /F 9 Tf 12 70 Td (seen and read) Tj ET";
    check(&format!("{picture} {on} {layer}"), "seen and read", 4);
    let elsewhere = "BT 3 Tr /F 9 Tf 60 10 Td (3.40) Tj ET";
    check(&format!("{picture} {elsewhere}"), "", 4);
}

#[test]
fn lines_run_level_on_a_page_that_was_scanned_askew() {
    // Words of a layer, each upright, along lines that fall or rise.
    for degrees in [-4.5_f32, -1.5, -0.6, 0.6, 2.0, 5.0] {
        let slope = degrees.to_radians().tan();
        let rows =
            ["Bolts M8 100 0.10 10.00", "Nuts M8 200 0.05 10.00", "Washers M8 300 0.02 6.00"];
        let mut content = "BT /F 9 Tf ".to_owned();
        for (line, row) in (0_u8..).zip(rows) {
            for (column, word) in (0_u8..).zip(row.split(' ')) {
                let x = 20.0 + 100.0 * f32::from(column);
                let y = 700.0 - 13.0 * f32::from(line) + x * slope;
                content += &format!("1 0 0 1 {x} {y} Tm ({word}) Tj ");
            }
        }
        let bytes = super::pdf(&(content + "ET"), "/MediaBox[0 0 600 800]", "", "");
        let pages = text(&bytes, Format::Pdf).unwrap();
        let read: Vec<String> =
            pages.pages[0].text.lines().map(|row| row.replace("   ", " ")).collect();
        assert_eq!(read, rows, "{degrees}");
    }
}

#[test]
fn text_that_is_turned_a_little_keeps_its_rows() {
    for degrees in [-3.0_f32, 1.0, 4.0] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let mut content = "BT /F 9 Tf ".to_owned();
        for (line, row) in (0_u8..).zip(["Item one 10.00", "Item two 20.00", "Item three 30.00"]) {
            for (column, word) in (0_u8..).zip(row.split(' ')) {
                let (x, y) = (150.0 * f32::from(column), -13.0 * f32::from(line));
                let (x, y) = (100.0 + x * cos - y * sin, 400.0 + x * sin + y * cos);
                content += &format!("{cos} {sin} {} {cos} {x} {y} Tm ({word}) Tj ", -sin);
            }
        }
        let bytes = super::pdf(&(content + "ET"), "/MediaBox[0 0 600 800]", "", "");
        let pages = text(&bytes, Format::Pdf).unwrap();
        let expected = "Item   one   10.00\nItem   two   20.00\nItem   three   30.00\n";
        assert_eq!(pages.pages[0].text, expected, "{degrees}");
    }
}

#[test]
fn a_watermark_across_the_page_stands_after_its_rows() {
    let content = "BT /F 9 Tf 10 60 Td (Net 9.00) Tj 0 -12 Td (Vat 1.71) Tj ET \
        BT /F 20 Tf 0.7 0.7 -0.7 0.7 20 20 Tm 0.8 g (COPY) Tj ET";
    check(content, "Net 9.00|Vat 1.71|COPY", 0);
}
