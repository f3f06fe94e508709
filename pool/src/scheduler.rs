//! The deployments of one model and those who wait for them.
//!
//! Whose turn it is and when which deployment takes a call, the state decides; here it is asked, and
//! its slots find their way to those who wait. Where the state is shared with other workers, this is
//! one worker's side of it. It must know nothing of the network or the clock: every question
//! carries its time.

mod reserve_error;
mod token_counts;
mod hedging;
mod status;

pub use reserve_error::ReserveError;

use crate::config::DeploymentConfig;
use crate::deployment::{Deployment, DeploymentStatus, End, milliseconds};
use crate::exchange::{Exchange, Exchanged, SendLog};
use crate::hedge::Allowance;
use crate::limiter::{Booking, Outcome, Size};
use crate::need::Need;
use crate::state::{Grant, ModelState, NoSlot, Settlement, Waiter};
use crate::strategy::Strategy;
use crate::typed::dialect::SharedDialect;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use token_counts::TokenCounts;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Timers are no finer, and rounding is finer.
const TIMER_RESOLUTION: Duration = Duration::from_micros(500);
/// A place at a deployment.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) index: usize,
    pub(super) deployment: String,
    pub(super) booking: Booking,
}

/// Who waits, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TicketId(u64);

struct Ticket {
    ask: Waiter,
    nudge: Arc<Notify>,
}

/// What a ticket should do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Go.
    Granted(Lease),
    /// Waiter again at this time, or when nudged.
    Wait(Option<Instant>),
}

/// The deployments of one model and those who wait.
pub(super) struct Scheduler {
    strategy: Strategy,
    deployments: Vec<Deployment>,
    waiting: BTreeMap<TicketId, Ticket>,
    decided: HashMap<TicketId, Result<(Ticket, Lease), ReserveError>>,
    next_number: u64,
    /// Where the clock of the state begins.
    born: Instant,
    /// The state itself, or what was last seen of the one that is shared.
    state: ModelState,
    /// How calls ended, each with its place among all.
    settlements: Vec<(u64, Settlement)>,
    settlement_count: u64,
    /// When the first of those who wait should ask again.
    alarm: Option<Instant>,
    /// What only this worker sent, while the state is shared.
    log: Option<SendLog>,
    token_counts: TokenCounts,
    /// What calls may be made a second time.
    allowance: Allowance,
}

impl Scheduler {
    /// No deployment yet, and what will be preferred among them.
    pub(super) fn new(strategy: Strategy, now: Instant) -> Self {
        Self {
            strategy,
            deployments: Vec::new(),
            waiting: BTreeMap::new(),
            decided: HashMap::new(),
            next_number: 0,
            born: now,
            state: ModelState::default(),
            settlements: Vec::new(),
            settlement_count: 0,
            alarm: None,
            log: None,
            token_counts: TokenCounts::default(),
            allowance: Allowance::default(),
        }
    }

    /// Adds a deployment, and gives what is to be learned of its dialect.
    pub(super) fn add(&mut self, config: DeploymentConfig, now: Instant) -> SharedDialect {
        let (deployment, at) = (Deployment::new(config), self.at(now));
        let dialect = deployment.dialect.clone();
        self.state.merge(&deployment.view(None, now, at), None, &[], at);
        self.deployments.push(deployment);
        dialect
    }

    /// Queues up, for one deployment or for all, and serves whoever can be served.
    pub(super) fn enter(
        &mut self,
        need: &Need,
        only: Option<usize>,
        nudge: Arc<Notify>,
        now: Instant,
    ) -> TicketId {
        self.next_number += 1;
        let id = TicketId(self.next_number);
        let ask = Waiter { id: id.0, only, ..self.ask(need) };
        self.waiting.insert(id, Ticket { ask, nudge });
        self.dispatch(now);
        id
    }

    /// What has become of a ticket.
    pub(super) fn poll(&mut self, id: TicketId, now: Instant) -> Result<Verdict, ReserveError> {
        self.poll_ahead(id, Duration::ZERO, now)
    }

