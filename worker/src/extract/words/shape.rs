//! Characters without what is only shape.
//!
//! It must know nothing of words.

use crate::extract::reading::is_word;
use std::{collections::VecDeque, ops::Range};
use unicode_normalization::UnicodeNormalization;

/// A character without its shape: nothing for a space, a plain dash for any dash.
pub(super) fn shapes(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => None,
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        '‘' | '’' | '‚' | '´' | '`' | '′' => Some('\''),
        '“' | '”' | '„' | '«' | '»' | '″' => Some('"'),
        other => Some(other),
    };
    let plain = plain.into_iter().flat_map(|c| std::iter::once(c).nfkd());
    plain.flat_map(char::to_lowercase).filter(|c| !c.is_whitespace())
}

/// Commas and points come and go in names and addresses.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, ',' | ';' | '.')
}

/// Whether a character counts where text is compared: a comma or a point does only between digits.
pub(super) fn is_kept(text: &str, at: usize, c: char) -> bool {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_numeric());
    !is_mark(c)
        || is_digit(text.get(..at).and_then(|text| text.chars().next_back()))
            && is_digit(text.get(at + c.len_utf8()..).and_then(|text| text.chars().next()))
}

/// A character of a text in its plain shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShapedCharacter {
    pub(super) shape: char,
    /// Where the printed character ends that it is of.
    pub(super) end: usize,
}

/// The characters of a part of a text that count, without shape.
pub(super) struct Shaped<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    /// Of a printed character that is several.
    more: VecDeque<char>,
}

impl<'a> Shaped<'a> {
    pub(super) fn new(text: &'a str, place: Range<usize>) -> Self {
        Self { text, at: place.start, end: place.end, more: VecDeque::new() }
    }
}

impl Iterator for Shaped<'_> {
    type Item = ShapedCharacter;

    fn next(&mut self) -> Option<ShapedCharacter> {
        loop {
            if let Some(shape) = self.more.pop_front() {
                return Some(ShapedCharacter { shape, end: self.at });
            }
            let c = self.text.get(self.at..self.end)?.chars().next()?;
            let at = self.at;
            self.at += c.len_utf8();
            if c.is_ascii() {
                let counts = !c.is_ascii_whitespace() && is_kept(self.text, at, c);
                if counts {
                    return Some(ShapedCharacter { shape: c.to_ascii_lowercase(), end: self.at });
                }
            } else {
                self.more.extend(shapes(c));
            }
        }
    }
}

/// Whether two characters are of one word.
pub(super) fn joins(left: Option<char>, right: Option<char>) -> bool {
    left.is_some_and(is_word) && right.is_some_and(is_word)
}
