//! How much each worker has told a book, so that what is told twice counts once: whoever writes
//! and gets no answer cannot know whether it was written.
//!
//! It must know nothing of what is told.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nothing is told again so long after.
const KEPT_MS: f64 = 120_000.0;

/// How much one worker has told, and when it last did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::pool) struct Told {
    /// Of how calls ended, all before this one.
    pub(in crate::pool) events: u64,
    /// Of what it sent without asking, all before this one.
    pub(in crate::pool) sent: u64,
    pub(in crate::pool) at: f64,
}

/// All that told something lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tellers(BTreeMap<u64, Told>);

impl Tellers {
    pub(super) fn of(&self, writer: u64) -> Told {
        self.0.get(&writer).copied().unwrap_or_default()
    }

    pub(super) fn tell(&mut self, writer: u64, told: Told) {
        self.0.insert(writer, told);
        self.0.retain(|_, other| other.at + KEPT_MS > told.at);
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.0.values_mut().for_each(|told| told.at += by_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_long_ago_is_forgotten() {
        let told = |events, at| Told { events, sent: 0, at };
        let mut tellers = Tellers::default();
        tellers.tell(1, told(5, 0.0));
        tellers.tell(2, told(7, KEPT_MS - 1.0));
        assert_eq!((tellers.of(1).events, tellers.of(2).events, tellers.of(3).events), (5, 7, 0));
        tellers.tell(2, told(8, KEPT_MS));
        assert_eq!((tellers.of(1).events, tellers.of(2).events), (0, 8));
        let text = serde_json::to_string(&tellers).unwrap();
        assert_eq!(serde_json::from_str::<Tellers>(&text).unwrap(), tellers);
    }
}
