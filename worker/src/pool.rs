//! The balanced pool of model deployments: paces calls to what each provider admits, spreads them
//! over the deployments of a model, and says what became of each.
//!
//! A call has two steps so that its caller can write down its intent between them: [`Pool::acquire`]
//! waits for quota and gives a [`Slot`]; [`Slot::send`] makes the one call that it stands for. The
//! pool never repeats a call. It must know nothing of documents, jobs or configuration files.

mod pick;
mod mode;
mod config;
mod address;
mod headers;
mod classify;
mod calendar;
mod book;
mod exchange;
mod health;
mod hedge;
mod deployment;
mod lane;
mod form;
mod transport;
mod slot;
#[doc(hidden)]
pub mod overhead;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod tests;

pub use address::{Address, limit_field};
pub use book::Book;
pub use calendar::Kind;
pub use config::{
    ApiKey, ChargeConfig, DeploymentConfig, LimiterKind, PoolConfig, PoolError, Provider,
};
pub use deployment::{DeploymentState, DeploymentStatus};
pub use exchange::{Exchange, Given};
pub use lane::AcquireError;
pub use mode::Mode;
pub use pick::Strategy;
pub use slot::Slot;
pub(crate) use slot::chance;

use crate::chat::Request;
use hedge::Hedge;
use lane::Lane;
use slot::{Seat, Seats, Step, Waiting};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use transport::Transport;

/// No wait is longer, whatever a caller allows.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest time after which it makes sense to ask again.
const WAIT_AGAIN: Duration = Duration::from_millis(100);

/// How long a second call waits for its slot, and the pause before it looks for room again.
const SECOND_WAIT: Duration = Duration::from_millis(500);
const SECOND_AGAIN: Duration = Duration::from_millis(250);

/// Timers are no finer.
const HAIR: Duration = Duration::from_millis(1);

/// The pool. Cheap to clone: clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    seats: Arc<Seats>,
    news: Arc<Notify>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("models", &self.models()).finish_non_exhaustive()
    }
}

/// What a call needs before it may be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// The model.
    pub model: String,
    /// What providers count of the question at admission: `floor(characters / 4) + 1` a message.
    pub tokens_input: u64,
    /// The most tokens that the answer may have.
    pub tokens_output_max: u32,
    /// Whether someone waits for it: goes before all that does not.
    pub interactive: bool,
    /// The longest wait that makes sense.
    pub wait_max: Duration,
    /// The schema that the answer follows: what its questions are like is learned.
    pub schema: String,
    /// Whether it was sent before and found no room: it goes before its equals.
    pub returned: bool,
    /// For whom it is: bulk is shared out among tenants.
    pub tenant: Arc<str>,
    /// How much the tenant should get, beside the weights of the others.
    pub weight: f64,
    /// When an answer is of no use any more.
    pub deadline: Option<Instant>,
}

impl Need {
    /// What this request needs, for a tenant like any other.
    pub fn of(request: &Request, interactive: bool, wait_max: Duration) -> Self {
        Self {
            model: request.model.clone(),
            tokens_input: request.characters().map(|count| count as u64 / 4 + 1).sum(),
            tokens_output_max: request.tokens_output_max,
            interactive,
            wait_max,
            schema: request.schema_name.clone(),
            returned: false,
            tenant: Arc::from(""),
            weight: 1.0,
            deadline: None,
        }
    }
}

/// When a call could start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The deployment that would take it.
    pub deployment: String,
    /// How long until then, at least; zero when it could start now.
    pub wait: Duration,
}

