//! What was painted on a page in which order: what is under a point, and what came over it.
//!
//! It must know nothing of text.

use hayro_interpret::FillRule;
use kurbo::{BezPath, Point, Rect, Shape};

/// The most painted areas of a page that are remembered.
const AREAS_MAX: usize = 4096;

/// Areas with a side shorter than this, in points, are lines, and no letter is hidden on a line.
const AREA_SIDE_MIN: f64 = 3.0;

/// A shape of more parts than this is not looked into: its colour counts as unknown.
const SHAPE_PARTS_MAX: usize = 64;

/// Colours nearer than this in each of red, green and blue, from 0 to 1, look the same.
const COLOUR_STEP: f32 = 0.04;

/// What lets less light through than this covers what is under it.
const OPAQUE: f32 = 0.95;

/// Red, green and blue, from 0 to 1.
pub(crate) type Colour = [f32; 3];

const WHITE: Colour = [1.0; 3];

/// What was painted on a page so far.
#[derive(Default)]
pub(crate) struct Surface {
    areas: Vec<Area>,
    /// Whether more was painted than is remembered: then no colour is known for sure.
    is_full: bool,
}

/// What a shape is painted with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coat {
    /// `None` for patterns and whatever else has many colours, or blends with what is under it.
    pub(crate) colour: Option<Colour>,
    /// From 0 to 1.
    pub(crate) opacity: f32,
}

/// What hides a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// A filled shape.
    Paint,
    /// A picture.
    Picture,
}

/// Something that was painted, and may be a background to what follows.
struct Area {
    bounds: Rect,
    /// Its outline and how that is filled, where it is not just `bounds`.
    shape: Option<(BezPath, FillRule)>,
    coat: Coat,
    cover: Option<Cover>,
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

impl Surface {
    /// How many areas there are: the time, for [`Surface::cover`].
    pub(crate) fn time(&self) -> usize {
        self.areas.len()
    }

    /// Paints a shape within `clip`.
    pub(crate) fn paint(&mut self, shape: BezPath, fill: FillRule, coat: Coat, clip: Rect) {
        let bounds = shape.bounding_box().intersect(clip);
        let is_simple = shape.elements().len() <= SHAPE_PARTS_MAX;
        let covers = is_simple && coat.colour.is_some() && coat.opacity > OPAQUE;
        self.push(Area {
            bounds,
            shape: is_simple.then_some((shape, fill)),
            coat: Coat { colour: coat.colour.filter(|_| is_simple), ..coat },
            cover: covers.then_some(Cover::Paint),
        });
    }

    /// Paints a picture.
    pub(crate) fn picture(&mut self, bounds: Rect, is_opaque: bool) {
        let coat = Coat { colour: None, opacity: 1.0 };
        let cover = is_opaque.then_some(Cover::Picture);
        self.push(Area { bounds, shape: None, coat, cover });
    }

    fn push(&mut self, area: Area) {
        if area.bounds.width() < AREA_SIDE_MIN || area.bounds.height() < AREA_SIDE_MIN {
            return;
        }
        match self.areas.len() < AREAS_MAX {
            true => self.areas.push(area),
            false => self.is_full = true,
        }
    }

    /// The colour at a point; `None` where it cannot be told.
    pub(crate) fn colour(&self, at: Point) -> Option<Colour> {
        if self.is_full {
            return None;
        }
        let mut tints = Vec::new();
        let mut ground = WHITE;
        for area in self.areas.iter().rev().filter(|area| area.contains(at)) {
            let colour = area.coat.colour?;
            if area.coat.opacity > OPAQUE {
                ground = colour;
                break;
            }
            tints.push((colour, area.coat.opacity));
        }
        let blend = |under: Colour, (tint, opacity): (Colour, f32)| {
            std::array::from_fn(|index| {
                let (under, tint): (f32, f32) = (under[index], tint[index]);
                under + (tint - under) * opacity
            })
        };
        Some(tints.into_iter().rev().fold(ground, blend))
    }

    /// Whether text in this colour may vanish somewhere on this page.
    pub(crate) fn may_hide(&self, ink: Colour) -> bool {
        let is_tint = |coat: &Coat| coat.opacity <= OPAQUE;
        let may =
            |coat: &Coat| coat.colour.is_some_and(|colour| alike(ink, colour)) || is_tint(coat);
        alike(ink, WHITE) || self.areas.iter().any(|area| may(&area.coat))
    }

    /// What was painted over all of these points, and nothing less, since a time.
    pub(crate) fn cover(&self, since: usize, points: &[Point]) -> Option<Cover> {
        let later = self.areas.get(since..).unwrap_or_default().iter().rev();
        let mut covers = later.filter(|area| points.iter().all(|point| area.contains(*point)));
        covers.find_map(|area| area.cover)
    }
}

/// Whether two colours look the same.
pub(crate) fn alike(a: Colour, b: Colour) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < COLOUR_STEP)
}
