//! What the labels beside a place say of a value.
//!
//! It must know nothing of other values.

use crate::extract::{
    concept::{Concept, Kind},
    document_text::Place,
    label::{Beside, Label, Labels, Named},
    lexicon::Sense,
    meaning::{Meaning, Meanings, Weight},
};
use std::{collections::BTreeSet, ops::Range};

/// A label is of a value that so few other words part from it.
const PARTY_WORDS_MAX: usize = 1;
const IDENTIFIER_WORDS_MAX: usize = 3;
const FIGURE_WORDS_MAX: usize = 4;
const OTHER_WORDS_MAX: usize = 6;

/// How sure a label is. The surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// It names just this.
    Sure,
    /// It may as well name something else, or names what mostly has the same value.
    Likely,
}

/// What stands beside a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A label that names the value: where it is.
    Named(Strength, Range<usize>),
    /// Nothing that tells.
    Silent,
    /// Something that may name another value, and is no proof of that.
    Doubtful,
    /// A label that names another.
    Contrary(Range<usize>),
}

/// What is asked of the labels beside a place.
pub(super) struct Standings<'a> {
    pub(super) labels: &'a Labels<'a>,
    pub(super) meanings: &'a Meanings,
    pub(super) language: Option<&'static str>,
}

impl Standings<'_> {
    /// What stands beside a place of a value.
    pub(super) fn standing(&self, meaning: &Meaning, place: &Place) -> Standing {
        let by_concept = match meaning.concept {
            Some(concept) => self.by_concept(concept, meaning.is_item, place),
            None => Standing::Silent,
        };
        match by_concept {
            Standing::Named(Strength::Sure, _) => by_concept,
            _ if meaning.words.is_empty() => by_concept,
            _ => match self.by_words(meaning, place) {
                Standing::Silent => by_concept,
                by_words => by_words,
            },
        }
    }

    fn by_concept(&self, concept: Concept, is_item: bool, place: &Place) -> Standing {
        let concept = concept.printed();
        let left = || {
            let most = match concept.kind() {
                Kind::Party => PARTY_WORDS_MAX,
                Kind::Identifier => IDENTIFIER_WORDS_MAX,
                Kind::Figure => FIGURE_WORDS_MAX,
                _ => OTHER_WORDS_MAX,
            };
            let left = self.labels.left(place).into_iter();
            let left = left.filter(move |beside| beside.words_between <= most);
            decide(left.flat_map(|beside| self.senses(concept, &beside)), concept)
        };
        let above = || {
            let above = self.labels.above(place).into_iter();
            self.column(concept, above.collect())
        };
        match concept.kind() {
            Kind::Party => match left() {
                Standing::Silent => self.in_block(concept, place),
                beside => beside,
            },
            Kind::Identifier => self.of_somebody(concept, place, left, above),
            _ if is_item => match above() {
                Standing::Silent => left(),
                column => column,
            },
            _ => match left() {
                Standing::Silent => above(),
                beside => beside,
            },
        }
    }

    /// What a label left of a value may mean. A date behind a number is of what the number is.
    fn senses<'l>(&self, concept: Concept, beside: &Beside<'l>) -> Vec<(Sense, &'l Label)> {
        let Named::Name(name) = beside.label.named else { return Vec::new() };
        let senses = name.senses(self.language).filter_map(|sense| {
            let is_date = concept.kind() == Kind::Date;
            let named = match (is_date, sense.concept.day_of()) {
                (true, Some(day)) => day,
                _ if beside.is_behind_figure => return None,
                _ => sense.concept,
            };
            (named.kind() == concept.kind()).then_some((sense.of(named), beside.label))
        });
        senses.collect()
    }

    /// What is stacked over a value in its column. One name of its own is enough.
    fn column(&self, concept: Concept, above: Vec<&Label>) -> Standing {
        let senses = above.iter().flat_map(|label| {
            let name = match label.named {
                Named::Name(name) => Some(name),
                Named::Word(_) => None,
            };
            let senses = name.into_iter().flat_map(|name| name.senses(self.language));
            senses.map(move |sense| (sense, *label))
        });
        let senses: Vec<_> =
            senses.filter(|(sense, _)| sense.concept.kind() == concept.kind()).collect();
        let own = senses.iter().find(|(sense, _)| sense.concept == concept);
        let near = || senses.iter().find(|(sense, _)| concept.tolerates(sense.concept));
        match own.or_else(near) {
            Some((sense, label)) => {
                // The head of a column that items have may be over any of them.
                let is_shared = !concept.is_of_item()
                    && senses
                        .iter()
                        .any(|(other, of)| other.concept.is_of_item() && of.place == label.place);
                let is_sure = sense.concept == concept && !sense.is_weak && !is_shared;
                let strength = if is_sure { Strength::Sure } else { Strength::Likely };
                Standing::Named(strength, label.place.clone())
            }
            None => match senses.iter().find(|(sense, label)| {
                // A sum stands under the column of the items, and the head of that is not of it.
                let is_of_items = senses
                    .iter()
                    .any(|(other, of)| other.concept.is_of_item() && of.place == label.place);
                !sense.is_weak && (concept.is_of_item() || !is_of_items)
            }) {
                Some((_, label)) => Standing::Contrary(label.place.clone()),
                None => Standing::Silent,
            },
        }
    }

    /// What the heading of its block says.
    fn in_block(&self, concept: Concept, place: &Place) -> Standing {
        let headings = self.labels.headings(place);
        let senses = headings.into_iter().flat_map(|label| {
            let senses = match label.named {
                Named::Name(name) => name.senses(self.language).collect(),
                Named::Word(_) => Vec::new(),
            };
            senses.into_iter().map(move |sense| (sense, label))
        });
        decide(senses.filter(|(sense, _)| is_role(sense.concept)), concept)
    }

    /// Who the block is about in which a place stands, where it is one.
    fn somebody(&self, place: &Place) -> Option<Concept> {
        let roles = [Concept::SellerName, Concept::BuyerName];
        let is_in = |concept: &Concept| {
            matches!(self.in_block(*concept, place), Standing::Named(Strength::Sure, _))
        };
        let mut roles = roles.into_iter().filter(is_in);
        roles.next().filter(|_| roles.next().is_none())
    }

    /// A number in the block of the buyer is the buyer's.
    fn of_somebody(
        &self,
        concept: Concept,
        place: &Place,
        left: impl Fn() -> Standing,
        above: impl Fn() -> Standing,
    ) -> Standing {
        let beside = match left() {
            Standing::Silent => above(),
            beside => beside,
        };
        let is_vague =
            |standing: &Standing| matches!(standing, Standing::Named(Strength::Likely, _));
        match concept {
            Concept::VatId if matches!(beside, Standing::Named(..)) => {
                match (self.somebody(place), beside) {
                    (Some(Concept::BuyerName), Standing::Named(_, label)) => {
                        Standing::Contrary(label)
                    }
                    (_, beside) => beside,
                }
            }
            Concept::BuyerVatId => {
                let as_any = self.by_concept(Concept::VatId, false, place);
                match (beside, as_any) {
                    (Standing::Contrary(_), Standing::Contrary(label))
                        if self.somebody(place) == Some(Concept::BuyerName) =>
                    {
                        Standing::Named(Strength::Sure, label)
                    }
                    (beside, _) => beside,
                }
            }
            Concept::CustomerNumber | Concept::SupplierNumber => {
                let as_any = || self.by_concept(Concept::DocumentNumber, false, place);
                let owner = match concept {
                    Concept::CustomerNumber => Concept::BuyerName,
                    _ => Concept::SellerName,
                };
                match beside {
                    Standing::Silent | Standing::Doubtful => match as_any() {
                        Standing::Named(_, label) if self.somebody(place) == Some(owner) => {
                            Standing::Named(Strength::Sure, label)
                        }
                        _ => beside,
                    },
                    beside => beside,
                }
            }
            _ if is_vague(&beside) && self.somebody(place).is_some() => Standing::Doubtful,
            _ => beside,
        }
    }

    /// Whether the words of a property stand beside a place, and no more words of another.
    fn by_words(&self, meaning: &Meaning, place: &Place) -> Standing {
        let left: Vec<_> = self
            .labels
            .left(place)
            .into_iter()
            .filter(|beside| !beside.is_behind_figure && beside.words_between <= OTHER_WORDS_MAX)
            .map(|beside| beside.label)
            .collect();
        let is_known =
            |labels: &Vec<&Label>| labels.iter().any(|label| matches!(label.named, Named::Word(_)));
        match self.most_alike(meaning, &left) {
            Standing::Silent if meaning.is_item || !is_known(&left) => {
                self.most_alike(meaning, &self.labels.above(place))
            }
            beside => beside,
        }
    }

    fn most_alike(&self, meaning: &Meaning, labels: &[&Label]) -> Standing {
        let words: BTreeSet<_> = labels
            .iter()
            .filter_map(|label| match label.named {
                Named::Word(word) => Some(word),
                Named::Name(_) => None,
            })
            .collect();
        let Some(first) = labels.iter().find(|label| matches!(label.named, Named::Word(_))) else {
            return Standing::Silent;
        };
        let score = |meaning: &Meaning, least: Weight| -> usize {
            let known = words.iter().filter_map(|word| meaning.words.get(word));
            known.filter(|weight| **weight >= least).map(|weight| *weight as usize).sum()
        };
        let own = score(meaning, Weight::Light);
        // Another property is meant where all that its name says stands there.
        let is_whole = |other: &Meaning| {
            let mut heavy = other.words.iter().filter(|(_, weight)| **weight == Weight::Heavy);
            heavy.all(|(word, _)| words.contains(word))
        };
        let others = self.meanings.all.iter().filter(|other| other.words != meaning.words);
        let others = others.filter(|other| is_whole(other));
        let best = others.map(|other| score(other, Weight::Heavy)).max().unwrap_or_default();
        let is_own = |label: &&&Label| match label.named {
            Named::Word(word) => meaning.words.contains_key(&word),
            Named::Name(_) => false,
        };
        let label = labels.iter().find(is_own).unwrap_or(first).place.clone();
        match () {
            () if own > 0 && own >= best => {
                let is_heavy = score(meaning, Weight::Heavy) > 0;
                let strength = if is_heavy { Strength::Sure } else { Strength::Likely };
                Standing::Named(strength, label)
            }
            () if best > 0 => Standing::Contrary(label),
            () => Standing::Silent,
        }
    }
}

