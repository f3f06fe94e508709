//! What the values of a schema are: the business concept of each property, and the words by which it
//! may be named on paper.
//!
//! It must know nothing of documents.

use super::{
    concept::{self, Concept, Property},
    currency,
    label::stem,
    lexicon::{self, Token},
    node::Node,
    pointer,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// Words of names that tell little.
const VAGUE_WORDS: [&str; 14] = [
    "amount", "code", "details", "id", "info", "item", "items", "list", "name", "text", "total",
    "type", "value", "values",
];

/// Shorter words of a description tell nothing.
const DESCRIPTION_LETTERS_MIN: usize = 4;

/// Words of descriptions that are about the value and not of it.
const DESCRIBING_WORDS: [&str; 16] = [
    "date", "document", "every", "exactly", "format", "iso", "null", "number", "printed", "string",
    "that", "their", "unless", "where", "which", "with",
];

/// How much it tells that a word stands beside a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It describes the property, or names what it is in.
    Light = 1,
    /// It is of its name.
    Heavy = 2,
}

/// What one property holds.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    /// The concept, where it is tied to one.
    pub concept: Option<Concept>,
    /// Its words, as indexes of [`Meanings::words`].
    pub words: BTreeMap<usize, Weight>,
    /// Whether it belongs to an item of a list.
    pub is_item: bool,
    /// The currencies that its name is of: `rand`, `amount_in_euros`.
    pub currencies: &'static [&'static str],
    /// Whether its description asks for a code of ISO 4217, and not for a sign.
    pub is_iso_currency: bool,
}

/// What all values of a document are.
#[derive(Debug, Default)]
pub struct Meanings {
    /// By the names on the way to them, without the indexes of items.
    by_path: HashMap<String, Rc<Meaning>>,
    /// Each of them once.
    pub all: Vec<Rc<Meaning>>,
    /// The words of all properties, as they are compared.
    pub words: HashMap<String, usize>,
}

impl Meanings {
    /// What the values at these pointers are.
    pub fn new<'a>(schema: &Value, pointers: impl Iterator<Item = &'a str>) -> Self {
        let root = Node::root(schema);
        let mut meanings = Self::default();
        for pointer in pointers {
            let path = path(pointer);
            if !meanings.by_path.contains_key(&path) {
                let meaning = Rc::new(meanings.read(&root, pointer));
                meanings.all.push(Rc::clone(&meaning));
                meanings.by_path.insert(path, meaning);
            }
        }
        meanings
    }

    /// What the value at a pointer is.
    pub fn at(&self, pointer: &str) -> Rc<Meaning> {
        self.by_path.get(&path(pointer)).cloned().unwrap_or_default()
    }

    fn read(&mut self, root: &Node<'_>, pointer: &str) -> Meaning {
        let tokens = pointer::tokens(pointer);
        let node = root.at(&tokens);
        let is_index = |token: &String| token.bytes().all(|c| c.is_ascii_digit());
        let is_item = tokens.iter().any(is_index);
        let names: Vec<_> = tokens.iter().filter(|token| !is_index(token)).collect();
        let names: Vec<_> = names.into_iter().map(String::as_str).collect();
        let (name, parents) =
            names.split_last().map_or(("", &[][..]), |(name, rest)| (*name, rest));
        let concept = tied(&node, Property { parents, name, is_item });
        let mut words = BTreeMap::new();
        let labels = node.own("labels").and_then(Value::as_array).into_iter().flatten();
        for label in labels.filter_map(Value::as_str) {
            self.add(label, Weight::Heavy, &mut words);
        }
        if concept.is_none() {
            for text in [Some(name), node.text("title")].into_iter().flatten() {
                self.add(text, Weight::Heavy, &mut words);
            }
            for parent in parents {
                self.add(parent, Weight::Light, &mut words);
            }
            self.describe(node.text("description").unwrap_or_default(), &mut words);
        }
        let described = node.text("description").unwrap_or_default();
        let is_iso_currency = described.contains("4217");
        let currencies = currencies(name);
        Meaning { concept, words, is_item, currencies, is_iso_currency }
    }

    fn add(&mut self, text: &str, weight: Weight, words: &mut BTreeMap<usize, Weight>) {
        let mut tokens = lexicon::all_tokens(&concept::words(text).join(" "));
        // Where there are only small words they are what names it.
        if !tokens.iter().all(Token::is_small) {
            tokens.retain(|token| !token.is_small());
        }
        for token in tokens {
            let is_vague = VAGUE_WORDS.contains(&token.word.as_str());
            let weight = if is_vague { Weight::Light } else { weight };
            self.insert(&token.word, weight, words);
        }
    }

    fn describe(&mut self, description: &str, words: &mut BTreeMap<usize, Weight>) {
        let first = description.split(['.', ';', '(']).next().unwrap_or_default();
        for token in lexicon::tokens(first) {
            let is_long = token.word.chars().count() >= DESCRIPTION_LETTERS_MIN;
            if is_long && !DESCRIBING_WORDS.contains(&token.word.as_str()) {
                self.insert(&token.word, Weight::Light, words);
            }
        }
    }

    fn insert(&mut self, word: &str, weight: Weight, words: &mut BTreeMap<usize, Weight>) {
        let next = self.words.len();
        let index = *self.words.entry(stem(word)).or_insert(next);
        let known = words.entry(index).or_insert(weight);
        *known = (*known).max(weight);
    }
}

