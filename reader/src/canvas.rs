//! Where an interpreter draws a page, and what of its text a reader would see.
//!
//! Hidden text is how a document speaks to a model behind the reader's back: invisible, tiny,
//! transparent, outside of the page or of the clip, in the colour of what is under it, or painted
//! over. It must know nothing of files and of the order in which text is read.

use crate::{
    layout::Glyph,
    pages::Origin,
    surface::{Coat, Colour, Cover, Surface, alike},
};
use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, FillRule, Image, ImageDrawProps, Paint,
    SoftMask, StrokeProps,
    font::{Glyph as FontGlyph, GlyphRun},
    hayro_cmap::{BfString, WritingMode},
};
use kurbo::{Affine, BezPath, Point, Rect, Shape, Stroke, StrokeOpts, Vec2};
use std::collections::HashMap;

/// The most glyphs of a page that are looked at.
const GLYPHS_MAX: usize = 1_000_000;

/// Smaller print than this, in points, is for nobody's eyes.
const SIZE_MIN: f32 = 2.0;

/// What lets more light through than this cannot be seen.
const OPACITY_MIN: f32 = 0.05;

/// A stroke thinner than this, in points, is a line and no ground for letters.
const STROKE_MIN: f64 = 3.0;

/// A path of more parts than this is not stroked: it is a drawing.
const STROKE_PARTS_MAX: usize = 16;

/// Pictures over this part of the page may have a layer of text of their own.
const LAYER_COVER: f64 = 0.05;

/// Where a stretched glyph is wider or narrower by this part than the others of its run.
const STRETCH: f64 = 0.01;

/// What of a page a reader sees.
pub(crate) struct Seen {
    /// Its text.
    pub(crate) visible: Vec<Glyph>,
    /// Text that is not seen, without what is seen as well.
    pub(crate) hidden: Vec<Glyph>,
    /// Whether any letter was drawn, seen or not.
    pub(crate) has_letters: bool,
    /// How many of the visible glyphs are of the layer of a picture.
    pub(crate) of_layer: usize,
    /// The part of the page that pictures cover, from 0 to 1 and above.
    pub(crate) pictures: f64,
    /// Whether there is more than was looked at.
    pub(crate) is_cut: bool,
}

/// What was drawn on a page.
#[derive(Default)]
pub(crate) struct Canvas {
    /// Where what is drawn next is from.
    pub(crate) origin: Origin,
    /// What could be seen when it was drawn, and when that was.
    shown: Vec<(Glyph, usize)>,
    /// What was drawn in the invisible mode. OCR puts its text so over the picture of a page.
    invisible: Vec<Glyph>,
    /// What is hidden in any other way.
    hidden: Vec<Glyph>,
    is_cut: bool,
    page: Rect,
    clips: Vec<Rect>,
    /// Of each open group, with that of the groups around it.
    opacities: Vec<f32>,
    /// Of each open group, whether it blends or is masked: then its colours are unknown.
    blends: Vec<bool>,
    surface: Surface,
    pictures: Vec<Rect>,
}

impl Canvas {
    /// An empty page of this size.
    pub(crate) fn new(page: Rect) -> Self {
        Self { page, ..Self::default() }
    }

