//! The fields of a form on a page: their values and ticks, as viewers show them.
//!
//! A field may have no appearance in the file: viewers make one of its value. Ticks are drawings,
//! and become `[x]` and `[ ]`. It must know nothing of how the page itself is drawn.

use crate::{
    layout::Glyph,
    pages::{FormField, FormValue, Origin},
    pdf_string,
};
use hayro_syntax::{
    object::{Array, Dict, Name, Object, Rect as PdfRect, String as PdfString},
    page::Page as PdfPage,
};
use kurbo::{Affine, Rect};

/// The most fields of a page that are looked at.
const FIELDS_MAX: usize = 10_000;

/// A field inherits from this many others at most.
const PARENTS_MAX: usize = 16;

/// The most characters of one field that are read.
const VALUE_CHARS_MAX: usize = 20_000;

/// Annotations that are hidden, or shown in no view (ISO 32000-2, table 167).
const UNSEEN: u32 = 1 << 1 | 1 << 5;

/// A field for a password: viewers show no letter of it (table 231).
const PASSWORD: u32 = 1 << 13;

/// A button that only does something (table 229).
const PUSHBUTTON: u32 = 1 << 16;

/// The size of letters that are not drawn, in points, at most: it is mostly left to the viewer.
const SIZE_MAX: f64 = 12.0;

/// A field for one of several (table 229).
const RADIO: u32 = 1 << 15;

/// The most characters of the name and of the label of a field.
const NAME_CHARS_MAX: usize = 500;

/// A field as it stands on a page.
#[derive(Debug)]
pub(crate) struct Field {
    /// On the page as it is shown, y growing downwards.
    place: Rect,
    value: FieldValue,
    name: String,
    label: String,
    /// What a box for one of several stands for; empty where it is not ticked.
    choice: Option<String>,
}

#[derive(Debug)]
enum FieldValue {
    Text(String),
    Tick(bool),
}

/// The fields of a page that a reader sees; `transform` leads to the page as it is shown.
pub(crate) fn fields(page: &PdfPage<'_>, transform: Affine) -> Vec<Field> {
    let field = |widget: Dict<'_>| {
        if widget.get::<u32>(b"F").unwrap_or_default() & UNSEEN != 0 {
            return None;
        }
        let place = widget.get::<PdfRect>(b"Rect")?;
        let place = Rect::new(place.x0, place.y0, place.x1, place.y1).abs();
        let place = transform.transform_rect_bbox(place);
        let is_placed = place.is_finite() && place.area() > 0.0;
        let value = value(&widget)?;
        let label = inherited(&widget, b"TU").as_ref().and_then(text).unwrap_or_default();
        let label = label.chars().take(NAME_CHARS_MAX).collect();
        let (name, choice) = (name(&widget), choice(&widget));
        Some(Field { place, value, name, label, choice }).filter(|_| is_placed)
    };
    widgets(page).take(FIELDS_MAX).filter_map(field).collect()
}

/// The fields of a page as they are in the file.
pub(crate) fn widgets<'a>(page: &PdfPage<'a>) -> impl Iterator<Item = Dict<'a>> {
    let annotations = page.raw().get::<Array<'a>>(b"Annots").into_iter();
    let all = annotations.flat_map(|all| all.iter::<Object<'a>>().collect::<Vec<_>>());
    all.filter_map(Object::into_dict).filter(|annotation| {
        annotation.get::<Name<'_>>(b"Subtype").is_some_and(|name| &*name == b"Widget")
    })
}

/// A property of a field, its own or inherited.
fn inherited<'a>(widget: &Dict<'a>, key: &[u8]) -> Option<Object<'a>> {
    let mut at = widget.clone();
    for _ in 0..PARENTS_MAX {
        if let Some(found) = at.get::<Object<'_>>(key) {
            return Some(found);
        }
        at = at.get::<Dict<'_>>(b"Parent")?;
    }
    None
}

/// The names of a field and of what it is in, the outermost first, with points between them.
fn name(widget: &Dict<'_>) -> String {
    let mut names = Vec::new();
    let mut at = Some(widget.clone());
    for _ in 0..PARENTS_MAX {
        let Some(field) = at else { break };
        names.extend(
            field.get::<PdfString<'_>>(b"T").map(|name| pdf_string::decode(name.as_bytes())),
        );
        at = field.get::<Dict<'_>>(b"Parent");
    }
    names.reverse();
    names.join(".").chars().take(NAME_CHARS_MAX).collect()
}

/// The name of what a box for one of several stands for; empty where it is not ticked.
fn choice(widget: &Dict<'_>) -> Option<String> {
    let flags = inherited(widget, b"Ff").and_then(Object::into_i32).unwrap_or_default();
    let is_radio = u32::try_from(flags).unwrap_or_default() & RADIO != 0;
    let state = || widget.get::<Name<'_>>(b"AS").or_else(|| inherited(widget, b"V")?.into_name());
    let ticked = || state().filter(|_| is_ticked(widget));
    is_radio.then(|| {
        ticked().map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default()
    })
}

/// What the fields of a page that have a name say; `height` is that of the page.
pub(crate) fn filled(fields: &[Field], height: f32) -> Vec<FormField> {
    let named = fields.iter().filter(|field| !field.name.is_empty() || !field.label.is_empty());
    let filled = named.filter_map(|field| {
        let value = match (&field.value, &field.choice) {
            (FieldValue::Text(text), _) => FormValue::Text(text.trim().to_owned()),
            (FieldValue::Tick(_), Some(choice)) if choice.is_empty() => return None,
            (FieldValue::Tick(_), Some(choice)) => FormValue::Text(choice.clone()),
            (FieldValue::Tick(is_ticked), None) => FormValue::Ticked(*is_ticked),
        };
        let Rect { x0, y0, x1, y1 } = field.place;
        let bounds = [x0 as f32, height - y1 as f32, x1 as f32, height - y0 as f32];
        let bounds = bounds.map(|points| (points * 10.0).round() / 10.0);
        Some(FormField { name: field.name.clone(), label: field.label.clone(), value, bounds })
    });
    filled.collect()
}

