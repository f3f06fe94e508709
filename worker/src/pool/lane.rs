//! The deployments of one model and those who wait for them.
//!
//! Tickets are served in the order of asking, interactive ones first. One that cannot be served now
//! claims the deployment that it waits for, so that no later ticket delays it; later tickets may
//! use the others. It must know nothing of the network or the clock: every question carries its
//! time.

use super::config::DeploymentConfig;
use super::deployment::{Deployment, DeploymentStatus, Outcome};
use super::limiter::{Cost, Reservation};
use super::pick::{self, Candidate, Choice, alarm, pick, pick_by, turn};
use super::share::{Demand, Lease, News};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Why a call gets no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// No deployment serves the model.
    #[error("no deployment serves the model {model:?}")]
    NoDeployment {
        /// The model.
        model: String,
    },
    /// The call is larger than a whole minute's quota of every deployment: it never starts.
    #[error("the call counts {tokens} tokens; no deployment takes more than {tokens_max}")]
    TooLong {
        /// What it counts as at admission.
        tokens: u64,
        /// The largest minute's quota.
        tokens_max: u64,
    },
    /// Every deployment of the model refuses calls for now (401, 403, 404).
    #[error("every deployment refuses calls: {message}")]
    Denied {
        /// What the first of them said.
        message: String,
    },
    /// It cannot start within the wait that makes sense.
    #[error("{deployment} has no room for another {} s", wait.as_secs())]
    Later {
        /// The deployment that would take it first.
        deployment: String,
        /// How long until then.
        wait: Duration,
    },
}

/// A place at a deployment.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) index: usize,
    pub(super) deployment: String,
    pub(super) reservation: Reservation,
}

/// Who waits: bulk after interactive, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TicketId {
    bulk: bool,
    number: u64,
}

struct Ticket {
    cost: Cost,
    alarm: Option<Instant>,
    nudge: Arc<Notify>,
}

/// What a ticket should do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Go.
    Granted(Grant),
    /// Ask again at this time, or when nudged.
    Wait(Option<Instant>),
}

/// The deployments of one model and those who wait.
#[derive(Default)]
pub(super) struct Lane {
    strategy: pick::Strategy,
    deployments: Vec<Deployment>,
    waiting: BTreeMap<TicketId, Ticket>,
    decided: HashMap<TicketId, Result<Grant, AcquireError>>,
    next_number: u64,
}

