//! Where an interpreter draws a page, and what of its text a reader would see.
//!
//! Hidden text is how a document speaks to a model behind the reader's back: invisible, tiny,
//! transparent, outside of the page or of the clip, or in the colour of what is under it. It must
//! know nothing of files and of the order in which text is read.

use crate::layout::Glyph;
use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, FillRule, Image, ImageDrawProps, Paint,
    SoftMask,
    font::{Glyph as FontGlyph, GlyphRun},
    hayro_cmap::BfString,
};
use kurbo::{Affine, BezPath, Point, Rect, Shape};

/// The most glyphs of a page that are looked at.
const GLYPHS_MAX: usize = 1_000_000;

/// The most painted areas of a page that are remembered.
const AREAS_MAX: usize = 4096;

/// Areas with a side shorter than this, in points, are lines, and no letter is hidden on a line.
const AREA_SIDE_MIN: f64 = 3.0;

/// A shape of more parts than this is not looked into: its colour counts as unknown.
const SHAPE_PARTS_MAX: usize = 64;

/// Smaller print than this, in points, is for nobody's eyes.
const SIZE_MIN: f32 = 2.0;

/// Colours nearer than this in each of red, green and blue, from 0 to 1, look the same.
const COLOUR_STEP: f32 = 0.04;

/// What lets more light through than this cannot be seen.
const OPACITY_MIN: f32 = 0.05;

type Colour = [f32; 3];

const WHITE: Colour = [1.0; 3];

/// What was drawn on a page.
#[derive(Default)]
pub(super) struct Canvas {
    /// What a reader sees.
    pub(super) visible: Vec<Glyph>,
    /// What was drawn in the invisible mode. OCR puts its text so over the picture of a page.
    pub(super) invisible: Vec<Glyph>,
    /// How many characters are hidden in any other way.
    pub(super) hidden: usize,
    /// The part of the page that pictures cover, from 0 to 1 and above.
    pub(super) pictures: f64,
    /// Whether there is more than is looked at.
    pub(super) is_cut: bool,
    page: Rect,
    clips: Vec<Rect>,
    opacities: Vec<f32>,
    areas: Vec<Area>,
}

/// Something that was painted, and may be a background to what follows.
struct Area {
    bounds: Rect,
    /// Its outline and how that is filled, where it is not just `bounds`.
    shape: Option<(BezPath, FillRule)>,
    /// `None` for pictures, patterns and whatever else has many colours.
    colour: Option<Colour>,
}

impl Area {
    fn contains(&self, at: Point) -> bool {
        self.bounds.contains(at)
            && self.shape.as_ref().is_none_or(|(shape, fill)| match fill {
                FillRule::NonZero => shape.winding(at) != 0,
                FillRule::EvenOdd => shape.winding(at) % 2 != 0,
            })
    }
}

impl Canvas {
    /// An empty page of this size.
    pub(super) fn new(page: Rect) -> Self {
        Self { page, ..Self::default() }
    }

    fn clip(&self) -> Rect {
        self.clips.last().copied().unwrap_or(self.page)
    }

    /// The colour under a point; `None` where it cannot be told.
    fn under(&self, at: Point) -> Option<Colour> {
        let area = self.areas.iter().rev().find(|area| area.contains(at));
        area.map_or(Some(WHITE), |area| area.colour)
    }

    /// Whether text in this colour may vanish somewhere on this page.
    fn may_vanish(&self, ink: Colour) -> bool {
        let colours = self.areas.iter().filter_map(|area| area.colour);
        alike(ink, WHITE) || colours.into_iter().any(|colour| alike(ink, colour))
    }

    fn paint(&mut self, area: Area) {
        let bounds = area.bounds.intersect(self.clip());
        let is_line = bounds.width() < AREA_SIDE_MIN || bounds.height() < AREA_SIDE_MIN;
        if !is_line && self.areas.len() < AREAS_MAX {
            self.areas.push(Area { bounds, ..area });
        }
    }

    /// Whether a glyph at this place is in sight at all.
    fn is_in_sight(&self, glyph: &Glyph, at: Point) -> bool {
        // Text may stick out of its clip a little without being lost.
        let slack = f64::from(glyph.size);
        self.page.contains(at) && self.clip().inflate(slack, slack).contains(at)
    }
}

fn alike(a: Colour, b: Colour) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < COLOUR_STEP)
}

/// The colour and opacity of a paint.
fn colour(paint: &Paint<'_>) -> (Option<Colour>, f32) {
    match paint {
        Paint::Color(colour) => {
            let [red, green, blue, opacity] = colour.to_rgba().components();
            (Some([red, green, blue]), opacity)
        }
        Paint::Pattern(_) => (None, 1.0),
    }
}

