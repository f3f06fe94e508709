//! Proves each value from the document's own text: whether it stands there, and where.
//!
//! Worked out by code and never asked of the model. Only text that a reader sees is in the pages,
//! so hidden text proves nothing. It must know nothing of how values were found.

use super::{
    date,
    node::Node,
    number::{self, Convention, Decimal},
    words::{Needle, PageWords},
};
use jiff::civil::Date;
use serde_json::Value;
use shared::{
    extraction::{Evidence, Field, FieldStatus, Page, Pages},
    schema::ExtractionSchema,
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

/// Of a value that stands in a document more often, only so many places are looked at.
const PLACES_MAX: usize = 200;

/// Signs by which a currency is printed.
const CURRENCIES: [(&str, &[&str]); 13] = [
    ("EUR", &["€", "Euro"]),
    ("USD", &["$", "US$"]),
    ("GBP", &["£"]),
    ("CHF", &["Fr.", "SFr."]),
    ("JPY", &["¥", "円"]),
    ("CNY", &["¥", "元"]),
    ("INR", &["₹", "Rs."]),
    ("PLN", &["zł"]),
    ("CZK", &["Kč"]),
    ("SEK", &["kr"]),
    ("NOK", &["kr"]),
    ("DKK", &["kr"]),
    ("BRL", &["R$"]),
];

/// The evidence for every value of `data`, by its JSON pointer.
pub fn prove(schema: &ExtractionSchema, data: &Value, pages: &Pages) -> BTreeMap<String, Field> {
    let mut prover =
        Prover { text: Text::new(pages), known: HashMap::new(), fields: BTreeMap::new() };
    prover.value(Node::root(&schema.body), data, "", "", None);
    prover.fields
}

/// A place in the text: one or several pieces of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    page: usize,
    /// Counted over all pages.
    line: usize,
    pieces: Vec<Range<usize>>,
}

/// A piece of a page, as small as can be: a long document has a million figures.
#[derive(Clone, Copy, Debug)]
struct Spot {
    page: u32,
    start: u32,
    end: u32,
}

impl Spot {
    /// `None` beyond 4 GiB.
    fn new(page: usize, place: &Range<usize>) -> Option<Self> {
        let small = |number: usize| u32::try_from(number).ok();
        Some(Self { page: small(page)?, start: small(place.start)?, end: small(place.end)? })
    }
}

/// The pages, read once for everything that may be looked for.
struct Text<'a> {
    pages: &'a [Page],
    /// For each page, how many lines are before it.
    lines_before: Vec<usize>,
    words: Vec<PageWords<'a>>,
    /// By value, then in the order of the text.
    numbers: Vec<(Decimal, Spot)>,
    /// As `numbers`.
    dates: Vec<(Date, Spot)>,
}

impl<'a> Text<'a> {
    fn new(pages: &'a Pages) -> Self {
        let pages = pages.pages.as_slice();
        let mut lines = 0;
        let lines_before = pages.iter().map(|page| {
            let before = lines;
            lines += page.text.matches('\n').count() + 1;
            before
        });
        let mut text = Self {
            pages,
            lines_before: lines_before.collect(),
            words: pages.iter().map(|page| PageWords::new(&page.text)).collect(),
            numbers: Vec::new(),
            dates: Vec::new(),
        };
        let convention = Convention::of(pages.iter().map(|page| page.text.as_str()));
        for (index, page) in pages.iter().enumerate() {
            let numbers = number::scan(&page.text, convention).into_iter();
            text.numbers.extend(numbers.filter_map(|(n, at)| Some((n, Spot::new(index, &at)?))));
            let dates = date::scan(&page.text).into_iter();
            text.dates.extend(dates.filter_map(|(day, at)| Some((day, Spot::new(index, &at)?))));
        }
        // Stable: the places of one value stay in the order of the text.
        text.numbers.sort_by(|(one, _), (other, _)| one.cmp(other));
        text.dates.sort_by_key(|(day, _)| *day);
        text
    }

    /// The first places of a value; none where it is not there.
    fn by_value<T: Ord>(&self, index: &[(T, Spot)], value: &T) -> Vec<Place> {
        let from = index.partition_point(|(other, _)| other < value);
        let found = index.iter().skip(from).take_while(|(other, _)| other == value);
        let place = |(_, spot): &(T, Spot)| {
            let piece = spot.start as usize..spot.end as usize;
            self.place(spot.page as usize, [piece])
        };
        found.take(PLACES_MAX).map(place).collect()
    }

    fn place(&self, page: usize, pieces: impl Into<Vec<Range<usize>>>) -> Place {
        let pieces = pieces.into();
        let start = pieces.first().map_or(0, |piece| piece.start);
        let line = self.words.get(page).map_or(0, |words| words.line_of(start));
        let line = line + self.lines_before.get(page).copied().unwrap_or_default();
        Place { page, line, pieces }
    }

