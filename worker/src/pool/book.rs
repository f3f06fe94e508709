//! Everything that must be common to all workers for one model: the calendars of its deployments,
//! and whose turn it is.
//!
//! [`Book::exchange`] is the whole algorithm: a worker tells how its calls ended and who waits, and
//! gets slots ahead of need. It is a pure function on plain data, so it does not matter where the
//! book lies: in the worker, or where all workers find it. It must know nothing of the clock, the
//! network or chance.

mod times;
mod told;
mod doors;
mod line;

pub(in crate::pool) use doors::Door;
pub(in crate::pool) use told::Told;

use super::calendar::{Booking, Calendar, Earliest, Knowledge, Outcome, Size};
use super::pick::{Candidate, Strategy};
use doors::{Doors, Offer};
use line::Line;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use times::Times;
use told::Tellers;

/// How far ahead slots are given, and to those for whose answer somebody waits.
const HORIZON_MS: f64 = 1_000.0;
const HORIZON_URGENT_MS: f64 = 1_500.0;
/// The same for a tenant that was served more than others that wait, perhaps at other workers: they
/// have time to take the slot before.
const HORIZON_AHEAD_MS: f64 = 600.0;
/// How much later than elsewhere a call starts where it is preferred, and the same where somebody
/// waits for its answer.
const GRACE_MS: f64 = 1_000.0;
const GRACE_URGENT_MS: f64 = 20.0;
/// It makes no sense to ask again sooner.
const AGAIN_MS_MIN: f64 = 2.0;

/// Somebody who waits for a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Unique among the asks of a worker.
    pub id: u64,
    /// How large the call is.
    pub size: Size,
    /// Whether somebody waits for its answer.
    pub urgent: bool,
    /// Whether it was served before, and rejected: it goes first.
    pub returned: bool,
    /// For whom.
    pub tenant: Arc<str>,
    /// How much the tenant should get, beside the weights of the others.
    pub weight: f64,
    /// When an answer is of no use any more.
    pub deadline: Option<f64>,
    /// The only door that it may go through.
    pub only: Option<usize>,
}

impl Ask {
    /// Whether it is the tenants' turns that decide.
    fn goes_by_turn(&self) -> bool {
        !self.urgent && !self.returned
    }

    fn may_use(&self, door: usize) -> bool {
        self.only.is_none_or(|only| only == door)
    }
}

/// How a booking ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The deployment.
    pub address: Arc<str>,
    /// What was booked there.
    pub booking: Booking,
    /// When it was sent.
    pub sent: f64,
    /// When it ended.
    pub at: f64,
    /// How.
    pub outcome: Outcome,
}

/// A slot: who may send, when and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Who asked.
    pub ask: u64,
    /// The door, by its place among those that were named.
    pub door: usize,
    /// When, and what was charged.
    pub booking: Booking,
}

/// Why there will be no slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoSlot {
    /// It is larger than a whole minute's quota of every deployment.
    TooLarge,
    /// Every deployment that could take it is shut.
    Shut,
    /// There would be no answer before its deadline: it could be sent here, at this time.
    TooLate {
        /// The door.
        door: usize,
        /// When it could be sent.
        at: f64,
    },
}

/// What an exchange comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The slots, in the order of service.
    pub grants: Vec<Grant>,
    /// Who will get none, and why.
    pub refused: Vec<(u64, NoSlot)>,
    /// When those who still wait should ask again, unless something ends before.
    pub again: Option<f64>,
    /// How far each door's turn is now.
    pub turns: Vec<f64>,
}

/// The calendars of one model's deployments, and whose turn it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// Differs from book to book: whoever finds another one than before knows that what was
    /// written into that one is lost.
    epoch: u64,
    /// No slot is given before: all who have sent something lately say so first.
    #[serde(default)]
    opens: f64,
    /// The part of every quota that may be used; all unless set.
    #[serde(default)]
    share: Option<f64>,
    calendars: BTreeMap<String, Calendar>,
    times: Times,
    #[serde(default)]
    tellers: Tellers,
}