    /// What has become of a ticket, where a slot is of use from `lead` before its time on.
    pub(super) fn poll_ahead(
        &mut self,
        id: TicketId,
        lead: Duration,
        now: Instant,
    ) -> Result<Verdict, ReserveError> {
        if self.alarm.is_some_and(|alarm| alarm <= now) {
            self.dispatch(now);
        }
        if let Some(Ok((_, grant))) = self.decided.get(&id) {
            let at = self.instant(grant.booking.at);
            if self.is_void(grant.index, &grant.booking) {
                self.take_back(id, now);
            } else if at > now + lead + TIMER_RESOLUTION {
                return Ok(Verdict::Wait(at.checked_sub(lead)));
            }
        }
        match self.decided.remove(&id) {
            Some(decision) => decision.map(|(_, grant)| Verdict::Granted(grant)),
            None => {
                Ok(Verdict::Wait(self.alarm.filter(|_| self.is_first(id) && !self.is_leased())))
            }
        }
    }

    /// A ticket is given up; what it had is given back.
    pub(super) fn leave(&mut self, id: TicketId, now: Instant) {
        let waited = self.waiting.remove(&id).is_some();
        if let Some(Ok((_, grant))) = self.decided.remove(&id) {
            self.cancel(grant.index, &grant.booking, now);
        } else if waited {
            self.dispatch(now);
        }
    }

    /// A slot is sent.
    pub(super) fn sent(&mut self, index: usize) {
        if let Some(deployment) = self.deployments.get_mut(index) {
            deployment.sent();
        }
    }

    /// A slot is given back unsent.
    pub(super) fn cancel(&mut self, index: usize, booking: &Booking, now: Instant) {
        self.give_back(index, booking, now);
        self.dispatch(now);
    }

    /// A call was dropped under way: nobody knows what it cost.
    pub(super) fn abandon(&mut self, index: usize, now: Instant) {
        if let Some(deployment) = self.deployments.get_mut(index) {
            deployment.release();
        }
        self.dispatch(now);
    }

    /// Learns what the questions of a schema are like.
    pub(super) fn learn(&mut self, schema: &str, booking: &Booking, tokens_input: u64) {
        self.token_counts.learn(schema, booking.size.input, tokens_input as f64);
    }

    /// A call is over.
    pub(super) fn settle(
        &mut self,
        index: usize,
        booking: &Booking,
        end: &End<'_>,
        now: Instant,
    ) -> Option<DeploymentStatus> {
        let (sent, at) = (self.at(end.started), self.at(now));
        let deployment = self.deployments.get_mut(index)?;
        let outcome = deployment.settle(end, now);
        deployment.release();
        let (address, booking) = (Arc::clone(&deployment.address), booking.clone());
        if let Outcome::Throttled { wait_ms, .. } = outcome {
            // What this worker has there is void at once, whoever keeps the state.
            self.state.block(&address, wait_ms, at);
        }
        self.note(Settlement { address, booking, sent, at, outcome });
        self.dispatch(now);
        self.deployments.get(index).map(|deployment| self.status(deployment, now))
    }

    /// Which deployment would take such a call, and after how long at least.
    pub(super) fn forecast(
        &self,
        need: &Need,
        now: Instant,
    ) -> Result<(String, Duration), ReserveError> {
        let at = self.at(now);
        let (ahead, views) = (self.waiters(), self.views(now));
        let ask = self.ask(need);
        let forecast = self.state.forecast(&ask, &ahead, &views, self.strategy, at);
        let (index, start) = forecast.map_err(|why| self.error(&ask, why, now))?;
        let late = ask.deadline.is_some_and(|deadline| {
            start + views.get(index).map_or(0.0, |view| view.answer_ms) > deadline
        });
        if late {
            return Err(self.error(&ask, NoSlot::TooLate { view: index, at: start }, now));
        }
        Ok((self.name(index), milliseconds(start - at)))
    }