impl Pool {
    /// Builds the pool. No network is used.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: PoolConfig) -> Result<Self, PoolError> {
        config.check()?;
        let client = transport::client()?;
        let now = Instant::now();
        let mut models: BTreeMap<String, (Lane, Vec<Transport>)> = BTreeMap::new();
        for one in config.deployments {
            let transport = Transport::new(&client, &one)?;
            let strategy = config.strategies.get(&one.model).copied().unwrap_or_default();
            let (lane, transports) = models
                .entry(one.model.clone())
                .or_insert_with(|| (Lane::new(strategy, now), Vec::new()));
            lane.add(one, now);
            transports.push(transport);
        }
        let (call_timeout, news) = (config.call_timeout, Arc::new(Notify::new()));
        let seat = |(model, (lane, transports))| {
            (
                model,
                Arc::new(Seat {
                    lane: Mutex::new(lane),
                    transports,
                    call_timeout,
                    news: Arc::clone(&news),
                }),
            )
        };
        let seats = Arc::new(models.into_iter().map(seat).collect());
        Ok(Self { seats, news })
    }

    /// The models that some deployment serves, sorted.
    pub fn models(&self) -> Vec<String> {
        self.seats.keys().cloned().collect()
    }

    /// Whether some deployment serves the model.
    pub fn serves(&self, model: &str) -> bool {
        self.seats.contains_key(model)
    }

    /// For how long no deployment of the model could be used, because all of them fail or refuse;
    /// none while one can, or may be tried.
    pub fn outage(&self, model: &str) -> Option<Duration> {
        self.seats.get(model)?.lock().outage(Instant::now())
    }

    /// The largest context among the model's deployments, where one is configured.
    pub fn context_tokens_max(&self, model: &str) -> Option<u32> {
        self.seats.get(model)?.lock().context_tokens_max()
    }

    /// What these tokens cost at a deployment, where its prices are configured.
    pub fn cost_of(&self, deployment: &str, tokens_input: u64, tokens_output: u64) -> Option<f64> {
        let price = |seat: &Arc<Seat>| seat.lock().price(deployment, tokens_input, tokens_output);
        self.seats.values().find_map(price)
    }

    /// When such a call could start, were it asked for now. Changes nothing.
    ///
    /// # Errors
    /// [`AcquireError::NoDeployment`], [`AcquireError::TooLong`], [`AcquireError::TooLate`] and
    /// [`AcquireError::Denied`].
    pub fn forecast(&self, need: &Need) -> Result<Forecast, AcquireError> {
        let (deployment, wait) = self.seat(&need.model)?.lock().forecast(need, Instant::now())?;
        Ok(Forecast { deployment, wait })
    }

    /// Waits until a deployment of the model may be called, in the order of asking; interactive
    /// calls before all others. Cancel-safe: a dropped future gives back what it had reserved.
    ///
    /// # Errors
    /// See [`AcquireError`].
    pub async fn acquire(&self, need: &Need) -> Result<Slot, AcquireError> {
        self.acquire_at(need, None).await
    }

    /// Ends with a slot for a second call, where a call that somebody waits for takes longer than
    /// nearly all others and another deployment has room that nobody wants. Never ends otherwise:
    /// at most 2 of 100 such calls are made a second time. `first` is the deployment that the call
    /// was sent to, at `sent`. To be called once a call, and dropped with its end.
    pub async fn second(&self, need: &Need, first: &str, sent: Instant) -> Slot {
        let Some(seat) = self.seats.get(&need.model).filter(|_| need.interactive) else {
            return std::future::pending().await;
        };
        seat.lock().earn_second();
        let need = Need { wait_max: SECOND_WAIT, ..need.clone() };
        loop {
            let now = Instant::now();
            let hedge = seat.lock().second(&need, first, sent, now);
            let again = match hedge {
                Hedge::Never => return std::future::pending().await,
                Hedge::At(age) => sent + age + HAIR,
                Hedge::NotNow => now + SECOND_AGAIN,
                Hedge::Now(index) => {
                    let slot = self.acquire_at(&need, Some(index)).await;
                    if let Ok(slot) = slot
                        && seat.lock().spend_second()
                    {
                        return slot;
                    }
                    now + SECOND_AGAIN
                }
            };
            sleep_until(again).await;
        }
    }

    async fn acquire_at(&self, need: &Need, only: Option<usize>) -> Result<Slot, AcquireError> {
        let seat = self.seat(&need.model)?;
        let asked = Instant::now();
        let deadline = asked + need.wait_max.min(WAIT_MAX);
        let waiting = Waiting::enter(seat, need, only, asked);
        self.news.notify_one();
        let mut is_told = false;
        loop {
            let now = Instant::now();
            let alarm = match waiting.poll(now)? {
                Step::Go(slot) => {
                    let waited = now.saturating_duration_since(asked);
                    let class = if need.interactive { "interactive" } else { "bulk" };
                    metrics::histogram!("sluice_quota_wait_seconds", "class" => class)
                        .record(waited.as_secs_f64());
                    return Ok(slot);
                }
                Step::Wait(alarm) => alarm,
            };
            if !is_told {
                is_told = true;
                self.is_worth_it(need)?;
            }
            if now >= deadline {
                drop(waiting);
                return Err(self.later(need));
            }
            // The alarm is a computed time; a nudge comes when anything it rests on changes.
            let until = alarm.map_or(deadline, |alarm| alarm.min(deadline));
            let _: Result<(), _> = timeout_at(until, waiting.nudged()).await;
        }
    }

    /// Lets this process use only this part of every quota, from above 0 to 1: N workers that do
    /// not talk to each other use 1/N each. Where the book was shared, it cannot be asked now: this
    /// process goes on with that part of what it last had left.
    pub fn set_share(&self, share: f64) {
        for seat in self.seats.values() {
            seat.lock().set_share(share, slot::chance(), Instant::now());
        }
    }

    /// From now on slots come from books that are shared with other workers: by [`Self::prepare`],
    /// [`Exchange::run`] and [`Self::take`], model by model.
    pub fn lease(&self) {
        self.seats.values().for_each(|seat| seat.lock().lease(slot::random()));
    }

    /// What is to be said to the book of this model. Whatever becomes of it, it is for
    /// [`Self::take`] or [`Self::keep`]; one at a time for each model.
    pub fn prepare(&self, model: &str) -> Option<Exchange> {
        Some(self.seats.get(model)?.lock().prepare(Instant::now()))
    }

    /// Takes what the shared book gave. Gives the time at which to ask again, unless something
    /// happens before; none where nobody waits, or only for calls that end.
    pub fn take(&self, model: &str, given: Given) -> Option<Instant> {
        self.seats.get(model)?.lock().take(given, Instant::now())
    }

    /// The book could not be asked: what was to be said is said next time.
    pub fn keep(&self, model: &str, exchange: Exchange) {
        if let Some(seat) = self.seats.get(model) {
            seat.lock().keep(exchange);
        }
    }

    /// How many calls wait for this model.
    pub fn waiting(&self, model: &str) -> usize {
        self.seats.get(model).map_or(0, |seat| seat.lock().waiting())
    }

    /// Whether somebody waits for the answer of a call that waits for this model, or a call was
    /// rejected of which the book does not know yet.
    pub fn is_urgent(&self, model: &str) -> bool {
        self.seats.get(model).is_some_and(|seat| seat.lock().is_urgent())
    }

    /// Whether the book of this model does not know yet how some calls ended.
    pub fn has_news(&self, model: &str) -> bool {
        self.seats.get(model).is_some_and(|seat| seat.lock().has_news())
    }

    /// Ends when a call has asked for a slot, or has ended, since this last ended.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// How each deployment fares now, by model and in the order of the configuration. Also brings
    /// their gauges up to date, so call it before metrics are read.
    pub fn snapshot(&self) -> Vec<DeploymentStatus> {
        let now = Instant::now();
        let all = self.seats.values().flat_map(|seat| {
            let statuses = seat.lock().snapshot(now);
            statuses.into_iter().zip(&seat.transports)
        });
        let status = |(status, transport): (_, &Transport)| DeploymentStatus {
            mode: transport.show_mode(),
            ..status
        };
        all.map(status).inspect(slot::gauge).collect()
    }

    fn seat(&self, model: &str) -> Result<&Arc<Seat>, AcquireError> {
        let missing = || AcquireError::NoDeployment { model: model.to_owned() };
        self.seats.get(model).ok_or_else(missing)
    }

    /// Whether the call can start within the wait that makes sense.
    fn is_worth_it(&self, need: &Need) -> Result<(), AcquireError> {
        let Forecast { deployment, wait } = self.forecast(need)?;
        if wait > need.wait_max {
            return Err(AcquireError::Later { deployment, wait });
        }
        Ok(())
    }

    /// The time is over; the forecast says when to come again.
    fn later(&self, need: &Need) -> AcquireError {
        match self.forecast(need) {
            Ok(Forecast { deployment, wait }) => {
                AcquireError::Later { deployment, wait: wait.max(WAIT_AGAIN) }
            }
            Err(error) => error,
        }
    }
}
