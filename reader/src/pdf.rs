//! PDF by hayro: glyphs with their places, the visible ones laid out in rows.
//!
//! It must know nothing of processes and limits other than the number of pages.

use crate::{
    canvas::Canvas,
    layout::{self, Glyph},
    limits::TextError,
    pages::{Page, Pages},
};
use hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, TransformExt, interpret_page,
};
use hayro_syntax::{
    DecryptionError, LoadPdfError, Pdf, object::dict::keys::CONTENTS, page::Page as PdfPage,
};
use kurbo::Rect;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "hayro-0.9+rows-1";

/// Pictures over this part of the page make the invisible text over them an OCR layer.
const SCAN_COVER: f64 = 0.5;

/// A page that is covered by pictures and has fewer characters than this is a picture: a stamp or a
/// page number does not make it a page of text. (Found 86 of 95 scans and no other page of 150.)
const PICTURE_GLYPHS_MAX: usize = 40;

/// The PDF, opened with no password, if it may be read.
pub(super) fn open(bytes: &[u8], pages_max: u32) -> Result<Pdf, TextError> {
    let pdf = Pdf::new(bytes.to_vec()).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => TextError::PasswordRequired,
        LoadPdfError::Decryption(other) => {
            TextError::Unreadable(format!("its encryption is not understood: {other:?}"))
        }
        LoadPdfError::Invalid => TextError::Unreadable("it is not a valid PDF".to_owned()),
    })?;
    match u32::try_from(pdf.pages().len()).unwrap_or(u32::MAX) {
        0 => Err(TextError::Unreadable("it has no pages".to_owned())),
        pages if pages > pages_max => Err(TextError::TooManyPages { pages, max: pages_max }),
        _ => Ok(pdf),
    }
}

/// The text of a PDF. A page that cannot be read is named, and the others are read.
pub(super) fn read(bytes: &[u8], pages_max: u32) -> Result<Pages, TextError> {
    let pdf = open(bytes, pages_max)?;
    let mut cache = InterpreterCache::new();
    let (mut pages, mut warnings) = (Vec::new(), Vec::new());
    for (number, page) in (1..).zip(pdf.pages().iter()) {
        let draw =
            AssertUnwindSafe(|| has_content(page).then(|| text(draw(&pdf, page, &cache), number)));
        let (mut page, error) = match catch_unwind(draw) {
            Ok(None) => (Page::default(), Some("its content cannot be decoded".to_owned())),
            Ok(Some((page, odd))) => {
                warnings.extend(odd);
                (page, None)
            }
            Err(panic) => {
                // Nobody knows in what state the page left it.
                cache = InterpreterCache::new();
                (Page::default(), Some(broken_by(panic.as_ref())))
            }
        };
        (page.number, page.error) = (number, error);
        pages.push(page);
    }
    finish(Pages { engine: ENGINE.to_owned(), pages, warnings })
}

/// The pages, unless not one of them could be read.
pub(super) fn finish(pages: Pages) -> Result<Pages, TextError> {
    match pages.pages.iter().map(|page| page.error.as_ref()).collect::<Option<Vec<_>>>() {
        Some(errors) => {
            let first = errors.first().map_or("it has no pages", |error| error.as_str());
            Err(TextError::Unreadable(format!("none of its pages can be read: {first}")))
        }
        None => Ok(pages),
    }
}

/// What a panic says of the page or document that caused it.
pub(super) fn broken_by(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    format!("reading it broke the reader: {}", text.chars().take(200).collect::<String>())
}

/// Whether the page's content can be decoded, if it has any. The engine itself takes a page that
/// it cannot decode for an empty one.
fn has_content(page: &PdfPage<'_>) -> bool {
    page.page_stream().is_some() || !page.raw().contains_key(CONTENTS)
}

fn draw<'a>(pdf: &'a Pdf, page: &PdfPage<'a>, cache: &InterpreterCache<'a>) -> Canvas {
    let (width, height) = page.render_dimensions();
    let bounds = Rect::new(0.0, 0.0, width.into(), height.into());
    let transform = page.initial_transform(true).to_kurbo();
    let settings = InterpreterSettings::default();
    let mut context = Context::new(transform, bounds, cache, pdf.xref(), settings);
    let mut canvas = Canvas::new(bounds);
    interpret_page(page, &mut context, &mut canvas);
    canvas
}

/// A page as it was drawn, and what is odd about it.
fn text(mut canvas: Canvas, number: u32) -> (Page, Vec<String>) {
    let mut odd = Vec::new();
    let printed = |glyphs: &[Glyph]| glyphs.iter().filter(|glyph| !glyph.is_blank()).count();
    let (visible, invisible) = (printed(&canvas.visible), canvas.invisible.len());
    let mut hidden = canvas.hidden;
    if invisible > visible && canvas.pictures >= SCAN_COVER {
        odd.push(format!("page {number}: its text is the invisible layer over a picture"));
        canvas.visible.append(&mut canvas.invisible);
    } else {
        hidden += invisible;
    }
    if hidden > 0 {
        odd.push(format!("page {number}: {hidden} hidden characters were left out"));
    }
    if canvas.is_cut {
        odd.push(format!("page {number}: it has too many characters, and not all were read"));
    }
    let unknown = canvas.visible.iter().filter(|glyph| glyph.text.contains('\u{fffd}')).count();
    let all = printed(&canvas.visible);
    if unknown * 20 > all {
        odd.push(format!("page {number}: {unknown} of {all} characters have no known meaning"));
    }
    let is_picture = canvas.pictures >= SCAN_COVER && all < PICTURE_GLYPHS_MAX;
    (Page { number, text: layout::text(canvas.visible), error: None, is_picture }, odd)
}
