//! PDF by hayro: glyphs with their places, the visible ones laid out in rows.
//!
//! It must know nothing of processes and limits other than the number of pages.

use crate::{
    attached,
    canvas::{Canvas, Seen},
    cover,
    form::{self, Field},
    layout::{self, Laid},
    letters::{self, Letters},
    limits::TextError,
    pages::{Origin, Page, Pages},
    panic,
    second::Second,
};
use hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, RenderContent, TransformExt, interpret_page,
};
use hayro_syntax::{
    DecryptionError, LoadPdfError, Pdf, object::dict::keys::CONTENTS, page::Page as PdfPage,
};
use kurbo::{Affine, Rect};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "hayro-0.9+rows-2";

/// Pictures over this part of the page make it one: see [`PICTURE_GLYPHS_MAX`].
const SCAN_COVER: f64 = 0.5;

/// A page that is covered by pictures and has fewer characters than this is a picture: a stamp or a
/// page number does not make it a page of text. (Found 86 of 95 scans and no other page of 150.)
const PICTURE_GLYPHS_MAX: usize = 40;

/// A second engine reads no longer files than this: it keeps all of a file's objects.
const SECOND_BYTES_MAX: usize = 32 << 20;

/// The most places of hidden words of a page that are kept.
const HIDDEN_MAX: usize = 1000;

/// The PDF, opened with this password if it needs one, if it may be read.
pub(super) fn open(bytes: &[u8], pages_max: u32, password: &str) -> Result<Pdf, TextError> {
    let pdf = Pdf::new_with_password(mended(bytes), password).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => TextError::PasswordRequired,
        LoadPdfError::Decryption(other) => {
            TextError::Unreadable(format!("its encryption is not understood: {other:?}"))
        }
        LoadPdfError::Invalid => TextError::Unreadable("it is not a valid PDF".to_owned()),
    })?;
    match u32::try_from(pdf.pages().len()).unwrap_or(u32::MAX) {
        0 => Err(TextError::Unreadable("it has no pages".to_owned())),
        pages if pages > pages_max => Err(TextError::TooManyPages { pages, max: pages_max }),
        _ => cover::check(&pdf).map(|()| pdf),
    }
}

/// The bytes, with no blank between the keyword `stream` and the end of its line: some producers
/// write one, and viewers skip it (ISO 32000-2, 7.3.8.1 allows none). Nothing moves.
fn mended(bytes: &[u8]) -> Vec<u8> {
    const KEYWORD: &[u8] = b"stream";
    let mut mended = bytes.to_vec();
    let mut from = 0;
    let found = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.windows(KEYWORD.len() + 1).position(|window| window == b"stream ")
    };
    while let Some(at) = found(from) {
        let (start, end) = (from + at, from + at + KEYWORD.len());
        let before = bytes.get(..start).unwrap_or_default().trim_ascii_end();
        let after = bytes.get(end..).unwrap_or_default();
        let blanks = after.iter().take_while(|byte| **byte == b' ').count();
        let line_ends = matches!(after.get(blanks), Some(b'\r' | b'\n'));
        if before.ends_with(b">>") && line_ends {
            mended.get_mut(start..end + blanks).unwrap_or_default().rotate_right(blanks);
        }
        from = end;
    }
    mended
}

/// The text of a PDF. A page that cannot be read is named, and the others are read.
pub(super) fn read(bytes: &[u8], pages_max: u32, password: &str) -> Result<Pages, TextError> {
    let pdf = open(bytes, pages_max, password)?;
    let mut cache = InterpreterCache::new();
    let mut warnings = Vec::new();
    let mut pages = Vec::new();
    let mut second = None;
    for (number, page) in (1..).zip(pdf.pages().iter()) {
        let draw = AssertUnwindSafe(|| {
            has_content(page).then(|| {
                let (seen, fields) = see(&pdf, page, &cache);
                let (text, odd) = text(&seen, page, number);
                (Page { fields: form::filled(&fields, text.height), ..text }, odd)
            })
        });
        let (mut page, odd) = catch_unwind(draw)
            .unwrap_or_else(|panic| {
                // Nobody knows in what state the page left it.
                cache = InterpreterCache::new();
                let error = Some(panic::reason(panic.as_ref()));
                Some((Page { number, error, ..Page::default() }, Vec::new()))
            })
            .unwrap_or_else(|| {
                let error = Some("its content cannot be decoded".to_owned());
                (Page { number, error, ..Page::default() }, Vec::new())
            });
        warnings.extend(odd);
        if page.error.is_some() && bytes.len() <= SECOND_BYTES_MAX {
            let second = second.get_or_insert_with(|| Second::open(bytes));
            warnings.extend(ask_again(&mut page, second.as_ref()));
        }
        if page.error.is_some() && letters::judge(&page.text).is_useless() {
            (page.text, page.words) = (String::new(), Vec::new());
        }
        pages.push(page);
    }
    let mut pages = Pages { engine: ENGINE.to_owned(), pages, warnings, ..Pages::default() };
    attached::read(&pdf, &mut pages);
    finish(pages)
}

