//! A text with the digits, points, dashes and spaces of all scripts in ASCII, and the way back to
//! where they stand.
//!
//! It must know nothing of numbers or dates.

use super::reading::Reading;
use std::{borrow::Cow, ops::Range};

/// The zeros of scripts that have digits of their own; nine digits follow each.
const ZEROS: [u32; 13] =
    [0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xff10];

/// A text whose figures are ASCII.
#[derive(Clone, Debug)]
pub struct AsciiFigures<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// After so many bytes of `text`, the original is so many bytes longer.
    longer: Vec<(u32, u32)>,
}

impl<'a> AsciiFigures<'a> {
    /// Replaces what is not ASCII, character by character.
    pub fn of(original: &'a str) -> Self {
        let Some(first) = original.find(|c| replaced(c).is_some()) else {
            return Self { text: Cow::Borrowed(original), longer: Vec::new() };
        };
        let (before, rest) = original.split_at(first);
        let mut text = String::with_capacity(original.len());
        text.push_str(before);
        let (mut longer, mut more) = (Vec::new(), 0);
        for c in rest.chars() {
            let Some(ascii) = replaced(c) else {
                text.push(c);
                continue;
            };
            text.extend(ascii);
            more += c.len_utf8() - ascii.map_or(0, char::len_utf8);
            longer.push((small(text.len()), small(more)));
        }
        Self { text: Cow::Owned(text), longer }
    }

    /// Where a place of the text stands in the original.
    pub fn original(&self, place: Range<usize>) -> Range<usize> {
        if self.longer.is_empty() {
            return place;
        }
        let place = self.moved(place.start)..self.moved(place.end);
        place.start..place.end.max(place.start)
    }

    /// What was read in the text, with its place in the original.
    pub fn in_original<T>(&self, readings: Vec<Reading<T>>) -> Vec<Reading<T>> {
        let moved = |reading: Reading<T>| Reading {
            place: self.original(reading.place.clone()),
            ..reading
        };
        readings.into_iter().map(moved).collect()
    }

    fn moved(&self, at: usize) -> usize {
        let after = self.longer.partition_point(|(end, _)| *end as usize <= at);
        let more = after.checked_sub(1).and_then(|last| self.longer.get(last));
        at + more.map_or(0, |(_, more)| *more as usize)
    }
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What stands for a character: `None` where it stays, `Some(None)` where it is only a mark of
/// direction.
fn replaced(c: char) -> Option<Option<char>> {
    if c.is_ascii() {
        return None;
    }
    let code = c as u32;
    let digit = ZEROS.into_iter().find_map(|zero| code.checked_sub(zero).filter(|d| *d < 10));
    if let Some(digit) = digit {
        return Some(char::from_digit(digit, 10));
    }
    Some(Some(match c {
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{61c}' => {
            return Some(None);
        }
        '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2212}' | '－' => '-',
        '．' | '٫' => '.',
        '，' | '٬' => ',',
        '／' => '/',
        '：' => ':',
        '％' | '٪' => '%',
        '（' => '(',
        '）' => ')',
        '\u{3000}' => ' ',
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_of_every_script_are_ascii() {
        let check = |text: &str, expected: &str| {
            assert_eq!(AsciiFigures::of(text).text, expected, "{text}");
        };
        check("Total 5", "Total 5");
        check("۱۲٬۳۴۵٫۵۰", "12,345.50");
        check("１１，０００円", "11,000円");
        check("१२३ ৪৫ ๖๗", "123 45 67");
        check("\u{200f}12−3\u{200e}", "12-3");
    }

    proptest! {
        #[test]
        fn the_way_back_is_exact(text in "[a-c١-٩0-9 −é，]{0,30}") {
            let figures = AsciiFigures::of(&text);
            let mut start = 0;
            let starts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
            for (c, at) in figures.text.chars().zip(starts) {
                let place = figures.original(start..start + c.len_utf8());
                start += c.len_utf8();
                prop_assert_eq!(place.start, at);
                let original = text[place].chars().collect::<Vec<_>>();
                prop_assert_eq!(original.len(), 1);
                prop_assert_eq!(replaced(original[0]).flatten().unwrap_or(original[0]), c);
            }
        }
    }
}
