//! Text that is read from right to left: from the order in which it stands to that in which it is
//! read.
//!
//! Pure.

use super::words::Span;

/// The characters of a word in the order in which they are read.
pub(super) fn text(word: &Span<'_>) -> String {
    if !word.chars().any(right_to_left) {
        return word.parts.concat();
    }
    let mut parts = word.parts.clone();
    reverse(&mut parts, |part| part.chars().any(|c| c.is_alphanumeric() && !right_to_left(c)));
    parts.concat().chars().map(mirrored).collect()
}

/// The words of a row in the order in which they are read.
pub(super) fn in_order<'a, 'b>(words: &'b [Span<'a>]) -> Vec<&'b Span<'a>> {
    let is_ltr = |c: &char| c.is_alphabetic() && !right_to_left(*c);
    let (mut rtl, mut ltr) = (0_usize, 0_usize);
    for c in words.iter().flat_map(Span::chars) {
        rtl += usize::from(right_to_left(c));
        ltr += usize::from(is_ltr(&c));
    }
    let mut words: Vec<_> = words.iter().collect();
    if rtl > ltr {
        reverse(&mut words, |word| word.chars().any(|c| is_ltr(&c)));
    }
    words
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