impl Book {
    /// An empty book that gives no slots before a time: where an earlier one was lost, all who
    /// wrote into it have to say again what they sent.
    pub fn new(epoch: u64, opens: f64) -> Self {
        Self { epoch, opens, ..Self::default() }
    }

    /// What tells it from a book that was lost.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How much this worker has told.
    pub(in crate::pool) fn told(&self, writer: u64) -> Told {
        self.tellers.of(writer)
    }

    /// This worker has told so much.
    pub(in crate::pool) fn tell(&mut self, writer: u64, told: Told) {
        self.tellers.tell(writer, told);
    }

    /// Whether it has a calendar for each of these, with the same terms.
    pub(in crate::pool) fn knows(&self, doors: &[Door]) -> bool {
        let calendar = |door: &Door| self.calendars.get(&*door.address);
        doors.iter().all(|door| calendar(door).is_some_and(|found| found.follows(&door.terms)))
    }

    /// The calendar of a deployment, once something was asked of it.
    pub fn calendar(&self, address: &str) -> Option<&Calendar> {
        self.calendars.get(address)
    }

    /// Writes down how calls ended, then gives slots to those who ask, in the order of service: who
    /// was rejected first, then those for whose answer somebody waits, then the tenants by turns,
    /// each in the order of its asks.
    pub fn exchange(
        &mut self,
        events: &[Event],
        asks: &[Ask],
        doors: &[Door],
        strategy: Strategy,
        now: f64,
    ) -> Answer {
        doors.iter().for_each(|door| self.open(door, now));
        events.iter().for_each(|event| self.settle(event));
        let mut answer = Answer::default();
        let mut doors = Doors::new(doors, strategy);
        if now < self.opens {
            answer.again = (!asks.is_empty()).then_some(self.opens);
            answer.turns = doors.turns;
            return answer;
        }
        let mut line = Line::new(asks, &mut self.times, now);
        while let Some(ask) = line.next(&self.times) {
            if let Some(why) = self.hopeless(ask, doors.all, now) {
                answer.refused.push((ask.id, why));
                continue;
            }
            let Some(offer) = self.best(ask, &doors, now) else {
                if doors.are_taken() {
                    break;
                }
                continue;
            };
            let horizon = self.horizon(ask, now);
            if offer.at > now + horizon {
                doors.claim(offer.door);
                let again = (offer.at - horizon).max(now + AGAIN_MS_MIN);
                answer.again = Some(answer.again.map_or(again, |old| old.min(again)));
                continue;
            }
            if let Some(grant) = self.grant(ask, doors.all, offer) {
                doors.enter(offer.door);
                answer.grants.push(grant);
            }
        }
        self.refuse_the_rest(&mut line, doors.all, now, &mut answer);
        self.rest_who_waits_no_more(asks, &answer.grants);
        self.times.keep(now);
        answer.turns = doors.turns;
        answer
    }

    /// Whether it was told lately that these wait.
    pub(in crate::pool) fn knows_waiting(&self, asks: &[Ask], now: f64) -> bool {
        let mut in_turn = asks.iter().filter(|ask| ask.goes_by_turn());
        in_turn.all(|ask| self.times.is_told(&ask.tenant, now))
    }

    /// Whoever got all that it asked for was not kept waiting, and has nothing to catch up on.
    fn rest_who_waits_no_more(&mut self, asks: &[Ask], grants: &[Grant]) {
        let granted: BTreeSet<u64> = grants.iter().map(|grant| grant.ask).collect();
        let (served, waiting): (Vec<&Ask>, Vec<&Ask>) =
            asks.iter().filter(|ask| ask.goes_by_turn()).partition(|ask| granted.contains(&ask.id));
        let waiting: BTreeSet<&str> = waiting.into_iter().map(|ask| &*ask.tenant).collect();
        for ask in served.into_iter().filter(|ask| !waiting.contains(&*ask.tenant)) {
            self.times.rest(&ask.tenant);
        }
    }