    /// What a reader sees of all that was drawn.
    pub(crate) fn seen(self) -> Seen {
        let (mut visible, mut under, mut hidden) = (Vec::new(), self.invisible, self.hidden);
        for (glyph, time) in self.shown {
            let cover = || self.surface.cover(time, &heights(&glyph));
            match if glyph.is_blank() { None } else { cover() } {
                None => visible.push(glyph),
                Some(Cover::Paint) => hidden.push(glyph),
                Some(Cover::Picture) => under.push(glyph),
            }
        }
        let drawn = [&visible, &under, &hidden];
        let has_letters = drawn.iter().any(|glyphs| glyphs.iter().any(|glyph| !glyph.is_blank()));
        let whole = self.page.area().max(1.0);
        // Scanners cut pages into strips: it is the sum that covers the page.
        let cover = self.pictures.iter().map(|picture| picture.area() / whole).sum();
        let [middle_x, middle_y] =
            [|a: &Glyph| (a.start[0] + a.end[0]) / 2.0, |a: &Glyph| a.start[1]];
        let is_in_picture = |glyph: &Glyph| {
            let at = Point::new(middle_x(glyph).into(), middle_y(glyph).into());
            self.pictures.iter().any(|picture| picture.contains(at))
        };
        let count = |glyphs: &[Glyph]| {
            glyphs.iter().filter(|glyph| !glyph.is_blank() && is_in_picture(glyph)).count()
        };
        let mut of_layer = 0;
        if !under.is_empty() {
            let is_layer = cover >= LAYER_COVER && count(&under) > count(&visible);
            let (layer, other): (Vec<_>, Vec<_>) =
                under.into_iter().partition(|glyph| is_layer && is_in_picture(glyph));
            of_layer = layer.iter().filter(|glyph| !glyph.is_blank()).count();
            visible.extend(layer.into_iter().map(|glyph| Glyph { origin: Origin::Ocr, ..glyph }));
            hidden.extend(other);
        }
        hidden.retain(|glyph| !glyph.is_blank());
        without_twins(&mut hidden, &visible);
        Seen { visible, hidden, has_letters, of_layer, pictures: cover, is_cut: self.is_cut }
    }

    fn clip(&self) -> Rect {
        self.clips.last().copied().unwrap_or(self.page)
    }

    fn coat(&self, props: &DrawProps<'_>) -> Coat {
        let (colour, opacity) = colour(&props.paint);
        let blends = self.blends.iter().any(|blends| *blends)
            || props.soft_mask.is_some()
            || props.blend_mode != BlendMode::Normal;
        let opacity = opacity * self.opacities.last().unwrap_or(&1.0);
        Coat { colour: colour.filter(|_| !blends), opacity }
    }

    /// Whether a glyph at this place is in sight at all.
    fn is_in_sight(&self, glyph: &Glyph, at: Point) -> bool {
        // Text may stick out of its clip a little without being lost.
        let slack = f64::from(glyph.size);
        self.page.contains(at) && self.clip().inflate(slack, slack).contains(at)
    }

    fn glyph(&mut self, glyph: Glyph, is_tiny: bool, coat: Coat, mode: &DrawMode) {
        let [at, _] = heights(&glyph);
        if glyph.is_blank() {
            self.shown.push((glyph, 0));
        } else if is_tiny || coat.opacity < OPACITY_MIN || !self.is_in_sight(&glyph, at) {
            self.hidden.push(glyph);
        } else if matches!(mode, DrawMode::Invisible) {
            self.invisible.push(glyph);
        } else if coat
            .colour
            .is_some_and(|ink| self.surface.colour(at).is_some_and(|ground| alike(ink, ground)))
        {
            self.hidden.push(glyph);
        } else {
            self.shown.push((glyph, self.surface.time()));
        }
    }
}

/// Two points of a glyph between which most of its ink is: a line through it touches one at most.
fn heights(glyph: &Glyph) -> [Point; 2] {
    let [x, y] = glyph.along;
    let middle = [0, 1].map(|axis| (glyph.start[axis] + glyph.end[axis]) / 2.0);
    [0.15, 0.45].map(|height| {
        let height = height * glyph.size;
        Point::new((middle[0] + y * height).into(), (middle[1] - x * height).into())
    })
}

