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

/// The largest room that is asked for where the model has not named its maximum: no model is known
/// that answers with more.
const ROOM_MAX: u32 = 131_072;

/// An answer that was cut off gets so many times the room, and so many times where the model still
/// thought: how much thinking is left cannot be seen, and each round is paid.
const LARGER: u32 = 2;
const LARGER_THINKING: u32 = 4;

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
    /// times the largest of the last answers. At least `tokens_first` until enough was seen, and for
    /// a question that is longer than all that was seen.
    pub fn room(&self, characters: u64, tokens_first: u32) -> u32 {
        let largest = self.seen.iter().map(|(_, output)| *output).max().unwrap_or_default();
        let room = (largest as f64 * MARGIN) as u64;
        let room = room.div_ceil(STEP).max(1).saturating_mul(STEP);
        let room = u32::try_from(room).unwrap_or(u32::MAX).min(ROOM_MAX.max(tokens_first));
        let longest = self.seen.iter().map(|(characters, _)| *characters).max();
        if self.seen.len() < SEEN_MIN || longest.is_none_or(|longest| characters > longest) {
            return room.max(tokens_first);
        }
        room
    }
}

/// The room for a question whose answer was cut off in this room, `rounds` larger rooms after the
/// first; none where there is no larger one. A model that only answers gets one larger room, one that
/// still thought gets them up to `tokens_max`, the maximum that it has named.
pub fn larger(
    room: u32,
    is_thinking: bool,
    rounds: u32,
    tokens_first: u32,
    tokens_max: Option<u32>,
) -> Option<u32> {
    let times = if is_thinking { LARGER_THINKING } else { LARGER };
    let most = tokens_max.unwrap_or_else(|| ROOM_MAX.max(tokens_first.saturating_mul(LARGER)));
    // What was learned was too little: then there is all the room that a first answer may have.
    let next = room.saturating_mul(times).max(tokens_first).min(most);
    (next > room && (is_thinking || rounds == 0)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_that_was_cut_off_is_enough_to_learn_from() {
        let mut sizes = Sizes::default();
        sizes.learn(1000, 4096, true);
        assert_eq!(sizes.room(1000, 4096), 12_288);
        sizes.learn(1000, 12_050, false);
        assert_eq!(sizes.room(2000, 4096), 18_176);
        sizes.learn(1000, 120_000, true);
        assert_eq!(sizes.room(1000, 4096), ROOM_MAX);
    }

    #[test]
    fn who_still_thinks_gets_the_next_larger_room() {
        let thinking = |room, rounds, max| larger(room, true, rounds, 4096, max);
        assert_eq!(thinking(4096, 0, None), Some(16_384));
        assert_eq!(thinking(16_384, 1, Some(32_768)), Some(32_768));
        assert_eq!(thinking(32_768, 2, Some(32_768)), None);
        assert_eq!(thinking(65_536, 2, None), Some(ROOM_MAX));
        assert_eq!(thinking(ROOM_MAX, 3, None), None);
        assert_eq!(thinking(256, 0, None), Some(4096));
        // The pool sent no more than the maximum, whatever it was asked for.
        assert_eq!(thinking(16_384, 1, Some(8192)), None);
        let answering = |room, rounds| larger(room, false, rounds, 4096, None);
        assert_eq!((answering(4096, 0), answering(8192, 1)), (Some(8192), None));
        assert_eq!(larger(100_000, false, 0, 100_000, None), Some(200_000));
    }

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
        assert_eq!(
            sizes.room(1000, 200),
            256,
            "what answers take counts more than what is configured"
        );
        sizes.learn(1000, 256, true);
        assert_eq!(sizes.room(1000, 4096), 768, "a cut answer counts double");
        for _ in 0..SEEN_MAX {
            sizes.learn(1000, 10, false);
        }
        assert_eq!(sizes.room(1000, 4096), 128, "what is old is forgotten");
        assert_eq!(sizes.seen.len(), SEEN_MAX);
    }
}