impl Device<'_> for Canvas {
    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'_>, mode: &DrawMode) {
        let (DrawMode::Fill(fill) | DrawMode::FillAndStroke(fill, _)) = mode else { return };
        let (colour, opacity) = colour(&props.paint);
        if opacity < OPACITY_MIN {
            return;
        }
        let is_simple = path.elements().len() <= SHAPE_PARTS_MAX;
        self.paint(Area {
            bounds: props.transform.transform_rect_bbox(path.bounding_box()),
            shape: is_simple.then(|| (props.transform * path, *fill)),
            colour: colour.filter(|_| is_simple && opacity > 0.95),
        });
    }

    fn push_clip_path(&mut self, clip: &ClipPath) {
        self.push_clip_rect(&clip.path.bounding_box());
    }

    fn push_clip_rect(&mut self, rect: &Rect) {
        self.clips.push(self.clip().intersect(*rect));
    }

    fn pop_clip(&mut self) {
        self.clips.pop();
    }

    fn push_transparency_group(&mut self, opacity: f32, _: Option<SoftMask<'_>>, _: BlendMode) {
        self.opacities.push(self.opacities.last().unwrap_or(&1.0) * opacity);
    }

    fn pop_transparency_group(&mut self) {
        self.opacities.pop();
    }

    fn draw_image(&mut self, image: Image<'_, '_>, props: ImageDrawProps<'_>) {
        let size = Rect::new(0.0, 0.0, image.width().into(), image.height().into());
        let bounds = props.transform.transform_rect_bbox(size).intersect(self.clip());
        if self.page.area() > 0.0 {
            // Scanners cut pages into strips: it is the sum that covers the page.
            self.pictures += bounds.area() / self.page.area();
        }
        self.paint(Area { bounds, shape: None, colour: None });
    }

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, '_>, props: DrawProps<'_>, mode: &DrawMode) {
        let (ink, opacity) = colour(&props.paint);
        let opacity = opacity * self.opacities.last().unwrap_or(&1.0);
        let ink = ink.filter(|ink| self.may_vanish(*ink));
        for glyph in run.glyphs() {
            if self.visible.len() + self.invisible.len() >= GLYPHS_MAX {
                self.is_cut = true;
                return;
            }
            let (advance, is_drawing) = match &**glyph {
                FontGlyph::Outline(glyph) => (glyph.advance_width(), false),
                FontGlyph::Type3(glyph) => (glyph.advance_width(), true),
            };
            let transform = props.transform * glyph.transform();
            let advance = advance.unwrap_or(500.0).into();
            let Some((glyph, at)) = place(text(glyph), transform, advance) else { continue };
            // The em of a Type 3 font is arbitrary; its advance is not.
            let is_tiny = if is_drawing {
                glyph.right - glyph.left < SIZE_MIN / 2.0
            } else {
                glyph.size < SIZE_MIN
            };
            let vanishes = || ink.is_some_and(|ink| self.under(at).is_some_and(|c| alike(ink, c)));
            if glyph.is_blank() {
                self.visible.push(glyph);
            } else if is_tiny || opacity < OPACITY_MIN || !self.is_in_sight(&glyph, at) {
                self.hidden += 1;
            } else if matches!(mode, DrawMode::Invisible) {
                self.invisible.push(glyph);
            } else if vanishes() {
                self.hidden += 1;
            } else {
                self.visible.push(glyph);
            }
        }
    }
}

/// What a glyph stands for, without the ligatures of print.
fn text(glyph: &FontGlyph<'_>) -> String {
    match glyph.as_unicode() {
        Some(BfString::Char('\u{fb00}')) => "ff".to_owned(),
        Some(BfString::Char('\u{fb01}')) => "fi".to_owned(),
        Some(BfString::Char('\u{fb02}')) => "fl".to_owned(),
        Some(BfString::Char('\u{fb03}')) => "ffi".to_owned(),
        Some(BfString::Char('\u{fb04}')) => "ffl".to_owned(),
        Some(BfString::Char(c)) => c.to_string(),
        Some(BfString::String(text)) => text,
        None => '\u{fffd}'.to_string(),
    }
}

/// A glyph in the frame of its baseline, and the middle of its lower half on the page.
fn place(text: String, transform: Affine, advance: f64) -> Option<(Glyph, Point)> {
    // Glyph space is a thousandth of the font's size.
    let origin = transform * Point::ZERO;
    let end = transform * Point::new(advance, 0.0);
    let up = transform * Point::new(0.0, 1000.0);
    let along = transform * Point::new(1000.0, 0.0) - origin;
    if !(origin.is_finite() && end.is_finite() && up.is_finite()) {
        return None;
    }
    let middle = transform * Point::new(advance / 2.0, 250.0);
    let quarters = (along.y.atan2(along.x) / std::f64::consts::FRAC_PI_2).round() as i32;
    let turn = u8::try_from(quarters.rem_euclid(4)).unwrap_or_default();
    let frame = |point: Point| match turn {
        0 => (point.x, point.y),
        1 => (point.y, -point.x),
        2 => (-point.x, -point.y),
        _ => (-point.y, point.x),
    };
    let ((left, base), (right, _)) = (frame(origin), frame(end));
    let size = (up - origin).hypot().clamp(0.1, 300.0) as f32;
    let glyph = Glyph {
        text,
        left: left.min(right) as f32,
        right: left.max(right) as f32,
        base: base as f32,
        size,
        turn,
    };
    Some((glyph, middle))
}
