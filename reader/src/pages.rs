//! The text of a document by page: what every format comes to.
//!
//! Plain data. It must know nothing of how text is read.

use crate::e_invoice::EInvoice;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use utoipa::ToSchema;

/// Left, bottom, right and top in PDF points (1/72 inch) from the lower left corner of the page as
/// it is shown: its crop box and its rotation are applied.
pub type Bounds = [f32; 4];

/// The text of a document, page by page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pages {
    /// What read it: name and version of the engine, for example `hayro-0.9+rows-2`.
    pub engine: String,
    /// The pages in order.
    pub pages: Vec<Page>,
    /// What was odd about the document but did not stop it.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The files that it carries beside its pages, in its own order: attachments. At most
    /// [`Pages::MEMBERS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Whether its pages are only a cover for its members, as of a portfolio.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cover: bool,
    /// The electronic invoices that it is or carries, each number once; at most
    /// [`Pages::E_INVOICES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub e_invoices: Vec<EInvoice>,
}

/// A file that a document carries: attached to an e-mail or to a PDF. Files that say the same as
/// the pages in another form, such as the XML of an e-invoice, are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its name as the document gives it, at most [`Member::NAME_CHARS_MAX`] characters.
    pub name: String,
    /// What the document says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl Member {
    /// The longest name, in characters.
    pub const NAME_CHARS_MAX: usize = 255;

    /// One of this name, without folders and control characters.
    pub(crate) fn new(name: &str, content_type: Option<String>) -> Self {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let shown = name.chars().filter(|c| !c.is_control()).take(Self::NAME_CHARS_MAX);
        Self { name: shown.collect(), content_type }
    }
}

impl Pages {
    /// The most members that are listed.
    pub const MEMBERS_MAX: usize = 1000;
    /// The most electronic invoices of a document that are kept.
    pub const E_INVOICES_MAX: usize = 16;

    /// Adds electronic invoices. Of several with one number the first counts: a mail may carry the same
    /// as PDF and as XML.
    pub(crate) fn carry(&mut self, invoices: impl IntoIterator<Item = EInvoice>) {
        for invoice in invoices {
            let is_known = |known: &EInvoice| known.number() == invoice.number();
            if self.e_invoices.len() < Self::E_INVOICES_MAX && !self.e_invoices.iter().any(is_known)
            {
                self.e_invoices.push(invoice);
            }
        }
    }

    /// The numbers of the pages on which there is no text.
    pub fn without_text(&self) -> Vec<u32> {
        let empty = |page: &&Page| page.text.trim().is_empty();
        self.pages.iter().filter(empty).map(|page| page.number).collect()
    }

    /// Whether something that stands on the pages was not read.
    pub fn are_incomplete(&self) -> bool {
        self.pages.iter().any(|page| page.error.is_some() || page.is_picture)
    }

    /// The same without the places of words.
    pub fn without_words(mut self) -> Self {
        for page in &mut self.pages {
            (page.words, page.hidden) = (Vec::new(), Vec::new());
            page.fields = Vec::new();
        }
        self
    }
}

/// The text of one page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// The visible text in reading order: one printed row a line, columns three spaces apart.
    pub text: String,
    /// Why this page could not be read in full, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the page is a picture, as of a scanner: what it shows was not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_picture: bool,
    /// Whether models were shown the page as an image, for want of text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shown: bool,
    /// In PDF points, as it is shown; 0 where the format has no pages of a size.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub width: f32,
    /// In PDF points, as it is shown; 0 where the format has no pages of a size.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub height: f32,
    /// The words of `text` in its order; none where the format has no places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub words: Vec<Word>,
    /// The fields of its form that have a name and a value; a box that is not ticked has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub fields: Vec<FormField>,
    /// Where words stand that a reader does not see. What they say is not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub hidden: Vec<Bounds>,
}

impl Page {
    /// Whether only an image of the page can tell what is on it: it has no text, is a picture, or was
    /// not read well.
    pub fn is_unread(&self) -> bool {
        let was_drawn = self.width > 0.0 && self.height > 0.0;
        was_drawn && (self.is_picture || self.error.is_some() || self.text.trim().is_empty())
    }

