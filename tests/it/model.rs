//! The protocol of one document and one result, looked at in every order in which things can
//! happen within small bounds. `docs/protocol.md` says what that proves and what it does not.

mod state;
mod rules;
mod next;
mod world;
mod work;
mod search;

use rules::{Acknowledge, Rules};
use search::{NO_WAY_OUT, NOBODY_COMES, RESULT_CHANGED, search};
use state::{Budget, State, Upload};
use std::time::Instant;
use work::{
    ASKED_AGAIN, CAP_PASSED, FAILED_WITH_REPLY, GIVEN_UP_UNASKED, GIVEN_UP_UNPAID,
    PAID_WITHOUT_REASON, STALE_WRITE,
};

const QUIET: Budget = Budget {
    crashes: 0,
    lapses: 0,
    doubles: 0,
    losses: 0,
    unbilled: 0,
    unknown: 0,
    voids: 0,
    hedges: 0,
    stops: 0,
    cancels: 0,
    retries: 0,
};

/// The start: so many documents are about to be uploaded, and so much may go wrong.
fn world(documents: usize, left: Budget) -> State {
    let mut state = State { left, ..State::default() };
    for row in state.documents.iter_mut().take(documents) {
        row.upload = Upload::Coming;
    }
    state
}

/// Nothing goes wrong with these rules.
fn holds(name: &str, documents: usize, left: Budget, rules: Rules) {
    let begun = Instant::now();
    let found = search(world(documents, left), &rules);
    eprintln!("{name}: {} states, {} steps, {:.1?}", found.states, found.steps, begun.elapsed());
    if let Some((property, trace)) = found.broken {
        panic!("{name}: {property}:\n  {}", trace.join("\n  "));
    }
}

/// Something goes wrong with these rules, and the search sees it.
fn breaks(name: &str, property: &str, documents: usize, left: Budget, rules: Rules) {
    let found = search(world(documents, left), &rules);
    let Some((broken, trace)) = found.broken else {
        panic!("{name}: {} states and nothing is wrong, but {property:?} should be", found.states);
    };
    let shown = trace.join("\n  ");
    eprintln!("{name}: {broken} ({} states)\n  {shown}", found.states);
    assert_eq!(broken, property, "{name}:\n  {shown}");
}

#[test]
fn one_document_through_every_misfortune() {
    let left =
        Budget { crashes: 2, lapses: 1, doubles: 1, losses: 1, unbilled: 1, unknown: 1, ..QUIET };
    holds("one document", 1, left, Rules::SLUICE);
}

#[test]
fn one_document_is_cancelled_stopped_and_retried() {
    let left = Budget { crashes: 1, unknown: 2, cancels: 1, retries: 1, ..QUIET };
    holds("one document and its user", 1, left, Rules::SLUICE);
    let left = Budget { crashes: 2, stops: 1, ..QUIET };
    holds("two attempts", 1, left, Rules { attempts_max: 2, ..Rules::SLUICE });
}

#[test]
fn two_documents_with_the_same_bytes() {
    let paid_once = Budget { doubles: 1, losses: 1, unbilled: 1, ..QUIET };
    holds("same bytes, a bad queue", 2, paid_once, Rules::SLUICE);
    let left = Budget { crashes: 2, lapses: 1, ..QUIET };
    holds("same bytes, deaths", 2, left, Rules::SLUICE);
    let left = Budget { lapses: 1, unbilled: 1, unknown: 1, ..QUIET };
    holds("same bytes, failing calls", 2, left, Rules::SLUICE);
    let left = Budget { unbilled: 1, unknown: 1, cancels: 1, retries: 1, ..QUIET };
    holds("same bytes and a user", 2, left, Rules { calls_max: 1, ..Rules::SLUICE });
}

#[test]
fn two_documents_with_bytes_of_their_own() {
    let left = Budget { crashes: 1, doubles: 1, ..QUIET };
    holds("other bytes", 2, left, Rules { same_bytes: false, ..Rules::SLUICE });
}

#[test]
fn a_late_call_is_made_a_second_time() {
    let left = Budget { crashes: 1, lapses: 1, unbilled: 1, unknown: 1, hedges: 1, ..QUIET };
    holds("a second call", 1, left, Rules { calls_max: 3, ..Rules::SLUICE });
    let left = Budget { crashes: 1, hedges: 1, retries: 1, unknown: 1, ..QUIET };
    holds("a second call and a user", 1, left, Rules::SLUICE);
    let left = Budget { crashes: 1, hedges: 1, ..QUIET };
    holds("same bytes, a second call", 2, left, Rules::SLUICE);
}

#[test]
fn a_reservation_comes_to_nothing_after_the_intent() {
    let left = Budget { crashes: 1, lapses: 1, unbilled: 1, voids: 2, ..QUIET };
    holds("void reservations", 1, left, Rules::SLUICE);
    holds("void reservations, capped", 1, left, Rules { calls_max: 1, ..Rules::SLUICE });
    let left = Budget { crashes: 1, voids: 1, ..QUIET };
    holds("same bytes, a void reservation", 2, left, Rules::SLUICE);
}

#[test]
fn it_matters_that_a_void_reservation_gives_its_call_back() {
    let rules = Rules { void_gives_back: false, ..Rules::SLUICE };
    let left = Budget { voids: 2, ..QUIET };
    breaks("void reservations count", GIVEN_UP_UNPAID, 1, left, rules);
}

