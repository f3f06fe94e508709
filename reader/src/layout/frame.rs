//! Turns the page for its text: glyphs in frames in which baselines run from left to right.
//!
//! Pages are scanned askew, and tables stand upright on them. Text within five degrees of a quarter
//! turn is one frame, straightened by the skew of its lines; other text is a frame for each
//! direction. Pure.

use super::glyph::Glyph;
use std::{collections::BTreeMap, f32::consts::FRAC_PI_2};

/// Text turned by more than this from a quarter turn is no page that was scanned askew, in degrees.
const SKEW_MAX: f32 = 5.0;

/// The step in which the skew is looked for, then the step in which it is made exact, in degrees.
const SKEW_STEPS: [f32; 2] = [0.25, 0.05];

/// Neighbours with baselines nearer than this part of their size were set on one line by a program.
const SAME_BASELINE: f32 = 0.02;

/// So many pairs of neighbours are enough to tell whether lines run level.
const PAIRS_MIN: usize = 3;

/// Rows must become sharper by this factor before a page is turned.
const SHARPER: f32 = 1.15;

/// The most words whose lines are looked at.
const WORDS_MAX: usize = 2000;

/// A glyph in a frame, y growing downwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) glyph: &'a Glyph,
    pub(super) left: f32,
    pub(super) right: f32,
    pub(super) base: f32,
    /// How far its baseline falls from left to right, in degrees.
    falls: f32,
}

/// The frames of a page: upright text first, then that of each quarter turn, then other directions.
/// Glyphs keep their order within.
pub(super) fn frames(glyphs: &[Glyph]) -> Vec<Vec<Placed<'_>>> {
    let mut frames: BTreeMap<(u8, i16), Vec<Placed<'_>>> = BTreeMap::new();
    for glyph in glyphs {
        let (turn, askew) = turn(glyph.along);
        let is_level = askew.abs() <= SKEW_MAX;
        let direction = if is_level { 0 } else { askew.round() as i16 };
        let angle = f32::from(turn) * FRAC_PI_2 + f32::from(direction).to_radians();
        let place = if direction == 0 { quarter(turn) } else { angle.sin_cos() };
        let key = (if is_level { turn } else { turn + 4 }, direction);
        let falls = if is_level { askew } else { 0.0 };
        frames.entry(key).or_default().push(placed(glyph, place, falls));
    }
    let straight = |((turn, _), mut frame): ((u8, i16), Vec<_>)| {
        if turn < 4 {
            straighten(&mut frame);
        }
        frame
    };
    frames.into_iter().map(straight).collect()
}

/// The nearest quarter turn to a direction, and what is left, in degrees.
fn turn([x, y]: [f32; 2]) -> (u8, f32) {
    if x == 1.0 {
        return (0, 0.0);
    }
    let angle = y.atan2(x);
    let quarters = (angle / FRAC_PI_2).round();
    let turn = (quarters as i32).rem_euclid(4);
    (u8::try_from(turn).unwrap_or_default(), (angle - quarters * FRAC_PI_2).to_degrees())
}

/// Sine and cosine of quarter turns, exactly.
fn quarter(turn: u8) -> (f32, f32) {
    match turn {
        0 => (0.0, 1.0),
        1 => (1.0, 0.0),
        2 => (0.0, -1.0),
        _ => (-1.0, 0.0),
    }
}

fn placed(glyph: &Glyph, (sin, cos): (f32, f32), falls: f32) -> Placed<'_> {
    let across = |[x, y]: [f32; 2]| x * cos + y * sin;
    let (start, end) = (across(glyph.start), across(glyph.end));
    let base = glyph.start[1] * cos - glyph.start[0] * sin;
    Placed { glyph, left: start.min(end), right: start.max(end), base, falls }
}

