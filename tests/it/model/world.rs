//! What happens around the workers: uploads, the relay, the queue, time, the sweep, and users.

use super::{
    next::Next,
    rules::{Acknowledge, Rules},
    state::{COPIES_MAX, DOCUMENTS, Lease, Row, State, Step, Upload},
};

/// Everything that may happen to a document while no worker takes a step.
pub(crate) fn steps(state: &State, rules: &Rules, next: &mut Vec<Next>) {
    for document in 0..DOCUMENTS {
        upload(state, rules, document, next);
        queue(state, document, next);
        time(state, rules, document, next);
        user(state, rules, document, next);
    }
}

fn upload(state: &State, rules: &Rules, document: usize, next: &mut Vec<Next>) {
    let mut to = |what, good, change: &dyn Fn(&mut State)| {
        next.push(Next::of(state, document, what, good, change));
    };
    match state.documents[document].upload {
        Upload::Never | Upload::Over => return,
        Upload::Coming => to("the bytes are stored", true, &|s| {
            s.documents[document].upload = Upload::Stored;
        }),
        Upload::Stored => to("accepted", true, &|s| {
            let row = &mut s.documents[document];
            (row.row, row.fresh) = (Row::Queued, true);
            if rules.outbox {
                (row.upload, row.outbox) = (Upload::Over, 1);
            } else {
                row.upload = Upload::Committed;
            }
        }),
        Upload::Committed => to("published by the uploader", true, &|s| {
            s.documents[document].upload = Upload::Over;
            ring_arrives(s, document);
        }),
    }
    if state.left.crashes > 0 && state.documents[document].upload != Upload::Coming {
        to("the uploader dies", false, &|s| {
            s.left.crashes -= 1;
            let row = &mut s.documents[document];
            let accepted = row.upload == Upload::Committed;
            row.upload = if accepted { Upload::Over } else { Upload::Never };
        });
    }
}

fn queue(state: &State, document: usize, next: &mut Vec<Next>) {
    let mut to = |what, good, change: &dyn Fn(&mut State)| {
        next.push(Next::of(state, document, what, good, change));
    };
    let row = &state.documents[document];
    if row.outbox > 0 {
        to("the relay publishes", true, &|s| {
            s.documents[document].outbox -= 1;
            ring_arrives(s, document);
        });
        if state.left.doubles > 0 && row.messages < COPIES_MAX {
            to("the relay publishes and dies before it says so", false, &|s| {
                s.left.doubles -= 1;
                ring_arrives(s, document);
            });
        }
    }
    if row.messages > 0 && row.messages < COPIES_MAX && state.left.doubles > 0 {
        to("the message is doubled", false, &|s| {
            s.left.doubles -= 1;
            ring_arrives(s, document);
        });
    }
    if row.messages > 0 && state.left.losses > 0 {
        to("a message is lost", false, &|s| {
            s.left.losses -= 1;
            s.lost = true;
            s.documents[document].messages -= 1;
        });
    }
}

fn time(state: &State, rules: &Rules, document: usize, next: &mut Vec<Next>) {
    let mut to = |what, good, change: &dyn Fn(&mut State)| {
        next.push(Next::of(state, document, what, good, change));
    };
    let row = &state.documents[document];
    if row.lease == Lease::Live {
        let mut workers = state.workers.iter();
        let held = workers.any(|worker| is_newest(worker, document) && worker.step.is_held());
        if !held {
            to("the lease of nobody runs out", true, &|s| expire(s, document));
        } else if state.left.lapses > 0 {
            to("the lease runs out, its worker goes on", false, &|s| {
                s.left.lapses -= 1;
                expire(s, document);
            });
        }
    }
    let quiet = row.outbox == 0;
    if rules.sweep
        && quiet
        && row.row == Row::Processing
        && row.lease == Lease::Expired
        && !row.rung
    {
        to("the sweep rings: the lease ran out", true, &|s| sweep(s, document));
    }
    let silent = quiet && row.messages == 0 && row.row.is_open() && row.lease != Lease::Live;
    if silent {
        // Ten minutes are to be waited for only where the queue itself has lost something.
        to("the sweep rings: silence", state.lost, &|s| sweep(s, document));
    }
}

