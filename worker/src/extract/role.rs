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
mod shape;
mod item;
mod signed;

use super::{
    concept::{Concept, Kind},
    document_text::{DocumentText, Place},
    evidence::Found,
    label::Labels,
    meaning::{Meaning, Meanings},
};
use alone::Alone;
use better::Labelled;
use serde_json::Value;
use shape::{
    has_figure, is_label, is_long, is_of_kind, is_same, is_sign, kind_of, looks_like_address,
};
use shared::{
    extraction::{Candidate, Evidence, Field, FieldStatus, Reason},
    schema::ExtractionSchema,
};
use standing::{Standing, Standings, Strength};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    rc::Rc,
};

/// Of the places of a value, so many are looked at.
const PLACES_MAX: usize = 48;

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
    let standings = Standings { labels: &labels, meanings: &meanings, language: text.language() };
    let roles = Roles { text, standings, alone: Alone::new(text), data };
    let mut verdicts = roles.by_labels(&found);
    roles.by_place(&mut verdicts);
    roles.better_labelled(&mut verdicts);
    roles.parts(&mut verdicts);
    roles.one_of_its_kind(&mut verdicts);
    roles.shared_places(&mut verdicts);
    let fields = found.into_iter().map(|(pointer, found)| {
        let field = match verdicts.remove(&pointer) {
            Some(verdict) => roles.field(found, verdict),
            None => found.field(text),
        };
        (pointer, field)
    });
    fields.collect()
}

struct Roles<'a> {
    text: &'a DocumentText<'a>,
    standings: Standings<'a>,
    alone: Alone<'a>,
    data: &'a Value,
}

type Verdicts = BTreeMap<String, Verdict>;

impl Roles<'_> {
    fn value(&self, pointer: &str) -> &Value {
        self.data.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// What the labels beside the places of each value say.
    fn by_labels(&self, found: &BTreeMap<String, Found>) -> Verdicts {
        let printed = found.iter().filter(|(_, found)| !found.places.is_empty());
        let verdicts = printed.map(|(pointer, found)| {
            let meaning = self.standings.meanings.at(pointer);
            let value = self.value(pointer);
            let kind = meaning.concept.map_or_else(|| kind_of(value), Concept::kind);
            let mut places: Vec<_> = found
                .places
                .iter()
                .take(PLACES_MAX)
                .map(|place| (self.standings.standing(&meaning, place), place.clone()))
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
        self.beside_currencies(verdicts);
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
            let is_whole = || verdict.places.iter().any(|place| self.is_cell_or_part(place));
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
            || places.iter().filter_map(|place| party::of(self.text, self.standings.labels, place));
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

    /// The whole of a line near the top.
    fn is_heading(&self, place: &Place) -> bool {
        let start = place.pieces.first().map_or(0, |piece| piece.start);
        let row = self.text.row(place.page, start);
        place.page == 0 && row < HEADING_LINES_MAX && self.is_cell(place)
    }

    /// The whole of a cell, or between the commas of one, as a town in an address, with its postal code
    /// or without.
    fn is_cell_or_part(&self, place: &Place) -> bool {
        let Some(piece) = place.pieces.first().filter(|_| place.pieces.len() == 1) else {
            return self.is_cell(place);
        };
        let line = self.text.line(place.page, self.text.row(place.page, piece.start));
        let page = self.text.pages().get(place.page).map_or("", |page| page.text.as_str());
        let before = page.get(line.start..piece.start).unwrap_or_default();
        let after = page.get(piece.end..line.end.max(piece.end)).unwrap_or_default();
        let is_border = |c: char| matches!(c, ',' | ';' | '|' | '•' | '·');
        let before = before.rsplit("   ").next().unwrap_or_default();
        let before = before.rsplit(is_border).next().unwrap_or_default();
        let after = after.split("   ").next().unwrap_or_default();
        let after = after.split(is_border).next().unwrap_or_default();
        let is_code = |word: &str| !word.contains(char::is_alphabetic);
        self.is_cell(place) || before.split_whitespace().all(is_code) && after.trim().is_empty()
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
                .or_insert_with(|| better::labelled(self.text, &self.standings, concept));
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

/// The heading of a document is within so many lines.
const HEADING_LINES_MAX: usize = 15;

fn rank(standing: &Standing) -> u8 {
    match standing {
        Standing::Named(Strength::Sure, _) => 0,
        Standing::Named(Strength::Likely, _) => 1,
        Standing::Silent => 2,
        Standing::Doubtful => 3,
        Standing::Contrary(_) => 4,
    }
}

#[cfg(test)]
mod tests;