/// The concepts that say who somebody is to the document.
fn is_role(concept: Concept) -> bool {
    matches!(
        concept,
        Concept::SellerName | Concept::BuyerName | Concept::RecipientName | Concept::PartyName
    )
}

/// What labels say, the nearest first: a sure name decides, another only where there is none.
fn decide<'l>(senses: impl Iterator<Item = (Sense, &'l Label)>, concept: Concept) -> Standing {
    let senses: Vec<_> = senses.collect();
    let mut vague = Standing::Silent;
    for labels in senses.chunk_by(|a, b| a.1.place == b.1.place) {
        let Some((_, label)) = labels.first() else { continue };
        let place = label.place.clone();
        let own = labels.iter().find(|(sense, _)| sense.concept == concept);
        let near = labels.iter().find(|(sense, _)| concept.tolerates(sense.concept));
        match (own, near) {
            (Some((sense, _)), _) if !sense.is_weak => {
                return Standing::Named(Strength::Sure, place);
            }
            (None, Some((sense, _))) if !sense.is_weak => {
                return Standing::Named(Strength::Likely, place);
            }
            (None, None) if labels.iter().any(|(sense, _)| !sense.is_weak) => {
                return Standing::Contrary(place);
            }
            (None, None) if vague == Standing::Silent => vague = Standing::Doubtful,
            (Some(_), _) | (_, Some(_)) if !matches!(vague, Standing::Named(..)) => {
                vague = Standing::Named(Strength::Likely, place);
            }
            _ => {}
        }
    }
    vague
}