#[test]
fn it_matters_that_a_second_call_is_written_down() {
    let left = Budget { hedges: 1, ..QUIET };
    let rules = Rules { hedge_in_ledger: false, calls_max: 1, ..Rules::SLUICE };
    breaks("a second call beside the ledger", CAP_PASSED, 1, left, rules);
}

#[test]
fn it_matters_to_acknowledge_after_the_claim() {
    let rules = Rules { acknowledge: Acknowledge::OnDelivery, ..Rules::SLUICE };
    let left = Budget { crashes: 1, ..QUIET };
    breaks("acknowledged on delivery", NOBODY_COMES, 1, left, rules);
    // The lease brings somebody back, not the message: after the claim it is not needed any more.
    let rules = Rules { acknowledge: Acknowledge::OnClaim, ..Rules::SLUICE };
    let left = Budget { crashes: 2, lapses: 1, doubles: 1, ..QUIET };
    holds("acknowledged on claim", 1, left, rules);
}

#[test]
fn it_matters_that_the_sweep_rings_for_leases() {
    let left = Budget { crashes: 1, ..QUIET };
    let rules = Rules { sweep: false, acknowledge: Acknowledge::OnClaim, ..Rules::SLUICE };
    breaks("no sweep", NO_WAY_OUT, 1, left, rules);
    // Nor does the message help that comes again: it may come while the lease is still live.
    let rules = Rules { sweep: false, ..Rules::SLUICE };
    breaks("no sweep, acknowledged last", NO_WAY_OUT, 1, left, rules);
}

#[test]
fn it_matters_that_an_end_asks_for_the_fence() {
    let rules = Rules { fence_on_end: false, ..Rules::SLUICE };
    let left = Budget { lapses: 1, stops: 1, ..QUIET };
    breaks("no fence on release", STALE_WRITE, 1, left, rules);
    let left = Budget { lapses: 1, unknown: 2, ..QUIET };
    breaks("no fence on fail", STALE_WRITE, 1, left, rules);
}

#[test]
fn it_matters_to_look_before_and_after_the_intent() {
    let left = Budget { crashes: 1, ..QUIET };
    let rules = Rules { look_after: false, ..Rules::SLUICE };
    breaks("looks only before", ASKED_AGAIN, 2, left, rules);
    let capped = Rules { calls_max: 1, ..rules };
    breaks("looks only before, capped", FAILED_WITH_REPLY, 2, left, capped);
    let rules = Rules { look_before: false, look_after: false, ..Rules::SLUICE };
    breaks("never looks", ASKED_AGAIN, 1, left, rules);
}

#[test]
fn it_matters_that_a_result_is_put_once() {
    let rules = Rules { result_once: false, ..Rules::SLUICE };
    let left = Budget { lapses: 1, ..QUIET };
    breaks("result overwritten", RESULT_CHANGED, 1, left, rules);
}

#[test]
fn it_matters_that_a_reply_is_put_once() {
    let rules = Rules { reply_once: false, result_once: false, ..Rules::SLUICE };
    let left = Budget { lapses: 1, ..QUIET };
    breaks("reply overwritten", RESULT_CHANGED, 1, left, rules);
}

#[test]
fn it_matters_to_count_per_question() {
    let rules = Rules { ledger_per_question: false, ..Rules::SLUICE };
    breaks("counted per document", PAID_WITHOUT_REASON, 2, QUIET, rules);
}

#[test]
fn it_matters_that_the_intent_asks_for_a_live_lease() {
    let rules = Rules { lease_on_intent: false, ..Rules::SLUICE };
    let left = Budget { lapses: 1, ..QUIET };
    breaks("intent without lease", PAID_WITHOUT_REASON, 2, left, rules);
}

#[test]
fn it_matters_to_publish_from_an_outbox() {
    let rules = Rules { outbox: false, ..Rules::SLUICE };
    let left = Budget { crashes: 1, ..QUIET };
    breaks("no outbox", NOBODY_COMES, 1, left, rules);
}

#[test]
fn it_matters_who_frees_a_question() {
    let rules = Rules { owner_frees: false, ..Rules::SLUICE };
    let left = Budget { lapses: 1, unbilled: 1, ..QUIET };
    breaks("any unbilled call frees", PAID_WITHOUT_REASON, 2, left, rules);
    let (left, rules) =
        (Budget { lapses: 1, unknown: 1, ..QUIET }, Rules { calls_max: 3, ..rules });
    breaks("any call of the document frees", PAID_WITHOUT_REASON, 2, left, rules);
}

#[test]
fn it_matters_that_what_is_forgiven_is_not_given_back() {
    let rules = Rules { retry_closes: false, calls_max: 1, ..Rules::SLUICE };
    let left = Budget { unbilled: 1, unknown: 1, cancels: 1, retries: 1, ..QUIET };
    breaks("given back twice", CAP_PASSED, 2, left, rules);
}

#[test]
fn it_matters_that_an_upload_allows_calls_anew() {
    let rules = Rules { upload_allows: false, calls_max: 1, ..Rules::SLUICE };
    let left = Budget { unknown: 1, ..QUIET };
    breaks("an upload allows nothing", GIVEN_UP_UNASKED, 2, left, rules);
}
