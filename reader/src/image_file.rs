//! Image files as documents: each image is a page of which nothing was read yet.
//!
//! It must know nothing of how a page's image is read.

mod tiff;

use crate::{
    format::Format,
    limits::{Limit, Limits, TextError},
    pages::{Page, Pages},
};
use image::{
    DynamicImage, ImageDecoder, ImageError, Limits as DecoderLimits,
    codecs::{jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder},
    metadata::Orientation,
};
use std::{borrow::Cow, io::Cursor};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "image-0.25";

/// The longer side of every image, in points: that of A4. Few files say how large the paper was, and
/// phones say it wrongly.
const SIDE_POINTS: f32 = 842.0;

/// A decoder may hold this much for each pixel: 16 bits for each of four channels.
const PIXEL_BYTES: u64 = 8;

/// A decoder may hold this much beside the pixels, in bytes.
const DECODER_BYTES: u64 = 64 << 20;

type Decoder<'a> = Box<dyn ImageDecoder + 'a>;

/// The pages of an image file, without their text.
///
/// # Errors
/// When its head cannot be read, or it has too many pages or pixels.
pub(super) fn read(format: Format, bytes: &[u8], limits: &Limits) -> Result<Pages, TextError> {
    let count = match format {
        Format::Tiff => tiff::directories(bytes, limits.pages_max)?.len(),
        _ => 1,
    };
    let mut warnings = Vec::new();
    let mut pages = Vec::new();
    for number in (1..).take(count) {
        let size = decoder(format, bytes, number, limits).map(|mut decoder| {
            let (width, height) = decoder.dimensions();
            let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            if is_on_its_side(turn) { (height, width) } else { (width, height) }
        });
        let page = Page { number, ..Page::default() };
        pages.push(match size {
            Ok((width, height)) => {
                let scale = SIDE_POINTS / width.max(height) as f32;
                let [width, height] = [width, height].map(|side| side as f32 * scale);
                Page { is_picture: true, width, height, ..page }
            }
            Err(error) if count == 1 => return Err(error),
            Err(error) => Page { error: Some(error.to_string()), ..page },
        });
    }
    if format == Format::Webp && is_animated(bytes) {
        warnings.push("it is animated: only its first image is read".to_owned());
    }
    Ok(Pages { engine: ENGINE.to_owned(), pages, warnings, ..Pages::default() })
}

/// The pixels of a page, counted from 1, upright as its camera meant it.
///
/// # Errors
/// When there is no such page, it is cut off, damaged, or has too many pixels.
pub(super) fn pixels(
    format: Format,
    bytes: &[u8],
    number: u32,
    limits: &Limits,
) -> Result<DynamicImage, TextError> {
    if format == Format::Jpeg && is_cut(bytes) {
        return Err(TextError::Unreadable("the image ends too early".to_owned()));
    }
    let mut decoder = decoder(format, bytes, number, limits)?;
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut pixels =
        DynamicImage::from_decoder(decoder).map_err(|error| refused(&error, limits))?;
    pixels.apply_orientation(turn);
    Ok(pixels)
}

/// What decodes a page, after its size was checked.
fn decoder<'a>(
    format: Format,
    bytes: &'a [u8],
    number: u32,
    limits: &Limits,
) -> Result<Decoder<'a>, TextError> {
    let failed = |error: ImageError| refused(&error, limits);
    let input = Cursor::new(bytes);
    let mut decoder: Decoder<'a> = match format {
        Format::Jpeg => Box::new(JpegDecoder::new(input).map_err(failed)?),
        Format::Png => Box::new(PngDecoder::new(input).map_err(failed)?),
        Format::Webp => Box::new(WebPDecoder::new(input).map_err(failed)?),
        Format::Tiff => {
            let directories = tiff::directories(bytes, limits.pages_max)?;
            let index = (number as usize).checked_sub(1);
            let at = index.and_then(|index| directories.get(index)).ok_or_else(|| none(number))?;
            let page: Cow<'a, [u8]> = tiff::beginning_at(bytes, *at);
            Box::new(TiffDecoder::new(Cursor::new(page)).map_err(failed)?)
        }
        _ => return Err(TextError::Unsupported("it is no image".to_owned())),
    };
    if format != Format::Tiff && number != 1 {
        return Err(none(number));
    }
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.image_pixels_max {
        return Err(limits.exceeded(Limit::Pixels));
    }
    let mut bounds = DecoderLimits::default();
    bounds.max_alloc = Some(limits.image_pixels_max * PIXEL_BYTES + DECODER_BYTES);
    decoder.set_limits(bounds).map_err(failed)?;
    Ok(decoder)
}

fn none(number: u32) -> TextError {
    TextError::Unreadable(format!("there is no page {number}"))
}

fn refused(error: &ImageError, limits: &Limits) -> TextError {
    match error {
        ImageError::Limits(_) => limits.exceeded(Limit::Pixels),
        ImageError::Unsupported(what) => {
            TextError::Unsupported(format!("{what}: save it as PNG, JPEG or PDF"))
        }
        ImageError::IoError(_) => TextError::Unreadable("the image ends too early".to_owned()),
        other => TextError::Unreadable(format!("the image is damaged: {other}")),
    }
}

fn is_on_its_side(turn: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(turn, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Whether a JPEG lacks its end: the decoder would make up what is missing. Within the data of an
/// image no marker can stand (ITU-T T.81, B.1.1.5), so the last image has no end where none follows
/// the start of its last scan.
fn is_cut(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|two| two == marker);
    last([0xff, 0xda]).is_some_and(|scan| last([0xff, 0xd9]).is_none_or(|end| end < scan))
}

fn is_animated(bytes: &[u8]) -> bool {
    WebPDecoder::new(Cursor::new(bytes)).is_ok_and(|decoder| decoder.has_animation())
}