    /// The box around all words that have a part in these pieces of `text` (in bytes); none where
    /// no word with a place does.
    pub fn bounds<'a>(&self, pieces: impl IntoIterator<Item = &'a Range<usize>>) -> Option<Bounds> {
        let words = pieces.into_iter().flat_map(|piece| {
            let from = self.words.partition_point(|word| word.end as usize <= piece.start);
            let words = self.words.get(from..).unwrap_or_default().iter();
            words.take_while(move |word| (word.start as usize) < piece.end)
        });
        words.map(|word| word.bounds).reduce(around)
    }
}

fn is_zero(points: &f32) -> bool {
    *points == 0.0
}

/// The box around two boxes.
pub(crate) fn around(a: Bounds, b: Bounds) -> Bounds {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// A field of a form that is filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormField {
    /// Its name and those of what it is in, the outermost first, with points between them.
    pub name: String,
    /// What it says of itself to a reader, where it does: viewers show it as a tooltip.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What is filled in.
    pub value: FormValue,
    /// Where it stands.
    pub bounds: Bounds,
}

/// What is filled into a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FormValue {
    /// Whether a box is ticked.
    Ticked(bool),
    /// Text, or the name of one of several choices.
    Text(String),
}

/// A word of a page's text and its place. In JSON `[start, length, left, bottom, right, top,
/// origin]`, the box in tenths of a point: a long document has some hundred thousand words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Word {
    /// Where it begins in the page's text, in bytes.
    pub start: u32,
    /// Where it ends in the page's text, in bytes.
    pub end: u32,
    /// The box around it, to a tenth of a point.
    pub bounds: Bounds,
    /// Where its text is from.
    pub origin: Origin,
}

/// Where text is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The page itself.
    #[default]
    Text,
    /// The invisible layer over or under a picture, as programs for character recognition write it.
    Ocr,
    /// The value of a form's field.
    Form,
    /// What was put on the page later: a note, a stamp.
    Annotation,
}

impl Origin {
    const ALL: [Self; 4] = [Self::Text, Self::Ocr, Self::Form, Self::Annotation];
}

type Packed = (u32, u32, i32, i32, i32, i32, u8);

impl From<Packed> for Word {
    fn from((start, length, left, bottom, right, top, origin): Packed) -> Self {
        let bounds = [left, bottom, right, top].map(|tenths| tenths as f32 / 10.0);
        let origin = Origin::ALL.get(usize::from(origin)).copied().unwrap_or_default();
        Self { start, end: start.saturating_add(length), bounds, origin }
    }
}

impl From<Word> for Packed {
    fn from(word: Word) -> Self {
        let [left, bottom, right, top] = word.bounds.map(|points| (points * 10.0).round() as i32);
        let length = word.end.saturating_sub(word.start);
        (word.start, length, left, bottom, right, top, word.origin as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(start: u32, end: u32, left: f32) -> Word {
        let bounds = [left, 10.0, left + 20.5, 22.1];
        Word { start, end, bounds, origin: Origin::Form }
    }

    #[test]
    fn a_word_is_the_same_after_it_was_saved() {
        let page =
            Page { text: "a bc".to_owned(), words: vec![word(0, 1, 5.0)], ..Page::default() };
        let saved = serde_json::to_string(&page).unwrap();
        assert!(saved.contains("[[0,1,50,100,255,221,2]]"), "{saved}");
        assert_eq!(serde_json::from_str::<Page>(&saved).unwrap(), page);
    }

    #[test]
    fn a_text_that_was_saved_without_words_is_read() {
        let saved = r#"{"engine":"hayro-0.9+rows-1","pages":[{"number":1,"text":"a\n"}]}"#;
        let pages: Pages = serde_json::from_str(saved).unwrap();
        assert_eq!(pages.pages[0], Page { number: 1, text: "a\n".to_owned(), ..Page::default() });
    }

    #[test]
    fn the_box_of_a_piece_is_around_its_words() {
        let words = vec![word(0, 3, 0.0), word(4, 7, 30.0), word(8, 12, 60.0)];
        let page = Page { text: "one two four".to_owned(), words, ..Page::default() };
        let check = |pieces: &[(usize, usize)], expected: Option<(f32, f32)>| {
            let pieces: Vec<_> = pieces.iter().map(|(start, end)| *start..*end).collect();
            let bounds = page.bounds(&pieces).map(|bounds| (bounds[0], bounds[2]));
            assert_eq!(bounds, expected, "{pieces:?}");
        };
        check(&[(4, 7)], Some((30.0, 50.5)));
        check(&[(1, 2), (5, 9)], Some((0.0, 80.5)));
        check(&[(3, 4)], None);
        check(&[], None);
    }
}
