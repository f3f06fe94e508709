//! What a worker says to a book and wants of it, ready to be said again where another worker was
//! faster or where it is not known whether it was heard; and what only this worker knows to have
//! sent, for when a book is lost.
//!
//! It must know nothing of where the book lies.

use super::book::{Answer, Ask, Book, Door, Event, NoSlot, Told};
use super::calendar::{Booking, Knowledge};
use super::pick::Strategy;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// What was sent longer ago counts nowhere.
const KEPT_MS: f64 = 61_000.0;

/// Everything to be said to the book of one model.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// How calls ended, each with its place among all that this worker ever had to tell.
    pub(super) events: Vec<(u64, Event)>,
    pub(super) asks: Vec<Ask>,
    pub(super) doors: Vec<Door>,
    /// What this worker knows of each address.
    pub(super) known: BTreeMap<Arc<str>, Knowledge>,
    pub(super) strategy: Strategy,
    pub(super) log: Log,
    pub(super) born: Instant,
}

impl Exchange {
    /// Whether there is nothing to say and nobody waits.
    pub fn is_idle(&self) -> bool {
        self.events.is_empty() && self.asks.is_empty()
    }

    /// Says it to a book that all workers share. `now` is the time of the book's clock, in
    /// milliseconds, at `instant`. What it gave is for [`super::Pool::take`]. May be repeated with
    /// another state of the book, also one that has heard some of it.
    pub fn run(&self, book: &mut Book, now: f64, instant: Instant) -> Given {
        let here = instant.saturating_duration_since(self.born).as_secs_f64() * 1_000.0;
        let offset = now - here;
        let told = book.told(self.log.writer);
        let mut is_changed = !book.knows(&self.doors);
        for door in &self.doors {
            let mut unknown = self.log.unknown_to(book.epoch(), told.sent, &door.address);
            unknown.iter_mut().for_each(|booking| booking.at += offset);
            let known = self.known.get(&door.address).filter(|_| self.log.knows_more(book.epoch()));
            is_changed |= !unknown.is_empty() || known.is_some();
            book.merge(door, known, &unknown, now);
        }
        let event = |(_, event): &(u64, Event)| {
            let (mut event, by) = (event.clone(), offset);
            (event.booking.at, event.sent, event.at) =
                (event.booking.at + by, event.sent + by, event.at + by);
            event
        };
        let ask = |ask: &Ask| Ask { deadline: ask.deadline.map(|at| at + offset), ..ask.clone() };
        let news = self.events.iter().filter(|(number, _)| *number >= told.events);
        let events: Vec<_> = news.map(event).collect();
        let asks: Vec<_> = self.asks.iter().map(ask).collect();
        is_changed |= !book.knows_waiting(&asks, now);
        let mut answer = book.exchange(&events, &asks, &self.doors, self.strategy, now);
        answer.grants.iter_mut().for_each(|grant| grant.booking.at -= offset);
        answer.again.iter_mut().for_each(|again| *again -= offset);
        for (_, why) in &mut answer.refused {
            if let NoSlot::TooLate { at, .. } = why {
                *at -= offset;
            }
        }
        is_changed |= !events.is_empty() || !answer.grants.is_empty();
        if is_changed {
            let last = self.events.last().map_or(0, |(number, _)| number + 1);
            let (events, sent) = (told.events.max(last), told.sent.max(self.log.count));
            book.tell(self.log.writer, Told { events, sent, at: now });
        }
        let mut seen = book.clone();
        seen.shift(-offset);
        Given { book: seen, answer, told: self.log.count, is_changed }
    }
}

/// What a shared book gave.
#[derive(Clone, Debug)]
pub struct Given {
    pub(super) book: Book,
    pub(super) answer: Answer,
    /// How much of the log was told.
    pub(super) told: u64,
    is_changed: bool,
}

impl Given {
    /// Whether there is anything in the book that others must know.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }
}

/// What this worker has sent within the last minute, and whether the shared book knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
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

impl Log {
    /// Of the worker that has this number and no other.
    pub(super) fn new(writer: u64) -> Self {
        Self { writer, ..Self::default() }
    }

    /// Whether this worker goes on without the shared book.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The shared book cannot be asked any more.
    pub(super) fn go_alone(&mut self) {
        self.alone = true;
    }

    /// The shared book was asked, and has heard of the first so many. What was sent since the
    /// question was made it hears next time.
    pub(super) fn heard(&mut self, epoch: u64, told: u64) {
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

    /// Whether there is something that the shared book has not heard of.
    pub(super) fn has_news(&self) -> bool {
        self.sent.iter().any(|sent| !sent.is_known)
    }

    /// Whether this worker may have learned what a book of this epoch does not know.
    fn knows_more(&self, epoch: u64) -> bool {
        self.alone || epoch != self.epoch
    }

    /// What a book of this epoch, which was told the first so many, has not heard of.
    fn unknown_to(&self, epoch: u64, told: u64, address: &str) -> Vec<Booking> {
        let is_new = epoch != self.epoch;
        let there = self.sent.iter().filter(|sent| *sent.address == *address);
        let unknown = there.filter(|sent| (is_new || !sent.is_known) && sent.number >= told);
        unknown.map(|sent| sent.booking.clone()).collect()
    }
}
