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

/// The most images of one question: what the strictest of Azure's versions of its API takes.
const IMAGES_MAX: usize = 10;

/// The most bytes of all images of a question: as text they are a third longer, and the strictest
/// provider takes requests of 20 MB.
const IMAGE_BYTES_MAX: usize = 14_000_000;

/// What an image counts as.
#[derive(Clone, Copy, Debug)]
pub struct ImageSize {
    /// In characters of text.
    pub characters: usize,
    /// Its file.
    pub bytes: usize,
}

/// The characters that count as so many tokens.
pub fn characters(tokens: u64) -> usize {
    (tokens as f64 * CHARACTERS_PER_TOKEN) as usize
}

/// Some lines of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The page, counted from 1.
    pub page: u32,
    /// The text, or a part of it.
    pub text: &'a str,
    /// Whether the image of the page goes with it.
    pub has_image: bool,
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
/// between lines of a longer page, and within a line only where a line alone is longer. `image` says
/// what the image of a page counts as, where it has one; that goes with the first piece of the page.
pub fn chunks(
    pages: &[Page],
    room: usize,
    image: impl Fn(u32) -> Option<ImageSize>,
) -> Vec<Vec<Piece<'_>>> {
    let mut chunks: Vec<Vec<Piece<'_>>> = Vec::new();
    let mut left = Left::all(room);
    for page in pages {
        let mut image = image(page.number);
        for text in cut(&page.text, room.max(1)) {
            let (length, image) = (text.chars().count(), image.take());
            let piece = Piece { page: page.number, text, has_image: image.is_some() };
            let rest = left.without(length, image);
            match chunks.last_mut().zip(rest) {
                Some((chunk, rest)) => {
                    chunk.push(piece);
                    left = rest;
                }
                None => {
                    chunks.push(vec![piece]);
                    left = Left::all(room).without(length, image).unwrap_or_default();
                }
            }
        }
    }
    chunks
}

/// What is left of the room of a question.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    characters: usize,
    images: usize,
    bytes: usize,
}

impl Left {
    fn all(room: usize) -> Self {
        Self { characters: room, images: IMAGES_MAX, bytes: IMAGE_BYTES_MAX }
    }

    /// What is left after so much more, where it fits.
    fn without(self, length: usize, image: Option<ImageSize>) -> Option<Self> {
        let ImageSize { characters, bytes } =
            image.unwrap_or(ImageSize { characters: 0, bytes: 0 });
        Some(Self {
            characters: self.characters.checked_sub(length + characters)?,
            images: self.images.checked_sub(usize::from(image.is_some()))?,
            bytes: self.bytes.checked_sub(bytes)?,
        })
    }
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
            let chunks = chunks(&pages, room, |_| None);
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

    #[test]
    fn images_take_their_room_and_are_so_many_at_most() {
        let check = |count: usize, room, size: ImageSize, expected: &[usize]| {
            let texts = vec![""; count];
            let pages = pages(&texts);
            let chunks = chunks(&pages, room, |_| Some(size));
            assert!(chunks.iter().flatten().all(|piece| piece.has_image));
            let lengths: Vec<_> = chunks.iter().map(Vec::len).collect();
            assert_eq!(lengths, expected);
        };
        let small = ImageSize { characters: 10, bytes: 10 };
        check(3, 1000, small, &[3]);
        check(3, 25, small, &[2, 1]);
        check(12, 1000, small, &[10, 2]);
        check(2, 1000, ImageSize { bytes: 8_000_000, ..small }, &[1, 1]);
        // One that is larger than all of the room goes alone.
        check(2, 5, small, &[1, 1]);
        let page = Page { number: 1, text: "ab\ncd\n".into(), ..Page::default() };
        let pages = [page];
        let cut = chunks(&pages, 3, |_| Some(ImageSize { characters: 0, bytes: 1 }));
        let images: Vec<_> = cut.iter().flatten().map(|piece| piece.has_image).collect();
        assert_eq!(images, [true, false]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_fits(
            texts in prop::collection::vec("[a-zä \n]{0,60}", 1..6),
            room in 1..80usize,
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let pages = pages(&texts);
            let chunks = chunks(&pages, room, |_| None);
            let all: String = chunks.iter().flatten().map(|piece| piece.text).collect();
            prop_assert_eq!(all, texts.concat());
            for chunk in &chunks {
                let length: usize = chunk.iter().map(|piece| piece.text.chars().count()).sum();
                prop_assert!(length <= room && !chunk.is_empty());
            }
        }
    }
}