/// The bytes of the file of this number that a PDF carries, counted from 0.
pub(super) fn member(
    bytes: &[u8],
    number: usize,
    password: &str,
) -> Result<Option<Vec<u8>>, TextError> {
    let pdf = open(bytes, u32::MAX, password)?;
    Ok(attached::member(&pdf, number))
}

/// The pages, unless not one of them could be read.
pub(super) fn finish(pages: Pages) -> Result<Pages, TextError> {
    let is_lost = |page: &Page| page.error.is_some() && page.text.is_empty();
    if !pages.pages.iter().all(is_lost) {
        return Ok(pages);
    }
    let first = pages.pages.iter().find_map(|page| page.error.as_deref());
    let first = first.unwrap_or("it has no pages");
    Err(TextError::Unreadable(format!("none of its pages can be read: {first}")))
}

/// Whether the page's content can be decoded, if it has any. The engine itself takes a page that
/// it cannot decode for an empty one.
fn has_content(page: &PdfPage<'_>) -> bool {
    page.page_stream().is_some() || !page.raw().contains_key(CONTENTS)
}

/// Whether the page's own content shows any text.
fn has_letters(page: &PdfPage<'_>) -> bool {
    let operators: [&[u8]; 2] = [b"Tj", b"TJ"];
    let content = page.page_stream().unwrap_or_default();
    content.windows(2).any(|two| operators.contains(&two))
}

/// Asks the other engine about a page that was not read well. It does not tell what a reader sees:
/// a page with hidden text stays as it is, and of one that was not seen at all the text is taken,
/// and the fault stays.
fn ask_again(page: &mut Page, second: Result<&Second, &String>) -> Option<String> {
    let number = page.number;
    let text = second.ok().filter(|_| page.hidden.is_empty())?.page(number).ok()?;
    if letters::judge(&text) != Letters::Known || text.len() < page.text.trim().len() / 2 {
        return None;
    }
    if text.trim().is_empty() {
        return None;
    }
    let was_seen = page.width > 0.0;
    (page.text, page.words) = (text, Vec::new());
    if was_seen {
        page.error = None;
    }
    Some(format!("page {number}: it was read by a second engine, without the places of its words"))
}

/// What a reader sees of a page, the values of its form included.
fn see<'a>(pdf: &'a Pdf, page: &PdfPage<'a>, cache: &InterpreterCache<'a>) -> (Seen, Vec<Field>) {
    let transform = page.initial_transform(true).to_kurbo();
    let mut seen = draw(pdf, page, cache, transform).seen();
    let fields = form::fields(page, transform);
    form::fill(&mut seen.visible, &fields);
    (seen, fields)
}

fn draw<'a>(
    pdf: &'a Pdf,
    page: &PdfPage<'a>,
    cache: &InterpreterCache<'a>,
    transform: Affine,
) -> Canvas {
    let (width, height) = page.render_dimensions();
    let bounds = Rect::new(0.0, 0.0, width.into(), height.into());
    let mut canvas = Canvas::new(bounds);
    for (content, origin) in
        [(RenderContent::PAGE, Origin::Text), (RenderContent::ANNOTATIONS, Origin::Annotation)]
    {
        let settings = InterpreterSettings { render_content: content, ..Default::default() };
        let mut context = Context::new(transform, bounds, cache, pdf.xref(), settings);
        canvas.origin = origin;
        interpret_page(page, &mut context, &mut canvas);
    }
    canvas
}

/// A page as it was drawn, and what is odd about it.
fn text(seen: &Seen, page: &PdfPage<'_>, number: u32) -> (Page, Vec<String>) {
    let mut odd = Vec::new();
    let all = seen.visible.iter().filter(|glyph| !glyph.is_blank()).count();
    if seen.of_layer > 0 {
        odd.push(format!("page {number}: its text is the invisible layer over a picture"));
    }
    if !seen.hidden.is_empty() {
        let hidden = seen.hidden.len();
        odd.push(format!("page {number}: {hidden} hidden characters were left out"));
    }
    if seen.is_cut {
        odd.push(format!("page {number}: it has too many characters, and not all were read"));
    }
    let is_picture = seen.pictures >= SCAN_COVER && all < PICTURE_GLYPHS_MAX;
    let (width, height) = page.render_dimensions();
    let Laid { text, words } = layout::lay_out(&seen.visible, height);
    let mut hidden = layout::places(&seen.hidden, height);
    hidden.truncate(HIDDEN_MAX);
    let error = match !seen.has_letters && has_letters(page) {
        true => Some("none of its letters were found".to_owned()),
        false => letters::judge(&text).fault(),
    };
    let page =
        Page { number, text, is_picture, width, height, words, hidden, error, ..Page::default() };
    (page, odd)
}