/// Takes out of the hidden what is seen at the same place, or a little beside it: a letter that is
/// filled in white and then edged in black, or the pale shadow of a text.
fn without_twins(hidden: &mut Vec<Glyph>, visible: &[Glyph]) {
    if hidden.is_empty() {
        return;
    }
    // Cells of half a size; a twin is in the same cell or in one beside it.
    let cell = |glyph: &Glyph| {
        let part = |at: f32| (2.0 * at / glyph.size).round() as i32;
        (part(glyph.start[0]), part(glyph.start[1]))
    };
    let mut places: HashMap<(i32, i32), Vec<&str>> = HashMap::new();
    for glyph in visible {
        places.entry(cell(glyph)).or_default().push(&glyph.text);
    }
    let around =
        |(x, y): (i32, i32)| (-1..=1).flat_map(move |dx| (-1..=1).map(move |dy| (x + dx, y + dy)));
    hidden.retain(|glyph| {
        let mut near = around(cell(glyph)).filter_map(|cell| places.get(&cell));
        !near.any(|texts| texts.contains(&glyph.text.as_str()))
    });
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
        let coat = self.coat(&props);
        if coat.opacity < OPACITY_MIN {
            return;
        }
        let clip = self.clip();
        if let DrawMode::Fill(fill) | DrawMode::FillAndStroke(fill, _) = mode {
            self.surface.paint(props.transform * path, *fill, coat, clip);
        }
        if let DrawMode::Stroke(stroke) | DrawMode::FillAndStroke(_, stroke) = mode
            && let Some(outline) = outline(path, stroke, props.transform)
        {
            self.surface.paint(outline, FillRule::NonZero, coat, clip);
        }
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

    fn push_transparency_group(
        &mut self,
        opacity: f32,
        mask: Option<SoftMask<'_>>,
        blend: BlendMode,
    ) {
        self.opacities.push(self.opacities.last().unwrap_or(&1.0) * opacity);
        self.blends.push(mask.is_some() || blend != BlendMode::Normal);
    }

    fn pop_transparency_group(&mut self) {
        self.opacities.pop();
        self.blends.pop();
    }

    fn draw_image(&mut self, image: Image<'_, '_>, props: ImageDrawProps<'_>) {
        let size = Rect::new(0.0, 0.0, image.width().into(), image.height().into());
        let bounds = props.transform.transform_rect_bbox(size).intersect(self.clip());
        let is_opaque = match &image {
            Image::Stencil(_) => false,
            Image::Raster(raster) => {
                let dict = raster.stream().dict();
                !dict.contains_key(b"SMask") && !dict.contains_key(b"Mask")
            }
        };
        let blends = self.blends.iter().any(|blends| *blends)
            || props.soft_mask.is_some()
            || props.blend_mode != BlendMode::Normal
            || self.opacities.last().is_some_and(|opacity| *opacity < 1.0);
        self.pictures.push(bounds);
        self.surface.picture(bounds, is_opaque && !blends);
    }

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, '_>, props: DrawProps<'_>, mode: &DrawMode) {
        let coat = self.coat(&props);
        let ink = coat.colour.filter(|ink| self.surface.may_hide(*ink));
        let coat = Coat { colour: ink, ..coat };
        let is_stretched = is_stretched(run);
        for glyph in run.glyphs() {
            if self.shown.len() + self.invisible.len() + self.hidden.len() >= GLYPHS_MAX {
                self.is_cut = true;
                return;
            }
            let (advance, is_drawing) = match &**glyph {
                FontGlyph::Outline(glyph) => (glyph.advance_width(), false),
                FontGlyph::Type3(glyph) => (glyph.advance_width(), true),
            };
            let transform = props.transform * glyph.transform();
            let advance = advance.unwrap_or(500.0).into();
            let placed = match run.writing_mode() {
                WritingMode::Horizontal => place(transform, advance, is_stretched),
                WritingMode::Vertical => place_upright(transform, advance),
            };
            let Some(placed) = placed else { continue };
            let glyph = Glyph { text: text(glyph), origin: self.origin, ..placed };
            // The em of a Type 3 font is arbitrary; its advance is not.
            let is_tiny = if is_drawing {
                let advance = [0, 1].map(|axis| glyph.end[axis] - glyph.start[axis]);
                advance[0].hypot(advance[1]) < SIZE_MIN / 2.0
            } else {
                glyph.size < SIZE_MIN
            };
            self.glyph(glyph, is_tiny, coat, mode);
        }
    }
}

