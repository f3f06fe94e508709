//! What a part of a long document needs to be told of what stands before it: the heading of its
//! section, and the head of the table that goes on in it.
//!
//! Only lines that hold no values are carried: a value belongs to the part in which it stands. It must
//! know nothing of how a question is worded.

use super::budget::Piece;
use regex::Regex;
use std::sync::LazyLock;

/// The longest line that is a heading or the head of a table, in characters.
const LINE_CHARS_MAX: usize = 200;

/// So many lines before the part are looked at: a section of about thirty pages.
const LINES_BEFORE_MAX: usize = 2_000;

/// So many lines of the part tell whether it begins within a table.
const FIRST_LINES: usize = 6;

/// In so many lines after its head a table has its first row.
const ROW_WITHIN: usize = 3;

/// In so many lines before the head of a table stands its heading.
const HEADING_WITHIN: usize = 3;

/// A numbered or marked heading: `3.2 Termination`, `## Prices`, `§ 4 Term`.
static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant that the tests use")]
    Regex::new(r"^\s*(?:#{1,6}\s+|§+\s*\d+\S*\s+|(?:\d+\.)+\d*\s+|[IVX]+\.\s+)\p{L}.*[^.;,:]\s*$")
        .expect("a regular expression")
});

/// The lines to carry into the part that follows on these pieces, in their order; at most a heading
/// of the section, and the heading and the head of a table.
pub fn carried<'a>(before: &[Piece<'a>], part: &[Piece<'_>]) -> Vec<&'a str> {
    let lines = before.iter().rev().flat_map(|piece| piece.text.lines().rev());
    let mut before: Vec<&str> = lines.take(LINES_BEFORE_MAX).collect();
    before.reverse();
    let first: Vec<&str> = part.iter().flat_map(|piece| piece.text.lines()).collect();
    let first: Vec<&str> =
        first.into_iter().filter(|line| !line.trim().is_empty()).take(FIRST_LINES).collect();
    let mut carried = Vec::new();
    let is_own = first.first().is_some_and(|line| HEADING.is_match(line));
    if !is_own {
        carried
            .extend(before.iter().copied().rfind(|line| is_short(line) && HEADING.is_match(line)));
    }
    let begins_in_table = first.iter().take(2).any(|line| is_row(line));
    if begins_in_table && let Some(at) = table_head(&before) {
        let head = before.get(at).copied().unwrap_or_default();
        // Many print it on each page.
        if !first.iter().any(|line| cells(line).eq(cells(head))) {
            let above = before.get(at.saturating_sub(HEADING_WITHIN)..at).unwrap_or_default();
            let title = above.iter().copied().rfind(|line| is_title(line));
            carried.extend(title.filter(|title| !carried.contains(title)));
            carried.push(head);
        }
    }
    carried
}

/// The last line that names columns of rows that follow it.
fn table_head(lines: &[&str]) -> Option<usize> {
    (0..lines.len()).rev().find(|at| {
        let rows = lines.iter().skip(at + 1).filter(|line| !line.trim().is_empty());
        lines.get(*at).is_some_and(|line| is_head(line))
            && rows.take(ROW_WITHIN).any(|line| is_row(line))
    })
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split("   ").map(str::trim).filter(|cell| !cell.is_empty())
}

fn has_digit(text: &str) -> bool {
    text.chars().any(char::is_numeric)
}

fn is_short(line: &str) -> bool {
    !line.trim().is_empty() && line.chars().count() <= LINE_CHARS_MAX
}

/// Names of columns: at least two, without figures.
fn is_head(line: &str) -> bool {
    is_short(line) && cells(line).count() > 1 && !has_digit(line)
}

/// Values in columns: at least two, one of which has figures.
fn is_row(line: &str) -> bool {
    cells(line).count() > 1 && has_digit(line)
}

/// A line alone, without figures.
fn is_title(line: &str) -> bool {
    is_short(line) && cells(line).count() == 1 && !has_digit(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, part: &str, expected: &[&str]) {
        let piece = |page, text| Piece { page, text, has_image: false };
        let (before, part) = (piece(1, before), piece(2, part));
        assert_eq!(carried(&[before], &[part]), expected, "{before:?} | {part:?}");
    }

    #[test]
    fn the_head_of_a_table_goes_on_with_its_rows() {
        let head = "Item   Quantity   Amount";
        let table = format!("Acme Ltd\n\nSpare parts\n{head}\nBolt   3   9.00\nNut   4   8.00\n");
        check(&table, "Screw   5   7.50\nTotal   24.50\n", &["Spare parts", head]);
        // A blank line, or a page that says what it is, may stand before the rows.
        check(&table, "\nAcme Ltd, continued\nScrew   5   7.50\n", &["Spare parts", head]);
        // It is printed again, or no row goes on.
        check(&table, &format!("{head}\nScrew   5   7.50\n"), &[]);
        check(&table, "Thank you for your order.\nYours, Ann\n", &[]);
        // A line with figures names no columns; one without rows names none either.
        check("Net   9.00   EUR\nBolt   3   9.00\n", "Screw   5   7.50\n", &[]);
        check("Ann   Bob\nText\nText\nText\nText\n", "Screw   5   7.50\n", &[]);
        // Of two tables the later one.
        let two = format!("{table}\nFees\nKind   Fee\nFreight   4.00\n");
        check(&two, "Toll   2.00\n", &["Fees", "Kind   Fee"]);
    }

    #[test]
    fn a_part_knows_the_section_that_it_begins_in() {
        let section = "3.2 Termination\nEither party may end this with a notice of 3 months.\n";
        check(section, "The notice is in writing.\n", &["3.2 Termination"]);
        check("# Prices\nA text.\n## Fees\nMore.\n", "And more.\n", &["## Fees"]);
        check("§ 4 Laufzeit\nEin Satz.\n", "Noch ein Satz.\n", &["§ 4 Laufzeit"]);
        check(section, "3.3 Notices\nThey are in writing.\n", &[]);
        // A sentence and an item of a list are no headings.
        check("1. Pay within 30 days.\n", "Or later.\n", &[]);
        check("Plain text\n", "Or later.\n", &[]);
        check("", "Or later.\n", &[]);
    }
}