fn user(state: &State, rules: &Rules, document: usize, next: &mut Vec<Next>) {
    let row = &state.documents[document];
    if row.row.is_open() && state.left.cancels > 0 {
        next.push(Next::of(state, document, "a user cancels", false, &|s| {
            s.left.cancels -= 1;
            s.documents[document].row = Row::Cancelled;
            s.documents[document].lease = Lease::None;
            new_fence(s, document);
        }));
    }
    let may_retry = matches!(row.row, Row::Failed | Row::Cancelled) && row.run == 0;
    if may_retry && state.left.retries > 0 {
        next.push(Next::of(state, document, "a user retries", false, &|s| {
            s.left.retries -= 1;
            new_fence(s, document);
            if s.documents[document].asked {
                forgive(s, rules, document);
            }
            let row = &mut s.documents[document];
            (row.row, row.run, row.attempts, row.fresh) = (Row::Queued, 1, 0, true);
            row.outbox = (row.outbox + 1).min(COPIES_MAX);
        }));
    }
}

/// Who asks for another run, or uploads the same again, allows the model to be paid again for what it
/// never answered.
pub(crate) fn forgive(state: &mut State, rules: &Rules, document: usize) {
    let ledger = rules.ledger(document);
    if state.ledgers[ledger].answered {
        return;
    }
    state.ledgers[ledger].calls = 0;
    state.ledgers[ledger].paid = 0;
    state.ledgers[ledger].lost = false;
    for worker in &mut state.workers {
        if worker.step.is_in_call() && rules.ledger(usize::from(worker.document)) == ledger {
            worker.forgiven = true;
            worker.open &= !rules.retry_closes;
        }
    }
}

fn sweep(state: &mut State, document: usize) {
    let row = &mut state.documents[document];
    row.outbox += 1;
    row.rung = row.lease == Lease::Expired;
}

fn expire(state: &mut State, document: usize) {
    state.documents[document].lease = Lease::Expired;
    for worker in &mut state.workers {
        if is_newest(worker, document) && worker.step.is_in_call() {
            worker.excused = true;
        }
    }
}

pub(crate) fn ring_arrives(state: &mut State, document: usize) {
    let messages = &mut state.documents[document].messages;
    *messages = (*messages + 1).min(COPIES_MAX);
}

fn is_newest(worker: &super::state::Worker, document: usize) -> bool {
    worker.newest && usize::from(worker.document) == document
}

/// `fence + 1`: every claim that there is becomes an old one.
pub(crate) fn new_fence(state: &mut State, document: usize) {
    for worker in &mut state.workers {
        if is_newest(worker, document) {
            worker.newest = false;
            worker.excused |= worker.step.is_in_call();
        }
    }
    for ledger in &mut state.ledgers {
        if ledger.owner.map(usize::from) == Some(document) {
            ledger.owner = None;
        }
    }
}

/// The message that a worker took is delivered, and the row is claimed or not.
pub(crate) fn claim(state: &mut State, rules: &Rules, worker: usize, document: usize) {
    let row = &state.documents[document];
    if !row.row.is_open() || row.lease == Lease::Live {
        // It has ended, or somebody else holds it: acknowledge and forget.
        state.workers[worker] = super::state::Worker::default();
        return;
    }
    new_fence(state, document);
    for other in &mut state.workers {
        // Whoever made these calls is dead or asleep: they are closed as unknown.
        other.open &= usize::from(other.document) != document;
    }
    let row = &mut state.documents[document];
    (row.row, row.lease, row.rung) = (Row::Processing, Lease::Live, false);
    // One more than allowed is as much as is ever asked for.
    row.attempts = (row.attempts + 1).min(rules.attempts_max + u8::from(rules.attempts_max > 0));
    let first = if rules.look_before { Step::Look } else { Step::Intent };
    let exhausted = rules.attempts_max > 0 && row.attempts > rules.attempts_max;
    let (run, holds) = (row.run, rules.acknowledge == Acknowledge::Last);
    state.workers[worker] = super::state::Worker {
        step: if exhausted { Step::Fail } else { first },
        document: document as u8,
        newest: true,
        holds,
        run,
        ..Default::default()
    };
}
