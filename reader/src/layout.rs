//! From glyphs on a page to rows of text: what is printed on one line stays on one line, columns
//! of a table three spaces apart, columns of prose one after the other.
//!
//! Pure: glyphs in, text out. It must know nothing of PDF.

/// A glyph in a frame in which its baseline runs from left to right and y grows downwards.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Glyph {
    /// What it stands for; may be several characters.
    pub(super) text: String,
    /// Where it begins.
    pub(super) left: f32,
    /// Where the next one is expected.
    pub(super) right: f32,
    /// Its baseline.
    pub(super) base: f32,
    /// The size of its font, as it appears.
    pub(super) size: f32,
    /// How many quarter turns its frame is turned.
    pub(super) turn: u8,
}

/// A gap of this part of the size separates words even without a space.
const WORD_GAP: f32 = 0.18;

/// A gap of this many sizes separates columns.
const COLUMN_GAP: f32 = 1.5;

/// A narrower gap than this part of the size is no gutter.
const GUTTER_GAP: f32 = 0.7;

/// A step down of this many sizes leaves an empty line.
const PARAGRAPH_STEP: f32 = 1.9;

/// Baselines within this part of the size are one row.
const ROW_TOLERANCE: f32 = 0.35;

impl Glyph {
    /// Whether it leaves no ink.
    pub(super) fn is_blank(&self) -> bool {
        self.text.chars().all(|c| c.is_whitespace() || c.is_control())
    }
}

#[derive(Clone, Debug)]
struct Word {
    /// What its glyphs stand for, from left to right.
    parts: Vec<String>,
    left: f32,
    right: f32,
}

impl Word {
    fn chars(&self) -> impl Iterator<Item = char> {
        self.parts.iter().flat_map(|part| part.chars())
    }

    /// Its characters in the order in which they are read.
    fn text(&self) -> String {
        if !self.chars().any(right_to_left) {
            return self.parts.concat();
        }
        let mut parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        reverse(&mut parts, |part| part.chars().any(|c| c.is_alphanumeric() && !right_to_left(c)));
        parts.concat().chars().map(mirrored).collect()
    }
}

#[derive(Clone, Debug)]
struct Row {
    base: f32,
    size: f32,
    words: Vec<Word>,
}

/// The text of a page.
pub(super) fn text(glyphs: Vec<Glyph>) -> String {
    let mut turns: [Vec<Glyph>; 4] = Default::default();
    for glyph in glyphs {
        if let Some(turned) = turns.get_mut(usize::from(glyph.turn % 4)) {
            turned.push(glyph);
        }
    }
    let mut out = String::new();
    for (turn, glyphs) in turns.into_iter().enumerate() {
        let rows = rows(glyphs);
        match if turn == 0 { gutter(&rows) } else { None } {
            Some(x) => columns(&rows, x, &mut out),
            None => print(rows.iter(), &mut out),
        }
    }
    out
}

/// Puts glyphs with about the same baseline into one row, rows from top to bottom.
fn rows(mut glyphs: Vec<Glyph>) -> Vec<Row> {
    glyphs.sort_by(|a, b| a.base.total_cmp(&b.base));
    let mut rows: Vec<(f32, f32, Vec<Glyph>)> = Vec::new();
    for glyph in glyphs {
        // Sorted by baseline, only the last few rows can be near.
        let near = rows.iter_mut().rev().take(8).find(|(base, size, _)| {
            (base - glyph.base).abs() < ROW_TOLERANCE * size.min(glyph.size)
        });
        match near {
            Some((_, _, row)) => row.push(glyph),
            None => rows.push((glyph.base, glyph.size, vec![glyph])),
        }
    }
    let row = |(base, size, glyphs)| Row { base, size, words: words(glyphs) };
    rows.into_iter().map(row).filter(|row| !row.words.is_empty()).collect()
}

