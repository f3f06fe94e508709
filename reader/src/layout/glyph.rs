//! A glyph as it stands on a page.
//!
//! Plain data. It must know nothing of PDF and of rows.

use crate::pages::{Bounds, Origin, around};

/// How far letters reach above their baseline, in sizes of the font.
const ASCENT: f32 = 0.75;

/// How far letters reach below their baseline, in sizes of the font.
const DESCENT: f32 = 0.2;

/// A glyph on a page, in points from its upper left corner: y grows downwards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Glyph {
    /// What it stands for; may be several characters.
    pub(crate) text: String,
    /// Where it begins on its baseline.
    pub(crate) start: [f32; 2],
    /// Where the next one is expected.
    pub(crate) end: [f32; 2],
    /// The direction of its baseline, of length 1.
    pub(crate) along: [f32; 2],
    /// The size of its font, as it appears.
    pub(crate) size: f32,
    /// Where it is from.
    pub(crate) origin: Origin,
}

impl Glyph {
    /// Whether it leaves no ink.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.chars().all(|c| c.is_whitespace() || c.is_control())
    }

    /// The box around it: left, top, right, bottom, y still growing downwards.
    pub(crate) fn bounds(&self) -> Bounds {
        let [x, y] = self.along;
        let corner = |from: [f32; 2], height: f32| {
            let (x, y) = (from[0] + y * height, from[1] - x * height);
            [x, y, x, y]
        };
        let (up, down) = (ASCENT * self.size, -DESCENT * self.size);
        let ends = [self.start, self.end];
        let corners = ends.into_iter().flat_map(|end| [corner(end, up), corner(end, down)]);
        corners.reduce(around).unwrap_or_default()
    }
}
