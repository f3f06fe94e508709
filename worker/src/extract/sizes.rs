//! How many tokens the answers of one schema take, learned from what providers have counted.
//!
//! Providers that charge `max_tokens` at admission charge the room, not the answer: a room of the
//! right size is quota. It must know nothing of where the counts come from.

use std::collections::VecDeque;

/// So many answers say what to expect; fewer say nothing.
const SEEN_MIN: usize = 20;

/// Older answers are forgotten. The largest of so many is above the 99th percentile.
const SEEN_MAX: usize = 200;

/// The room for an answer, by the largest one seen.
const MARGIN: f64 = 1.5;

/// Rooms are multiples of this.
const STEP: u64 = 128;

/// What was counted for one schema.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// Characters of the question, tokens of the answer.
    seen: VecDeque<(u64, u64)>,
}

impl Sizes {
    /// Learns from an answer: the characters of its question, and its tokens as the provider
    /// counted them. One that was cut off needed more than was counted: double is taken.
    pub fn learn(&mut self, characters: u64, tokens_output: u64, was_cut: bool) {
        let output = if was_cut { tokens_output.saturating_mul(2) } else { tokens_output };
        self.seen.push_back((characters, output));
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_follows_the_largest_answer_and_gives_long_questions_all_of_it() {
        let mut sizes = Sizes::default();
        for number in 0..SEEN_MIN as u64 {
            assert_eq!(sizes.room(100, 4096), 4096, "after {number} answers");
            sizes.learn(1000 + number, 100 + number, false);
        }
        // 1.5 x 119 in steps of 128.
        assert_eq!(sizes.room(1000, 4096), 256);
        assert_eq!(sizes.room(1019, 4096), 256);
        assert_eq!(sizes.room(1020, 4096), 4096, "longer than any");
        assert_eq!(sizes.room(1000, 200), 200, "never more than allowed");
        sizes.learn(1000, 256, true);
        assert_eq!(sizes.room(1000, 4096), 768, "a cut answer counts double");
        for _ in 0..SEEN_MAX {
            sizes.learn(1000, 10, false);
        }
        assert_eq!(sizes.room(1000, 4096), 128, "what is old is forgotten");
        assert_eq!(sizes.seen.len(), SEEN_MAX);
    }
}
