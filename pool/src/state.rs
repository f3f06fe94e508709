//! Everything that must be common to all workers for one model: the limiters of its deployments,
//! and whose turn it is.
//!
//! [`ModelState::exchange`] is the whole algorithm: a worker tells how its calls ended and who waits, and
//! gets slots ahead of need. It is a pure function on plain data, so it does not matter where the
//! state lies: in the worker, or where all workers find it. It must know nothing of the clock, the
//! network or chance.

mod waiter;
mod virtual_clocks;
mod published;
mod grant_rate;
mod selection;
mod wait_queue;
mod dialects;

pub(crate) use published::Published;
pub(crate) use selection::DeploymentView;
pub(crate) use waiter::Waiter;

use crate::limiter::{Booking, Earliest, Knowledge, Limiter, Outcome};
use crate::strategy::{Candidate, Strategy};
use dialects::Dialects;
use grant_rate::GrantRate;
use published::PublishedCounts;
use selection::{Offer, Selection};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use virtual_clocks::VirtualClocks;
use wait_queue::WaitQueue;

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

/// How a booking ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settlement {
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
pub(crate) struct Grant {
    /// Who asked.
    pub ask: u64,
    /// The view, by its place among those that were named.
    pub view: usize,
    /// When, and what was charged.
    pub booking: Booking,
}

/// Why there will be no slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NoSlot {
    /// It is larger than a whole minute's quota of every deployment.
    TooLarge,
    /// There would be no answer before its deadline: it could be sent here, at this time.
    TooLate {
        /// The view.
        view: usize,
        /// When it could be sent.
        at: f64,
    },
}

/// What an exchange comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Allocation {
    /// The slots, in the order of service.
    pub grants: Vec<Grant>,
    /// Who will get none, and why.
    pub refused: Vec<(u64, NoSlot)>,
    /// When those who still wait should ask again, unless something ends before.
    pub again: Option<f64>,
    /// How far each view's turn is now.
    pub turns: Vec<f64>,
}

/// The limiters of one model's deployments, and whose turn it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelState {
    /// Differs from state to state: whoever finds another one than before knows that what was
    /// written into that one is lost.
    epoch: u64,
    /// No slot is given before: all who have sent something lately say so first.
    #[serde(default)]
    opens: f64,
    /// The part of every quota that may be used; all unless set.
    #[serde(default)]
    share: Option<f64>,
    limiters: BTreeMap<String, Limiter>,
    times: VirtualClocks,
    #[serde(default)]
    published: PublishedCounts,
    #[serde(default)]
    grant_rate: GrantRate,
    /// What each deployment does not take of requests, by address and configuration.
    #[serde(default)]
    pub(crate) dialects: Dialects,
}

impl ModelState {
    /// An empty state that gives no slots before a time: where an earlier one was lost, all who
    /// wrote into it have to say again what they sent.
    pub(crate) fn new(epoch: u64, opens: f64) -> Self {
        Self { epoch, opens, ..Self::default() }
    }

    /// What tells it from a state that was lost.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How much this member has written.
    pub(crate) fn published(&self, writer: u64) -> Published {
        self.published.of(writer)
    }

    /// This member has written so much.
    pub(crate) fn publish(&mut self, writer: u64, published: Published) {
        self.published.set(writer, published);
    }

    /// Whether several tenants wait.
    pub(crate) fn has_rivals(&self, now: f64) -> bool {
        self.times.has_rivals(now)
    }

    /// How many slots it gave a second lately.
    pub(crate) fn grants_per_second(&self, now: f64) -> f64 {
        self.grant_rate.per_second(now)
    }

    /// Whether it has a limiter for each of these, with the same terms.
    pub(crate) fn knows(&self, views: &[DeploymentView]) -> bool {
        let limiter = |view: &DeploymentView| self.limiters.get(&*view.address);
        views.iter().all(|view| limiter(view).is_some_and(|found| found.follows(&view.terms)))
    }

    /// The limiter of a deployment, once something was asked of it.
    pub(crate) fn limiter(&self, address: &str) -> Option<&Limiter> {
        self.limiters.get(address)
    }

    /// Writes down how calls ended, then gives slots to those who ask, in the order of service: who
    /// was rejected first, then those for whose answer somebody waits, then the tenants by turns,
    /// each in the order of its asks.
    pub(crate) fn exchange(
        &mut self,
        settlements: &[Settlement],
        waiters: &[Waiter],
        views: &[DeploymentView],
        strategy: Strategy,
        now: f64,
    ) -> Allocation {
        views.iter().for_each(|view| self.open(view, now));
        settlements.iter().for_each(|settlement| self.settle(settlement));
        let mut answer = Allocation::default();
        let mut views = Selection::new(views, strategy);
        if now < self.opens {
            answer.again = (!waiters.is_empty()).then_some(self.opens);
            answer.turns = views.turns;
            return answer;
        }
        let mut line = WaitQueue::new(waiters, &mut self.times, now);
        while let Some(ask) = line.next(&self.times) {
            if let Some(why) = self.hopeless(ask, views.all, now) {
                answer.refused.push((ask.id, why));
                continue;
            }
            let Some(offer) = self.best(ask, &views, now) else {
                if views.are_taken() {
                    break;
                }
                continue;
            };
            let horizon = self.horizon(ask, now);
            if offer.at > now + horizon {
                views.claim(offer.view);
                let again = (offer.at - horizon).max(now + AGAIN_MS_MIN);
                answer.again = Some(answer.again.map_or(again, |old| old.min(again)));
                continue;
            }
            if let Some(grant) = self.grant(ask, views.all, offer) {
                views.enter(offer.view);
                answer.grants.push(grant);
            }
        }
        self.refuse_the_rest(&mut line, views.all, now, &mut answer);
        self.rest_who_waits_no_more(waiters, &answer.grants);
        self.times.keep(now);
        if !answer.grants.is_empty() {
            self.grant_rate.add(answer.grants.len(), now);
        }
        answer.turns = views.turns;
        answer
    }

