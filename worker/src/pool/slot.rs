//! A place in the queue, the slot that comes of it, and the one call that a slot stands for.
//!
//! Both give back what they hold when they are dropped. It must know nothing of how a choice is
//! made.

use super::Need;
use super::calendar::Booking;
use super::deployment::{DeploymentState, DeploymentStatus, End};
use super::lane::{AcquireError, Grant, Lane, TicketId, Verdict};
use super::transport::{Answered, Transport};
use crate::chat::{CallError, Reply, Request, Shortage};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// One model's deployments: what is known of them, and the ways to them, in the same order.
pub(super) struct Seat {
    pub(super) lane: Mutex<Lane>,
    pub(super) transports: Vec<Transport>,
    pub(super) call_timeout: Duration,
    /// Told when a call asks for a slot, and when one ends.
    pub(super) news: Arc<Notify>,
}

impl Seat {
    /// The lane; nothing that holds it can stop half-way.
    pub(super) fn lock(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes by model.
pub(super) type Seats = BTreeMap<String, Arc<Seat>>;

/// A place in the queue.
pub(super) struct Waiting {
    seat: Arc<Seat>,
    id: TicketId,
    nudge: Arc<Notify>,
}

/// What a place in the queue has come to.
pub(super) enum Step {
    /// It became a slot.
    Go(Slot),
    /// Wait for a nudge, but no longer than until this time.
    Wait(Option<Instant>),
}

impl Waiting {
    /// Queues up, for one deployment or for all.
    pub(super) fn enter(seat: &Arc<Seat>, need: &Need, only: Option<usize>, now: Instant) -> Self {
        let nudge = Arc::new(Notify::new());
        let id = seat.lock().enter(need, only, Arc::clone(&nudge), now);
        Self { seat: Arc::clone(seat), id, nudge }
    }

    /// What has become of it.
    pub(super) fn poll(&self, now: Instant) -> Result<Step, AcquireError> {
        let verdict = self.seat.lock().poll(self.id, now)?;
        Ok(match verdict {
            Verdict::Granted(grant) => Step::Go(Slot::new(&self.seat, grant)),
            Verdict::Wait(alarm) => Step::Wait(alarm),
        })
    }

    /// Ends when there may be news.
    pub(super) async fn nudged(&self) {
        self.nudge.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.seat.lock().leave(self.id, Instant::now());
    }
}

/// The right to make one call now. Dropped unsent, it gives its quota back.
pub struct Slot {
    seat: Arc<Seat>,
    index: usize,
    deployment: String,
    booking: Option<Booking>,
    /// When it is to be sent.
    at: Instant,
    sent: bool,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Slot").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

impl Slot {
    fn new(seat: &Arc<Seat>, grant: Grant) -> Self {
        let Grant { index, deployment, booking } = grant;
        let at = seat.lock().instant(booking.at);
        let (seat, booking) = (Arc::clone(seat), Some(booking));
        Self { seat, index, deployment, booking, at, sent: false }
    }

    /// The deployment that the call goes to.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Makes the call, once, and learns from how it ends. When the future is dropped under way, the
    /// call stays charged, for nobody knows what became of it.
    ///
    /// # Errors
    /// When no reply came; the error says whether it may have been paid.
    pub async fn send(mut self, request: &Request) -> Result<Reply, CallError> {
        let started = Instant::now();
        self.seat.lock().sent(self.index);
        self.sent = true;
        let late = started.saturating_duration_since(self.at).as_secs_f64();
        metrics::histogram!("sluice_pool_lateness_seconds").record(late);
        let answered = self.call(request).await;
        let now = Instant::now();
        let duration = now.saturating_duration_since(started);
        let heard = answered.heard();
        let result = answered.result.map(|body| Reply {
            deployment: self.deployment.clone(),
            body,
            duration_ms: duration.as_millis().try_into().unwrap_or(u64::MAX),
        });
        let end =
            End { result: result.as_ref().map(Reply::tokens), heard, started, jitter: chance() };
        if let Some(booking) = self.booking.take() {
            let mut lane = self.seat.lock();
            if let Ok((tokens_input, _)) = end.result {
                lane.learn(&request.schema_name, &booking, tokens_input);
            }
            let status = lane.settle(self.index, &booking, &end, now);
            drop(lane);
            self.seat.news.notify_one();
            status.iter().for_each(gauge);
        }
        count(&self.deployment, duration, &result);
        result
    }

    async fn call(&self, request: &Request) -> Answered {
        let deployment = self.deployment.clone();
        let Some(transport) = self.seat.transports.get(self.index) else {
            let message = "it has no address".to_owned();
            return Answered::unheard(Err(CallError::Unreachable { deployment, message }));
        };
        let call_timeout = self.seat.call_timeout;
        timeout(call_timeout, transport.call(request)).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", call_timeout.as_secs_f64());
            Answered::unheard(Err(CallError::Unknown { deployment, status: None, message }))
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A settled slot has no booking left.
        let Some(booking) = self.booking.take() else { return };
        let now = Instant::now();
        if self.sent {
            self.seat.lock().abandon(self.index, now);
            let labels = [("deployment", self.deployment.clone()), ("outcome", "dropped".into())];
            metrics::counter!("sluice_calls_total", &labels).increment(1);
        } else {
            self.seat.lock().cancel(self.index, &booking, now);
        }
        self.seat.news.notify_one();
    }
}

/// A number from 0 to 1 by chance.
pub(crate) fn chance() -> f64 {
    random() as f64 / u64::MAX as f64
}

/// Any number, by chance.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn outcome_name(result: &Result<Reply, CallError>) -> &'static str {
    match result {
        Ok(_) => "answered",
        Err(CallError::Throttled { .. }) => "throttled",
        Err(CallError::Unreachable { .. }) => "unreachable",
        Err(CallError::Unavailable { .. }) => "unavailable",
        Err(CallError::Denied { .. }) => "denied",
        Err(CallError::Refused { .. }) => "refused",
        Err(CallError::Unknown { .. }) => "unknown",
    }
}

fn count(deployment: &str, duration: Duration, result: &Result<Reply, CallError>) {
    let name = || ("deployment", deployment.to_owned());
    let labels = [name(), ("outcome", outcome_name(result).to_owned())];
    metrics::counter!("sluice_calls_total", &labels).increment(1);
    metrics::histogram!("sluice_call_seconds", &[name()]).record(duration.as_secs_f64());
    if let Err(CallError::Throttled { why, .. }) = result {
        let why = match why {
            Shortage::Quota => "quota",
            Shortage::Capacity => "capacity",
        };
        let labels = [name(), ("why", why.to_owned())];
        metrics::counter!("sluice_throttled_calls_total", &labels).increment(1);
    }
    let Ok(reply) = result else { return };
    let (tokens_input, tokens_output) = reply.tokens();
    for (kind, tokens) in [("input", tokens_input), ("output", tokens_output)] {
        let labels = [name(), ("kind", kind.to_owned())];
        metrics::counter!("sluice_tokens_total", &labels).increment(tokens);
    }
}

/// Shows a deployment's state and quota.
pub(super) fn gauge(status: &DeploymentStatus) {
    let labels = [("deployment", status.name.clone())];
    let state = match status.state {
        DeploymentState::Ok => 0.0,
        DeploymentState::Cooling => 1.0,
        DeploymentState::Throttled => 2.0,
        DeploymentState::Denied => 3.0,
    };
    metrics::gauge!("sluice_deployment_state", &labels).set(state);
    let tokens = status.tokens_available as f64;
    metrics::gauge!("sluice_quota_tokens_available", &labels).set(tokens);
    metrics::gauge!("sluice_pool_quota_utilisation", &labels).set(status.utilisation);
    metrics::gauge!("sluice_pool_ratio", &labels).set(status.ratio);
    metrics::gauge!("sluice_pool_strangers_tokens", &labels).set(status.strangers as f64);
    metrics::gauge!("sluice_pool_trim", &labels).set(status.trim);
    metrics::gauge!("sluice_pool_level", &labels).set(status.level);
    metrics::gauge!("sluice_pool_ceiling_seconds", &labels).set(status.ceiling.as_secs_f64());
}