    /// Uses only this part of every quota; the state is this worker's own from now on.
    pub(super) fn set_share(&mut self, share: f64, phase: f64, now: Instant) {
        let at = self.at(now);
        if let Some(log) = self.log.as_mut().filter(|log| !log.is_alone()) {
            // It goes on from what the state last said, of the provider and of all who send.
            log.go_alone();
            self.state.isolate(share, phase, at);
        } else {
            self.state.set_share(share);
        }
        self.dispatch(now);
    }

    /// The state is shared from now on: slots come by [`Self::finish_exchange`]. `writer` is a number
    /// that no other member has.
    pub(super) fn share_state(&mut self, writer: u64) {
        self.log.get_or_insert_with(|| SendLog::new(writer));
    }

    /// What the shared state is to be told and asked. It is for [`Self::finish_exchange`] or
    /// [`Self::abort_exchange`]; one at a time.
    pub(super) fn begin_exchange(&mut self, now: Instant) -> Exchange {
        Exchange {
            settlements: std::mem::take(&mut self.settlements),
            waiters: self.waiters(),
            views: self.views(now),
            known: self.known(),
            dialects: self.dialects(),
            strategy: self.strategy,
            log: self.log.clone().unwrap_or_default(),
            born: self.born,
        }
    }

    /// The shared state could not be written: it is told next time.
    pub(super) fn abort_exchange(&mut self, exchange: Exchange) {
        self.settlements.splice(0..0, exchange.settlements);
    }

    /// Takes what the shared state gave. Gives the time at which calls that still wait may get a slot,
    /// unless something happens before.
    pub(super) fn finish_exchange(
        &mut self,
        exchanged: Exchanged,
        now: Instant,
    ) -> Option<Instant> {
        self.log.get_or_insert_default().confirm(exchanged.state.epoch(), exchanged.published);
        self.state = exchanged.state;
        for deployment in &self.deployments {
            if let Some(known) = self.state.dialects.get(&deployment.dialect_key) {
                deployment.dialect.adopt(known);
            }
        }
        self.apply(exchanged.answer, now);
        self.alarm
    }

    /// Whether the shared state does not know yet how some calls ended, or that some were sent.
    pub(super) fn has_news(&self) -> bool {
        !self.settlements.is_empty() || self.log.as_ref().is_some_and(SendLog::has_news)
    }

    /// How many calls wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether an interactive call waits, or the shared state does not know yet of a rejection.
    pub(super) fn is_urgent(&self) -> bool {
        let rejected = |(_, settlement): &(u64, Settlement)| {
            matches!(settlement.outcome, Outcome::Throttled { .. })
        };
        self.waiting.values().any(|ticket| ticket.ask.urgent)
            || self.settlements.iter().any(rejected)
    }

    /// Serves whoever can be served, and finds out when to ask again. Where the state is shared,
    /// that is for others to do.
    fn dispatch(&mut self, now: Instant) {
        if self.is_leased() {
            return;
        }
        let at = self.at(now);
        let settlements = std::mem::take(&mut self.settlements);
        let settlements: Vec<Settlement> =
            settlements.into_iter().map(|(_, settlement)| settlement).collect();
        let (waiters, views) = (self.waiters(), self.views(now));
        let answer = self.state.exchange(&settlements, &waiters, &views, self.strategy, at);
        self.apply(answer, now);
    }

    /// Whether slots come from a state that is shared: then whoever asks it keeps the time.
    fn is_leased(&self) -> bool {
        self.log.as_ref().is_some_and(|log| !log.is_alone())
    }

