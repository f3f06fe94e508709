//! What a worker says to a state and wants of it, ready to be said again where another worker was
//! faster or where it is not known whether it was hints; and what only this worker knows to have
//! sent, for when a state is lost.
//!
//! It must know nothing of where the state lies.

use crate::limiter::{Booking, Knowledge};
use crate::state::{Allocation, DeploymentView, ModelState, NoSlot, Published, Settlement, Waiter};
use crate::strategy::Strategy;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// What was sent longer ago counts nowhere.
const KEPT_MS: f64 = 61_000.0;

/// Everything to be said to the state of one model.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// How calls ended, each with its place among all that this worker ever had to tell.
    pub(super) settlements: Vec<(u64, Settlement)>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) views: Vec<DeploymentView>,
    /// What this worker knows of each address.
    pub(super) known: BTreeMap<Arc<str>, Knowledge>,
    pub(super) strategy: Strategy,
    pub(super) log: SendLog,
    pub(super) born: Instant,
}

impl Exchange {
    /// Whether there is nothing to say and nobody waits.
    pub fn is_idle(&self) -> bool {
        self.settlements.is_empty() && self.waiters.is_empty()
    }

    /// Says it to a state that all workers share. `now` is the time of the state's clock, in
    /// milliseconds, at `instant`. What it gave is for [`super::Pool::take`]. May be repeated with
    /// another state of the state, also one that has hints some of it.
    pub fn run(&self, state: &mut ModelState, now: f64, instant: Instant) -> Exchanged {
        let here = instant.saturating_duration_since(self.born).as_secs_f64() * 1_000.0;
        let offset = now - here;
        let told = state.told(self.log.writer);
        let mut is_changed = !state.knows(&self.views);
        for view in &self.views {
            let mut unknown = self.log.unknown_to(state.epoch(), told.sent, &view.address);
            unknown.iter_mut().for_each(|booking| booking.at += offset);
            let known =
                self.known.get(&view.address).filter(|_| self.log.knows_more(state.epoch()));
            is_changed |= !unknown.is_empty() || known.is_some();
            state.merge(view, known, &unknown, now);
        }
        let settlement = |(_, settlement): &(u64, Settlement)| {
            let (mut settlement, by) = (settlement.clone(), offset);
            (settlement.booking.at, settlement.sent, settlement.at) =
                (settlement.booking.at + by, settlement.sent + by, settlement.at + by);
            settlement
        };
        let ask =
            |ask: &Waiter| Waiter { deadline: ask.deadline.map(|at| at + offset), ..ask.clone() };
        let news = self.settlements.iter().filter(|(number, _)| *number >= told.settlements);
        let settlements: Vec<_> = news.map(settlement).collect();
        let waiters: Vec<_> = self.waiters.iter().map(ask).collect();
        is_changed |= !state.knows_waiting(&waiters, now);
        let mut answer = state.exchange(&settlements, &waiters, &self.views, self.strategy, now);
        answer.grants.iter_mut().for_each(|grant| grant.booking.at -= offset);
        answer.again.iter_mut().for_each(|again| *again -= offset);
        for (_, why) in &mut answer.refused {
            if let NoSlot::TooLate { at, .. } = why {
                *at -= offset;
            }
        }
        is_changed |= !settlements.is_empty() || !answer.grants.is_empty();
        if is_changed {
            let last = self.settlements.last().map_or(0, |(number, _)| number + 1);
            let (settlements, sent) = (told.settlements.max(last), told.sent.max(self.log.count));
            state.tell(self.log.writer, Published { settlements, sent, at: now });
        }
        let mut seen = state.clone();
        seen.shift(-offset);
        Exchanged { state: seen, answer, told: self.log.count, is_changed }
    }
}

/// What a shared state gave.
#[derive(Clone, Debug)]
pub struct Exchanged {
    pub(super) state: ModelState,
    pub(super) answer: Allocation,
    /// How much of the log was told.
    pub(super) told: u64,
    is_changed: bool,
}

impl Exchanged {
    /// Whether there is anything in the state that others must know.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }
}

/// What this worker has sent within the last minute, and whether the shared state knows.
#[derive(Clone, Debug, Default)]
pub(super) struct SendLog {
    sent: VecDeque<Sent>,
    /// How many were added so far.
    count: u64,
    epoch: u64,
    alone: bool,
    /// What tells this worker from the others.
    writer: u64,
}

#[derive(Clone, Debug)]
struct Sent {
    address: Arc<str>,
    booking: Booking,
    /// Its place among all that were added.
    number: u64,
    is_known: bool,
}

impl SendLog {
    /// Of the worker that has this number and no other.
    pub(super) fn new(writer: u64) -> Self {
        Self { writer, ..Self::default() }
    }

    /// Whether this worker goes on without the shared state.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The shared state cannot be asked any more.
    pub(super) fn go_alone(&mut self) {
        self.alone = true;
    }

    /// The shared state was asked, and has hints of the first so many. What was sent since the
    /// question was made it hears next time.
    pub(super) fn hints(&mut self, epoch: u64, told: u64) {
        (self.epoch, self.alone) = (epoch, false);
        let told = self.sent.iter_mut().filter(|sent| sent.number < told);
        told.for_each(|sent| sent.is_known = true);
    }

    /// A slot was given.
    pub(super) fn add(&mut self, address: &Arc<str>, booking: &Booking) {
        while self.sent.front().is_some_and(|old| old.booking.at + KEPT_MS < booking.at) {
            self.sent.pop_front();
        }
        let (address, booking) = (Arc::clone(address), booking.clone());
        self.sent.push_back(Sent { address, booking, number: self.count, is_known: !self.alone });
        self.count += 1;
    }

    /// A slot was given back.
    pub(super) fn remove(&mut self, address: &str, booking: &Booking) {
        let same = |sent: &Sent| *sent.address == *address && sent.booking == *booking;
        if let Some(index) = self.sent.iter().rposition(same) {
            self.sent.remove(index);
        }
    }

    /// Whether there is something that the shared state has not hints of.
    pub(super) fn has_news(&self) -> bool {
        self.sent.iter().any(|sent| !sent.is_known)
    }

    /// Whether this worker may have learned what a state of this epoch does not know.
    fn knows_more(&self, epoch: u64) -> bool {
        self.alone || epoch != self.epoch
    }

    /// What a state of this epoch, which was told the first so many, has not hints of.
    fn unknown_to(&self, epoch: u64, told: u64, address: &str) -> Vec<Booking> {
        let is_new = epoch != self.epoch;
        let there = self.sent.iter().filter(|sent| *sent.address == *address);
        let unknown = there.filter(|sent| (is_new || !sent.is_known) && sent.number >= told);
        unknown.map(|sent| sent.booking.clone()).collect()
    }
}
