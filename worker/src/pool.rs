//! The balanced pool of model deployments: paces calls to what each provider admits, spreads them
//! over the deployments of a model, and says what became of each.
//!
//! A call has two steps so that its caller can write down its intent between them: [`Pool::acquire`]
//! waits for quota and gives a [`Slot`]; [`Slot::send`] makes the one call that it stands for. The
//! pool never repeats a call. It must know nothing of documents, jobs or configuration files.

mod mode;
mod config;
mod headers;
mod classify;
mod window;
mod level;
mod share;
mod limiter;
mod health;
mod pick;
mod deployment;
mod lane;
mod form;
mod transport;
mod slot;
#[cfg(test)]
mod tests;

pub use config::{ApiKey, DeploymentConfig, LimiterKind, PoolConfig, PoolError, Provider};
pub use deployment::{DeploymentState, DeploymentStatus};
pub use lane::AcquireError;
pub use mode::Mode;
pub use share::{Demand, Lease, News, Share};
pub use slot::Slot;
pub(crate) use slot::chance;

use crate::chat::Request;
use lane::Lane;
use limiter::Cost;
use slot::{Seat, Seats, Step, Waiting};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use transport::Transport;

/// No wait is longer, whatever a caller allows.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest time after which it makes sense to ask again.
const WAIT_AGAIN: Duration = Duration::from_millis(100);

/// The pool. Cheap to clone: clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    seats: Arc<Seats>,
    waits: Arc<Notify>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("models", &self.models()).finish_non_exhaustive()
    }
}

/// What a call needs before it may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl Need {
    /// What this request needs.
    pub fn of(request: &Request, interactive: bool, wait_max: Duration) -> Self {
        Self {
            model: request.model.clone(),
            tokens_input: request.characters().map(|count| count as u64 / 4 + 1).sum(),
            tokens_output_max: request.tokens_output_max,
            interactive,
            wait_max,
        }
    }

    fn cost(&self) -> Cost {
        Cost { tokens_input: self.tokens_input, tokens_output_max: self.tokens_output_max.into() }
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
            let (lane, transports) = models.entry(one.model.clone()).or_default();
            lane.add(one, now);
            transports.push(transport);
        }
        let call_timeout = config.call_timeout;
        let seat = |(model, (lane, transports))| {
            (model, Arc::new(Seat { lane: Mutex::new(lane), transports, call_timeout }))
        };
        let seats = Arc::new(models.into_iter().map(seat).collect());
        Ok(Self { seats, waits: Arc::new(Notify::new()) })
    }

    /// The models that some deployment serves, sorted.
    pub fn models(&self) -> Vec<String> {
        self.seats.keys().cloned().collect()
    }

    /// Whether some deployment serves the model.
    pub fn serves(&self, model: &str) -> bool {
        self.seats.contains_key(model)
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
    /// [`AcquireError::NoDeployment`], [`AcquireError::TooLong`] and [`AcquireError::Denied`].
    pub fn forecast(&self, need: &Need) -> Result<Forecast, AcquireError> {
        let cost = need.cost();
        let (deployment, wait) =
            self.seat(&need.model)?.lock().forecast(&cost, need.interactive, Instant::now())?;
        Ok(Forecast { deployment, wait })
    }

    /// Waits until a deployment of the model may be called, in the order of asking; interactive
    /// calls before all others. Cancel-safe: a dropped future gives back what it had reserved.
    ///
    /// # Errors
    /// See [`AcquireError`].
    pub async fn acquire(&self, need: &Need) -> Result<Slot, AcquireError> {
        let seat = self.seat(&need.model)?;
        let asked = Instant::now();
        let deadline = asked + need.wait_max.min(WAIT_MAX);
        let Forecast { deployment, wait } = self.forecast(need)?;
        if wait > need.wait_max {
            return Err(AcquireError::Later { deployment, wait });
        }
        let waiting = Waiting::enter(seat, need.cost(), need.interactive, asked);
        if waiting.is_alone() {
            self.waits.notify_one();
        }
        loop {
            let now = Instant::now();
            let alarm = match waiting.poll(now)? {
                Step::Go(slot) => {
                    let waited = now.saturating_duration_since(asked);
                    metrics::histogram!("sluice_quota_wait_seconds").record(waited.as_secs_f64());
                    return Ok(slot);
                }
                Step::Wait(alarm) => alarm,
            };
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
    /// not talk to each other use 1/N each.
    pub fn set_share(&self, share: f64) {
        for seat in self.seats.values() {
            seat.lock().set_share(share, Instant::now());
        }
    }

    /// Lets this process use only what is leased of the deployment of this name, and tells it what
    /// others have learned of it.
    pub fn set_lease(&self, deployment: &str, lease: Lease, news: &News) {
        for seat in self.seats.values() {
            seat.lock().set_lease(deployment, lease, news, Instant::now());
        }
    }

    /// Gives back what can be given back of a lease, and says what this process has and wants of
    /// the deployment of this name.
    pub fn demand(&self, deployment: &str) -> Option<Demand> {
        self.seats.values().find_map(|seat| seat.lock().demand(deployment, Instant::now()))
    }

    /// Ends when a call has begun to wait where none did.
    pub async fn waits(&self) {
        self.waits.notified().await;
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