/// The outline of a stroke on the page; none where it is no more than a line.
fn outline(path: &BezPath, stroke: &StrokeProps, transform: Affine) -> Option<BezPath> {
    let width = f64::from(stroke.line_width);
    let scale = transform.determinant().abs().sqrt();
    if width * scale < STROKE_MIN || path.elements().len() > STROKE_PARTS_MAX {
        return None;
    }
    let style = Stroke::new(width).with_caps(stroke.line_cap).with_join(stroke.line_join);
    let tolerance = 0.25 / scale.max(f64::EPSILON);
    Some(
        transform
            * kurbo::stroke(
                path.elements().iter().copied(),
                &style,
                &StrokeOpts::default(),
                tolerance,
            ),
    )
}

/// What a glyph stands for, without the ligatures of print.
fn text(glyph: &FontGlyph<'_>) -> String {
    match glyph.as_unicode() {
        Some(BfString::Char('\u{fb00}')) => "ff".to_owned(),
        Some(BfString::Char('\u{fb01}')) => "fi".to_owned(),
        Some(BfString::Char('\u{fb02}')) => "fl".to_owned(),
        Some(BfString::Char('\u{fb03}')) => "ffi".to_owned(),
        Some(BfString::Char('\u{fb04}')) => "ffl".to_owned(),
        Some(BfString::Char('\u{fb05}' | '\u{fb06}')) => "st".to_owned(),
        // It was drawn, so it is a hyphen.
        Some(BfString::Char('\u{ad}')) => "-".to_owned(),
        Some(BfString::Char(c)) => c.to_string(),
        Some(BfString::String(text)) => text,
        None => '\u{fffd}'.to_string(),
    }
}

/// Whether the glyphs of a run are stretched one by one, as those of a font that stands in for one
/// that is not in the file. Their advance is then that of the font in the file.
fn is_stretched(run: &GlyphRun<'_, '_>) -> bool {
    let length = |vector: Vec2| vector.hypot();
    let along = |transform: Affine| {
        let [a, b, c, d, ..] = transform.as_coeffs();
        (length(Vec2::new(a, b)), length(Vec2::new(c, d)))
    };
    let Some(first) = run.glyphs().first() else { return false };
    let (width, height) = along(first.transform());
    let differs = |one: f64, other: f64| (one - other).abs() > STRETCH * other;
    match run.glyphs() {
        [one] => {
            differs(width, height)
                && matches!(&**one, FontGlyph::Outline(glyph) if glyph.font_data().is_none())
        }
        glyphs => glyphs.iter().any(|glyph| differs(along(glyph.transform()).0, width)),
    }
}

/// A glyph of horizontal text, without what it stands for.
fn place(transform: Affine, advance: f64, is_stretched: bool) -> Option<Glyph> {
    // Glyph space is a thousandth of the font's size.
    let start = transform * Point::ZERO;
    let size = (transform * Point::new(0.0, 1000.0) - start).hypot();
    let along = transform * Point::new(1000.0, 0.0) - start;
    let direction = along / along.hypot();
    let step = if is_stretched { direction * size } else { along };
    glyph(start, start + step * (advance / 1000.0), direction, size)
}

/// A glyph of vertical text, without what it stands for: its line runs down through its middle.
fn place_upright(transform: Affine, advance: f64) -> Option<Glyph> {
    // Its box is from 120 below the baseline to 880 above, and centred where letters would be.
    let middle = advance / 2.0 - 275.0;
    let start = transform * Point::new(middle, 880.0);
    let down = transform * Point::new(middle, -120.0) - start;
    glyph(start, start + down, down / down.hypot(), down.hypot())
}

fn glyph(start: Point, end: Point, along: Vec2, size: f64) -> Option<Glyph> {
    let is_finite = start.is_finite() && end.is_finite() && along.is_finite() && size.is_finite();
    is_finite.then(|| Glyph {
        text: String::new(),
        start: [start.x as f32, start.y as f32],
        end: [end.x as f32, end.y as f32],
        along: [along.x as f32, along.y as f32],
        size: size.clamp(0.1, 300.0) as f32,
        origin: Origin::Text,
    })
}
