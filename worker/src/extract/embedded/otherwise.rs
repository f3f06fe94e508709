//! What is printed in place of values of an invoice that are not.
//!
//! An amount, a day or an account that is printed and belongs to nothing that the invoice says stands for
//! something that it says otherwise. It must know nothing of statuses.

use crate::extract::{
    document_text::{DocumentText, Place},
    number::Decimal,
    reading::{Grade, PageReading},
};
use jiff::civil::Date;
use regex::Regex;
use rust_decimal::Decimal as Amount;
use serde_json::{Number, Value};
use shared::extraction::{Candidate, EInvoice, Field, Term, Terms};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// A number with cents.
static CENTS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[.,]\d{2}-?$").ok());

/// What looks like an IBAN, in one piece or in groups of four.
static ACCOUNT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b").ok()
});

/// Kinds of values that are told from all others by how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Printable {
    /// A sum of the whole.
    Amount,
    /// A day of the whole.
    Day,
    /// An IBAN.
    Account,
}

impl Printable {
    /// The kind of a term.
    pub(super) fn of(term: Term) -> Option<Self> {
        match term {
            Term::Net | Term::Tax | Term::Gross | Term::Paid | Term::Due | Term::LineTotal => {
                Some(Self::Amount)
            }
            Term::IssueDate | Term::DueDate | Term::DeliveryDate => Some(Self::Day),
            Term::Iban => Some(Self::Account),
            _ => None,
        }
    }
}

/// What is printed of each kind and is nothing that the invoice says, in the order of the values; no more
/// than [`Field::CANDIDATES_MAX`] and one.
pub(super) struct Otherwise {
    amounts: Vec<Candidate>,
    days: Vec<Candidate>,
    accounts: Vec<Candidate>,
}

impl Otherwise {
    pub(super) fn new(invoice: &EInvoice, text: &DocumentText<'_>) -> Self {
        let groups = [&invoice.header].into_iter().chain(invoice.parties.values());
        let groups = groups.chain(&invoice.lines).chain(&invoice.taxes);
        let said: BTreeSet<&str> = groups.flat_map(Terms::values).map(String::as_str).collect();
        Self {
            amounts: amounts(&said, text),
            days: days(&said, text),
            accounts: accounts(&said, text),
        }
    }

    /// What is printed in place of each of some values of one kind, where there are as many: the least
    /// stands for the least.
    pub(super) fn instead(&self, kind: Printable, values: &[&Value]) -> Vec<Option<&Candidate>> {
        let printed = self.all(kind);
        let mut order: Vec<_> = values.iter().map(|value| key(value)).collect();
        order.sort();
        order.dedup();
        let rank = |value: &Value| order.iter().position(|known| *known == key(value));
        let is_same = order.len() == printed.len();
        let instead =
            |value: &&Value| rank(value).filter(|_| is_same).and_then(|at| printed.get(at));
        values.iter().map(instead).collect()
    }

    /// All that is printed of a kind and is nothing that the invoice says.
    pub(super) fn all(&self, kind: Printable) -> &[Candidate] {
        match kind {
            Printable::Amount => &self.amounts,
            Printable::Day => &self.days,
            Printable::Account => &self.accounts,
        }
    }
}

/// By what values are in order: numbers by their value, everything else by its letters.
fn key(value: &Value) -> (Option<Amount>, String) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.parse() {
        Ok(amount) => (Some(amount), String::new()),
        Err(_) => (None, text),
    }
}

fn amounts(said: &BTreeSet<&str>, text: &DocumentText<'_>) -> Vec<Candidate> {
    let said: BTreeSet<_> = said.iter().filter_map(|value| Decimal::parse(value)).collect();
    let is_said = |value: &Decimal| said.contains(value) || said.contains(&value.negated());
    // `19.00 %` is a number and a hundredth of it.
    let is_any_said = |number: &PageReading<Decimal>| {
        is_said(&number.value) || text.numbers.others(number).any(|other| is_said(&other.value))
    };
    let numbers = text.numbers.all();
    let odd = numbers.filter(|number| number.grade == Grade::Certain && !is_any_said(number));
    let odd = odd.map(|number| (&number.value, text.place_of(number)));
    let odd = odd.filter(|(_, place)| {
        let quote = text.evidence(place).map(|evidence| evidence.quote).unwrap_or_default();
        CENTS.as_ref().is_some_and(|cents| cents.is_match(&quote))
    });
    let odd: Vec<(Amount, _)> =
        odd.filter_map(|(value, place)| Some((value.as_str().parse().ok()?, place))).collect();
    candidates(text, odd.iter().map(|(value, place)| (value, place.clone())), |value| {
        let text = value.normalize().to_string();
        text.parse::<Number>().map_or_else(|_| text.as_str().into(), Value::Number)
    })
}

fn days(said: &BTreeSet<&str>, text: &DocumentText<'_>) -> Vec<Candidate> {
    let said: BTreeSet<Date> = said.iter().filter_map(|value| value.parse().ok()).collect();
    let days = text.dates.all();
    let odd = days.filter(|day| day.grade == Grade::Certain && !said.contains(&day.value));
    candidates(text, odd.map(|day| (&day.value, text.place_of(day))), |day| day.to_string().into())
}

fn accounts(said: &BTreeSet<&str>, text: &DocumentText<'_>) -> Vec<Candidate> {
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    let said: BTreeSet<String> = said.iter().map(|value| plain(value)).collect();
    let pages = text.pages().iter().enumerate();
    let found = pages.flat_map(|(page, text)| {
        let found = ACCOUNT.iter().flat_map(|account| account.find_iter(&text.text));
        found.map(move |found| (page, found))
    });
    let found: Vec<_> = found
        .map(|(page, found)| (plain(found.as_str()), text.place(page, vec![found.range()])))
        .collect();
    let odd = found.iter().filter(|(account, _)| !said.contains(account));
    candidates(text, odd.map(|(account, place)| (account, place.clone())), |account| {
        account.as_str().into()
    })
}

/// Each value once, with its first place, in the order of the values.
fn candidates<'a, T: Ord + 'a>(
    text: &DocumentText<'_>,
    found: impl Iterator<Item = (&'a T, Place)>,
    json: impl Fn(&T) -> Value,
) -> Vec<Candidate> {
    let mut places: BTreeMap<&T, Place> = BTreeMap::new();
    for (value, place) in found {
        if places.len() > Field::CANDIDATES_MAX {
            break;
        }
        places.entry(value).or_insert(place);
    }
    let candidate = |(value, place): (&T, Place)| Candidate {
        value: json(value),
        evidence: text.evidence(&place),
    };
    places.into_iter().map(candidate).collect()
}
