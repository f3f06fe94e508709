//! What the questions of each schema are like: the tokens that they really have, for those that
//! providers count at admission.
//!
//! It must know nothing of deployments: models of one family count alike.

use std::collections::HashMap;

/// Before an answer has told: 2.5 characters a token, where 4 are counted.
const START: f64 = 1.6;
/// The weight of the newest.
const WEIGHT: f64 = 0.1;
/// Of more schemas nothing is learned.
const SCHEMAS_MAX: usize = 1_000;

/// What was learned so far.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCounts(HashMap<String, f64>);

impl TokenCounts {
    /// The tokens for each that is counted.
    pub(super) fn real(&self, schema: &str) -> f64 {
        self.0.get(schema).copied().unwrap_or(START)
    }

    /// A question of this schema for which so many were counted had so many.
    pub(super) fn learn(&mut self, schema: &str, counted: f64, had: f64) {
        if had <= 0.0 || counted < 1.0 {
            return;
        }
        let newest = (had / counted).clamp(0.1, 10.0);
        let has_room = self.0.len() < SCHEMAS_MAX;
        match self.0.get_mut(schema) {
            Some(real) => *real += WEIGHT * (newest - *real),
            None if has_room => {
                self.0.insert(schema.to_owned(), newest);
            }
            None => {}
        }
    }
}