    fn string(&self, value: &str) -> Vec<Place> {
        let Some(needle) = Needle::new(value) else { return Vec::new() };
        let mut places = Vec::new();
        for (page, words) in self.words.iter().enumerate() {
            let left = PLACES_MAX.saturating_sub(places.len());
            if left == 0 {
                break;
            }
            let found = words.find(&needle, left);
            places.extend(found.into_iter().map(|pieces| self.place(page, pieces)));
        }
        places
    }

    fn currency(&self, code: &str) -> Vec<Place> {
        let known = CURRENCIES.iter().find(|(known, _)| *known == code);
        let signs = known.map(|(_, signs)| *signs).unwrap_or_default();
        let places = signs.iter().flat_map(|sign| self.sign(sign));
        places.take(PLACES_MAX).collect()
    }

    /// A sign may touch a figure, but no letter: `$5` and `R$`.
    fn sign(&self, sign: &str) -> Vec<Place> {
        let mut places = Vec::new();
        for (page, text) in self.pages.iter().enumerate() {
            for (at, found) in text.text.match_indices(sign).take(PLACES_MAX) {
                let (before, after) = (text.text.get(..at), text.text.get(at + found.len()..));
                let before = before.and_then(|text| text.chars().next_back());
                let after = after.and_then(|text| text.chars().next());
                let is_letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
                if !is_letter(before) && !is_letter(after) {
                    let place = at..at + found.len();
                    places.push(self.place(page, [place]));
                }
            }
        }
        places
    }

    fn line_of(&self, place: &Place) -> &str {
        let text = self.pages.get(place.page).map_or("", |page| page.text.as_str());
        let start = place.pieces.first().map_or(0, |piece| piece.start);
        let (before, after) =
            (text.get(..start).unwrap_or_default(), text.get(start..).unwrap_or_default());
        let from = before.rfind('\n').map_or(0, |end| end + 1);
        let to = after.find('\n').map_or(text.len(), |end| start + end);
        text.get(from..to).unwrap_or_default()
    }

    fn evidence(&self, place: &Place) -> Option<Evidence> {
        let page = self.pages.get(place.page)?;
        let pieces = place.pieces.iter().filter_map(|piece| page.text.get(piece.clone()));
        let quote = pieces.collect::<Vec<_>>().join("\n");
        Some(Evidence { page: page.number, quote, bounds: None })
    }
}

struct Prover<'a> {
    text: Text<'a>,
    /// Places of strings that were looked for already.
    known: HashMap<String, Vec<Place>>,
    fields: BTreeMap<String, Field>,
}

