//! The image of a page: pixels of any origin as PNG, no larger than a model or OCR makes use of.
//!
//! It must know nothing of files and formats.

use crate::limits::{Limit, Limits, TextError};
use bytes::Bytes;
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, Rgb, RgbImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
    imageops::thumbnail,
};
use serde::{Deserialize, Serialize};

/// The longest side of an image that is made, in pixels: A4 at 300 dots per inch.
pub const SIDE_MAX: u32 = 3500;

/// Channels that differ by no more than this in every pixel are shades of grey.
const GREY_STEP: u8 = 12;

/// Where the darkest and the lightest pixel are nearer than this, of 255, there is nothing to read.
const CONTRAST_MIN: u8 = 48;

/// Which image is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageJob {
    /// Counted from 1.
    pub(crate) page: u32,
    /// How finely the page of a PDF is drawn, in dots per inch.
    pub(crate) dpi: u16,
    /// The longest side, in pixels.
    pub(crate) side_max: u32,
}

/// A page as an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageImage {
    /// PNG: grey, or red, green and blue, 8 bits each, without transparency.
    #[serde(skip)]
    pub png: Bytes,
    /// In pixels, at most 3,500.
    pub width: u32,
    /// In pixels, at most 3,500.
    pub height: u32,
    /// Whether nothing stands out from the ground.
    pub is_blank: bool,
}

/// The image of a page from its pixels, with no longer side than this.
///
/// # Errors
/// When it is larger than allowed, or cannot be encoded.
pub(crate) fn encode(
    pixels: DynamicImage,
    side_max: u32,
    limits: &Limits,
) -> Result<PageImage, TextError> {
    let pixels = opaque(fitting(pixels, side_max));
    let (width, height) = pixels.dimensions();
    let grey = grey(&pixels);
    let is_blank = is_blank(&pixels);
    let (bytes, colours) = match &grey {
        Some(grey) => (grey.as_slice(), ExtendedColorType::L8),
        None => (pixels.as_raw().as_slice(), ExtendedColorType::Rgb8),
    };
    let mut png = Vec::new();
    // Twice as quick as the filter that is chosen by row, and a tenth larger.
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Up);
    let encoded = encoder.write_image(bytes, width, height, colours);
    encoded.map_err(|error| TextError::Unreadable(format!("its image: {error}")))?;
    if png.len() as u64 > limits.image_bytes_max {
        return Err(limits.exceeded(Limit::Image));
    }
    Ok(PageImage { png: png.into(), width, height, is_blank })
}

/// The pixels, scaled down where a side is too long.
fn fitting(pixels: DynamicImage, side_max: u32) -> DynamicImage {
    let longest = pixels.width().max(pixels.height());
    if longest <= side_max {
        return pixels;
    }
    let part = f64::from(side_max) / f64::from(longest);
    let side = |side: u32| ((f64::from(side) * part) as u32).max(1);
    let (width, height) = (side(pixels.width()), side(pixels.height()));
    match pixels {
        DynamicImage::ImageLuma8(grey) => thumbnail(&grey, width, height).into(),
        DynamicImage::ImageRgb8(colours) => thumbnail(&colours, width, height).into(),
        other => thumbnail(&opaque(other), width, height).into(),
    }
}

/// The pixels on white paper.
fn opaque(pixels: DynamicImage) -> RgbImage {
    if !pixels.color().has_alpha() {
        return pixels.into_rgb8();
    }
    let pixels = pixels.into_rgba8();
    let mut paper = RgbImage::new(pixels.width(), pixels.height());
    for (on, pixel) in paper.pixels_mut().zip(pixels.pixels()) {
        let [colours @ .., alpha] = pixel.0;
        *on = Rgb(colours.map(|colour| {
            let (colour, alpha) = (u16::from(colour), u16::from(alpha));
            u8::try_from((colour * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
        }));
    }
    paper
}

/// The pixels as shades of grey, where there are no colours.
fn grey(pixels: &RgbImage) -> Option<Vec<u8>> {
    let shades = pixels.as_raw().as_chunks::<3>().0.iter().map(|&[red, green, blue]| {
        let spread = red.max(green).max(blue) - red.min(green).min(blue);
        (spread <= GREY_STEP).then_some(green)
    });
    shades.collect()
}

fn is_blank(pixels: &RgbImage) -> bool {
    let extremes = pixels.as_raw().iter().fold((u8::MAX, 0), |(darkest, lightest), &channel| {
        (channel.min(darkest), channel.max(lightest))
    });
    extremes.1.saturating_sub(extremes.0) < CONTRAST_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgba, RgbaImage, load_from_memory};

    fn encoded(pixels: impl Into<DynamicImage>) -> (PageImage, DynamicImage) {
        let image = encode(pixels.into(), 3000, &Limits::default()).unwrap();
        let read = load_from_memory(&image.png).unwrap();
        assert_eq!((read.width(), read.height()), (image.width, image.height));
        (image, read)
    }

    #[test]
    fn what_is_transparent_is_paper() {
        let mut pixels = RgbaImage::from_pixel(4, 4, Rgba([0, 0, 0, 0]));
        pixels.put_pixel(1, 1, Rgba([0, 0, 0, 255]));
        let (image, read) = encoded(pixels);
        assert_eq!(read.to_luma8().get_pixel(0, 0), &Luma([255]));
        assert_eq!(read.to_luma8().get_pixel(1, 1), &Luma([0]));
        assert!(!image.is_blank);
    }

    #[test]
    fn colours_are_kept_where_there_are_any() {
        let mut pixels = RgbImage::from_pixel(9, 9, Rgb([250, 248, 243]));
        assert!(matches!(encoded(pixels.clone()).1, DynamicImage::ImageLuma8(_)));
        pixels.put_pixel(3, 3, Rgb([200, 0, 0]));
        assert_eq!(encoded(pixels.clone()).1.into_rgb8(), pixels);
    }

    #[test]
    fn an_empty_page_is_blank_and_a_pale_stamp_is_not() {
        let mut pixels = GrayImage::from_pixel(50, 50, Luma([250]));
        assert!(encoded(pixels.clone()).0.is_blank);
        pixels.put_pixel(9, 9, Luma([190]));
        assert!(!encoded(pixels).0.is_blank);
    }

    #[test]
    fn no_side_is_longer_than_allowed() {
        let (image, _) = encoded(GrayImage::from_pixel(7000, 10, Luma([0])));
        assert_eq!((image.width, image.height), (3000, 4));
    }

    #[test]
    fn an_image_of_too_many_bytes_is_refused() {
        let limits = Limits { image_bytes_max: 10, ..Limits::default() };
        let end = encode(GrayImage::new(9, 9).into(), 9, &limits);
        assert_eq!(end, Err(TextError::LimitExceeded("10 bytes of a page's image".into())));
    }
}