    fn apply(&mut self, answer: crate::state::Allocation, now: Instant) {
        for (deployment, turn) in self.deployments.iter_mut().zip(&answer.turns) {
            deployment.turn = *turn;
        }
        for grant in answer.grants {
            self.give(grant, now);
        }
        for (id, why) in answer.refused {
            if let Some(ticket) = self.waiting.remove(&TicketId(id)) {
                let error = self.error(&ticket.ask, why, now);
                ticket.nudge.notify_one();
                self.decided.insert(TicketId(id), Err(error));
            }
        }
        self.alarm = answer.again.map(|again| self.instant(again).max(now));
        // Only the first asks again for all.
        if let Some((_, ticket)) = self.waiting.first_key_value()
            && self.alarm.is_some()
        {
            ticket.nudge.notify_one();
        }
    }

    fn give(&mut self, slot: Grant, now: Instant) {
        let Grant { ask, view: index, booking } = slot;
        let (id, deployment) = (TicketId(ask), self.name(index));
        if let Some(deployment) = self.deployments.get_mut(index) {
            deployment.enter(now);
            if let Some(log) = &mut self.log {
                log.add(&deployment.address, &booking);
            }
        }
        match self.waiting.remove(&id) {
            Some(ticket) => {
                ticket.nudge.notify_one();
                let grant = Lease { index, deployment, booking };
                self.decided.insert(id, Ok((ticket, grant)));
            }
            // Whoever asked has left in the meantime.
            None => self.give_back(index, &booking, now),
        }
    }

    fn give_back(&mut self, index: usize, booking: &Booking, now: Instant) {
        let at = self.at(now);
        let Some(deployment) = self.deployments.get_mut(index) else { return };
        deployment.release();
        let address = Arc::clone(&deployment.address);
        if let Some(log) = &mut self.log {
            log.remove(&address, booking);
        }
        let (booking, outcome) = (booking.clone(), Outcome::Returned);
        self.note(Settlement { address, booking, sent: at, at, outcome });
    }

    fn note(&mut self, settlement: Settlement) {
        self.settlements.push((self.settlement_count, settlement));
        self.settlement_count += 1;
    }

    /// Whether the deployment wants nothing any more at the time of the slot.
    pub(super) fn is_void(&self, index: usize, booking: &Booking) -> bool {
        let Some(deployment) = self.deployments.get(index) else { return true };
        let limiter = self.state.limiter(&deployment.address);
        let blocked = limiter.and_then(|limiter| limiter.blocked(booking.at));
        blocked.is_some()
    }

    /// A slot that is of no use any more: whoever had it waits again, before all others.
    fn take_back(&mut self, id: TicketId, now: Instant) {
        let Some(Ok((mut ticket, grant))) = self.decided.remove(&id) else { return };
        ticket.ask.returned = true;
        self.waiting.insert(id, ticket);
        self.cancel(grant.index, &grant.booking, now);
    }

    fn waiters(&self) -> Vec<Waiter> {
        self.waiting.values().map(|ticket| ticket.ask.clone()).collect()
    }

    fn is_first(&self, id: TicketId) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| *first == id)
    }

    fn ask(&self, need: &Need) -> Waiter {
        let words = need.tokens_input as f64;
        let images = self.image_tokens(&need.images) as f64;
        let input = words + images;
        let input_real = words * self.token_counts.real(&need.schema) + images;
        let output_max = f64::from(need.tokens_output_max);
        Waiter {
            id: 0,
            size: Size { input, input_real, output_max },
            urgent: need.interactive,
            returned: need.returned,
            tenant: Arc::clone(&need.tenant),
            weight: need.weight,
            deadline: need.deadline.map(|deadline| self.at(deadline)),
            only: None,
            has_images: !need.images.is_empty(),
        }
    }

    fn name(&self, index: usize) -> String {
        self.deployments.get(index).map(|one| one.config.name.clone()).unwrap_or_default()
    }

    /// A time on the clock of the state.
    fn at(&self, time: Instant) -> f64 {
        time.saturating_duration_since(self.born).as_secs_f64() * 1_000.0
    }

    pub(super) fn instant(&self, at: f64) -> Instant {
        self.born + status::milliseconds_of_life(at)
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