fn value(widget: &Dict<'_>) -> Option<FieldValue> {
    let flags = inherited(widget, b"Ff").and_then(Object::into_i32).unwrap_or_default();
    let flags = u32::try_from(flags).unwrap_or_default();
    match &*inherited(widget, b"FT")?.into_name()? {
        b"Btn" if flags & PUSHBUTTON == 0 => Some(FieldValue::Tick(is_ticked(widget))),
        b"Tx" if flags & PASSWORD == 0 => Some(FieldValue::Text(text(&inherited(widget, b"V")?)?)),
        b"Ch" => {
            let options = inherited(widget, b"Opt").and_then(Object::into_array);
            Some(FieldValue::Text(chosen(&inherited(widget, b"V")?, options.as_ref())?))
        }
        _ => None,
    }
}

/// Whether a box is ticked: by its appearance state. Where it has none, by its value, which names one
/// of its appearances; a group of boxes shares one value.
fn is_ticked(widget: &Dict<'_>) -> bool {
    if let Some(state) = widget.get::<Name<'_>>(b"AS") {
        return &*state != b"Off";
    }
    let value = inherited(widget, b"V").and_then(Object::into_name);
    let Some(value) = value.filter(|value| &**value != b"Off") else { return false };
    let appearances = widget.get::<Dict<'_>>(b"AP").and_then(|all| all.get::<Dict<'_>>(b"N"));
    match appearances {
        Some(appearances) => appearances.contains_key(&*value),
        None => widget.contains_key(b"V"),
    }
}

fn text(value: &Object<'_>) -> Option<String> {
    let text = match value {
        Object::String(text) => pdf_string::decode(text.as_bytes()),
        Object::Stream(stream) => pdf_string::decode(&stream.decoded().ok()?),
        Object::Name(name) => String::from_utf8_lossy(name).into_owned(),
        _ => return None,
    };
    let text: String = text.chars().take(VALUE_CHARS_MAX).collect();
    (!text.trim().is_empty()).then_some(text)
}

/// What is chosen of a list, as it is shown.
fn chosen(value: &Object<'_>, options: Option<&Array<'_>>) -> Option<String> {
    if let Object::Array(values) = value {
        let texts = values.iter::<Object<'_>>().filter_map(|value| chosen(&value, options));
        return Some(texts.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty());
    }
    let value = text(value)?;
    let shown = options.and_then(|options| {
        let pairs = options.iter::<Object<'_>>().filter_map(Object::into_array);
        pairs.into_iter().find_map(|pair| {
            let mut pair = pair.iter::<PdfString<'_>>();
            let (key, shown) = (pair.next()?, pair.next()?);
            (pdf_string::decode(key.as_bytes()) == value)
                .then(|| pdf_string::decode(shown.as_bytes()))
        })
    });
    Some(shown.unwrap_or(value))
}

/// Adds the fields to what is seen of a page: ticks in place of how they are drawn, and values that
/// are not drawn.
pub(crate) fn fill(visible: &mut Vec<Glyph>, fields: &[Field]) {
    for field in fields {
        let is_within = |glyph: &Glyph| {
            let middle = [0, 1].map(|axis| f64::from(glyph.start[axis] + glyph.end[axis]) / 2.0);
            field.place.contains(kurbo::Point::new(middle[0], middle[1]))
        };
        match &field.value {
            FieldValue::Tick(is_ticked) => {
                visible.retain(|glyph| glyph.origin != Origin::Annotation || !is_within(glyph));
                write(visible, &field.place, if *is_ticked { "[x]" } else { "[ ]" });
            }
            FieldValue::Text(text) => {
                let mut drawn = String::new();
                for glyph in visible.iter_mut().filter(|glyph| is_within(glyph)) {
                    if glyph.origin == Origin::Annotation {
                        glyph.origin = Origin::Form;
                    }
                    drawn.push_str(glyph.text.trim());
                }
                let has_own = |glyph: &Glyph| glyph.origin == Origin::Form && is_within(glyph);
                let is_drawn = drawn.contains(&text.split_whitespace().collect::<String>())
                    || visible.iter().any(|glyph| has_own(glyph) && !glyph.is_blank());
                if !is_drawn {
                    write(visible, &field.place, text);
                }
            }
        }
    }
}

/// Writes lines into a place, as wide as they can be.
fn write(visible: &mut Vec<Glyph>, place: &Rect, text: &str) {
    let lines: Vec<&str> = text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect();
    let step = place.height() / lines.len().max(1) as f64;
    let size = step.min(SIZE_MAX);
    for (index, line) in (0_u32..).zip(&lines) {
        let letters = line.chars().count().max(1) as f64;
        let width = (size / 2.0).min(place.width() / letters);
        // In the middle of its part of the place, as far as letters reach above their baseline.
        let base = place.y0 + step * (f64::from(index) + 0.5) + 0.3 * size;
        for (index, letter) in (0_u32..).zip(line.chars()) {
            let left = place.x0 + width * f64::from(index);
            visible.push(Glyph {
                text: letter.to_string(),
                start: [left as f32, base as f32],
                end: [(left + width) as f32, base as f32],
                along: [1.0, 0.0],
                size: size as f32,
                origin: Origin::Form,
            });
        }
    }
}
