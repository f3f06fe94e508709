//! Whether a value is what its field says: its role in the document.
//!
//! Where a value is printed is known already. Here the labels beside its places, where it stands on
//! the page, and the other values decide whether it is `verified`, only `printed`, or in `conflict`.
//! Worked out by code and never asked of the model. It must know nothing of how values are found.

mod standing;
mod party;
mod alone;
mod better;
mod part;

use super::{
    concept::{Concept, Kind},
    currency,
    document_text::{DocumentText, Place},
    evidence::Found,
    label::Labels,
    lexicon,
    meaning::{Meaning, Meanings},
};
use alone::Alone;
use better::Labelled;
use jiff::civil::Date;
use serde_json::Value;
use shared::{
    extraction::{Candidate, Evidence, Field, FieldStatus, Reason},
    schema::ExtractionSchema,
};
use standing::{Question, Standing, Strength};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    rc::Rc,
};

/// Of the places of a value, so many are looked at.
const PLACES_MAX: usize = 48;

/// A text of so many words is hardly taken for another.
const LONG_TEXT_WORDS: usize = 4;

/// What is known of the role of one value.
#[derive(Clone, Debug)]
struct Verdict {
    meaning: Rc<Meaning>,
    kind: Kind,
    role: Role,
    /// The places, the best first.
    places: Vec<Place>,
    /// The words beside the first place.
    label: Option<(usize, Range<usize>)>,
    candidates: Vec<Labelled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A label names it.
    Sure,
    /// A label that is less sure, or its place.
    Likely,
    /// Nothing tells.
    Silent,
    /// Something may name another value.
    Doubtful,
    /// Something contradicts it.
    Contrary(Reason),
}

impl Verdict {
    /// Whether no label has decided.
    fn is_open(&self) -> bool {
        matches!(self.role, Role::Silent | Role::Doubtful)
    }
}

/// The field of every value, by its JSON pointer.
pub fn judge(
    schema: &ExtractionSchema,
    data: &Value,
    text: &DocumentText<'_>,
    found: BTreeMap<String, Found>,
) -> BTreeMap<String, Field> {
    let meanings = Meanings::new(&schema.body, found.keys().map(String::as_str));
    let labels = Labels::new(text, &meanings.words);
    let question = Question { labels: &labels, meanings: &meanings, language: text.language() };
    let judge = Judge { text, question, alone: Alone::new(text), data };
    let mut verdicts = judge.by_labels(&found);
    judge.by_place(&mut verdicts);
    judge.better_labelled(&mut verdicts);
    judge.parts(&mut verdicts);
    judge.one_of_its_kind(&mut verdicts);
    judge.shared_places(&mut verdicts);
    let fields = found.into_iter().map(|(pointer, found)| {
        let field = match verdicts.remove(&pointer) {
            Some(verdict) => judge.field(found, verdict),
            None => found.field(text),
        };
        (pointer, field)
    });
    fields.collect()
}

struct Judge<'a> {
    text: &'a DocumentText<'a>,
    question: Question<'a>,
    alone: Alone<'a>,
    data: &'a Value,
}

type Verdicts = BTreeMap<String, Verdict>;

