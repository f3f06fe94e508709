//! A page of a PDF as pixels, drawn by hayro.
//!
//! It must know nothing of what the image is for.

use crate::{limits::TextError, pdf, picture::ImageJob};
use hayro::{
    PixmapSettings, RenderCache, RenderSettings, render,
    vello_cpu::{color::palette::css::WHITE, peniko::ImageAlphaType},
};
use hayro_interpret::InterpreterSettings;
use image::{DynamicImage, RgbaImage};

/// Points of an inch.
const INCH: f32 = 72.0;

/// The pixels of a page, at as many dots per inch as are wanted, or fewer where the page is so large
/// that a side would be too long.
///
/// # Errors
/// When the document cannot be read, or has no such page.
pub(super) fn pixels(
    bytes: &[u8],
    job: ImageJob,
    pages_max: u32,
    password: &str,
) -> Result<DynamicImage, TextError> {
    let ImageJob { page: number, dpi, side_max } = job;
    let pdf = pdf::open(bytes, pages_max, password)?;
    let none = || TextError::Unreadable(format!("there is no page {number}"));
    let index = (number as usize).checked_sub(1).ok_or_else(none)?;
    let page = pdf.pages().get(index).ok_or_else(none)?;
    let (width, height) = page.render_dimensions();
    let scale = (f32::from(dpi) / INCH).min(side_max as f32 / width.max(height).max(1.0));
    // A page thinner than a pixel has one all the same.
    let side_scale = |side: f32| scale.max(1.01 / side.max(0.01));
    let settings =
        PixmapSettings { x_scale: side_scale(width), y_scale: side_scale(height), bg_color: WHITE };
    let pixmap = render(
        page,
        &RenderCache::new(),
        &InterpreterSettings::default(),
        &RenderSettings::default(),
        &settings,
    );
    let (width, height) = (u32::from(pixmap.width()), u32::from(pixmap.height()));
    let pixels = RgbaImage::from_raw(width, height, pixmap.take_rgba8(ImageAlphaType::Alpha));
    pixels.map(DynamicImage::from).ok_or_else(|| TextError::Unreadable("no pixels".to_owned()))
}
