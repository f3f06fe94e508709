//! How much of a document goes into one question.
//!
//! It must know nothing of how a question is worded.

use serde_json::Value;
use shared::{extraction::Page, schema::ExtractionSchema};

/// Characters for one token of an ordinary document. Letters alone have four; figures, tables and
/// umlauts bring it down (measured with o200k on invoices: 2.5).
const CHARACTERS_PER_TOKEN: f64 = 2.5;

/// Tokens for the wording around schema and document.
const TOKENS_WORDING: f64 = 700.0;

/// The least room for text. Where there is less, the deployment itself refuses.
const ROOM_MIN: usize = 500;

/// Some lines of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The page, counted from 1.
    pub page: u32,
    /// The text, or a part of it.
    pub text: &'a str,
}

/// How many characters of a document fit into a question, where the model takes `context` tokens
/// and `tokens_output_max` of them are for the answer.
pub fn room(
    context: u32,
    tokens_output_max: u32,
    schema: &ExtractionSchema,
    shape: &Value,
) -> usize {
    // The schema is sent, and providers count it as text.
    let told = shape.to_string().chars().count() + schema.instructions().chars().count();
    // Double the room is asked for when an answer is cut off.
    let output = f64::from(tokens_output_max) * 2.0;
    let output = output.min(f64::from(context) / 2.0);
    let tokens = f64::from(context) - output - TOKENS_WORDING;
    let characters = tokens * CHARACTERS_PER_TOKEN - told as f64;
    (characters.max(0.0) as usize).max(ROOM_MIN)
}

/// Cuts a document into parts of at most `room` characters: between pages where that is possible,
/// between lines of a longer page, and within a line only where a line alone is longer.
pub fn chunks(pages: &[Page], room: usize) -> Vec<Vec<Piece<'_>>> {
    let mut chunks: Vec<Vec<Piece<'_>>> = Vec::new();
    let mut left = 0;
    for page in pages {
        for text in cut(&page.text, room.max(1)) {
            let length = text.chars().count();
            let piece = Piece { page: page.number, text };
            match chunks.last_mut().filter(|_| length <= left) {
                Some(chunk) => chunk.push(piece),
                None => {
                    chunks.push(vec![piece]);
                    left = room;
                }
            }
            left = left.saturating_sub(length);
        }
    }
    chunks
}

/// A page as pieces that fit; an empty page is one empty piece.
fn cut(text: &str, room: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((end, _)) = rest.char_indices().nth(room) {
        let (head, _) = rest.split_at(end);
        let end = head.rfind('\n').map_or(end, |line| line + 1);
        let (piece, more) = rest.split_at(end);
        pieces.push(piece);
        rest = more;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pages(texts: &[&str]) -> Vec<Page> {
        let page =
            |(number, text): (u32, &&str)| Page { number, text: (*text).into(), ..Page::default() };
        (1..).zip(texts).map(page).collect()
    }

    #[test]
    fn documents_are_cut_between_pages_and_lines() {
        let check = |texts: &[&str], room, expected: &[&[(u32, &str)]]| {
            let pages = pages(texts);
            let chunks = chunks(&pages, room);
            let shown: Vec<Vec<_>> = chunks
                .iter()
                .map(|chunk| chunk.iter().map(|piece| (piece.page, piece.text)).collect())
                .collect();
            assert_eq!(shown, expected);
        };
        check(&["abc", "def"], 6, &[&[(1, "abc"), (2, "def")]]);
        check(&["abc", "defg"], 6, &[&[(1, "abc")], (&[(2, "defg")])]);
        check(&["ab\ncd\nef"], 5, &[&[(1, "ab\n")], &[(1, "cd\nef")]]);
        check(&["", "x"], 5, &[&[(1, ""), (2, "x")]]);
        check(&["äöüß"], 2, &[&[(1, "äö")], &[(1, "üß")]]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_fits(
            texts in prop::collection::vec("[a-zä \n]{0,60}", 1..6),
            room in 1..80usize,
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let pages = pages(&texts);
            let chunks = chunks(&pages, room);
            let all: String = chunks.iter().flatten().map(|piece| piece.text).collect();
            prop_assert_eq!(all, texts.concat());
            for chunk in &chunks {
                let length: usize = chunk.iter().map(|piece| piece.text.chars().count()).sum();
                prop_assert!(length <= room && !chunk.is_empty());
            }
        }
    }
}