fn straighten(frame: &mut [Placed<'_>]) {
    let slope = slope(frame);
    if slope != 0.0 {
        for placed in frame {
            placed.base -= placed.left * slope;
        }
    }
}

/// By how much most glyphs fall from left to right by themselves, in degrees; none where they stand
/// upright.
fn common_fall(frame: &[Placed<'_>]) -> Option<f32> {
    if frame.iter().all(|placed| placed.falls == 0.0) {
        return None;
    }
    let mut falls: Vec<f32> = frame.iter().map(|placed| placed.falls).collect();
    let middle = falls.len() / 2;
    let (_, &mut common, _) = falls.select_nth_unstable_by(middle, f32::total_cmp);
    (common.abs() > SKEW_STEPS[1]).then_some(common)
}

/// Neighbouring glyphs of one word, as one point in the middle of its baseline.
struct Mark {
    x: f32,
    base: f32,
    size: f32,
    weight: f32,
    right: f32,
}

/// How far lines fall from left to right, as a part of their length; 0 where they run level.
fn slope(frame: &[Placed<'_>]) -> f32 {
    if let Some(falls) = common_fall(frame) {
        return falls.to_radians().tan();
    }
    let mut marks = marks(frame);
    let mut pairs = (0_usize, 0_usize);
    for pair in marks.windows(2) {
        let [one, next] = pair else { continue };
        let (step, size) = ((next.base - one.base).abs(), one.size.min(next.size));
        if next.x > one.right && step < size {
            pairs.0 += 1;
            pairs.1 += usize::from(step < SAME_BASELINE * size);
        }
    }
    let (all, level) = pairs;
    if all < PAIRS_MIN || level * 2 > all {
        return 0.0;
    }
    let every = marks.len().div_ceil(WORDS_MAX);
    let mut index = 0;
    marks.retain(|_| {
        index += 1;
        index % every == 0
    });
    let upright = sharpness(&marks, 0.0);
    let search = |middle: f32, reach: f32, step: f32| {
        let steps = (2.0 * reach / step).round() as u8;
        let angles = (0..=steps).map(|index| middle - reach + f32::from(index) * step);
        let scored = angles.map(|angle| (sharpness(&marks, angle.to_radians().tan()), angle));
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0.0))
    };
    let [coarse, fine] = SKEW_STEPS;
    let (_, near) = search(0.0, SKEW_MAX, coarse);
    let (sharpest, angle) = search(near, coarse, fine);
    if sharpest > SHARPER * upright { angle.to_radians().tan() } else { 0.0 }
}

/// The words of a frame, told apart by blanks and gaps.
fn marks(frame: &[Placed<'_>]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut first: Option<&Placed<'_>> = None;
    let mut last: Option<&Placed<'_>> = None;
    for placed in frame {
        if placed.glyph.is_blank() {
            (first, last) = (None, None);
            continue;
        }
        let size = placed.glyph.size;
        let goes_on = last.is_some_and(|last| {
            (placed.left - last.right).abs() < 0.3 * size
                && (placed.base - last.base).abs() < 0.2 * size
        });
        match (first, marks.last_mut()) {
            (Some(first), Some(mark)) if goes_on => {
                mark.x = (first.left + placed.right) / 2.0;
                mark.base = (first.base + placed.base) / 2.0;
                mark.right = placed.right;
                mark.weight += 1.0;
            }
            _ => {
                let x = (placed.left + placed.right) / 2.0;
                let (base, right) = (placed.base, placed.right);
                marks.push(Mark { x, base, size, weight: 1.0, right });
                first = Some(placed);
            }
        }
        last = Some(placed);
    }
    marks
}

/// How sharply rows stand out from the space between them when lines fall by this slope: the sum of
/// the squares of what stands on each height. The projection profile of Postl, "Detection of linear
/// oblique structures and skew scan in digitized documents", ICPR 1986.
fn sharpness(marks: &[Mark], slope: f32) -> f32 {
    let height = |mark: &Mark| mark.base - mark.x * slope;
    let mut sizes: Vec<f32> = marks.iter().map(|mark| mark.size).collect();
    let middle = sizes.len() / 2;
    let Some((_, size, _)) =
        (!sizes.is_empty()).then(|| sizes.select_nth_unstable_by(middle, f32::total_cmp))
    else {
        return 0.0;
    };
    let step = (*size / 4.0).max(0.1);
    let lowest = marks.iter().map(height).fold(f32::MAX, f32::min);
    let highest = marks.iter().map(height).fold(f32::MIN, f32::max);
    // No page is so high that it needs more.
    let count = ((highest - lowest) / step).min(20_000.0) as usize + 2;
    let mut bins = vec![0.0_f32; count];
    for mark in marks {
        let at = (height(mark) - lowest) / step;
        let (index, part) = (at as usize, at.fract());
        if let Some([low, high]) = bins.get_mut(index..index + 2) {
            *low += mark.weight * (1.0 - part);
            *high += mark.weight * part;
        }
    }
    bins.iter().map(|bin| bin * bin).sum()
}