impl Judge<'_> {
    fn value(&self, pointer: &str) -> &Value {
        self.data.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// What the labels beside the places of each value say.
    fn by_labels(&self, found: &BTreeMap<String, Found>) -> Verdicts {
        let printed = found.iter().filter(|(_, found)| !found.places.is_empty());
        let verdicts = printed.map(|(pointer, found)| {
            let meaning = self.question.meanings.at(pointer);
            let value = self.value(pointer);
            let kind = meaning.concept.map_or_else(|| kind_of(value), Concept::kind);
            let mut places: Vec<_> = found
                .places
                .iter()
                .take(PLACES_MAX)
                .map(|place| (self.question.standing(&meaning, place), place.clone()))
                .collect();
            places.sort_by_key(|(standing, _)| rank(standing));
            let (role, label) = match places.first() {
                Some((Standing::Named(strength, label), place)) => {
                    let role = match strength {
                        Strength::Sure => Role::Sure,
                        Strength::Likely => Role::Likely,
                    };
                    (role, Some((place.page, label.clone())))
                }
                Some((Standing::Contrary(label), place)) => {
                    (Role::Contrary(Reason::Label), Some((place.page, label.clone())))
                }
                Some((Standing::Doubtful, _)) => (Role::Doubtful, None),
                _ => (Role::Silent, None),
            };
            let is_label = matches!(kind, Kind::Party | Kind::Identifier) && is_label(value);
            let is_other = meaning.concept.is_some_and(|concept| {
                !is_of_kind(concept, value) && !self.is_date(concept, &found.places)
            });
            let role = match () {
                () if is_label => Role::Contrary(Reason::Label),
                () if is_other || meaning.is_iso_currency && is_sign(value) => {
                    Role::Contrary(Reason::Form)
                }
                () => role,
            };
            let places = places.into_iter().map(|(_, place)| place).collect();
            let verdict = Verdict { meaning, kind, role, places, label, candidates: Vec::new() };
            (pointer.clone(), verdict)
        });
        verdicts.collect()
    }

    /// Whether a date is printed where a text stands that should be one.
    fn is_date(&self, concept: Concept, places: &[Place]) -> bool {
        let is_read = |place: &Place| {
            let page = u32::try_from(place.page).unwrap_or(u32::MAX);
            let piece = place.pieces.first().cloned().unwrap_or_default();
            self.text.dates.within(page, piece).next().is_some()
        };
        concept.kind() == Kind::Date && places.iter().any(is_read)
    }

    /// Where no label tells: the letterhead and the window for names, the rows of items, the heading.
    fn by_place(&self, verdicts: &mut Verdicts) {
        let rows = self.rows(verdicts);
        self.behind_siblings(verdicts);
        for (pointer, verdict) in verdicts.iter_mut().filter(|(_, v)| v.is_open()) {
            let value = self.value(pointer);
            let concept = verdict.meaning.concept;
            let role = match verdict.kind {
                Kind::Party => self.party(concept, value, &verdict.places),
                _ if verdict.meaning.is_item && verdict.role == Role::Silent => {
                    self.item(pointer, verdict, &rows)
                }
                Kind::Text if concept == Some(Concept::Title) => {
                    let is_head = verdict.places.iter().any(|place| self.is_heading(place));
                    is_head.then_some(Role::Likely)
                }
                _ => None,
            };
            verdict.role = role.unwrap_or(verdict.role);
            let is_whole = || verdict.places.iter().any(|place| self.is_cell(place));
            let is_free = concept.is_none() && verdict.kind == Kind::Text;
            if verdict.role == Role::Silent
                && (verdict.kind == Kind::Text && is_long(value) || is_free && is_whole())
            {
                verdict.role = Role::Likely;
            }
        }
    }

    fn party(&self, concept: Option<Concept>, value: &Value, places: &[Place]) -> Option<Role> {
        let concept = concept?;
        let name = value.as_str()?;
        let is_address = concept != concept.printed();
        if is_address {
            return (is_long(value) && has_figure(name)).then_some(Role::Likely);
        }
        if looks_like_address(name) {
            return Some(Role::Contrary(Reason::Form));
        }
        let stands =
            || places.iter().filter_map(|place| party::of(self.text, self.question.labels, place));
        match concept {
            Concept::SellerName => {
                let is_seller = stands().any(|stand| stand == Concept::SellerName)
                    || party::has_site(self.text, name);
                Some(if is_seller { Role::Likely } else { Role::Doubtful })
            }
            Concept::BuyerName | Concept::RecipientName => {
                let is_seller = stands().any(|stand| stand == Concept::SellerName)
                    || party::has_site(self.text, name);
                let is_buyer = stands().any(|stand| stand == Concept::BuyerName);
                Some(if is_buyer && !is_seller { Role::Likely } else { Role::Doubtful })
            }
            _ => None,
        }
    }

    /// In a list of labels and values a value stands right behind another of its item.
    fn behind_siblings(&self, verdicts: &mut Verdicts) {
        let mut ends: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
        for (pointer, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.meaning.is_item) {
            let end = |place: &Place| Some((place.page, place.pieces.last()?.end));
            let known = ends.entry(item_of(pointer)).or_default();
            known.extend(verdict.places.iter().filter_map(end));
        }
        let is_behind = |pointer: &str, place: &Place| {
            let page = self.text.pages().get(place.page)?;
            let start = place.pieces.first()?.start;
            let before = ends.get(item_of(pointer))?.iter();
            let mut between = before.filter(|(page, end)| *page == place.page && *end <= start);
            let is_bare = |end: usize| {
                let between = page.text.get(end..start);
                between.is_some_and(|between| !between.contains(char::is_alphanumeric))
            };
            between.any(|(_, end)| is_bare(*end)).then_some(())
        };
        let open = verdicts.iter().filter(|(_, verdict)| {
            verdict.meaning.is_item
                && verdict.meaning.concept.is_none()
                && verdict.role != Role::Sure
        });
        let behind = open.filter(|(pointer, verdict)| {
            verdict.places.iter().any(|place| is_behind(pointer, place).is_some())
        });
        let behind: Vec<_> = behind.map(|(pointer, _)| pointer.clone()).collect();
        for pointer in behind {
            if let Some(verdict) = verdicts.get_mut(&pointer) {
                (verdict.role, verdict.label) = (Role::Likely, None);
            }
        }
    }

    /// On how many lines the values of each item stand, by the pointer of the item.
    fn rows(&self, verdicts: &Verdicts) -> HashMap<String, Vec<usize>> {
        let mut rows: HashMap<String, Vec<usize>> = HashMap::new();
        for (pointer, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.meaning.is_item) {
            let lines = verdict.places.iter().map(|place| place.line);
            rows.entry(item_of(pointer).to_owned()).or_default().extend(lines);
        }
        rows
    }

    /// A value stands in the row of its item, beside another of its values.
    fn item(
        &self,
        pointer: &str,
        verdict: &Verdict,
        rows: &HashMap<String, Vec<usize>>,
    ) -> Option<Role> {
        let lines = rows.get(item_of(pointer))?;
        let is_beside = |place: &&Place| {
            lines.iter().filter(|line| line.abs_diff(place.line) <= ROW_LINES_MAX).count() > 1
        };
        let place = verdict.places.iter().find(is_beside)?;
        let is_right = match verdict.meaning.concept {
            Some(concept) => self.has_shape(concept, place),
            None => true,
        };
        is_right.then_some(Role::Likely)
    }

    /// Without heads of columns: the amount of an item is the last amount of its row, and a quantity
    /// is none.
    fn has_shape(&self, concept: Concept, place: &Place) -> bool {
        let (Some(piece), Some(page)) = (place.pieces.first(), self.text.pages().get(place.page))
        else {
            return false;
        };
        let number = u32::try_from(place.page).unwrap_or(u32::MAX);
        let line = self.text.line(place.page, self.text.row(place.page, piece.start));
        let is_amount = |place: Range<usize>| {
            let printed = page.text.get(place).unwrap_or_default();
            printed.chars().rev().nth(2).is_some_and(|c| matches!(c, '.' | ','))
        };
        let amounts = self.text.numbers.within(number, line).map(|reading| reading.place());
        let amounts: Vec<_> = amounts.filter(|place| is_amount(place.clone())).collect();
        match concept {
            Concept::LineAmount => amounts.last().is_none_or(|last| last.start <= piece.start),
            Concept::Price => amounts.last().is_some_and(|last| last.start > piece.start),
            Concept::Quantity => !is_amount(piece.clone()),
            _ => true,
        }
    }

    /// The whole of a line near the top.
    fn is_heading(&self, place: &Place) -> bool {
        let start = place.pieces.first().map_or(0, |piece| piece.start);
        let row = self.text.row(place.page, start);
        place.page == 0 && row < HEADING_LINES_MAX && self.is_cell(place)
    }

    /// The whole of a line, or of a cell of it.
    fn is_cell(&self, place: &Place) -> bool {
        let Some(piece) = place.pieces.first() else { return false };
        let row = self.text.row(place.page, piece.start);
        let line = self.text.line(place.page, row);
        let page = self.text.pages().get(place.page).map_or("", |page| page.text.as_str());
        let cells = page.get(line).unwrap_or_default().split("   ");
        let quote = self.text.evidence(place).map(|evidence| evidence.quote).unwrap_or_default();
        cells.into_iter().any(|cell| cell.trim() == quote)
    }

    /// Where a label surely names another value, ours is not it.
    fn better_labelled(&self, verdicts: &mut Verdicts) {
        let mut known: HashMap<Concept, Vec<Labelled>> = HashMap::new();
        for (pointer, verdict) in verdicts.iter_mut().filter(|(_, v)| v.role != Role::Sure) {
            let Some(concept) = verdict.meaning.concept.filter(|_| !verdict.meaning.is_item) else {
                continue;
            };
            let labelled = known
                .entry(concept)
                .or_insert_with(|| better::labelled(self.text, &self.question, concept));
            let value = self.value(pointer);
            let is_other = |labelled: &&Labelled| !is_same(&labelled.value, value);
            let others: Vec<_> = labelled.iter().filter(is_other).cloned().collect();
            let is_one = others.windows(2).all(|pair| match pair {
                [a, b] => is_same(&a.value, &b.value),
                _ => true,
            });
            // Several other values do not tell which is meant.
            let is_open = verdict.role == Role::Likely && !is_one;
            if others.is_empty() || others.len() < labelled.len() || is_open {
                continue;
            }
            if !matches!(verdict.role, Role::Contrary(_)) {
                verdict.role = Role::Contrary(Reason::Place);
            }
            verdict.candidates = others;
        }
    }

    /// What is printed only as a part of a supported value is a part of it.
    fn parts(&self, verdicts: &mut Verdicts) {
        let supported =
            verdicts.iter().filter(|(_, v)| matches!(v.role, Role::Sure | Role::Likely));
        let wholes: Vec<_> =
            supported.filter_map(|(_, verdict)| verdict.places.first().cloned()).collect();
        let is_silent = |verdict: &&mut Verdict| {
            verdict.role == Role::Silent && verdict.meaning.concept.is_none()
        };
        for verdict in verdicts.values_mut().filter(is_silent) {
            let is_part =
                |place: &Place| wholes.iter().any(|whole| part::is_of(self.text, place, whole));
            if verdict.places.iter().all(is_part) {
                verdict.role = Role::Likely;
            }
        }
    }

    /// Nothing else of its kind is printed.
    fn one_of_its_kind(&self, verdicts: &mut Verdicts) {
        let silent = |verdict: &&Verdict| verdict.role == Role::Silent;
        let count = |kind| verdicts.values().filter(silent).filter(|v| v.kind == kind).count();
        let crowded: Vec<_> = [Kind::Date, Kind::Figure, Kind::Identifier]
            .into_iter()
            .filter(|kind| count(*kind) > 1)
            .collect();
        for (pointer, verdict) in verdicts.iter_mut() {
            let is_open = verdict.role == Role::Silent
                || verdict.role == Role::Doubtful && verdict.kind == Kind::Currency;
            let concept = verdict.meaning.concept;
            let is_code = matches!(concept, Some(Concept::Iban | Concept::VatId | Concept::Ean));
            if !is_open || crowded.contains(&verdict.kind) && !is_code {
                continue;
            }
            let value = self.value(pointer);
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let is_only = |place| self.alone.is_only(concept, verdict.kind, &value, place);
            if verdict.places.first().is_some_and(is_only) {
                verdict.role = Role::Likely;
            }
        }
    }

    /// Two values that cannot be equal are not both right at one place.
    fn shared_places(&self, verdicts: &mut Verdicts) {
        let of_document = verdicts.iter().filter(|(_, verdict)| !verdict.meaning.is_item);
        let tied: Vec<_> = of_document
            .filter_map(|(pointer, verdict)| Some((pointer.clone(), verdict.meaning.concept?)))
            .collect();
        for (at, (pointer, concept)) in tied.iter().enumerate() {
            for (other_pointer, other) in tied.iter().skip(at + 1) {
                let is_zero = self.value(pointer).as_f64() == Some(0.0);
                let is_equal = is_same(self.value(pointer), self.value(other_pointer));
                if !is_equal || is_zero || !concept.cannot_equal(*other) {
                    continue;
                }
                let role = |pointer: &String| verdicts.get(pointer).map(|verdict| verdict.role);
                let (own, others) = (role(pointer), role(other_pointer));
                let wrong = match (own, others) {
                    (Some(Role::Sure), Some(Role::Sure)) => continue,
                    (Some(Role::Sure), _) => vec![other_pointer],
                    (_, Some(Role::Sure)) => vec![pointer],
                    _ => vec![pointer, other_pointer],
                };
                for pointer in wrong {
                    let verdict = verdicts.get_mut(pointer);
                    let open = verdict.filter(|v| !matches!(v.role, Role::Contrary(_)));
                    if let Some(verdict) = open {
                        verdict.role = Role::Contrary(Reason::SharedPlace);
                    }
                }
            }
        }
    }

    fn field(&self, mut found: Found, verdict: Verdict) -> Field {
        found.places = verdict.places;
        let mut field = found.field(self.text);
        field.label = verdict.label.and_then(|(page, label)| self.quote(page, label));
        match (verdict.role, field.status) {
            // What is chosen need not be printed, so what is printed proves little.
            (Role::Contrary(_) | Role::Silent | Role::Doubtful, FieldStatus::Verified)
                if found.is_choice =>
            {
                return Field::of(FieldStatus::Inferred);
            }
            (Role::Contrary(reason), FieldStatus::Verified | FieldStatus::Printed) => {
                field.status = FieldStatus::Conflict;
                field.reason = Some(reason);
            }
            (Role::Silent | Role::Doubtful, FieldStatus::Verified) => {
                field.status = FieldStatus::Printed;
                field.reason = Some(Reason::Unlabelled);
            }
            _ => {}
        }
        for Labelled { value, place } in verdict.candidates {
            let is_known = field.candidates.iter().any(|known| known.value == value);
            if !is_known && field.candidates.len() < Field::CANDIDATES_MAX {
                field.candidates.push(Candidate { value, evidence: self.text.evidence(&place) });
            }
        }
        field
    }

    fn quote(&self, page: usize, label: Range<usize>) -> Option<String> {
        let place = self.text.place(page, vec![label]);
        self.text.evidence(&place).map(|Evidence { quote, .. }| quote)
    }
}