/// Joins the glyphs of a row into words.
fn words(mut glyphs: Vec<Glyph>) -> Vec<Word> {
    glyphs.sort_by(|a, b| a.left.total_cmp(&b.left));
    let mut words: Vec<Word> = Vec::new();
    let mut space = false;
    let mut last: Option<(String, f32)> = None;
    for glyph in glyphs {
        if glyph.is_blank() {
            space = true;
            continue;
        }
        // Bold is sometimes faked by printing twice with a small shift.
        let twice = last.as_ref().is_some_and(|(text, left)| {
            *text == glyph.text && (glyph.left - left).abs() < 0.12 * glyph.size
        });
        if twice {
            continue;
        }
        last = Some((glyph.text.clone(), glyph.left));
        let apart = words.last().is_none_or(|word| {
            let gap = glyph.left - word.right;
            (space && gap > -0.3 * glyph.size) || gap > WORD_GAP * glyph.size
        });
        space = false;
        match words.last_mut().filter(|_| !apart) {
            Some(word) => {
                word.parts.push(glyph.text);
                word.right = word.right.max(glyph.right);
            }
            None => {
                words.push(Word { parts: vec![glyph.text], left: glyph.left, right: glyph.right });
            }
        }
    }
    words
}

/// The x of a gutter between two columns of prose, where there is one: many rows have prose on
/// both sides, few rows cross, and there are more letters than digits (a table has a gutter, too,
/// but must keep its rows).
fn gutter(rows: &[Row]) -> Option<f32> {
    if rows.len() < 12 {
        return None;
    }
    let left = rows.iter().filter_map(|row| row.words.first()).map(|word| word.left);
    let right = rows.iter().filter_map(|row| row.words.last()).map(|word| word.right);
    let (left, right) = (left.fold(f32::MAX, f32::min), right.fold(f32::MIN, f32::max));
    let candidates = (0..60_u8).map(|i| left + (right - left) * (0.3 + 0.4 * f32::from(i) / 59.0));
    let scored = candidates.filter_map(|x| Some((score(rows, x)?, x)));
    scored.max_by_key(|(score, _)| *score).map(|(_, x)| x)
}

fn score(rows: &[Row], x: f32) -> Option<usize> {
    let (mut both, mut cross, mut letters, mut digits) = (0_usize, 0_usize, 0_usize, 0_usize);
    let (mut left_chars, mut right_chars) = (0, 0);
    for row in rows {
        let Some((left, right)) = split(row, x) else {
            cross += 1;
            continue;
        };
        if left.is_empty() || right.is_empty() {
            continue;
        }
        both += 1;
        let length = |words: &[Word]| words.iter().map(|w| w.chars().count() + 1).sum::<usize>();
        left_chars += length(left);
        right_chars += length(right);
        for c in row.words.iter().flat_map(Word::chars) {
            digits += usize::from(c.is_ascii_digit());
            letters += usize::from(c.is_alphabetic());
        }
    }
    let prose = both >= 8
        && cross * 3 < both * 2
        && left_chars / both >= 24
        && right_chars / both >= 24
        && digits * 5 < letters;
    prose.then(|| both.saturating_sub(cross))
}

/// The words on both sides of a gutter, or `None` where the row goes on across it.
fn split(row: &Row, x: f32) -> Option<(&[Word], &[Word])> {
    let slack = 0.2 * row.size;
    if row.words.iter().any(|word| word.left < x - slack && word.right > x + slack) {
        return None;
    }
    let at = row.words.partition_point(|word| (word.left + word.right) / 2.0 < x);
    let (left, right) = row.words.split_at(at);
    let is_gap = match (left.last(), right.first()) {
        (Some(end), Some(start)) => start.left - end.right > GUTTER_GAP * row.size,
        _ => true,
    };
    is_gap.then_some((left, right))
}

