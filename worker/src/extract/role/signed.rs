//! Figures that are named by the sign of a currency, where a property is called by the currency.
//!
//! It must know nothing of labels.

use super::{Role, Roles, Verdicts};
use crate::extract::{
    concept::Kind,
    currency::{self, SignPlace},
    document_text::Place,
    meaning::Meaning,
};
use std::{collections::BTreeSet, ops::Range};

impl Roles<'_> {
    /// The sign of a currency beside a figure names it where its property is called by the currency,
    /// and no other figure has that sign.
    pub(super) fn beside_currencies(&self, verdicts: &mut Verdicts) {
        let of = |meaning: &Meaning, place: &Place| {
            let mut codes = meaning.currencies.iter();
            codes.find_map(|code| self.sign_beside(code, place))
        };
        let open = verdicts.values_mut().filter(|v| v.kind == Kind::Figure && v.is_open());
        for verdict in open.filter(|verdict| !verdict.meaning.currencies.is_empty()) {
            let all = self.text.numbers.all();
            let signed =
                all.filter(|reading| of(&verdict.meaning, &self.text.place_of(reading)).is_some());
            let amounts: BTreeSet<_> = signed.map(|reading| &reading.value).collect();
            let named = verdict.places.iter().find_map(|place| of(&verdict.meaning, place));
            if named.is_some() && amounts.len() == 1 {
                (verdict.role, verdict.label) = (Role::Likely, named);
            }
        }
    }

    /// The sign of a currency beside a figure, with its page.
    fn sign_beside(&self, code: &str, place: &Place) -> Option<(usize, Range<usize>)> {
        let piece = place.pieces.first()?;
        let page = &self.text.pages().get(place.page)?.text;
        let line = self.text.line(place.page, self.text.row(place.page, piece.start));
        let before = page.get(line.start..piece.start)?;
        let after = page.get(piece.end..line.end)?;
        let sign = match currency::beside(before, after, code)? {
            SignPlace::Before(sign) => line.start + sign.start..line.start + sign.end,
            SignPlace::Behind(sign) => piece.end + sign.start..piece.end + sign.end,
        };
        Some((place.page, sign))
    }
}