impl Lane {
    /// No deployment yet, and what will be preferred among them.
    pub(super) fn new(strategy: pick::Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    /// Adds a deployment.
    pub(super) fn add(&mut self, config: DeploymentConfig, now: Instant) {
        self.deployments.push(Deployment::new(config, now));
    }

    /// Queues up, and serves whoever can be served.
    pub(super) fn enter(
        &mut self,
        cost: Cost,
        interactive: bool,
        nudge: Arc<Notify>,
        now: Instant,
    ) -> TicketId {
        self.next_number += 1;
        let id = TicketId { bulk: !interactive, number: self.next_number };
        self.waiting.insert(id, Ticket { cost, alarm: None, nudge });
        self.dispatch(now);
        id
    }

    /// What has become of a ticket.
    pub(super) fn poll(&mut self, id: TicketId, now: Instant) -> Result<Verdict, AcquireError> {
        let due = |ticket: &Ticket| ticket.alarm.is_some_and(|alarm| alarm <= now);
        if self.waiting.get(&id).is_some_and(due) {
            self.dispatch(now);
        }
        match self.decided.remove(&id) {
            Some(decision) => decision.map(Verdict::Granted),
            None => Ok(Verdict::Wait(self.waiting.get(&id).and_then(|ticket| ticket.alarm))),
        }
    }

    /// A ticket is given up; what it had is given back.
    pub(super) fn leave(&mut self, id: TicketId, now: Instant) {
        let waited = self.waiting.remove(&id).is_some();
        if let Some(Ok(grant)) = self.decided.remove(&id) {
            self.cancel(grant.index, &grant.reservation, now);
        } else if waited {
            self.dispatch(now);
        }
    }

    /// A slot is sent.
    pub(super) fn sent(&mut self, index: usize, reservation: &mut Reservation, now: Instant) {
        if let Some(deployment) = self.deployments.get_mut(index) {
            deployment.sent(reservation, now);
        }
    }

    /// A slot is given back unsent.
    pub(super) fn cancel(&mut self, index: usize, reservation: &Reservation, now: Instant) {
        if let Some(deployment) = self.deployments.get_mut(index) {
            deployment.refund(reservation, now);
            deployment.release();
        }
        self.dispatch(now);
    }

    /// A call was dropped under way: nobody knows what it cost.
    pub(super) fn abandon(&mut self, index: usize, now: Instant) {
        if let Some(deployment) = self.deployments.get_mut(index) {
            deployment.release();
        }
        self.dispatch(now);
    }

    /// A call is over.
    pub(super) fn settle(
        &mut self,
        index: usize,
        reservation: &Reservation,
        outcome: &Outcome<'_>,
        now: Instant,
    ) -> Option<DeploymentStatus> {
        let deployment = self.deployments.get_mut(index)?;
        deployment.settle(reservation, outcome, now);
        deployment.release();
        self.dispatch(now);
        self.deployments.get(index).map(|deployment| deployment.status(now))
    }

    /// Which deployment would take such a call, and after how long at least.
    pub(super) fn forecast(
        &self,
        cost: &Cost,
        interactive: bool,
        now: Instant,
    ) -> Result<(String, Duration), AcquireError> {
        let (index, wait) = match pick_by(self.strategy, &self.candidates(cost, now)) {
            Choice::Now(index) => (index, Duration::ZERO),
            Choice::Later(index, at) => (index, at.saturating_duration_since(now)),
            choice => return Err(self.fatal(choice, cost)),
        };
        let name = self.deployments.get(index).map(|deployment| deployment.config.name.clone());
        Ok((name.unwrap_or_default(), wait.max(self.backlog(cost, interactive, now))))
    }

    /// Uses only this part of every quota.
    pub(super) fn set_share(&mut self, share: f64, now: Instant) {
        for deployment in &mut self.deployments {
            deployment.set_share(share, now);
        }
        self.dispatch(now);
    }

    /// Uses only what is leased of the deployment of this name.
    pub(super) fn set_lease(&mut self, name: &str, lease: Lease, news: &News, now: Instant) {
        let named = |deployment: &&mut Deployment| deployment.config.name == name;
        if let Some(deployment) = self.deployments.iter_mut().find(named) {
            deployment.set_lease(lease, news, now);
            self.dispatch(now);
        }
    }

    /// What is held and wanted of the deployment of this name: whoever waits may go to any.
    pub(super) fn demand(&mut self, name: &str, now: Instant) -> Option<Demand> {
        let waiting: Vec<Cost> = self.waiting.values().map(|ticket| ticket.cost).collect();
        let named = |deployment: &&mut Deployment| deployment.config.name == name;
        Some(self.deployments.iter_mut().find(named)?.demand(&waiting, now))
    }

    /// Whether nobody else waits.
    pub(super) fn is_alone(&self, id: TicketId) -> bool {
        self.waiting.len() == 1 && self.waiting.contains_key(&id)
    }

    /// For how long no deployment could be used; none while one can.
    pub(super) fn outage(&self, now: Instant) -> Option<Duration> {
        let since = self.deployments.iter().map(|deployment| deployment.out_since(now));
        let last = since.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(now.saturating_duration_since(last))
    }

    /// The largest context, where one is configured.
    pub(super) fn context_tokens_max(&self) -> Option<u32> {
        self.deployments.iter().filter_map(|deployment| deployment.config.context_tokens_max).max()
    }

    /// What these tokens cost at the deployment of this name.
    pub(super) fn price(&self, name: &str, tokens_input: u64, tokens_output: u64) -> Option<f64> {
        let named = |deployment: &&Deployment| deployment.config.name == name;
        self.deployments.iter().find(named)?.price(tokens_input, tokens_output)
    }

    /// Every deployment at this moment.
    pub(super) fn snapshot(&self, now: Instant) -> Vec<DeploymentStatus> {
        self.deployments.iter().map(|deployment| deployment.status(now)).collect()
    }

    /// Serves whoever can be served, and says to the others when to ask again.
    fn dispatch(&mut self, now: Instant) {
        let ids: Vec<TicketId> = self.waiting.keys().copied().collect();
        let mut free = vec![true; self.deployments.len()];
        for id in ids {
            let Some(cost) = self.waiting.get(&id).map(|ticket| ticket.cost) else { continue };
            if !free.contains(&true) {
                self.set_alarm(id, None);
                continue;
            }
            let mut candidates = self.candidates(&cost, now);
            if let choice @ (Choice::Denied | Choice::TooLong | Choice::Nobody) = pick(&candidates)
            {
                let error = self.fatal(choice, &cost);
                self.decide(id, Err(error));
                continue;
            }
            candidates.retain(|candidate| free.get(candidate.index).copied().unwrap_or(false));
            match pick_by(self.strategy, &candidates) {
                Choice::Now(index) => {
                    let Some(deployment) = self.deployments.get_mut(index) else { continue };
                    deployment.turn = turn(self.strategy, &candidates, index);
                    let reservation = deployment.reserve(&cost, now);
                    let deployment = deployment.config.name.clone();
                    self.decide(id, Ok(Grant { index, deployment, reservation }));
                }
                choice => {
                    if let Choice::Later(index, _) = choice
                        && let Some(free) = free.get_mut(index)
                    {
                        *free = false;
                    }
                    self.set_alarm(id, alarm(&candidates));
                }
            }
        }
    }

    fn set_alarm(&mut self, id: TicketId, alarm: Option<Instant>) {
        if let Some(ticket) = self.waiting.get_mut(&id)
            && ticket.alarm != alarm
        {
            ticket.alarm = alarm;
            ticket.nudge.notify_one();
        }
    }

    fn decide(&mut self, id: TicketId, decision: Result<Grant, AcquireError>) {
        if let Some(ticket) = self.waiting.remove(&id) {
            self.decided.insert(id, decision);
            ticket.nudge.notify_one();
        }
    }

    fn candidates(&self, cost: &Cost, now: Instant) -> Vec<Candidate> {
        let deployments = self.deployments.iter().enumerate();
        deployments.map(|(index, deployment)| deployment.candidate(index, cost, now)).collect()
    }

    /// How long the quota takes to make room for all who go first and for this call.
    fn backlog(&self, cost: &Cost, interactive: bool, now: Instant) -> Duration {
        let ahead: Vec<Cost> = self
            .waiting
            .iter()
            .filter(|(id, _)| !interactive || !id.bulk)
            .map(|(_, ticket)| ticket.cost)
            .collect();
        // What is charged differs little between deployments: the first stands for all.
        let Some(first) = self.deployments.first().filter(|_| !ahead.is_empty()) else {
            return Duration::ZERO;
        };
        let tokens: u64 = ahead.iter().chain([cost]).map(|cost| first.charge(cost).0).sum();
        let (mut left, mut rate) = ((0.0, 0.0), (0.0, 0.0));
        for deployment in &self.deployments {
            let ((tokens, requests), (tokens_second, requests_second)) = deployment.supply(now);
            left = (left.0 + tokens, left.1 + requests);
            rate = (rate.0 + tokens_second, rate.1 + requests_second);
        }
        let missing_tokens = (tokens as f64 - left.0) / f64::max(rate.0, 0.001);
        let missing_requests = (ahead.len() as f64 + 1.0 - left.1) / f64::max(rate.1, 0.001);
        Duration::from_secs_f64(missing_tokens.max(missing_requests).clamp(0.0, 86_400.0))
    }

    fn fatal(&self, choice: Choice, cost: &Cost) -> AcquireError {
        if choice == Choice::TooLong {
            let largest = self.deployments.iter().map(|deployment| deployment.charge(cost));
            let (tokens, tokens_max) = largest.max_by_key(|(_, max)| *max).unwrap_or_default();
            return AcquireError::TooLong { tokens, tokens_max };
        }
        let said = self.deployments.iter().find_map(Deployment::denial);
        AcquireError::Denied { message: said.unwrap_or("it is not said why").to_owned() }
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