/// The values of an item stand within so many lines.
const ROW_LINES_MAX: usize = 2;

/// The heading of a document is within so many lines.
const HEADING_LINES_MAX: usize = 15;

/// The pointer of the item that a value belongs to.
fn item_of(pointer: &str) -> &str {
    let is_index = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let mut end = pointer.len();
    while let Some((head, last)) = pointer.get(..end).and_then(|head| head.rsplit_once('/')) {
        if is_index(last) {
            return pointer.get(..end).unwrap_or(pointer);
        }
        end = head.len();
    }
    pointer
}

fn rank(standing: &Standing) -> u8 {
    match standing {
        Standing::Named(Strength::Sure, _) => 0,
        Standing::Named(Strength::Likely, _) => 1,
        Standing::Silent => 2,
        Standing::Doubtful => 3,
        Standing::Contrary(_) => 4,
    }
}

/// What a value is by itself.
fn kind_of(value: &Value) -> Kind {
    let Some(text) = value.as_str() else { return Kind::Figure };
    let day = text.get(..10).is_some_and(|day| day.parse::<Date>().is_ok());
    let is_number = text.parse::<f64>().is_ok();
    let is_word = !text.trim().contains(char::is_whitespace);
    match () {
        () if day => Kind::Date,
        () if currency::is_code(text) => Kind::Currency,
        () if is_number && !text.starts_with('0') => Kind::Figure,
        () if is_word && has_figure(text) => Kind::Identifier,
        () => Kind::Text,
    }
}

