//! How the mode of JSON output is found and kept.

use super::Ending::{Failed, Ignored, Kept, Refused, Unrelated};
use super::Mode::{JsonObject, JsonObjectSchema, JsonSchema, Prompt, Tool};
use super::*;
use proptest::prelude::*;

/// One call about a question of its own, or about the one of this number.
fn call(search: &mut Search, question: u8, expected: Mode, ending: Ending) -> Advice {
    let attempt = search.attempt(|| [question; 32]);
    assert_eq!(attempt.mode, expected, "{search:?}");
    search.ended(attempt, ending, || [question; 32])
}

#[test]
fn what_works_is_kept_whatever_comes() {
    let mut search = Search::new(None);
    assert_eq!(call(&mut search, 1, JsonSchema, Kept), Advice::Nothing);
    for (question, ending) in (2..).zip([Failed, Failed, Failed, Ignored, Unrelated]) {
        assert_eq!(call(&mut search, question, JsonSchema, ending), Advice::Nothing);
    }
    assert_eq!(call(&mut search, 9, JsonSchema, Refused), Advice::QuestionAtFault);
    assert_eq!(search.current(), JsonSchema);
}

#[test]
fn refusals_lead_through_all_modes_once_and_then_end() {
    let mut search = Search::new(None);
    for mode in [JsonSchema, Tool, JsonObjectSchema, JsonObject] {
        assert_eq!(call(&mut search, 1, mode, Refused), Advice::AskAgain);
    }
    assert_eq!(call(&mut search, 1, Prompt, Refused), Advice::NoneLeft);
    // Another question may fare better.
    assert_eq!(call(&mut search, 2, JsonSchema, Kept), Advice::Nothing);
}

#[test]
fn a_mode_that_is_ignored_gives_way_to_the_prompt() {
    let mut search = Search::new(None);
    call(&mut search, 1, JsonSchema, Refused);
    call(&mut search, 1, Tool, Ignored);
    call(&mut search, 2, JsonObject, Ignored);
    assert_eq!(search.current(), JsonObject);
    assert_eq!(call(&mut search, 3, JsonObject, Refused), Advice::QuestionAtFault);
}

#[test]
fn a_failure_in_one_mode_only_is_tried_again_once_by_another_question() {
    let mut search = Search::new(None);
    call(&mut search, 1, JsonSchema, Failed);
    call(&mut search, 1, Tool, Kept);
    // The same question never meets it twice.
    call(&mut search, 1, Tool, Kept);
    call(&mut search, 2, JsonSchema, Failed);
    for question in 2..9 {
        call(&mut search, question, Tool, Kept);
    }
}

#[test]
fn a_failure_by_chance_costs_no_mode() {
    let mut search = Search::new(None);
    call(&mut search, 1, JsonSchema, Failed);
    call(&mut search, 1, Tool, Kept);
    let trying = search.attempt(|| [2; 32]);
    assert_eq!(trying.mode, JsonSchema);
    // One call at a time finds out.
    call(&mut search, 3, Tool, Kept);
    search.ended(trying, Kept, || [2; 32]);
    call(&mut search, 4, JsonSchema, Kept);
}

#[test]
fn an_outage_is_no_mode() {
    let mut search = Search::new(None);
    for mode in [JsonSchema, Tool, JsonObjectSchema, JsonObject, Prompt, JsonSchema] {
        call(&mut search, 1, mode, Failed);
    }
    let mut search = Search::new(None);
    call(&mut search, 1, JsonSchema, Failed);
    call(&mut search, 1, Tool, Refused);
    call(&mut search, 1, JsonObjectSchema, Refused);
    call(&mut search, 1, JsonObject, Refused);
    // What was refused is not tried again, what failed is.
    assert_eq!(call(&mut search, 1, Prompt, Refused), Advice::AskAgain);
    call(&mut search, 1, JsonSchema, Kept);
}

#[test]
fn a_fixed_mode_is_the_only_one() {
    let mut search = Search::new(Some(Tool));
    for ending in [Failed, Failed, Ignored, Unrelated] {
        assert_eq!(call(&mut search, 1, Tool, ending), Advice::Nothing);
    }
    assert_eq!(call(&mut search, 1, Tool, Refused), Advice::NoneLeft);
    call(&mut search, 1, Tool, Kept);
}

/// Asks a server that behaves so in each mode, as documents would: a question is paid at most
/// twice, and asked again after a refusal.
fn search_ends(behaviour: [Ending; 5]) {
    let index = |mode| Mode::ALL.iter().position(|other| *other == mode).unwrap();
    let mut search = Search::new(None);
    let in_words = |index: usize| Mode::ALL[index].is_in_words();
    let knows = behaviour.contains(&Kept) || behaviour[3..].contains(&Ignored);
    let failing = behaviour.iter().filter(|ending| **ending == Failed).count();
    let (mut refusals, mut failures) = (0, 0);
    for question in 0..20 {
        let mut payments = 0;
        loop {
            let attempt = search.attempt(|| [question; 32]);
            let ending = behaviour[index(attempt.mode)];
            let advice = search.ended(attempt, ending, || [question; 32]);
            refusals += u32::from(advice == Advice::AskAgain);
            payments += u32::from(ending == Failed);
            if payments == 2 || !(ending == Failed || advice == Advice::AskAgain) {
                break;
            }
        }
        failures += payments;
        assert!(payments < 2 || failing > 1 || !knows, "{behaviour:?}: {search:?}");
    }
    if knows {
        assert!(refusals <= 4 && failures <= 8, "{behaviour:?}: {refusals} {failures}");
        let current = index(search.current());
        assert!(behaviour[current] == Kept || in_words(current), "{behaviour:?}: {search:?}");
    }
}

proptest! {
    #[test]
    fn every_search_ends_where_it_can(behaviour in proptest::array::uniform5(0..4usize)) {
        search_ends(behaviour.map(|index| [Kept, Ignored, Refused, Failed][index]));
    }

    #[test]
    fn refusals_are_bounded_however_calls_overlap(
        steps in proptest::collection::vec((any::<bool>(), 0..5usize, 0..8u8), 0..200),
    ) {
        let mut search = Search::new(None);
        let mut under_way = Vec::new();
        for (starts, ending, question) in steps {
            if starts || under_way.is_empty() {
                under_way.push((search.attempt(|| [question; 32]), question));
                continue;
            }
            let (attempt, question) = under_way.remove(0);
            let ending = [Kept, Ignored, Refused, Failed, Unrelated][ending];
            search.ended(attempt, ending, || [question; 32]);
            // There is always a way to go on.
            prop_assert!(Mode::ALL.contains(&search.current()));
            prop_assert!(search.burnt.len() <= BURNT_MAX);
        }
    }
}
