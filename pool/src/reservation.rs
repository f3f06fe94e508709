//! A place in the queue, the slot that comes of it, and the one call that a slot stands for.
//!
//! Both give back what they hold when they are dropped. It must know nothing of how a choice is
//! made.

use crate::deployment::{DeploymentState, DeploymentStatus, End};
use crate::limiter::Booking;
use crate::need::Need;
use crate::provider::transport::{Answered, Transport};
use crate::scheduler::{Lease, ReserveError, Scheduler, TicketId, Verdict};
use crate::typed::chat::{CallError, Reply, Request, Shortage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// One model's deployments: what is known of them, and the ways to them, in the same order.
pub(super) struct ModelPool {
    pub(super) scheduler: Mutex<Scheduler>,
    pub(super) transports: Vec<Transport>,
    pub(super) call_timeout: Duration,
    /// Published when a call asks for a slot, and when one ends.
    pub(super) news: Arc<Notify>,
}

impl ModelPool {
    /// The scheduler; nothing that holds it can stop half-way.
    pub(super) fn lock(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The schedulers by model.
pub(super) type ModelPools = BTreeMap<String, Arc<ModelPool>>;

/// A place in the queue.
pub(super) struct QueuedCall {
    model_pool: Arc<ModelPool>,
    id: TicketId,
    nudge: Arc<Notify>,
}

/// What a place in the queue has come to.
pub(super) enum Step {
    /// It became a slot.
    Go(Reservation),
    /// Wait for a nudge, but no longer than until this time.
    Wait(Option<Instant>),
}

impl QueuedCall {
    /// Queues up, for one deployment or for all.
    pub(super) fn enter(
        model_pool: &Arc<ModelPool>,
        need: &Need,
        only: Option<usize>,
        now: Instant,
    ) -> Self {
        let nudge = Arc::new(Notify::new());
        let id = model_pool.lock().enter(need, only, Arc::clone(&nudge), now);
        Self { model_pool: Arc::clone(model_pool), id, nudge }
    }

    /// What has become of it.
    pub(super) fn poll(&self, now: Instant) -> Result<Step, ReserveError> {
        let verdict = self.model_pool.lock().poll(self.id, now)?;
        Ok(match verdict {
            Verdict::Granted(grant) => Step::Go(Reservation::new(&self.model_pool, grant)),
            Verdict::Wait(alarm) => Step::Wait(alarm),
        })
    }

    /// Ends when there may be news.
    pub(super) async fn nudged(&self) {
        self.nudge.notified().await;
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        self.model_pool.lock().leave(self.id, Instant::now());
    }
}

/// The right to make one call now. Dropped unsent, it gives its quota back.
pub struct Reservation {
    model_pool: Arc<ModelPool>,
    index: usize,
    deployment: String,
    booking: Option<Booking>,
    /// When it is to be sent.
    at: Instant,
    sent: bool,
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Reservation")
            .field("deployment", &self.deployment)
            .finish_non_exhaustive()
    }
}

impl Reservation {
    fn new(model_pool: &Arc<ModelPool>, grant: Lease) -> Self {
        let Lease { index, deployment, booking } = grant;
        let at = model_pool.lock().instant(booking.at);
        let (model_pool, booking) = (Arc::clone(model_pool), Some(booking));
        Self { model_pool, index, deployment, booking, at, sent: false }
    }

    /// For tests that make the call themselves: the deployment's place, and what was booked there.
    #[cfg(test)]
    pub(super) fn into_booking(mut self) -> Option<(usize, Booking)> {
        Some((self.index, self.booking.take()?))
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
        self.model_pool.lock().sent(self.index);
        self.sent = true;
        let late = started.saturating_duration_since(self.at).as_secs_f64();
        metrics::histogram!("sluice_pool_lateness_seconds").record(late);
        let answered = self.call(request).await;
        let now = Instant::now();
        let duration = now.saturating_duration_since(started);
        let hints = answered.hints();
        let result = answered.result.map(|body| Reply {
            deployment: self.deployment.clone(),
            body,
            duration_ms: duration.as_millis().try_into().unwrap_or(u64::MAX),
        });
        let end = End {
            result: result.as_ref().map(Reply::tokens),
            hints,
            started,
            jitter: fastrand::f64(),
        };
        if let Some(booking) = self.booking.take() {
            let mut scheduler = self.model_pool.lock();
            if let Ok((tokens_input, _)) = end.result {
                scheduler.learn(&request.schema_name, &booking, tokens_input);
            }
            let status = scheduler.settle(self.index, &booking, &end, now);
            drop(scheduler);
            self.model_pool.news.notify_one();
            status.iter().for_each(gauge);
        }
        count(&self.deployment, duration, &result);
        result
    }

    async fn call(&self, request: &Request) -> Answered {
        let deployment = self.deployment.clone();
        let Some(transport) = self.model_pool.transports.get(self.index) else {
            let message = "it has no address".to_owned();
            return Answered::unheard(Err(CallError::Unreachable { deployment, message }));
        };
        let call_timeout = self.model_pool.call_timeout;
        timeout(call_timeout, transport.call(request)).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", call_timeout.as_secs_f64());
            Answered::unheard(Err(CallError::Unknown { deployment, status: None, message }))
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // A settled slot has no booking left.
        let Some(booking) = self.booking.take() else { return };
        let now = Instant::now();
        if self.sent {
            self.model_pool.lock().abandon(self.index, now);
            let labels = [("deployment", self.deployment.clone()), ("outcome", "dropped".into())];
            metrics::counter!("sluice_calls_total", &labels).increment(1);
        } else {
            self.model_pool.lock().cancel(self.index, &booking, now);
        }
        self.model_pool.news.notify_one();
    }
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
    metrics::gauge!("sluice_pool_external_load_tokens", &labels).set(status.external_load as f64);
    metrics::gauge!("sluice_pool_trim", &labels).set(status.trim);
    metrics::gauge!("sluice_pool_level", &labels).set(status.level);
    metrics::gauge!("sluice_pool_ceiling_seconds", &labels).set(status.ceiling.as_secs_f64());
}
