//! What an OCR program read in the image of a page: hOCR to glyphs, one for each word.
//!
//! hOCR 1.2 (kba.github.io/hocr-spec): XHTML in which lines and words have classes, and their places
//! stand in `title`, in pixels from the upper left corner. Pure; it must know nothing of processes.

use crate::{
    layout::Glyph,
    markup::{attribute, referred},
    pages::Origin,
};
use quick_xml::{Reader, events::Event};

/// The most words of a page that are kept.
const WORDS_MAX: usize = 50_000;

/// Of a line whose letters have no known size, the part of its height that their size is.
const SIZE_OF_HEIGHT: f32 = 0.9;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// A glyph for each word and a blank after it, in points.
    pub(crate) glyphs: Vec<Glyph>,
    /// How sure the program is of its letters, 0 to 100, the longer words counting more; 0 where there
    /// are none.
    pub(crate) confidence: f32,
}

/// Left, top, right and bottom, in pixels.
type Box = [f32; 4];

/// A line, by which its words stand.
#[derive(Clone, Copy, Debug)]
struct Line {
    bounds: Box,
    /// How far its baseline falls from left to right, as a part of its length.
    slope: f32,
    /// Where its baseline begins below the lower left corner of its box.
    offset: f32,
    /// From the tips of its letters to their tails.
    size: f32,
    /// By how many degrees it is turned to the left: a multiple of 90.
    turn: i32,
}

