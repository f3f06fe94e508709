//! How many tokens the questions and answers of one schema take, learned from what providers have
//! counted.
//!
//! Providers that charge `max_tokens` at admission charge the room, not the answer: a room of the
//! right size is quota. It must know nothing of where the counts come from.

use std::collections::VecDeque;

/// Characters for one token before anything was counted (measured with o200k on invoices).
const CHARACTERS_PER_TOKEN: f64 = 2.5;

/// How much a new count moves what was learned.
const WEIGHT: f64 = 0.05;

/// So many answers say what to expect; fewer say nothing.
const SEEN_MIN: usize = 20;

/// Older answers are forgotten. The largest of so many is above the 99th percentile.
const SEEN_MAX: usize = 200;

/// The room for an answer, by the largest one seen.
const MARGIN: f64 = 1.5;

/// Rooms are multiples of this.
const STEP: u64 = 128;

/// What was counted for one schema.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Characters of the question, tokens of the answer.
    seen: VecDeque<(u64, u64)>,
    characters_per_token: f64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { seen: VecDeque::new(), characters_per_token: CHARACTERS_PER_TOKEN }
    }
}

impl Sizes {
    /// Learns from an answer: the characters of its question, and the tokens of both as the
    /// provider counted them. One that was cut off needed more than was counted: double is taken.
    pub fn learn(&mut self, characters: u64, tokens: (u64, u64), was_cut: bool) {
        let (tokens_input, tokens_output) = tokens;
        let output = if was_cut { tokens_output.saturating_mul(2) } else { tokens_output };
        self.seen.push_back((characters, output));
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
        }
        if characters > 0 && tokens_input > 0 {
            let ratio = (characters as f64 / tokens_input as f64).clamp(0.2, 20.0);
            self.characters_per_token += WEIGHT * (ratio - self.characters_per_token);
        }
    }

    /// The room for the answer to a question of so many characters: enough for one and a half
    /// times the largest of the last answers, at most `tokens_max`. All of it until enough was
    /// seen, and for a question that is longer than all that was seen.
    pub fn room(&self, characters: u64, tokens_max: u32) -> u32 {
        let longest = self.seen.iter().map(|(characters, _)| *characters).max();
        if self.seen.len() < SEEN_MIN || longest.is_none_or(|longest| characters > longest) {
            return tokens_max;
        }
        let largest = self.seen.iter().map(|(_, output)| *output).max().unwrap_or_default();
        let room = (largest as f64 * MARGIN) as u64;
        let room = room.div_ceil(STEP).max(1).saturating_mul(STEP);
        u32::try_from(room).unwrap_or(u32::MAX).min(tokens_max)
    }

    /// The tokens that a question of so many characters takes.
    pub fn tokens_input(&self, characters: u64) -> u64 {
        (characters as f64 / self.characters_per_token).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_follows_the_largest_answer_and_gives_long_questions_all_of_it() {
        let mut sizes = Sizes::default();
        for number in 0..SEEN_MIN as u64 {
            assert_eq!(sizes.room(100, 4096), 4096, "after {number} answers");
            sizes.learn(1000 + number, (500, 100 + number), false);
        }
        // 1.5 x 119 in steps of 128.
        assert_eq!(sizes.room(1000, 4096), 256);
        assert_eq!(sizes.room(1019, 4096), 256);
        assert_eq!(sizes.room(1020, 4096), 4096, "longer than any");
        assert_eq!(sizes.room(1000, 200), 200, "never more than allowed");
        sizes.learn(1000, (500, 256), true);
        assert_eq!(sizes.room(1000, 4096), 768, "a cut answer counts double");
        for _ in 0..SEEN_MAX {
            sizes.learn(1000, (500, 10), false);
        }
        assert_eq!(sizes.room(1000, 4096), 128, "what is old is forgotten");
        assert_eq!(sizes.seen.len(), SEEN_MAX);
    }

    #[test]
    fn characters_per_token_are_learned() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.tokens_input(1000), 400);
        for _ in 0..200 {
            sizes.learn(4000, (1000, 10), false);
        }
        assert_eq!(sizes.tokens_input(4000), 1001);
        sizes.learn(0, (0, 0), false);
        sizes.learn(u64::MAX, (1, u64::MAX), true);
        assert!(sizes.tokens_input(1000) > 0);
    }
}