/// Prints two columns of prose one after the other; a row that crosses the gutter (a heading) ends
/// both and stands between.
fn columns(rows: &[Row], x: f32, out: &mut String) {
    let mut block: Vec<(Row, Row)> = Vec::new();
    let flush = |block: &mut Vec<(Row, Row)>, out: &mut String| {
        print(block.iter().map(|(left, _)| left), out);
        print(block.iter().map(|(_, right)| right), out);
        block.clear();
    };
    for row in rows {
        let Some((left, right)) = split(row, x) else {
            flush(&mut block, out);
            print(std::iter::once(row), out);
            continue;
        };
        let half = |words: &[Word]| Row { words: words.to_vec(), ..*row };
        block.push((half(left), half(right)));
    }
    flush(&mut block, out);
}

fn print<'a>(rows: impl Iterator<Item = &'a Row>, out: &mut String) {
    let mut above: Option<f32> = None;
    for row in rows.filter(|row| !row.words.is_empty()) {
        if above.is_some_and(|above| row.base - above > PARAGRAPH_STEP * row.size) {
            out.push('\n');
        }
        above = Some(row.base);
        print_row(row, out);
    }
}

fn print_row(row: &Row, out: &mut String) {
    let is_rtl = |c: &char| right_to_left(*c);
    let is_ltr = |c: &char| c.is_alphabetic() && !right_to_left(*c);
    let count =
        |is: &dyn Fn(&char) -> bool| row.words.iter().flat_map(Word::chars).filter(is).count();
    let mut words: Vec<&Word> = row.words.iter().collect();
    if count(&is_rtl) > count(&is_ltr) {
        reverse(&mut words, |word| word.chars().any(|c| is_ltr(&c)));
    }
    let mut before: Option<&Word> = None;
    for word in words {
        if let Some(before) = before {
            // Where the row is read from the right, the next word stands further left.
            let gap = (word.left - before.right).max(before.left - word.right);
            out.push_str(if gap > COLUMN_GAP * row.size { "   " } else { " " });
        }
        out.push_str(&word.text());
        before = Some(word);
    }
    out.push('\n');
}

/// Turns what stands from left to right into the order in which it is read from right to left;
/// runs that are read from left to right keep their order within.
fn reverse<T>(items: &mut [T], is_ltr: impl Fn(&T) -> bool) {
    items.reverse();
    for run in items.chunk_by_mut(|a, b| is_ltr(a) && is_ltr(b)) {
        run.reverse();
    }
}

/// Brackets are drawn as they look and must be written as they are meant.
fn mirrored(c: char) -> char {
    match c {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '«' => '»',
        '»' => '«',
        other => other,
    }
}

/// Hebrew, Arabic and their presentation forms, but not their digits.
fn right_to_left(c: char) -> bool {
    matches!(u32::from(c), 0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff) && !c.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Glyphs of a text set in a font in which every character is half as wide as high.
    fn set(text: &str, left: f32, base: f32) -> Vec<Glyph> {
        let size = 10.0;
        let place = |(index, c): (usize, char)| {
            let left = left + index as f32 * size / 2.0;
            Glyph { text: c.to_string(), left, right: left + size / 2.0, base, size, turn: 0 }
        };
        text.chars().enumerate().map(place).collect()
    }

    fn check(parts: &[(&str, f32, f32)], expected: &str) {
        let glyphs = parts.iter().flat_map(|(text, left, base)| set(text, *left, *base)).collect();
        assert_eq!(text(glyphs), expected);
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
        check(
            &[("one", 0.0, 0.0), ("two", 0.0, 12.0), ("three", 0.0, 40.0)],
            "one\ntwo\n\nthree\n",
        );
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
            glyph.turn = 1;
        }
        glyphs.extend(set("front", 0.0, 50.0));
        assert_eq!(text(glyphs), "front\nside\n");
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
        let glyphs = parts.iter().flat_map(|(text, left, base)| set(text, *left, *base)).collect();
        let text = text(glyphs);
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
        let glyphs = parts.iter().flat_map(|(text, left, base)| set(text, *left, *base)).collect();
        assert!(text(glyphs).starts_with("Some long description of a thing   12.00"));
    }
}
