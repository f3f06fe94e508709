//! The pool itself: a queue and a set of deployments for each model.

use crate::config::{PoolConfig, PoolError};
use crate::deployment::DeploymentStatus;
use crate::hedge::Hedge;
use crate::need::Need;
use crate::provider::transport::Connections;
use crate::provider::typed_client::TypedClient;
use crate::reservation::{self, ModelPool, ModelPools, QueuedCall, Reservation, Step};
use crate::scheduler::{ReserveError, Scheduler};
use crate::typed::usage::Usage;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// No wait is longer, whatever a caller allows.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest time after which it makes sense to ask again.
const WAIT_AGAIN: Duration = Duration::from_millis(100);

/// How long a second call waits for its slot, and the pause before it looks for room again.
const SECOND_WAIT: Duration = Duration::from_millis(500);
const SECOND_AGAIN: Duration = Duration::from_millis(250);

/// Timers are no finer.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// The pool. Cheap to clone: clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    models: Arc<ModelPools>,
    news: Arc<Notify>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("models", &self.models()).finish_non_exhaustive()
    }
}

/// How long before its time a reservation is given.
#[derive(Clone, Copy)]
enum Lead {
    /// At its time, and only where a forecast says that the wait makes sense.
    None,
    /// So long before, to a caller that has made the forecast.
    Ahead(Duration),
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
        let mut connections = Connections::new(config.call_timeout)?;
        let now = Instant::now();
        let mut models: BTreeMap<String, (Scheduler, Vec<Arc<TypedClient>>)> = BTreeMap::new();
        for one in config.deployments {
            let mut client = TypedClient::new(&mut connections, &one)?;
            let strategy = config.strategies.get(&one.model).copied().unwrap_or_default();
            let (scheduler, clients) = models
                .entry(one.model.clone())
                .or_insert_with(|| (Scheduler::new(strategy, now), Vec::new()));
            client.dialect = scheduler.add(one, now);
            clients.push(Arc::new(client));
        }
        let (call_timeout, news) = (config.call_timeout, Arc::new(Notify::new()));
        let model_pool = |(model, (scheduler, clients))| {
            (
                model,
                Arc::new(ModelPool {
                    scheduler: Mutex::new(scheduler),
                    clients,
                    call_timeout,
                    news: Arc::clone(&news),
                }),
            )
        };
        let models = Arc::new(models.into_iter().map(model_pool).collect());
        Ok(Self { models, news })
    }

    /// The models that some deployment serves, sorted.
    pub fn models(&self) -> Vec<String> {
        self.models.keys().cloned().collect()
    }

    /// Whether some deployment serves the model.
    pub fn serves(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    /// For how long no deployment of the model could be used, because all of them fail or refuse;
    /// none while one can, or may be tried.
    pub fn outage(&self, model: &str) -> Option<Duration> {
        self.models.get(model)?.lock().outage(Instant::now())
    }

    /// What a deployment of the model said when it last refused or failed, where one does.
    pub fn trouble(&self, model: &str) -> Option<String> {
        self.models.get(model)?.lock().trouble().map(str::to_owned)
    }

    /// The most tokens of an answer, thinking included, at the deployment of the model that allows
    /// most; none where some deployment has not named its maximum yet, as it does when it is asked
    /// for more.
    pub fn tokens_output_max(&self, model: &str) -> Option<u32> {
        self.models.get(model)?.lock().tokens_output_max()
    }

    /// The largest context among the model's deployments, where one is configured.
    pub fn context_tokens_max(&self, model: &str) -> Option<u32> {
        self.models.get(model)?.lock().context_tokens_max()
    }

    /// Whether a deployment of the model takes images, as far as is known.
    pub fn sees(&self, model: &str) -> bool {
        self.models.get(model).is_some_and(|model_pool| model_pool.lock().sees())
    }

    /// The tokens that an image of this width and height, in pixels, counts as at most; 0 where no
    /// deployment of the model takes images.
    pub fn image_tokens(&self, model: &str, size: (u32, u32)) -> u64 {
        let model_pool = self.models.get(model);
        model_pool.map_or(0, |model_pool| model_pool.lock().image_tokens(&[size]))
    }

    /// What these tokens cost at a deployment, where its prices are configured.
    pub fn cost_of(&self, deployment: &str, usage: &Usage) -> Option<f64> {
        let price = |model_pool: &Arc<ModelPool>| model_pool.lock().price(deployment, usage);
        self.models.values().find_map(price)
    }

    /// When such a call could start, were it asked for now. Changes nothing.
    ///
    /// # Errors
    /// [`ReserveError::NoDeployment`], [`ReserveError::TooLong`] and [`ReserveError::TooLate`].
    pub fn forecast(&self, need: &Need) -> Result<Forecast, ReserveError> {
        let (deployment, wait) =
            self.model_pool(&need.model)?.lock().forecast(need, Instant::now())?;
        Ok(Forecast { deployment, wait })
    }

    /// Waits until a deployment of the model may be called, in the order of asking; interactive
    /// calls before all others. Cancel-safe: a dropped future gives back what it had reserved.
    ///
    /// # Errors
    /// See [`ReserveError`].
    pub async fn reserve(&self, need: &Need) -> Result<Reservation, ReserveError> {
        self.reserve_at(need, None, Lead::None).await
    }

    /// Like [`Self::reserve`], but ends up to `lead` before the call may be sent, so that its caller
    /// can prepare the call meanwhile; [`Reservation::ready`] waits for the rest. It makes no
    /// forecast: a caller that has to wait makes its own.
    ///
    /// # Errors
    /// See [`ReserveError`].
    pub async fn reserve_ahead(
        &self,
        need: &Need,
        lead: Duration,
    ) -> Result<Reservation, ReserveError> {
        self.reserve_at(need, None, Lead::Ahead(lead)).await
    }

    /// Ends with a slot for a second call, where a call that somebody waits for takes longer than
    /// nearly all others and another deployment has room that nobody wants. Never ends otherwise:
    /// at most 2 of 100 such calls are made a second time. `first` is the deployment that the call
    /// was sent to, at `sent`. To be called once a call, and dropped with its end.
    pub async fn second(&self, need: &Need, first: &str, sent: Instant) -> Reservation {
        let Some(model_pool) = self.models.get(&need.model).filter(|_| need.interactive) else {
            return std::future::pending().await;
        };
        model_pool.lock().earn_second();
        let need = Need { wait_max: SECOND_WAIT, ..need.clone() };
        loop {
            let now = Instant::now();
            let hedge = model_pool.lock().second(&need, first, sent, now);
            let again = match hedge {
                Hedge::Never => return std::future::pending().await,
                Hedge::At(age) => sent + age + TIMER_RESOLUTION,
                Hedge::NotNow => now + SECOND_AGAIN,
                Hedge::Now(index) => {
                    let slot = self.reserve_at(&need, Some(index), Lead::None).await;
                    if let Ok(slot) = slot
                        && model_pool.lock().spend_second()
                    {
                        return slot;
                    }
                    now + SECOND_AGAIN
                }
            };
            sleep_until(again).await;
        }
    }

    async fn reserve_at(
        &self,
        need: &Need,
        only: Option<usize>,
        lead: Lead,
    ) -> Result<Reservation, ReserveError> {
        let model_pool = self.model_pool(&need.model)?;
        let asked = Instant::now();
        let deadline = asked + need.wait_max.min(WAIT_MAX);
        let waiting = QueuedCall::enter(model_pool, need, only, asked);
        self.news.notify_one();
        let (mut has_forecast, lead) = match lead {
            Lead::None => (false, Duration::ZERO),
            Lead::Ahead(lead) => (true, lead),
        };
        loop {
            let now = Instant::now();
            let alarm = match waiting.poll(lead, now)? {
                Step::Go(slot) => {
                    let waited = now.saturating_duration_since(asked);
                    let class = if need.interactive { "interactive" } else { "bulk" };
                    metrics::histogram!("sluice_quota_wait_seconds", "class" => class)
                        .record(waited.as_secs_f64());
                    return Ok(slot);
                }
                Step::Wait(alarm) => alarm,
            };
            if !has_forecast {
                has_forecast = true;
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

    /// The scheduler of each model, for the fleet that shares their states.
    pub(crate) fn model_pools(&self) -> &ModelPools {
        &self.models
    }

    /// Ends when a call has asked for a slot, or has ended, since this last ended.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// For tests that make calls themselves: a call has ended.
    #[cfg(test)]
    pub(crate) fn tell_news(&self) {
        self.news.notify_one();
    }

    /// How each deployment fares now, by model and in the order of the configuration. Also brings
    /// their gauges up to date, so call it before metrics are read.
    pub fn snapshot(&self) -> Vec<DeploymentStatus> {
        let now = Instant::now();
        let all = self.models.values().flat_map(|model_pool| {
            let statuses = model_pool.lock().snapshot(now);
            statuses.into_iter().zip(&model_pool.clients)
        });
        let status = |(status, client): (_, &Arc<TypedClient>)| DeploymentStatus {
            mode: Some(client.show_mode()),
            ..status
        };
        all.map(status).inspect(reservation::gauge).collect()
    }

    fn model_pool(&self, model: &str) -> Result<&Arc<ModelPool>, ReserveError> {
        let missing = || ReserveError::NoDeployment { model: model.to_owned() };
        self.models.get(model).ok_or_else(missing)
    }

    /// Whether the call can start within the wait that makes sense.
    fn is_worth_it(&self, need: &Need) -> Result<(), ReserveError> {
        let Forecast { deployment, wait } = self.forecast(need)?;
        if wait > need.wait_max {
            return Err(ReserveError::Later { deployment, wait });
        }
        Ok(())
    }

    /// The time is over; the forecast says when to come again.
    fn later(&self, need: &Need) -> ReserveError {
        match self.forecast(need) {
            Ok(Forecast { deployment, wait }) => {
                ReserveError::Later { deployment, wait: wait.max(WAIT_AGAIN) }
            }
            Err(error) => error,
        }
    }
}
