//! From the glyphs of a frame to rows of words.
//!
//! Glyphs that were drawn one after the other on a line belong together, so a word stays whole where
//! its baseline drifts or where another line is printed over it. Pure.

use super::frame::Placed;
use crate::pages::{Bounds, Origin, around};

/// A gap of this part of the size separates words, beyond what stands between letters.
const WORD_GAP: f32 = 0.18;

/// Letters stand no further apart than this part of the size, beyond their usual gap.
const LETTER_GAP: f32 = 0.08;

/// Between the gaps of letters and the gaps of words of one line lies at least this.
const GAP_STEP: f32 = 0.05;

/// Letters are spaced by this part of the size at most.
const SPACING_MAX: f32 = 0.6;

/// From so many gaps on a line tells how far its letters stand apart.
const GAPS_MIN: usize = 4;

/// A gap of more sizes than this ends what was drawn together.
const RUN_GAP: f32 = 0.4;

/// A gap of more sizes than this is none between letters.
const GAP_MAX: f32 = 1.0;

/// Baselines within this part of the size are one row.
const ROW_TOLERANCE: f32 = 0.35;

/// The same glyph within this part of its size is printed twice, to look bold.
const TWICE: f32 = 0.12;

/// The same run of glyphs within this part of its size is its own shadow.
const SHADOW: f32 = 0.4;

/// A word of a row, its glyphs from left to right.
#[derive(Clone, Debug)]
pub(super) struct Span<'a> {
    pub(super) parts: Vec<&'a str>,
    pub(super) left: f32,
    pub(super) right: f32,
    /// Left, top, right, bottom on the page, y growing downwards.
    pub(super) bounds: Bounds,
    pub(super) origin: Origin,
}

impl Span<'_> {
    pub(super) fn chars(&self) -> impl Iterator<Item = char> {
        self.parts.iter().flat_map(|part| part.chars())
    }
}

/// Words on one baseline, from left to right.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub(super) base: f32,
    pub(super) size: f32,
    pub(super) words: Vec<Span<'a>>,
}

/// Glyphs that were drawn one after the other without a blank between them.
#[derive(Clone, Debug)]
struct Run<'a> {
    glyphs: Vec<Placed<'a>>,
    left: f32,
    right: f32,
    /// Whether a blank follows.
    is_closed: bool,
}

impl Run<'_> {
    fn size(&self) -> f32 {
        self.glyphs.first().map_or(1.0, |first| first.glyph.size)
    }

    /// In the middle of it.
    fn base(&self) -> f32 {
        match (self.glyphs.first(), self.glyphs.last()) {
            (Some(first), Some(last)) => (first.base + last.base) / 2.0,
            _ => 0.0,
        }
    }

    fn is_same_text(&self, other: &Self) -> bool {
        let texts = self.glyphs.iter().zip(&other.glyphs);
        self.glyphs.len() == other.glyphs.len()
            && texts.into_iter().all(|(a, b)| a.glyph.text == b.glyph.text)
    }
}

/// The rows of a frame, from top to bottom.
pub(super) fn rows<'a>(frame: &[Placed<'a>]) -> Vec<Row<'a>> {
    let mut runs = runs(frame);
    runs.sort_by(|a, b| a.base().total_cmp(&b.base()));
    let mut rows: Vec<(f32, f32, Vec<Run<'a>>)> = Vec::new();
    for run in runs {
        let (base, size) = (run.base(), run.size());
        // Sorted by baseline, only the last few rows can be near.
        let near = rows.iter_mut().rev().take(8).find(|(row_base, row_size, _)| {
            (row_base - base).abs() < ROW_TOLERANCE * row_size.min(size)
        });
        match near {
            Some((_, _, row)) => row.push(run),
            None => rows.push((base, size, vec![run])),
        }
    }
    let layered = rows.into_iter().flat_map(|(base, size, runs)| {
        let row = move |runs| Row { base, size, words: words(runs) };
        layers(runs).into_iter().map(row)
    });
    layered.filter(|row| !row.words.is_empty()).collect()
}

/// Puts together what was drawn together.
fn runs<'a>(frame: &[Placed<'a>]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for placed in frame {
        let size = placed.glyph.size;
        let open = runs.last_mut().filter(|run| {
            run.glyphs.last().is_some_and(|last| {
                (last.base - placed.base).abs() < ROW_TOLERANCE * last.glyph.size.min(size)
                    && placed.left >= last.left - TWICE * size
                    && placed.left - run.right < RUN_GAP * size
            })
        });
        if placed.glyph.is_blank() {
            if let Some(run) = open {
                run.is_closed = true;
            }
            continue;
        }
        match open.filter(|run| !run.is_closed) {
            // Bold is sometimes faked by printing twice with a small shift.
            Some(run) if run.glyphs.last().is_some_and(|last| is_twin(last, placed)) => {}
            Some(run) => {
                run.right = run.right.max(placed.right);
                run.glyphs.push(*placed);
            }
            None => {
                let (left, right) = (placed.left, placed.right);
                runs.push(Run { glyphs: vec![*placed], left, right, is_closed: false });
            }
        }
    }
    runs
}