    /// How far ahead it gets a slot.
    fn horizon(&self, ask: &Ask, now: f64) -> f64 {
        match ask {
            ask if ask.urgent => HORIZON_URGENT_MS,
            ask if ask.goes_by_turn() && self.times.is_ahead(&ask.tenant, now) => HORIZON_AHEAD_MS,
            _ => HORIZON_MS,
        }
    }

    /// When such a call could be sent, behind all these: the door, and the time.
    ///
    /// # Errors
    /// When it never could.
    pub fn forecast(
        &self,
        ask: &Ask,
        ahead: &[Ask],
        doors: &[Door],
        strategy: Strategy,
        now: f64,
    ) -> Result<(usize, f64), NoSlot> {
        let mut book = self.clone();
        for door in doors {
            book.open(door, now);
        }
        if let Some(why @ (NoSlot::TooLarge | NoSlot::Shut)) = book.hopeless(ask, doors, now) {
            return Err(why);
        }
        // Whoever is full now will not be by then.
        let mut roomy = Doors::new(doors, strategy);
        roomy.rooms = vec![1; doors.len()];
        let best = book.best(ask, &roomy, now).ok_or(NoSlot::Shut)?;
        let first = ahead.iter().filter(|other| !ask.urgent || other.urgent);
        let mut supply = 0.0;
        for door in doors.iter().filter(|door| !door.shut) {
            if let Some(calendar) = book.calendars.get(&*door.address) {
                supply += calendar.supply(calendar.cost(&ask.size));
            }
        }
        // What is given at once, the earliest time says.
        let calls = first.count() as f64;
        let backlog = if calls > 0.0 { calls / f64::max(supply, 1e-9) - HORIZON_MS } else { 0.0 };
        Ok((best.door, best.at.max(now + backlog.min(86_400_000.0))))
    }

    /// The doors through which such a call could go at once.
    pub(in crate::pool) fn free(&self, ask: &Ask, doors: &[Door], now: f64) -> Vec<Candidate> {
        let all = Doors::new(doors, Strategy::LowestLatency);
        let free = |index: usize, door: &Door| {
            let mut calendar = self.calendars.get(&*door.address)?.clone();
            let earliest = calendar.earliest(&ask.size, ask.urgent, now);
            let is_free = !door.shut && all.is_open(index) && earliest == Earliest::At(now);
            is_free.then(|| all.candidate(index, calendar.utilisation(now), None))?
        };
        doors.iter().enumerate().filter_map(|(index, door)| free(index, door)).collect()
    }

    /// Writes down what was sent, and what was learned, while the book could not be asked, or was
    /// written into one that is lost.
    pub fn merge(
        &mut self,
        door: &Door,
        known: Option<&Knowledge>,
        bookings: &[Booking],
        now: f64,
    ) {
        self.open(door, now);
        if let Some(calendar) = self.calendars.get_mut(&*door.address) {
            known.into_iter().for_each(|known| calendar.adopt(known));
            bookings.iter().for_each(|booking| calendar.merge(booking));
        }
    }

    /// Goes on alone with this part of every quota; `phase` from 0 to 1 by chance, so that those
    /// who go on alone do not begin together.
    pub fn isolate(&mut self, share: f64, phase: f64, now: f64) {
        (self.share, self.opens) = (Some(share), now);
        for calendar in self.calendars.values_mut() {
            calendar.isolate(share, phase * HORIZON_MS, now);
        }
    }

    /// This address wants nothing for so long.
    pub(in crate::pool) fn block(&mut self, address: &str, wait_ms: f64, now: f64) {
        if let Some(calendar) = self.calendars.get_mut(address) {
            calendar.block(wait_ms, now);
        }
    }

    /// Uses only this part of every quota.
    pub fn set_share(&mut self, share: f64) {
        self.share = Some(share);
        for calendar in self.calendars.values_mut() {
            calendar.set_share(share);
        }
    }