/// Reads hOCR of an image with so many points to each of its pixels.
///
/// # Errors
/// When it is no hOCR.
pub(crate) fn read(hocr: &str, scale: [f32; 2]) -> Result<Scanned, String> {
    let mut reader = Reader::from_str(hocr);
    reader.config_mut().check_end_names = false;
    let mut line: Option<Line> = None;
    let mut word: Option<(Box, f32, String)> = None;
    let mut scanned = Scanned::default();
    let (mut sure, mut letters) = (0.0, 0.0);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => {
                let [class, title] =
                    ["class", "title"].map(|name| attribute(&tag, name).unwrap_or_default());
                match class.as_str() {
                    "ocrx_word" => {
                        let confidence = numbers(&title, "x_wconf").first().copied();
                        let bounds = bounds(&title);
                        word = bounds.map(|at| (at, confidence.unwrap_or(0.0), String::new()));
                    }
                    class if class.starts_with("ocr_") => line = line_of(&title).or(line),
                    _ => {}
                }
            }
            Event::Text(text) => {
                if let Some((_, _, said)) = &mut word {
                    said.push_str(&text.xml_content(Default::default()));
                }
            }
            Event::GeneralRef(entity) => {
                if let Some((_, _, said)) = &mut word {
                    said.push_str(&referred(&entity).map_err(|error| error.to_string())?);
                }
            }
            // Within a word only its emphasis ends, or the word itself.
            Event::End(tag) if tag.name().as_ref() == "span" => {
                if let (Some(line), Some((at, confidence, text))) = (line, word.take()) {
                    let text = text.trim();
                    if !text.is_empty() && scanned.glyphs.len() < 2 * WORDS_MAX {
                        let count = text.chars().count() as f32;
                        sure += confidence * count;
                        letters += count;
                        scanned.glyphs.extend(glyphs(&line, at, text, scale));
                    }
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    scanned.confidence = if letters > 0.0 { sure / letters } else { 0.0 };
    Ok(scanned)
}

/// A word of a line, and the blank after it.
fn glyphs(line: &Line, at: Box, text: &str, scale: [f32; 2]) -> [Glyph; 2] {
    let [left, top, right, bottom] = at;
    let [line_left, _, _, line_bottom] = line.bounds;
    let base = |x: f32| line_bottom + line.offset + line.slope * (x - line_left);
    let (start, end) = match line.turn.rem_euclid(360) {
        90 => ([right, bottom], [right, top]),
        180 => ([right, top], [left, top]),
        270 => ([left, top], [left, bottom]),
        _ => ([left, base(left)], [right, base(right)]),
    };
    let place = |[x, y]: [f32; 2]| [x * scale[0], y * scale[1]];
    let (start, end) = (place(start), place(end));
    let (x, y) = (end[0] - start[0], end[1] - start[1]);
    let length = x.hypot(y).max(f32::EPSILON);
    let word = Glyph {
        text: text.to_owned(),
        start,
        end,
        along: [x / length, y / length],
        size: (line.size * scale[1]).clamp(0.1, 300.0),
        origin: Origin::Ocr,
    };
    let blank = Glyph { text: " ".to_owned(), start: end, ..word.clone() };
    [word, blank]
}

fn line_of(title: &str) -> Option<Line> {
    let bounds = bounds(title)?;
    let number = |name: &str, index: usize| numbers(title, name).get(index).copied();
    let turn = number("textangle", 0).unwrap_or(0.0).round() as i32;
    let height = if turn % 180 == 0 { bounds[3] - bounds[1] } else { bounds[2] - bounds[0] };
    let size = number("x_size", 0).filter(|size| *size > 0.0).unwrap_or(height * SIZE_OF_HEIGHT);
    let slope = number("baseline", 0).unwrap_or(0.0);
    Some(Line { bounds, slope, offset: number("baseline", 1).unwrap_or(0.0), size, turn })
}

fn bounds(title: &str) -> Option<Box> {
    numbers(title, "bbox").try_into().ok()
}

/// The numbers of a property; properties are parted by semicolons.
fn numbers(title: &str, name: &str) -> Vec<f32> {
    let mut properties = title.split(';').map(str::split_whitespace);
    let found = properties.find_map(|mut words| (words.next() == Some(name)).then_some(words));
    let numbers = found.into_iter().flatten().map_while(|word| word.parse::<f32>().ok());
    numbers.filter(|number| number.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::lay_out;

    fn page(lines: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE html>\n<html><body>\
             <div class='ocr_page' title='image \"stdin\"; bbox 0 0 1000 800; ppageno 0'>\
             <div class='ocr_carea' title=\"bbox 0 0 900 700\"><p class='ocr_par'>{lines}</p>\
             </div></div></body></html>"
        )
    }

    fn word(text: &str, at: [u32; 4], confidence: u32) -> String {
        let [left, top, right, bottom] = at;
        format!(
            "<span class='ocrx_word' id='w' title='bbox {left} {top} {right} {bottom}; \
             x_wconf {confidence}'>{text}</span>\n"
        )
    }

    fn line(title: &str, words: &[String]) -> String {
        format!("<span class='ocr_line' id='l' title=\"{title}\">{}</span>", words.concat())
    }

    #[test]
    fn a_table_that_was_scanned_askew_keeps_its_rows() {
        // Two cells of each row are lines of their own, and the page falls by two degrees.
        let title = |left: u32, right: u32, bottom: u32| {
            let top = bottom - 30;
            format!("bbox {left} {top} {right} {bottom}; baseline 0.035 -4; x_size 24")
        };
        let lines = [
            line(&title(100, 200, 130), &[word("Bolts", [100, 106, 200, 130], 95)]),
            line(&title(100, 200, 166), &[word("Nuts", [100, 142, 200, 166], 95)]),
            line(&title(700, 800, 151), &[word("12.00", [700, 127, 800, 151], 95)]),
            line(&title(700, 800, 187), &[word("34.50", [700, 163, 800, 187], 95)]),
        ];
        let scanned = read(&page(&lines.concat()), [0.5, 0.5]).unwrap();
        assert_eq!(scanned.confidence, 95.0);
        let laid = lay_out(&scanned.glyphs, 400.0);
        assert_eq!(laid.text, "Bolts   12.00\nNuts   34.50\n");
        let bolts = laid.words[0];
        assert_eq!(bolts.origin, Origin::Ocr);
        // Above the lower left corner of a page of 500 by 400 points.
        let [left, bottom, right, top] = bolts.bounds;
        let is_near = |value: f32, expected: f32| (value - expected).abs() < 3.0;
        assert!(is_near(left, 50.0) && is_near(right, 100.0), "{bolts:?}");
        assert!(is_near(bottom, 335.0) && is_near(top, 347.0), "{bolts:?}");
    }

    #[test]
    fn words_are_as_they_were_read() {
        let title = "bbox 10 10 600 40; baseline 0 -6; x_size 30";
        let words = [
            word("M&amp;S", [10, 10, 90, 40], 90),
            word("&lt;5&#39;", [100, 10, 150, 40], 60),
            word("<strong>Größe</strong>", [160, 10, 260, 40], 30),
            word(" ", [300, 10, 310, 40], 95),
        ];
        let scanned = read(&page(&line(title, &words)), [1.0, 1.0]).unwrap();
        assert_eq!(lay_out(&scanned.glyphs, 800.0).text, "M&S <5' Größe\n");
        assert_eq!(scanned.confidence.round(), 55.0);
        assert!(read(&page(""), [1.0, 1.0]).unwrap().glyphs.is_empty());
    }

    #[test]
    fn text_that_stands_upright_is_read_along_its_line() {
        let title = "bbox 100 100 130 500; textangle 90; x_size 30";
        let words =
            [word("Paid", [100, 400, 130, 500], 90), word("twice", [100, 270, 130, 390], 90)];
        let scanned = read(&page(&line(title, &words)), [1.0, 1.0]).unwrap();
        assert_eq!(scanned.glyphs[0].along, [0.0, -1.0]);
        assert_eq!(lay_out(&scanned.glyphs, 800.0).text, "Paid twice\n");
    }

    #[test]
    fn what_is_no_hocr_ends_with_an_error_or_nothing() {
        assert!(read("<span class='ocrx_word", [1.0, 1.0]).is_err());
        assert!(read("no page", [1.0, 1.0]).unwrap().glyphs.is_empty());
        let odd = word("x", [1, 2, 3, 4], 9).replace("bbox 1 2 3 4", "bbox 1 NaN 3");
        let scanned = read(&page(&line("bbox 0 0 9 9", &[odd])), [1.0, 1.0]).unwrap();
        assert!(scanned.glyphs.is_empty());
    }
}