/// The currencies of a name that says nothing else of an amount.
fn currencies(name: &str) -> &'static [&'static str] {
    let mut words = concept::words(name);
    words.retain(|word| word != "in" && !VAGUE_WORDS.contains(&word.as_str()));
    match &words[..] {
        [word] => currency::named(word),
        _ => &[],
    }
}

/// A pointer without the indexes of items.
fn path(pointer: &str) -> String {
    let is_name = |token: &&str| !token.bytes().all(|c| c.is_ascii_digit());
    pointer.split('/').skip(1).filter(is_name).flat_map(|name| ["/", name]).collect()
}

/// The concept that a property is tied to: as it says itself, by its name, by its title or by what
/// its description begins with.
fn tied(node: &Node<'_>, property: Property<'_>) -> Option<Concept> {
    let said = node.own("concept").and_then(Value::as_str).and_then(Concept::named);
    let description = node.text("description").unwrap_or_default();
    let first = description.split(['.', ',', ';', '(', ':']).next().unwrap_or_default();
    let named = |text: &str| {
        let text = text.split('(').next().unwrap_or_default();
        printed_as(&concept::words(text).join(" "), property.is_item)
    };
    let concept = said
        .or_else(|| Concept::of(property))
        .or_else(|| named(property.name).filter(|_| !is_vague(property.name)))
        .or_else(|| node.text("title").and_then(named))
        .or_else(|| named(first))?;
    let is_of_buyer = concept == Concept::VatId && speaks_of_buyer(description);
    Some(if is_of_buyer { Concept::BuyerVatId } else { concept })
}

/// Whether a name tells nothing by itself, such as `value`.
fn is_vague(name: &str) -> bool {
    concept::words(name).iter().all(|word| VAGUE_WORDS.contains(&word.as_str()))
}

/// The one concept that documents print under this name.
fn printed_as(name: &str, is_item: bool) -> Option<Concept> {
    let name = lexicon::whole(name)?;
    let senses = name.senses(None).filter(|sense| !sense.is_weak);
    let mut concepts: Vec<_> = senses.map(|sense| sense.concept).collect();
    let is_there = concepts.iter().any(|concept| concept.is_of_item() == is_item);
    concepts.retain(|concept| !is_there || concept.is_of_item() == is_item);
    concepts.dedup();
    match concepts[..] {
        [concept] => Some(concept),
        _ => None,
    }
}

fn speaks_of_buyer(description: &str) -> bool {
    let tokens = lexicon::tokens(description);
    let names = lexicon::names(&tokens);
    let speaks = |concept| {
        names.iter().any(|(_, name)| name.senses(Some("en")).any(|sense| sense.concept == concept))
    };
    (speaks(Concept::BuyerName) || speaks(Concept::BuyerVatId)) && !speaks(Concept::SellerName)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_property_is_tied_by_what_it_says_its_name_or_its_description() {
        let properties = json!({
            "a": { "x-sluice": { "concept": "due" } },
            "b": { "description": "Invoice number, as printed." },
            "c": { "title": "Delivery date" },
            "Menge (Stück)": {},
            "vat": { "type": "string", "description": "x", "x-sluice": { "concept": "vat_id" } },
            "vat_id": { "description": "VAT number of the customer" },
            "value": {},
            "vessel_name": { "description": "The ship." },
        });
        let body = json!({ "type": "object", "properties": properties });
        let pointers: Vec<_> =
            body["properties"].as_object().unwrap().keys().map(|key| format!("/{key}")).collect();
        let meanings = Meanings::new(&body, pointers.iter().map(String::as_str));
        let concepts: Vec<_> = pointers.iter().map(|p| meanings.at(p).concept).collect();
        let expected = [
            Some(Concept::Due),
            Some(Concept::InvoiceNumber),
            Some(Concept::Delivery),
            Some(Concept::Quantity),
            Some(Concept::VatId),
            Some(Concept::BuyerVatId),
            None,
            None,
        ];
        assert_eq!(concepts, expected);
        let vessel = meanings.at("/vessel_name");
        let weight = |word: &str| vessel.words.get(meanings.words.get(word)?).copied();
        let weights = [weight("vessel"), weight("name"), weight("ship")];
        assert_eq!(weights, [Some(Weight::Heavy), Some(Weight::Light), Some(Weight::Light)]);
    }
}