    /// Whether it was told lately that these wait.
    pub(crate) fn knows_waiting(&self, waiters: &[Waiter], now: f64) -> bool {
        let mut in_turn = waiters.iter().filter(|ask| ask.goes_by_turn());
        in_turn.all(|ask| self.times.is_told(&ask.tenant, now))
    }

    /// Whoever got all that it asked for was not kept waiting, and has nothing to catch up on.
    fn rest_who_waits_no_more(&mut self, waiters: &[Waiter], grants: &[Grant]) {
        let granted: BTreeSet<u64> = grants.iter().map(|grant| grant.ask).collect();
        let (served, waiting): (Vec<&Waiter>, Vec<&Waiter>) = waiters
            .iter()
            .filter(|ask| ask.goes_by_turn())
            .partition(|ask| granted.contains(&ask.id));
        let waiting: BTreeSet<&str> = waiting.into_iter().map(|ask| &*ask.tenant).collect();
        for ask in served.into_iter().filter(|ask| !waiting.contains(&*ask.tenant)) {
            self.times.rest(&ask.tenant);
        }
    }

    /// How far ahead it gets a slot.
    fn horizon(&self, ask: &Waiter, now: f64) -> f64 {
        match ask {
            ask if ask.urgent => HORIZON_URGENT_MS,
            ask if ask.goes_by_turn() && self.times.is_ahead(&ask.tenant, now) => HORIZON_AHEAD_MS,
            _ => HORIZON_MS,
        }
    }

    /// When such a call could be sent, behind all these: the view, and the time.
    ///
    /// # Errors
    /// When it never could.
    pub(crate) fn forecast(
        &self,
        ask: &Waiter,
        ahead: &[Waiter],
        views: &[DeploymentView],
        strategy: Strategy,
        now: f64,
    ) -> Result<(usize, f64), NoSlot> {
        let mut state = self.clone();
        for view in views {
            state.open(view, now);
        }
        if let Some(why) = state.hopeless(ask, views, now) {
            return Err(why);
        }
        // Whoever is full now will not be by then.
        let mut roomy = Selection::new(views, strategy);
        roomy.rooms = vec![1; views.len()];
        let best = state.best(ask, &roomy, now).ok_or(NoSlot::TooLarge)?;
        let first = ahead.iter().filter(|other| !ask.urgent || other.urgent);
        let mut supply = 0.0;
        // When all are closed, all open again.
        let are_closed = views.iter().all(|view| view.closed_until.is_some());
        for view in views.iter().filter(|view| are_closed || view.closed_until.is_none()) {
            if let Some(limiter) = state.limiters.get(&*view.address) {
                supply += limiter.supply(limiter.cost(&ask.size));
            }
        }
        // What is given at once, the earliest time says.
        let calls = first.count() as f64;
        let backlog = if calls > 0.0 { calls / f64::max(supply, 1e-9) - HORIZON_MS } else { 0.0 };
        Ok((best.view, best.at.max(now + backlog.min(86_400_000.0))))
    }

    /// The views through which such a call could go at once.
    pub(crate) fn free(&self, ask: &Waiter, views: &[DeploymentView], now: f64) -> Vec<Candidate> {
        let all = Selection::new(views, Strategy::LowestLatency);
        let free = |index: usize, view: &DeploymentView| {
            let mut limiter = self.limiters.get(&*view.address)?.clone();
            let earliest = limiter.earliest(&ask.size, ask.urgent, now);
            let is_free = ask.may_use(index, view.sees)
                && view.closed_until.is_none()
                && all.is_open(index)
                && earliest == Earliest::At(now);
            is_free.then(|| all.candidate(index, limiter.utilisation(now), None))?
        };
        views.iter().enumerate().filter_map(|(index, view)| free(index, view)).collect()
    }

    /// Writes down what was sent, and what was learned, while the state could not be asked, or was
    /// written into one that is lost.
    pub(crate) fn merge(
        &mut self,
        view: &DeploymentView,
        known: Option<&Knowledge>,
        bookings: &[Booking],
        now: f64,
    ) {
        self.open(view, now);
        if let Some(limiter) = self.limiters.get_mut(&*view.address) {
            known.into_iter().for_each(|known| limiter.adopt(known));
            bookings.iter().for_each(|booking| limiter.merge(booking));
        }
    }

