//! Amounts of one object that make an equation: net and tax are gross, quantity times price is the
//! amount of an item.
//!
//! It must know nothing of statuses.

use super::concept;
use crate::extract::{
    concept::Concept, document_text::DocumentText, number::Decimal as Digits, reading::Grade,
};
use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};
use shared::extraction::Candidate;

/// Amounts are rounded once or twice: sides that differ by no more than this many cents are equal.
const CENTS_APART_MAX: i64 = 2;

/// An amount that is this share away from its product is within what rounding a price makes of it.
const ROUNDING_SHARE: Decimal = Decimal::from_parts(5, 0, 0, false, 3);

/// A tax is less than this share of what is taxed.
const TAX_SHARE_MAX: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// The amounts of one object.
pub(super) struct Amounts<'a, 'b> {
    pub(super) object: &'a Map<String, Value>,
    pub(super) text: &'a DocumentText<'b>,
    /// Whether it is an item of a list: elsewhere a quantity and a total may be of different things.
    pub(super) is_item: bool,
}

/// A value of an equation that does not hold.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// The value with which it would hold, where it is printed.
    pub(super) mended: Option<Candidate>,
}

/// An equation that does not hold.
#[derive(Clone, Debug)]
pub(super) struct BrokenEquation<'a> {
    pub(super) members: Vec<Member<'a>>,
}

impl<'a> Amounts<'a, '_> {
    /// Those that do not hold. Where something else was added or taken, nothing is known.
    pub(super) fn broken(&self) -> Vec<BrokenEquation<'a>> {
        if self.is_adjusted() {
            return Vec::new();
        }
        let item = if self.is_item { self.item() } else { None };
        [self.total(), item].into_iter().flatten().collect()
    }

    /// Whether something else was added to the sum, or taken from it.
    fn is_adjusted(&self) -> bool {
        self.object.iter().any(|(name, value)| {
            Concept::Adjustment.is_part_of(name) && decimal(value).is_some_and(|d| !d.is_zero())
        })
    }

    /// The names of those that hold together. A tax that is not much less than the net amount may
    /// be the net amount, and proves nothing; nor does a product of one.
    pub(super) fn proven(&self) -> Vec<&'a str> {
        let mut proven = Vec::new();
        let sums =
            (self.amount(Concept::Net), self.amount(Concept::Tax), self.amount(Concept::Gross));
        if let (Some(net), Some(tax), Some(gross)) = sums
            && self.total().is_none()
            && !tax.1.is_zero()
            && tax.1.abs() < net.1.abs() * TAX_SHARE_MAX
        {
            proven.extend([net.0, tax.0, gross.0]);
        }
        let item = (
            self.amount(Concept::Quantity),
            self.amount(Concept::Price),
            self.amount(Concept::LineAmount),
        );
        if let (Some(quantity), Some(price), Some(amount)) = item
            && self.is_item
            && self.item().is_none()
            && quantity.1 != Decimal::ONE
            && price.1 != Decimal::ONE
        {
            proven.extend([quantity.0, price.0, amount.0]);
        }
        proven
    }

    fn amount(&self, wanted: Concept) -> Option<(&'a str, Decimal)> {
        let is_item = wanted.is_of_item();
        let is_wanted = |name: &str| concept(name, is_item) == Some(wanted);
        let mut named = self.object.iter().filter(|(name, _)| is_wanted(name));
        named.find_map(|(name, value)| Some((name.as_str(), decimal(value)?)))
    }

    /// Net and tax are gross.
    fn total(&self) -> Option<BrokenEquation<'a>> {
        let (net, tax) = (self.amount(Concept::Net)?, self.amount(Concept::Tax)?);
        let gross = self.amount(Concept::Gross)?;
        let gap = net.1.checked_add(tax.1)?.checked_sub(gross.1)?;
        if gap.abs() <= Decimal::new(CENTS_APART_MAX, 2) {
            return None;
        }
        let members = vec![
            self.member(net.0, gross.1.checked_sub(tax.1)),
            self.member(tax.0, gross.1.checked_sub(net.1)),
            self.member(gross.0, net.1.checked_add(tax.1)),
        ];
        Some(BrokenEquation { members })
    }

    /// Quantity times price is the amount, or differs by a rate that is printed.
    fn item(&self) -> Option<BrokenEquation<'a>> {
        let (quantity, price) = (self.amount(Concept::Quantity)?, self.amount(Concept::Price)?);
        let amount = self.amount(Concept::LineAmount)?;
        let product = quantity.1.checked_mul(price.1)?;
        let rounding =
            quantity.1.abs().checked_mul(ROUNDING_SHARE)? + Decimal::new(CENTS_APART_MAX, 2);
        if amount.1.checked_sub(product)?.abs() <= rounding {
            return None;
        }
        let rate = amount.1.checked_div(product)? - Decimal::ONE;
        if self.printed(rate.abs().round_dp(4)).is_some() {
            return None;
        }
        let members = vec![
            self.member(quantity.0, None),
            self.member(price.0, amount.1.checked_div(quantity.1)),
            self.member(amount.0, Some(product)),
        ];
        Some(BrokenEquation { members })
    }

    fn member(&self, name: &'a str, mended: Option<Decimal>) -> Member<'a> {
        let mended = mended.filter(|value| !value.is_zero());
        Member { name, mended: mended.and_then(|value| self.printed(value)) }
    }

    /// An amount, if it stands in the text.
    fn printed(&self, amount: Decimal) -> Option<Candidate> {
        let digits = Digits::parse(&amount.round_dp(4).normalize().to_string())?;
        let mut readings = self.text.numbers.of(&digits);
        let reading = readings.find(|reading| reading.grade == Grade::Certain)?;
        let value = digits.as_str().parse::<Number>().ok()?;
        let evidence = self.text.evidence(&self.text.place_of(reading));
        Some(Candidate { value: Value::Number(value), evidence })
    }
}

/// The number that a value is, or that its text is.
fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            text.parse().or_else(|_| Decimal::from_scientific(&text)).ok()
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}
