//! What a property holds, as far as its name tells.
//!
//! It must know nothing of values.

use crate::extract::language::lines;
use std::{collections::BTreeMap, sync::LazyLock};

/// `concept name …`
const CONCEPTS: &str = include_str!("../data/concepts.txt");

/// A kind of value that has rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Concept {
    /// What is added to or taken from a sum, such as freight.
    Adjustment,
    Bic,
    Due,
    Ean,
    Gross,
    Iban,
    Issue,
    LineAmount,
    Net,
    Price,
    Quantity,
    Tax,
    TermEnd,
    TermStart,
    VatId,
}

impl Concept {
    const ALL: [(&'static str, Self); 15] = [
        ("adjustment", Self::Adjustment),
        ("bic", Self::Bic),
        ("due", Self::Due),
        ("ean", Self::Ean),
        ("gross", Self::Gross),
        ("iban", Self::Iban),
        ("issue", Self::Issue),
        ("line_amount", Self::LineAmount),
        ("net", Self::Net),
        ("price", Self::Price),
        ("quantity", Self::Quantity),
        ("tax", Self::Tax),
        ("term_end", Self::TermEnd),
        ("term_start", Self::TermStart),
        ("vat_id", Self::VatId),
    ];

    /// Whether a property has one of its names, and no word more.
    pub(super) fn is_named(self, property: &str) -> bool {
        let words = words(property).join("_");
        names(self).contains(&words.as_str())
    }

    /// Whether a name of it is a part of the property's.
    pub(super) fn is_part_of(self, property: &str) -> bool {
        let words = format!("_{}_", words(property).join("_"));
        names(self).iter().any(|name| words.contains(&format!("_{name}_")))
    }

    /// The kind of code that a property holds.
    pub(super) fn of_code(property: &str) -> Option<Self> {
        let codes = [Self::VatId, Self::Iban, Self::Bic, Self::Ean];
        codes.into_iter().find(|code| code.is_part_of(property))
    }
}

static NAMES: LazyLock<BTreeMap<Concept, Vec<&str>>> = LazyLock::new(|| {
    let concept = |line: &'static str| {
        let (concept, names) = line.split_once(' ')?;
        let (_, concept) = Concept::ALL.iter().find(|(name, _)| *name == concept)?;
        Some((*concept, names.split(' ').collect()))
    };
    lines(CONCEPTS).filter_map(concept).collect()
});

fn names(concept: Concept) -> &'static [&'static str] {
    NAMES.get(&concept).map_or(&[], Vec::as_slice)
}

/// The words of a name in any of the usual ways: `unit_price`, `unitPrice`, `Unit price`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        let is_border = !c.is_alphanumeric() || c.is_uppercase() && was_small;
        if is_border && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        was_small = c.is_lowercase() || c.is_numeric();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_known_by_its_name() {
        assert!(Concept::Price.is_named("unitPrice") && Concept::Price.is_named("Unit price"));
        assert!(!Concept::Price.is_named("old_price"));
        assert_eq!(Concept::of_code("seller_IBAN"), Some(Concept::Iban));
        assert_eq!(Concept::of_code("sellerVatId"), Some(Concept::VatId));
        assert_eq!(Concept::of_code("librarian"), None);
    }

    #[test]
    fn the_file_is_sorted_and_names_every_concept() {
        let all: Vec<_> = lines(CONCEPTS).collect();
        let concepts: Vec<_> = all.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(concepts, Concept::ALL.map(|(name, _)| name));
        for line in all {
            assert!(line.split(' ').skip(1).collect::<Vec<_>>().is_sorted(), "{line}");
        }
    }
}