/// Whether a glyph is the same as one before it, printed at the same place.
fn is_twin(one: &Placed<'_>, other: &Placed<'_>) -> bool {
    one.glyph.text == other.glyph.text && (one.left - other.left).abs() < TWICE * other.glyph.size
}

/// The runs of a row from left to right, without those that only repeat another. Where lines are
/// printed over each other, a row for each.
fn layers(mut runs: Vec<Run<'_>>) -> Vec<Vec<Run<'_>>> {
    runs.sort_by(|a, b| a.left.total_cmp(&b.left));
    let mut kept: Vec<Run<'_>> = Vec::with_capacity(runs.len());
    for run in runs {
        let reach = |run: &Run<'_>| {
            let part = if run.glyphs.len() > 1 { SHADOW } else { TWICE };
            part * run.size()
        };
        let is_near = |other: &&Run<'_>| run.left - other.left < SHADOW * run.size();
        let is_twin =
            |other: &Run<'_>| run.left - other.left < reach(&run) && run.is_same_text(other);
        if !kept.iter().rev().take_while(is_near).any(is_twin) {
            kept.push(run);
        }
    }
    let is_over = |a: &Run<'_>, b: &Run<'_>| {
        let overlap = a.right.min(b.right) - a.left.max(b.left);
        let narrower = (a.right - a.left).min(b.right - b.left);
        overlap > 0.5 * narrower && overlap > 0.5 * a.size().min(b.size())
    };
    let mut layers: Vec<Vec<Run<'_>>> = Vec::new();
    for run in kept {
        let free =
            layers.iter_mut().find(|layer| layer.last().is_none_or(|last| !is_over(last, &run)));
        match free {
            Some(layer) => layer.push(run),
            None => layers.push(vec![run]),
        }
    }
    layers
}

/// Joins and parts the runs of a row, from left to right, into words.
fn words<'a>(runs: Vec<Run<'a>>) -> Vec<Span<'a>> {
    let gap_min = word_gap(&runs);
    let mut words: Vec<Span<'a>> = Vec::new();
    let mut is_closed = true;
    for run in runs {
        for (index, placed) in run.glyphs.iter().enumerate() {
            let size = placed.glyph.size;
            let is_apart = words.last().is_none_or(|word| {
                let gap = placed.left - word.right;
                let is_over = index == 0 && gap < -0.5 * size;
                gap > gap_min * size || is_over || (is_closed && gap > -0.3 * size)
            });
            is_closed = false;
            match words.last_mut().filter(|_| !is_apart) {
                Some(word) => {
                    word.parts.push(&placed.glyph.text);
                    word.right = word.right.max(placed.right);
                    word.bounds = around(word.bounds, placed.glyph.bounds());
                }
                None => words.push(Span {
                    parts: vec![&placed.glyph.text],
                    left: placed.left,
                    right: placed.right,
                    bounds: placed.glyph.bounds(),
                    origin: placed.glyph.origin,
                }),
            }
        }
        is_closed = run.is_closed;
    }
    words
}

/// From which gap on, in sizes, the letters of a line belong to different words.
///
/// Letters stand apart by about the same on a whole line: by nothing, or by its spacing. Where no
/// blanks part the words, gaps are of two kinds, and the border lies between them.
fn word_gap(runs: &[Run<'_>]) -> f32 {
    let mut gaps: Vec<f32> = Vec::new();
    let mut end: Option<f32> = None;
    for run in runs {
        for placed in &run.glyphs {
            let gap = end.map(|end| (placed.left - end) / placed.glyph.size);
            gaps.extend(gap.filter(|gap| gap.abs() < GAP_MAX));
            end = Some(placed.right);
        }
        if run.is_closed {
            end = None;
        }
    }
    if gaps.len() < GAPS_MIN {
        return WORD_GAP;
    }
    gaps.sort_by(f32::total_cmp);
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    let usual = if usual.abs() < GAP_STEP { 0.0 } else { usual.clamp(-0.1, SPACING_MAX) };
    let has_blanks = runs.iter().rev().skip(1).any(|run| run.is_closed);
    let mut steps = gaps.windows(2).filter(|_| !has_blanks);
    let border = steps.find_map(|pair| match pair {
        [letters, words] if *letters <= usual + LETTER_GAP && *words > usual + LETTER_GAP => {
            (words - letters > GAP_STEP).then_some((letters + words) / 2.0)
        }
        _ => None,
    });
    border.unwrap_or(usual + WORD_GAP).min(usual + WORD_GAP)
}