impl Prover<'_> {
    /// `near` is the line of the item that the value belongs to.
    fn value(
        &mut self,
        node: Node<'_>,
        value: &Value,
        path: &str,
        name: &str,
        near: Option<usize>,
    ) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                    self.value(node.property(name), value, &path, name, near);
                }
            }
            Value::Array(items) => {
                let node = node.items();
                let mut after = None;
                for (index, item) in items.iter().enumerate() {
                    let line = self.line_of_item(item, after);
                    after = line.or(after);
                    self.value(node.clone(), item, &format!("{path}/{index}"), name, line.or(near));
                }
            }
            plain => {
                let field = self.field(&node, plain, name, near);
                self.fields.insert(path.to_owned(), field);
            }
        }
    }

    /// The line on which an item of a list stands: that of its rarest text, after the item before it
    /// where there is a choice.
    fn line_of_item(&mut self, item: &Value, after: Option<usize>) -> Option<usize> {
        let values = match item {
            Value::Object(object) => object.values().collect(),
            plain => vec![plain],
        };
        let texts = values.into_iter().filter_map(Value::as_str).map(|text| self.places(text));
        let rarest = texts.filter(|places| !places.is_empty()).min_by_key(Vec::len)?;
        let next = rarest.iter().find(|place| after.is_none_or(|line| place.line > line));
        next.or(rarest.first()).map(|place| place.line)
    }

    fn field(&mut self, node: &Node<'_>, value: &Value, name: &str, near: Option<usize>) -> Field {
        let places = match value {
            Value::Null => return Field::of(FieldStatus::Missing),
            Value::String(text) if text.trim().is_empty() => {
                return Field::of(FieldStatus::Missing);
            }
            Value::Bool(_) => return Field::of(FieldStatus::Inferred),
            Value::String(text) => self.places(text),
            Value::Number(number) => self.text.by_value(&self.text.numbers, &Decimal::of(number)),
            _ => Vec::new(),
        };
        let places = self.best_first(places, name, near);
        let most = if near.is_some() { 1 } else { Field::EVIDENCE_MAX };
        let evidence: Vec<_> =
            places.iter().take(most).filter_map(|place| self.text.evidence(place)).collect();
        match evidence.is_empty() {
            false => Field { evidence, ..Field::of(FieldStatus::Verified) },
            true if node.is_choice() || !node.is_printed() => Field::of(FieldStatus::Inferred),
            true => Field::of(FieldStatus::NotFound),
        }
    }

    /// Where a text stands as it is, or by its value where it is a date, a number or a currency.
    fn places(&mut self, text: &str) -> Vec<Place> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let mut places = self.text.string(text);
        if places.is_empty() {
            let day = text.get(..10).and_then(|day| day.parse::<Date>().ok());
            let number = Decimal::parse(text.trim());
            let dates = day.map(|day| self.text.by_value(&self.text.dates, &day));
            let numbers = || Some(self.text.by_value(&self.text.numbers, &number?));
            let is_there = |places: &Vec<Place>| !places.is_empty();
            let by_value = dates.filter(is_there).or_else(|| numbers().filter(is_there));
            places = by_value.unwrap_or_else(|| self.text.currency(text));
        }
        self.known.insert(text.to_owned(), places.clone());
        places
    }

    /// Nearest to its item first; without one, on a line that names it first.
    fn best_first(&self, mut places: Vec<Place>, name: &str, near: Option<usize>) -> Vec<Place> {
        places.truncate(PLACES_MAX);
        match near {
            Some(line) => places.sort_by_key(|place| place.line.abs_diff(line)),
            None => {
                let words: Vec<_> = name.split(['_', '-']).filter(|word| word.len() > 2).collect();
                let is_named = |place: &Place| {
                    let line = self.text.line_of(place).to_lowercase();
                    !words.iter().any(|word| line.contains(&word.to_lowercase()))
                };
                places.sort_by_cached_key(is_named);
            }
        }
        // The same figures may have been read in two ways.
        places.dedup();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prove_in(body: Value, data: Value, texts: &[&str]) -> BTreeMap<String, Field> {
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let page = |(number, text): (u32, &&str)| Page {
            number,
            text: (*text).into(),
            error: None,
            is_picture: false,
        };
        let pages = (1..).zip(texts).map(page).collect();
        prove(&schema, &data, &Pages { pages, ..Pages::default() })
    }

    #[test]
    fn values_are_proven_by_value() {
        let check = |property: Value, value: Value, text: &str, expected: &str| {
            let body = json!({ "type": "object", "properties": { "a": property } });
            let fields = prove_in(body, json!({ "a": value }), &[text]);
            let field = &fields["/a"];
            let status = serde_json::to_value(field.status).unwrap();
            let quotes: Vec<_> = field.evidence.iter().map(|e| e.quote.as_str()).collect();
            let shown = format!("{} {}", status.as_str().unwrap(), quotes.join("|"));
            assert_eq!(shown.trim(), expected, "{value} in {text:?}");
        };
        let string = json!({ "type": "string" });
        let number = json!({ "type": "number" });
        check(string.clone(), json!("R-117"), "No. R-117", "verified R-117");
        check(string.clone(), json!("R-118"), "No. R-117", "not_found");
        check(string.clone(), json!("2024-03-05"), "am 5. März 2024", "verified 5. März 2024");
        check(
            string.clone(),
            json!("2024-03-05T00:00:00Z"),
            "5 March 2024",
            "verified 5 March 2024",
        );
        check(string.clone(), json!("2024-03-06"), "5 March 2024", "not_found");
        check(string.clone(), json!("EUR"), "Total 5 €", "verified €");
        check(string.clone(), json!("USD"), "Total R$5", "not_found");
        check(string.clone(), json!("GBP"), "Total €5", "not_found");
        check(string.clone(), json!("1234.5"), "1.234,50", "verified 1.234,50");
        check(string.clone(), json!(""), "x", "missing");
        check(number.clone(), json!(119.0), "Total 119,00 EUR", "verified 119,00");
        check(number.clone(), json!(119.1), "Total 119,00 EUR", "not_found");
        check(number.clone(), json!(0.19), "VAT 19 %", "verified 19");
        check(number, Value::Null, "", "missing");
        check(json!({ "type": "boolean" }), json!(true), "yes", "inferred");
        check(json!({ "enum": ["paid", "open"] }), json!("open"), "Open items", "verified Open");
        check(json!({ "enum": ["paid", "open"] }), json!("paid"), "Open items", "inferred");
        let kind = json!({ "type": "string", "x-sluice": { "printed": false } });
        check(kind, json!("letter"), "Dear Ann", "inferred");
    }

    #[test]
    fn items_are_proven_where_they_stand() {
        let text = "1 Main Street\nQty   Item   Amount\n1   Bolts   1.00\n2   Nuts   2.00\n\
                    1   Nuts   2.00\nNet   5.00\nTotal   5.00";
        let line =
            |quantity, item, amount| json!({ "q": quantity, "item": item, "amount": amount });
        let data = json!({
            "lines": [line(1, "Bolts", 1.0), line(2, "Nuts", 2.0), line(1, "Nuts", 2.0)],
            "total": 5.0,
        });
        let fields = prove_in(json!({ "type": "object" }), data, &["Cover 5", text]);
        assert!(fields.values().all(|field| field.status == FieldStatus::Verified), "{fields:?}");
        assert_eq!(fields["/lines/2/amount"].evidence.len(), 1);
        // The line that is named so comes first.
        assert_eq!(fields["/total"].evidence.len(), 3);
        let total = fields["/total"].evidence.first().unwrap();
        assert_eq!((total.page, total.quote.as_str()), (2, "5.00"));
    }
}
