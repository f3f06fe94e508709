//! What the members of a fleet have learned of the dialects of deployments.
//!
//! It must know nothing of what a dialect says.

use crate::typed::dialect::Dialect;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most dialects that are remembered.
const DIALECTS_MAX: usize = 256;

/// What is known of each deployment's dialect, by address and configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Dialects(BTreeMap<String, Dialect>);

impl Dialects {
    /// Adds what a member has learned. False where all of it was known.
    pub(crate) fn adopt(&mut self, key: &str, dialect: &Dialect) -> bool {
        if *dialect == Dialect::default() {
            return false;
        }
        if self.0.len() >= DIALECTS_MAX && !self.0.contains_key(key) {
            // Most are of earlier configurations; what counts is learned again.
            self.0.clear();
        }
        self.0.entry(key.to_owned()).or_default().adopt(dialect)
    }

    /// What all members know.
    pub(crate) fn get(&self, key: &str) -> Option<&Dialect> {
        self.0.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::dialect::Part;

    #[test]
    fn what_one_has_learned_all_know() {
        let refuses = |part| Dialect { refuses: [part].into(), ..Dialect::default() };
        let mut dialects = Dialects::default();
        assert!(!dialects.adopt("a", &Dialect::default()));
        assert!(dialects.adopt("a", &refuses(Part::Temperature)));
        assert!(!dialects.adopt("a", &refuses(Part::Temperature)), "it is known");
        assert!(dialects.adopt("a", &refuses(Part::MaxTokens)));
        assert_eq!(dialects.get("a").unwrap().names(), ["max_tokens", "temperature"]);
        assert_eq!(dialects.get("b"), None, "another configuration learns anew");
        for number in 0..DIALECTS_MAX {
            dialects.adopt(&number.to_string(), &refuses(Part::Strict));
        }
        assert!(dialects.0.len() <= DIALECTS_MAX);
    }
}