    /// Moves all times: to another clock.
    pub fn shift(&mut self, by_ms: f64) {
        self.opens += by_ms;
        self.tellers.shift(by_ms);
        self.times.shift(by_ms);
        for calendar in self.calendars.values_mut() {
            calendar.shift(by_ms);
        }
    }

    fn open(&mut self, door: &Door, now: f64) {
        match self.calendars.get_mut(&*door.address) {
            Some(calendar) => calendar.configure(door.terms),
            None => {
                let mut calendar = Calendar::new(door.terms, now);
                self.share.into_iter().for_each(|share| calendar.set_share(share));
                self.calendars.insert(door.address.to_string(), calendar);
            }
        }
    }

    fn settle(&mut self, event: &Event) {
        if let Some(calendar) = self.calendars.get_mut(&*event.address) {
            calendar.settle(&event.booking, event.sent, &event.outcome, event.at);
        }
    }

    fn grant(&mut self, ask: &Ask, doors: &[Door], offer: Offer) -> Option<Grant> {
        let calendar = self.calendars.get_mut(&*doors.get(offer.door)?.address)?;
        let booking = calendar.reserve(&ask.size, offer.at);
        // Whoever was rejected has paid for its turn, and somebody who waits goes before turns.
        if ask.goes_by_turn() {
            self.times.reach(self.times.of(&ask.tenant));
            self.times.charge(&ask.tenant, ask.size.input + ask.size.output_max, ask.weight);
        }
        Some(Grant { ask: ask.id, door: offer.door, booking })
    }

    /// The offer that is preferred among those about as early as the first.
    fn best(&mut self, ask: &Ask, doors: &Doors<'_>, now: f64) -> Option<Offer> {
        let mut offers = Vec::new();
        for (index, door) in doors.all.iter().enumerate() {
            if door.shut || !ask.may_use(index) || !doors.is_open(index) {
                continue;
            }
            let Some(calendar) = self.calendars.get_mut(&*door.address) else { continue };
            let Earliest::At(at) = calendar.earliest(&ask.size, ask.urgent, now) else { continue };
            if ask.deadline.is_none_or(|deadline| at + door.answer_ms <= deadline) {
                offers.push(Offer { door: index, at, load: calendar.utilisation(now) });
            }
        }
        let first = offers.iter().map(|offer| offer.at).min_by(f64::total_cmp)?;
        let grace = if ask.urgent { GRACE_URGENT_MS } else { GRACE_MS };
        offers.retain(|offer| offer.at <= first + grace);
        let chosen = doors.choose(ask, &offers)?;
        offers.into_iter().find(|offer| offer.door == chosen)
    }

    /// Why it can get no slot at any door, however long it waits.
    fn hopeless(&mut self, ask: &Ask, doors: &[Door], now: f64) -> Option<NoSlot> {
        let mut why = NoSlot::TooLarge;
        for (index, door) in doors.iter().enumerate().filter(|(index, _)| ask.may_use(*index)) {
            let Some(calendar) = self.calendars.get_mut(&*door.address) else { continue };
            let Earliest::At(at) = calendar.earliest(&ask.size, ask.urgent, now) else { continue };
            if door.shut {
                if why == NoSlot::TooLarge {
                    why = NoSlot::Shut;
                }
                continue;
            }
            if ask.deadline.is_none_or(|deadline| at + door.answer_ms <= deadline) {
                return None;
            }
            if !matches!(why, NoSlot::TooLate { at: other, .. } if other <= at) {
                why = NoSlot::TooLate { door: index, at };
            }
        }
        Some(why)
    }

    /// Whoever was not reached is told all the same when there is no hope.
    fn refuse_the_rest(
        &mut self,
        line: &mut Line<'_>,
        doors: &[Door],
        now: f64,
        answer: &mut Answer,
    ) {
        let all_shut = doors.iter().all(|door| door.shut);
        for ask in line.rest() {
            if (all_shut || ask.deadline.is_some())
                && let Some(why) = self.hopeless(ask, doors, now)
            {
                answer.refused.push((ask.id, why));
            }
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