fn has_figure(text: &str) -> bool {
    text.contains(|c: char| c.is_numeric())
}

fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.split_whitespace().count() >= LONG_TEXT_WORDS)
}

/// Whether a value has the form of what its field holds: a date is no number of an invoice, and an
/// account no name.
fn is_of_kind(concept: Concept, value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return !matches!(concept.kind(), Kind::Party | Kind::Currency | Kind::Date);
    };
    let is_day = text.get(..10).is_some_and(|day| day.parse::<Date>().is_ok());
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    match concept.kind() {
        Kind::Date => is_day,
        Kind::Identifier => {
            concept == Concept::Email || concept == Concept::Bic || digits > 0 && !is_day
        }
        Kind::Party if concept != concept.printed() => !is_day && letters > 0,
        Kind::Party => letters > digits && !is_day && !currency::is_code(text) && !is_code(text),
        Kind::Currency => digits == 0 && text.split_whitespace().count() == 1,
        Kind::Figure | Kind::Text => true,
    }
}

/// A currency that is no code.
fn is_sign(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !currency::is_code(text.trim()) && text.chars().count() < 3)
}

/// One word with several digits.
fn is_code(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits > NAME_DIGITS_MAX && !text.trim().contains(char::is_whitespace)
}

/// A name of one word has no more digits.
const NAME_DIGITS_MAX: usize = 2;

/// A name with a street and a town is an address.
fn looks_like_address(name: &str) -> bool {
    let is_number = |word: &&str| word.len() > 3 && word.bytes().all(|c| c.is_ascii_digit());
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.clone().any(|word| is_number(&word)) && words.count() > 3
}

/// Whether a value is the name of a value, or begins with one: `Buyer`, `Number: 4711`.
fn is_label(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let head = text.split_once(':').map(|(head, _)| head);
    let is_name = |text: &str| lexicon::whole(text).is_some() && !has_figure(text);
    is_name(text)
        || head.is_some_and(|head| lexicon::tokens(head).last().is_some_and(|_| ends_in_name(head)))
}

fn ends_in_name(head: &str) -> bool {
    let tokens = lexicon::tokens(head);
    let last = lexicon::names(&tokens).last().map(|(range, _)| range.end);
    !tokens.is_empty() && last == Some(tokens.len())
}

/// Whether two values are one: numbers by value, codes without what is between their characters.
fn is_same(a: &Value, b: &Value) -> bool {
    let compact = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    match (a, b) {
        (Value::String(a), Value::String(b)) => {
            let (a, b) = (compact(a), compact(b));
            a == b || b.starts_with(&a) || a.starts_with(&b)
        }
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests;
