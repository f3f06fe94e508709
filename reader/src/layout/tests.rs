//! What rows and words come of glyphs.

use super::*;
use crate::pages::Origin;

/// Glyphs of a text set in a font in which every character is half as wide as high.
fn set(text: &str, left: f32, base: f32) -> Vec<Glyph> {
    let size = 10.0;
    let place = |(index, c): (usize, char)| {
        let left = left + index as f32 * size / 2.0;
        let (start, end) = ([left, base], [left + size / 2.0, base]);
        let origin = Origin::Text;
        Glyph { text: c.to_string(), start, end, along: [1.0, 0.0], size, origin }
    };
    text.chars().enumerate().map(place).collect()
}

fn text(glyphs: &[Glyph]) -> String {
    lay_out(glyphs, 800.0).text
}

fn check(parts: &[(&str, f32, f32)], expected: &str) {
    let glyphs: Vec<_> =
        parts.iter().flat_map(|(text, left, base)| set(text, *left, *base)).collect();
    assert_eq!(text(&glyphs), expected);
}

#[test]
fn a_row_of_a_table_stays_on_one_line() {
    check(
        &[("119,00", 400.0, 100.0), ("Bolts", 50.0, 100.0), ("2", 300.0, 101.0)],
        "Bolts   2   119,00\n",
    );
}

#[test]
fn words_are_joined_and_split() {
    check(&[("two words", 0.0, 0.0)], "two words\n");
    check(&[("A", 0.0, 0.0), ("B", 7.0, 0.0)], "A B\n");
    check(&[("A", 0.0, 0.0), ("B", 5.5, 0.0)], "AB\n");
    check(&[("bold", 0.0, 0.0), ("bold", 0.4, 0.0)], "bold\n");
    check(&[("one", 0.0, 0.0), ("two", 0.0, 12.0), ("three", 0.0, 40.0)], "one\ntwo\n\nthree\n");
}

#[test]
fn arabic_is_read_from_right_to_left() {
    // As printed from left to right: the second word, then the first, letters mirrored.
    check(&[("דג בא", 0.0, 0.0)], "אב גד\n");
    // Numbers and Latin words keep their order, brackets are turned.
    check(&[("(1434) בא", 0.0, 0.0)], "אב (1434)\n");
    check(&[("(דג) בא", 0.0, 0.0)], "אב (גד)\n");
    check(&[("A B דג בא 12-א", 0.0, 0.0)], "א-12 אב גד A B\n");
    check(&[("12,50", 0.0, 0.0), ("בא", 100.0, 0.0)], "אב   12,50\n");
}

#[test]
fn turned_text_comes_after_the_rest() {
    let mut glyphs = set("side", 0.0, 0.0);
    for glyph in &mut glyphs {
        let turned = |[x, y]: [f32; 2]| [y, x];
        (glyph.start, glyph.end) = (turned(glyph.start), turned(glyph.end));
        glyph.along = [0.0, 1.0];
    }
    glyphs.extend(set("front", 0.0, 50.0));
    assert_eq!(text(&glyphs), "front\nside\n");
}

#[test]
fn columns_of_prose_are_read_one_after_the_other() {
    let mut parts =
        vec![("A heading that goes across both of the columns of the page", 20.0, 10.0)];
    for row in 0..12_u8 {
        let base = 30.0 + 12.0 * f32::from(row);
        parts.push(("this is the left column of it", 0.0, base));
        parts.push(("here goes the right column too", 200.0, base));
    }
    let glyphs: Vec<_> =
        parts.iter().flat_map(|(text, left, base)| set(text, *left, *base)).collect();
    let text = text(&glyphs);
    let (left, right) = (text.rfind("left"), text.find("right"));
    assert!(left < right && text.starts_with("A heading"), "{text}");
    assert_eq!(text.matches('\n').count(), 25, "{text}");
}

#[test]
fn a_table_is_no_prose() {
    let mut parts = Vec::new();
    for row in 0..20_u8 {
        let base = 12.0 * f32::from(row);
        parts.push(("Some long description of a thing", 0.0, base));
        parts.push(("12.00 1234.00 2024 190.00 77", 220.0, base));
    }
    let glyphs: Vec<_> =
        parts.iter().flat_map(|(text, left, base)| set(text, *left, *base)).collect();
    assert!(text(&glyphs).starts_with("Some long description of a thing   12.00"));
}

/// Glyphs of words without blanks: letters so far apart, in sizes, and words so far.
fn spaced(text: &str, letters: f32, words: f32) -> Vec<Glyph> {
    let mut glyphs = Vec::new();
    let mut left = 0.0;
    for c in text.chars() {
        if c == ' ' {
            left += (words - letters) * 10.0;
            continue;
        }
        glyphs.extend(set(&c.to_string(), left, 0.0));
        left += 5.0 + letters * 10.0;
    }
    glyphs
}

#[test]
fn the_gap_between_words_is_that_of_their_line() {
    let check = |line: &str, letters: f32, words: f32| {
        assert_eq!(text(&spaced(line, letters, words)).trim_end(), line, "{letters} {words}");
    };
    check("under the Federal Act", 0.0, 0.25);
    // Condensed.
    check("under the Federal Act", -0.02, 0.12);
    check("12 13 14 15", 0.0, 0.12);
    // Letters set far apart.
    check("INVOICE NUMBER 12", 0.3, 0.8);
    // A pair that is kerned makes no word.
    check("1234567", 0.07, 0.3);
}

#[test]
fn blanks_at_the_end_of_a_cell_part_nothing_in_the_next() {
    check(&[("09      ", 0.0, 0.0), ("/18", 30.0, 0.0)], "09   /18\n");
    check(
        &[("Net          ", 0.0, 0.0), ("9.00", 30.0, 0.0), ("EUR", 80.0, 0.0)],
        "Net 9.00   EUR\n",
    );
}

#[test]
fn lines_printed_over_each_other_stay_apart() {
    check(&[("first line", 0.0, 0.0), ("other words", 2.0, 0.5)], "first line\nother words\n");
}

#[test]
fn a_word_whose_baseline_drifts_stays_whole() {
    let mut glyphs = set("drifting words 12.50", 0.0, 0.0);
    let mut drift = 0.0;
    for glyph in &mut glyphs {
        // Each word begins on the line again.
        drift = if glyph.is_blank() { 0.0 } else { drift + 0.6 };
        (glyph.start[1], glyph.end[1]) = (drift, drift);
    }
    assert_eq!(text(&glyphs), "drifting words 12.50\n");
}

#[test]
fn blocks_that_stand_beside_each_other_unevenly_make_no_tilt() {
    let mut parts = Vec::new();
    for row in 0..8_u8 {
        let base = 12.0 * f32::from(row);
        parts.push(("left block", 0.0, base));
        parts.push(("right block", 300.0, base + 6.0));
    }
    let expected = "left block\nright block\n".repeat(8);
    check(&parts, &expected);
}
