//! A place in the queue, the reservation that comes of it, and the one call that a reservation
//! stands for.
//!
//! Both give back what they hold when they are dropped. It must know nothing of how a choice is
//! made.

mod forward;
mod measure;

pub use forward::{ForwardOutcome, Forwarded, ForwardedBody};
pub(super) use measure::gauge;

use crate::deployment::End;
use crate::limiter::{Booking, LimiterHints};
use crate::need::Need;
use crate::provider::classify::gave_up_waiting;
use crate::provider::transport::NoResponse;
use crate::provider::typed_client::{Answered, TypedClient};
use crate::scheduler::{Lease, ReserveError, Scheduler, TicketId, Verdict};
use crate::typed::chat::{CallError, Reply, Request};
use crate::typed::usage::Usage;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// One model's deployments: what is known of them, and the ways to them, in the same order.
pub(super) struct ModelPool {
    pub(super) scheduler: Mutex<Scheduler>,
    pub(super) clients: Vec<Arc<TypedClient>>,
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
    schema: Option<String>,
    tenant: Arc<str>,
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
        // Images would blur what is learned of words.
        let schema = need.images.is_empty().then(|| need.schema.clone());
        let tenant = Arc::clone(&need.tenant);
        Self { model_pool: Arc::clone(model_pool), id, nudge, schema, tenant }
    }

    /// What has become of it, where a slot is of use from `lead` before its time on.
    pub(super) fn poll(&self, lead: Duration, now: Instant) -> Result<Step, ReserveError> {
        let verdict = self.model_pool.lock().poll_ahead(self.id, lead, now)?;
        Ok(match verdict {
            Verdict::Granted(lease) => Step::Go(Reservation::new(self, lease)),
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

/// The right to make one call, now or after [`Self::ready`]. Dropped unsent, it gives its quota back.
pub struct Reservation {
    model_pool: Arc<ModelPool>,
    index: usize,
    deployment: String,
    /// What questions are like is learned by it, where there are only words in them.
    schema: Option<String>,
    /// Who pays.
    tenant: Arc<str>,
    /// None once the call is settled.
    booking: Option<Booking>,
    /// When it is to be sent.
    at: Instant,
    /// When it was sent.
    started: Option<Instant>,
}

/// How a call ended.
struct Ended<'a> {
    result: Result<Usage, &'a CallError>,
    hints: LimiterHints,
    /// The model as the provider names it.
    model: Option<&'a str>,
}

impl<'a> Ended<'a> {
    fn failed(error: &'a CallError, hints: LimiterHints) -> Self {
        Self { result: Err(error), hints, model: None }
    }
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
    fn new(queued: &QueuedCall, lease: Lease) -> Self {
        let Lease { index, deployment, booking } = lease;
        let at = queued.model_pool.lock().instant(booking.at);
        let (model_pool, booking) = (Arc::clone(&queued.model_pool), Some(booking));
        let (schema, tenant) = (queued.schema.clone(), Arc::clone(&queued.tenant));
        Self { model_pool, index, deployment, schema, tenant, booking, at, started: None }
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

    /// Waits until the call may be sent. False when the deployment has closed since: give it up.
    pub async fn ready(&self) -> bool {
        sleep_until(self.at).await;
        let booking = self.booking.as_ref();
        booking.is_some_and(|booking| !self.model_pool.lock().is_void(self.index, booking))
    }

    /// Asks one typed question, once, and learns from how that ends. When the future is dropped
    /// under way, the call stays charged, for nobody knows what became of it.
    ///
    /// # Errors
    /// When no reply came; the error says whether it may have been paid.
    pub async fn send(mut self, request: &Request) -> Result<Reply, CallError> {
        let client = self.client()?;
        let call_timeout = self.model_pool.call_timeout;
        let started = self.start();
        let answered = timeout(call_timeout, client.call(request)).await;
        let Answered { limits, result, .. } = answered.unwrap_or_else(|_| {
            let late = NoResponse::late(call_timeout);
            Answered::silent(late, &self.deployment, call_timeout)
        });
        let (duration, hints) = (started.elapsed(), limits.hints());
        let result = result.map_err(|error| self.in_context(error));
        let result = result.map(|body| Reply {
            deployment: self.deployment.clone(),
            body,
            duration_ms: duration.as_millis().try_into().unwrap_or(u64::MAX),
        });
        let usage = |reply: &Reply| Usage::of(&reply.body).unwrap_or_default();
        let model = result.as_ref().ok().and_then(|reply| reply.body.get("model")?.as_str());
        self.settle(&Ended { result: result.as_ref().map(usage), hints, model });
        result
    }

    /// A gateway that gives up may do so for the question or for all. Where the deployment has
    /// answered nobody since its last failure it is out, and the question is not to blame.
    fn in_context(&self, error: CallError) -> CallError {
        match error {
            CallError::Unknown { deployment, status: Some(status), message }
                if gave_up_waiting(status) && self.model_pool.lock().is_failing(self.index) =>
            {
                CallError::Unavailable { deployment, status, message }
            }
            error => error,
        }
    }

    /// The way to the deployment.
    fn client(&self) -> Result<Arc<TypedClient>, CallError> {
        let client = self.model_pool.clients.get(self.index).map(Arc::clone);
        client.ok_or_else(|| CallError::Unreachable {
            deployment: self.deployment.clone(),
            message: "it has no address".to_owned(),
        })
    }

    /// The call is sent now.
    fn start(&mut self) -> Instant {
        let started = Instant::now();
        self.model_pool.lock().sent(self.index);
        self.started = Some(started);
        measure::lateness(started.saturating_duration_since(self.at));
        started
    }

    /// The call is over: the scheduler learns from it. Once.
    fn settle(&mut self, ended: &Ended<'_>) {
        let (Some(booking), Some(started)) = (self.booking.take(), self.started) else { return };
        let now = Instant::now();
        let end = End {
            result: ended.result.map(|usage| (usage.tokens_input, usage.tokens_output)),
            hints: ended.hints,
            model: ended.model,
            started,
            jitter: fastrand::f64(),
        };
        let mut scheduler = self.model_pool.lock();
        if let (Ok((tokens_input, _)), Some(schema)) = (end.result, &self.schema) {
            scheduler.learn(schema, &booking, tokens_input);
        }
        let status = scheduler.settle(self.index, &booking, &end, now);
        let cost = ended.result.ok().and_then(|usage| scheduler.price(&self.deployment, &usage));
        drop(scheduler);
        self.model_pool.news.notify_one();
        status.iter().for_each(gauge);
        measure::ended(&self.deployment, now.saturating_duration_since(started), ended.result);
        if let Some(cost) = cost {
            measure::paid(&self.deployment, &self.tenant, cost);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // A settled one has no booking left.
        let Some(booking) = self.booking.take() else { return };
        let now = Instant::now();
        if self.started.is_some() {
            self.model_pool.lock().abandon(self.index, now);
            measure::dropped(&self.deployment);
        } else {
            self.model_pool.lock().cancel(self.index, &booking, now);
        }
        self.model_pool.news.notify_one();
    }
}