    /// Goes on alone with this part of every quota; `phase` from 0 to 1 by chance, so that those
    /// who go on alone do not begin together.
    pub(crate) fn isolate(&mut self, share: f64, phase: f64, now: f64) {
        (self.share, self.opens) = (Some(share), now);
        for limiter in self.limiters.values_mut() {
            limiter.isolate(share, phase * HORIZON_MS, now);
        }
    }

    /// This address wants nothing for so long.
    pub(crate) fn block(&mut self, address: &str, wait_ms: f64, now: f64) {
        if let Some(limiter) = self.limiters.get_mut(address) {
            limiter.block(wait_ms, now);
        }
    }

    /// Uses only this part of every quota.
    pub(crate) fn set_share(&mut self, share: f64) {
        self.share = Some(share);
        for limiter in self.limiters.values_mut() {
            limiter.set_share(share);
        }
    }

    /// Moves all times: to another clock.
    pub(crate) fn shift(&mut self, by_ms: f64) {
        self.opens += by_ms;
        self.published.shift(by_ms);
        self.grant_rate.shift(by_ms);
        self.times.shift(by_ms);
        for limiter in self.limiters.values_mut() {
            limiter.shift(by_ms);
        }
    }

    fn open(&mut self, view: &DeploymentView, now: f64) {
        match self.limiters.get_mut(&*view.address) {
            Some(limiter) => limiter.configure(view.terms),
            None => {
                let mut limiter = Limiter::new(view.terms, now);
                self.share.into_iter().for_each(|share| limiter.set_share(share));
                self.limiters.insert(view.address.to_string(), limiter);
            }
        }
    }

    fn settle(&mut self, settlement: &Settlement) {
        if let Some(limiter) = self.limiters.get_mut(&*settlement.address) {
            limiter.settle(
                &settlement.booking,
                settlement.sent,
                &settlement.outcome,
                settlement.at,
            );
        }
    }

    fn grant(&mut self, ask: &Waiter, views: &[DeploymentView], offer: Offer) -> Option<Grant> {
        let limiter = self.limiters.get_mut(&*views.get(offer.view)?.address)?;
        let booking = limiter.reserve(&ask.size, offer.at);
        // Whoever was rejected has paid for its turn, and somebody who waits goes before turns.
        if ask.goes_by_turn() {
            self.times.reach(self.times.of(&ask.tenant));
            self.times.charge(&ask.tenant, ask.size.input + ask.size.output_max, ask.weight);
        }
        Some(Grant { ask: ask.id, view: offer.view, booking })
    }

    /// The offer that is preferred among those about as early as the first.
    fn best(&mut self, ask: &Waiter, views: &Selection<'_>, now: f64) -> Option<Offer> {
        let mut offers = Vec::new();
        for (index, view) in views.all.iter().enumerate() {
            if !ask.may_use(index, view.sees) || !views.is_open(index) {
                continue;
            }
            let Some(limiter) = self.limiters.get_mut(&*view.address) else { continue };
            let Earliest::At(at) = limiter.earliest(&ask.size, ask.urgent, now) else { continue };
            let at = at.max(view.closed_until.unwrap_or(at));
            if ask.deadline.is_none_or(|deadline| at + view.answer_ms <= deadline) {
                offers.push(Offer { view: index, at, load: limiter.utilisation(now) });
            }
        }
        let first = offers.iter().map(|offer| offer.at).min_by(f64::total_cmp)?;
        let grace = if ask.urgent { GRACE_URGENT_MS } else { GRACE_MS };
        offers.retain(|offer| offer.at <= first + grace);
        let chosen = views.choose(ask, &offers)?;
        offers.into_iter().find(|offer| offer.view == chosen)
    }

    /// Why it can get no slot at any view, however long it waits.
    fn hopeless(&mut self, ask: &Waiter, views: &[DeploymentView], now: f64) -> Option<NoSlot> {
        let mut why = NoSlot::TooLarge;
        for (index, view) in views.iter().enumerate() {
            if !ask.may_use(index, view.sees) {
                continue;
            }
            let Some(limiter) = self.limiters.get_mut(&*view.address) else { continue };
            let Earliest::At(at) = limiter.earliest(&ask.size, ask.urgent, now) else { continue };
            let at = at.max(view.closed_until.unwrap_or(at));
            if ask.deadline.is_none_or(|deadline| at + view.answer_ms <= deadline) {
                return None;
            }
            if !matches!(why, NoSlot::TooLate { at: other, .. } if other <= at) {
                why = NoSlot::TooLate { view: index, at };
            }
        }
        Some(why)
    }

    /// Whoever was not reached is told all the same when there is no hope.
    fn refuse_the_rest(
        &mut self,
        line: &mut WaitQueue<'_>,
        views: &[DeploymentView],
        now: f64,
        answer: &mut Allocation,
    ) {
        for ask in line.rest() {
            if ask.deadline.is_some()
                && let Some(why) = self.hopeless(ask, views, now)
            {
                answer.refused.push((ask.id, why));
            }
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
