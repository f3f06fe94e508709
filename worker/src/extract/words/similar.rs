//! A long text that is printed with another letter or two.
//!
//! It must know nothing of what the text means.

use super::{FoundWords, Needle, WordIndex, edges, shape::Shaped};
use crate::extract::reading::Grade;

/// A shorter text has no letter to spare.
const CHARACTERS_MIN: usize = 12;

/// One slip is allowed for so many characters.
const CHARACTERS_PER_SLIP: usize = 12;

/// No text has more slips than this.
const SLIPS_MAX: usize = 3;

/// So many places of its first word are looked at.
const PLACES_TRIED_MAX: usize = 20;

impl WordIndex<'_> {
    /// The first place that is like the needle: it begins with the same word, and at most every twelfth
    /// letter differs. Never of one word, nor of what has a digit.
    pub fn similar(&self, needle: &Needle) -> Option<FoundWords> {
        let length = needle.plain.len();
        if needle.has_digit || !needle.is_spaced() || length <= CHARACTERS_MIN {
            return None;
        }
        let places = self.candidates(needle.first_word).into_iter().take(PLACES_TRIED_MAX);
        places.into_iter().find_map(|(page, at)| {
            let text = self.text(page);
            let start = at as usize;
            let slips = (length / CHARACTERS_PER_SLIP).min(SLIPS_MAX);
            let printed = Shaped::new(text, start..text.len()).take(length + slips);
            let printed: Vec<_> = printed.map(|shaped| (shaped.shape, shaped.end)).collect();
            let place = start..like(&needle.plain, &printed, slips)?;
            edges::grade(text, &place, needle)?;
            Some(FoundWords { page: page as usize, pieces: vec![place], grade: Grade::Unsure })
        })
    }
}

/// Where the beginning of `printed` ends that is nearest to a text (Levenshtein distance), if it is
/// within so many slips.
fn like(text: &[char], printed: &[(char, usize)], slips: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=printed.len()).collect();
    for (index, wanted) in text.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(index + 1);
        for ((before, above), (c, _)) in row.iter().zip(row.iter().skip(1)).zip(printed) {
            let left = next.last().copied().unwrap_or_default();
            next.push((before + usize::from(c != wanted)).min(above + 1).min(left + 1));
        }
        if next.iter().all(|distance| *distance > slips) {
            return None;
        }
        row = next;
    }
    let nearest = row.iter().skip(1).zip(printed).min_by_key(|(distance, _)| **distance);
    nearest.filter(|(distance, _)| **distance <= slips).map(|(_, (_, end))| *end)
}
