//! What is asked about a document: one request, or several where the document is longer than the
//! model's context. Pure.
//!
//! It must know nothing of who is asked, nor of what an answer costs.

use crate::extract::{
    budget,
    carry::carried,
    compiled::CompiledSchema,
    cut,
    gained::Kept,
    prompt::{self, Excerpt},
};
use crate::read::Images;
use pool::typed::{chat::Request, image::Image};
use reader::PageImage;
use shared::{document::PageRange, extraction::Pages};
use std::collections::BTreeMap;

/// The images that models are shown, by the number of their page: each, and the characters that it
/// counts as.
pub(crate) type Shown = BTreeMap<u32, (Image, usize)>;

/// The images with what they count as; `tokens` says that of an image of a width and height.
pub(crate) fn shown(images: &Images, tokens: impl Fn((u32, u32)) -> Option<u64>) -> Shown {
    let one = |(number, image): (&u32, &PageImage)| {
        let PageImage { png, width, height, .. } = image;
        let counted = tokens((*width, *height)).unwrap_or_default();
        let image = Image { png: png.clone(), width: *width, height: *height };
        (*number, (image, budget::characters(counted)))
    };
    images.iter().map(one).collect()
}

/// What a request may hold.
pub(crate) struct PlanLimits<'a> {
    /// The model that is asked.
    pub(crate) model: &'a str,
    /// Tokens of question and answer together.
    pub(crate) context_tokens_max: u32,
    /// Tokens of a first answer.
    pub(crate) tokens_output_max: u32,
}

/// A request about a part of a document, or about all of it.
#[derive(Debug)]
pub(crate) struct Planned {
    /// What is asked.
    pub(crate) request: Request,
    /// The pages of which the part has something.
    pub(crate) pages: PageRange,
}

/// The requests about a document, in the order of its text: for all fields, or for those that an
/// earlier result lacks. `expected_output` gives the tokens that
/// the answer to a request of so many characters is expected to need.
pub(crate) fn plan(
    schema: &CompiledSchema,
    pages: &Pages,
    shown: &Shown,
    limits: &PlanLimits<'_>,
    kept: &Kept,
    expected_output: impl Fn(u64) -> u32,
) -> Vec<Planned> {
    let output_max = limits.tokens_output_max;
    let room = budget::room(limits.context_tokens_max, output_max, &schema.schema, &schema.strict);
    // The pages of a part of a file are counted as those of the file.
    let last = pages.pages.last().map_or(0, |page| page.number);
    let image = |page: u32| {
        let (image, characters) = shown.get(&page)?;
        Some(budget::ImageSize { characters: *characters, bytes: image.png.len() })
    };
    let parts = budget::chunks(&pages.pages, room, image);
    let is_part = parts.len() > 1;
    let strict = if is_part { &schema.strict_part } else { &schema.strict };
    let asks_all = kept == &Kept::default();
    if !asks_all && kept.wanted.is_empty() {
        return Vec::new();
    }
    let cut = if asks_all { None } else { cut::cut(strict, &kept.wanted) };
    let strict = cut.as_ref().unwrap_or(strict);
    let mut before: Vec<budget::Piece<'_>> = Vec::new();
    let mut planned = Vec::with_capacity(parts.len());
    for part in parts {
        let carried = carried(&before, &part);
        let excerpt = Excerpt { pieces: &part, carried: &carried, shown, pages: last, is_part };
        let request = prompt::request(&schema.schema, strict, limits.model, excerpt, output_max);
        let request = Request { tokens_output_max: expected_output(request.length()), ..request };
        let page = |piece: Option<&budget::Piece<'_>>| piece.map_or(0, |piece| piece.page);
        let pages = PageRange { first: page(part.first()), last: page(part.last()) };
        planned.push(Planned { request, pages });
        before.extend(part);
    }
    planned
}
