//! What a member tells the shared state of a model and asks of it. It can be run again on a newer
//! state, if another member wrote in between or if it is not known whether it was written. Also the
//! log of what this member has sent, for the case that the state is lost.
//!
//! It must know nothing of where the state is stored.

use crate::limiter::{Booking, Knowledge};
use crate::state::{Allocation, DeploymentView, ModelState, NoSlot, Published, Settlement, Waiter};
use crate::strategy::Strategy;
use crate::typed::dialect::Dialect;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// Calls that were sent longer ago are in no window any more.
const LOG_KEPT_MS: f64 = 61_000.0;

/// Everything to be told to the state of one model.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// How calls ended, each with its number among all that this member ever had to tell.
    pub(super) settlements: Vec<(u64, Settlement)>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) views: Vec<DeploymentView>,
    /// What this member has learned of the limiter at each address.
    pub(super) known: BTreeMap<Arc<str>, Knowledge>,
    /// What this member has learned of each deployment's dialect.
    pub(super) dialects: Vec<(String, Dialect)>,
    pub(super) strategy: Strategy,
    pub(super) log: SendLog,
    /// The origin of this member's clock.
    pub(super) born: Instant,
}

impl Exchange {
    /// Runs on a shared state. `now` is the time of the state's clock at `instant`, in milliseconds.
    /// May be run again on a newer version of the state, even if that already contains this
    /// exchange.
    pub(super) fn run(&self, state: &mut ModelState, now: f64, instant: Instant) -> Exchanged {
        let here = instant.saturating_duration_since(self.born).as_secs_f64() * 1_000.0;
        let offset = now - here;
        let published = state.published(self.log.writer);
        let mut is_changed = !state.knows(&self.views);
        for (key, dialect) in &self.dialects {
            is_changed |= state.dialects.adopt(key, dialect);
        }
        let view = |view: &DeploymentView| DeploymentView {
            closed_until: view.closed_until.map(|at| at + offset),
            ..view.clone()
        };
        let views: Vec<_> = self.views.iter().map(view).collect();
        for view in &views {
            let mut missing = self.log.missing_in(state.epoch(), published.sent, &view.address);
            missing.iter_mut().for_each(|booking| booking.at += offset);
            let known =
                self.known.get(&view.address).filter(|_| self.log.knows_more(state.epoch()));
            is_changed |= !missing.is_empty() || known.is_some();
            state.merge(view, known, &missing, now);
        }
        let settlement = |(_, settlement): &(u64, Settlement)| {
            let mut settlement = settlement.clone();
            settlement.booking.at += offset;
            settlement.sent += offset;
            settlement.at += offset;
            settlement
        };
        let waiter = |waiter: &Waiter| Waiter {
            deadline: waiter.deadline.map(|at| at + offset),
            ..waiter.clone()
        };
        let news = self.settlements.iter().filter(|(number, _)| *number >= published.settlements);
        let settlements: Vec<_> = news.map(settlement).collect();
        let waiters: Vec<_> = self.waiters.iter().map(waiter).collect();
        is_changed |= !state.knows_waiting(&waiters, now);
        let mut answer = state.exchange(&settlements, &waiters, &views, self.strategy, now);
        answer.grants.iter_mut().for_each(|grant| grant.booking.at -= offset);
        answer.again.iter_mut().for_each(|again| *again -= offset);
        for (_, why) in &mut answer.refused {
            if let NoSlot::TooLate { at, .. } = why {
                *at -= offset;
            }
        }
        is_changed |= !settlements.is_empty() || !answer.grants.is_empty();
        if is_changed {
            let next = self.settlements.last().map_or(0, |(number, _)| number + 1);
            let settlements = published.settlements.max(next);
            let sent = published.sent.max(self.log.count);
            state.publish(self.log.writer, Published { settlements, sent, at: now });
        }
        let (grants_per_second, has_rivals) = (state.grants_per_second(now), state.has_rivals(now));
        let mut seen = state.clone();
        seen.shift(-offset);
        Exchanged {
            state: seen,
            answer,
            published: self.log.count,
            grants_per_second,
            has_rivals,
            is_changed,
        }
    }
}

/// What a shared state gave, on the clock of the member.
#[derive(Clone, Debug)]
pub(super) struct Exchanged {
    pub(super) state: ModelState,
    pub(super) answer: Allocation,
    /// How much of the log was told.
    pub(super) published: u64,
    grants_per_second: f64,
    has_rivals: bool,
    is_changed: bool,
}

impl Exchanged {
    /// Whether the state contains anything new that must be written.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether several tenants wait, at any member.
    pub(super) fn has_rivals(&self) -> bool {
        self.has_rivals
    }

    /// How many slots the state gives all members a second.
    pub(super) fn grants_per_second(&self) -> f64 {
        self.grants_per_second
    }
}

/// What this member has sent within the last minute, and whether the shared state contains it.
#[derive(Clone, Debug, Default)]
pub(super) struct SendLog {
    entries: VecDeque<SentCall>,
    /// How many were added so far.
    count: u64,
    /// The epoch of the state that was seen last.
    epoch: u64,
    is_alone: bool,
    /// Tells this member from the others.
    writer: u64,
}

#[derive(Clone, Debug)]
struct SentCall {
    address: Arc<str>,
    booking: Booking,
    /// Its place among all that were added.
    number: u64,
    is_published: bool,
}

impl SendLog {
    /// Of the member that has this number and no other.
    pub(super) fn new(writer: u64) -> Self {
        Self { writer, ..Self::default() }
    }

    /// Whether this member goes on without the shared state.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// The shared state cannot be asked any more.
    pub(super) fn go_alone(&mut self) {
        self.is_alone = true;
    }

    /// A state of this epoch contains the first so many. What was sent since is told next time.
    pub(super) fn confirm(&mut self, epoch: u64, published: u64) {
        (self.epoch, self.is_alone) = (epoch, false);
        let there = self.entries.iter_mut().filter(|sent| sent.number < published);
        there.for_each(|sent| sent.is_published = true);
    }

    /// A slot was given.
    pub(super) fn add(&mut self, address: &Arc<str>, booking: &Booking) {
        while self.entries.front().is_some_and(|old| old.booking.at + LOG_KEPT_MS < booking.at) {
            self.entries.pop_front();
        }
        self.entries.push_back(SentCall {
            address: Arc::clone(address),
            booking: booking.clone(),
            number: self.count,
            is_published: !self.is_alone,
        });
        self.count += 1;
    }

    /// A slot was given back.
    pub(super) fn remove(&mut self, address: &str, booking: &Booking) {
        let same = |sent: &SentCall| *sent.address == *address && sent.booking == *booking;
        if let Some(index) = self.entries.iter().rposition(same) {
            self.entries.remove(index);
        }
    }

    /// Whether there is something that the shared state does not contain.
    pub(super) fn has_news(&self) -> bool {
        self.entries.iter().any(|sent| !sent.is_published)
    }

    /// Whether this member may have learned what a state of this epoch does not contain.
    fn knows_more(&self, epoch: u64) -> bool {
        self.is_alone || epoch != self.epoch
    }

    /// What is missing in a state of this epoch that was told the first so many.
    fn missing_in(&self, epoch: u64, published: u64, address: &str) -> Vec<Booking> {
        let is_new = epoch != self.epoch;
        let missing = self.entries.iter().filter(|sent| {
            *sent.address == *address && (is_new || !sent.is_published) && sent.number >= published
        });
        missing.map(|sent| sent.booking.clone()).collect()
    }
}
