//! Whether a deployment works: failures one after another, refusals, and how long it takes.
//!
//! Only what tells of the deployment counts: a rejection for want of room or a question that is not
//! accepted changes nothing here. It must know nothing of quotas, the clock or chance: time and
//! jitter are passed in.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// With this many failures in a row a deployment is left alone for a while.
const FAILURES_MAX: u32 = 3;
/// The longest time that it is left alone, before chance.
const REST_SECONDS_MAX: f64 = 5.0;
/// How long a call that tries it must not have failed before others follow; longer where failures
/// take longer to show.
const PROBE_MIN: Duration = Duration::from_secs(1);
/// The longest time between two such calls.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// How long a deployment is left alone that refused for its configuration.
const DENIED_PAUSE: Duration = Duration::from_secs(30);
/// The weight of the newest latency in the mean.
const LATENCY_WEIGHT: f64 = 0.2;
/// A failure counts as an answer that took this long: who fails fast must not look fast.
const FAILURE_SECONDS: f64 = 30.0;
/// After this long a peak counts for little more than a third.
const PEAK_SECONDS: f64 = 10.0;
/// The answers that the estimate of the slowest rests on.
const ANSWERS_MAX: usize = 100;
/// With fewer there is no estimate.
const ANSWERS_MIN: usize = 20;

/// Whether calls may be sent as far as health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    /// Yes.
    Well,
    /// Not before this time, after failures.
    CoolingUntil(Instant),
    /// Not before this time, after a refusal.
    DeniedUntil(Instant),
}

/// Whether a deployment that failed is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Breaker {
    /// It is not.
    #[default]
    Closed,
    /// Until this time; then one call may try it.
    Open(Instant),
    /// One call tries it; when that has not failed by this time, others may follow.
    Probing(Instant),
}

/// The health of one deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// In a row.
    failures: u32,
    /// How often the breaker opened since the last answer.
    opens: u32,
    opened: Option<Instant>,
    /// When it was first left alone since the last answer.
    out_since: Option<Instant>,
    breaker: Breaker,
    /// How long it took until the last failure showed.
    failure_time: Duration,
    denied: Option<(Instant, String)>,
    speed: Speed,
}

impl Health {
    /// Whether calls may be sent at this time.
    pub(super) fn fitness(&self, now: Instant) -> Fitness {
        match (&self.denied, self.breaker) {
            (Some((until, _)), _) if *until > now => Fitness::DeniedUntil(*until),
            (_, Breaker::Open(until) | Breaker::Probing(until)) if until > now => {
                Fitness::CoolingUntil(until)
            }
            _ => Fitness::Well,
        }
    }

    /// Since when it cannot be used, unless it can, or a call may try it now.
    pub(super) fn out_since(&self, now: Instant) -> Option<Instant> {
        self.out_since.filter(|_| self.fitness(now) != Fitness::Well)
    }

    /// From 0 to 1, which is well.
    pub(super) fn score(&self) -> f64 {
        if self.denied.is_some() { 0.0 } else { 1.0 / (1.0 + f64::from(self.failures)) }
    }

    /// A call gets its place: while it is not known whether the deployment works, the next waits.
    pub(super) fn started(&mut self, now: Instant) {
        if let Some((until, _)) = &mut self.denied {
            *until = now + DENIED_PAUSE;
        }
        self.breaker = match self.breaker {
            Breaker::Open(_) => {
                Breaker::Probing(now + self.failure_time.clamp(PROBE_MIN, PROBE_MAX))
            }
            // The call that tried it has not failed: the next failure opens it again.
            Breaker::Probing(until) if until <= now => Breaker::Closed,
            other => other,
        };
    }

    /// A place was given back unused: if it was to try the deployment, another call must.
    pub(super) fn withdrawn(&mut self, now: Instant) {
        if let Breaker::Probing(until) = self.breaker
            && until > now
        {
            self.breaker = Breaker::Open(now);
        }
    }

    /// An answer came: whatever was wrong is over.
    pub(super) fn succeeded(&mut self, latency: Duration, now: Instant) {
        (self.failures, self.opens) = (0, 0);
        self.breaker = Breaker::Closed;
        (self.denied, self.out_since) = (None, None);
        self.speed.answered(latency.as_secs_f64(), now);
    }

    /// A call that started at `started` failed; `jitter` from 0 to 1 spreads the rest over 80 % to
    /// 120 %.
    pub(super) fn failed(&mut self, started: Instant, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        self.speed.failed(now);
        // Calls that were under way when it opened tell nothing new.
        let is_news = self.opened.is_none_or(|opened| started >= opened);
        if self.failures < FAILURES_MAX || !is_news {
            return;
        }
        self.failure_time = now.saturating_duration_since(started);
        self.opens = self.opens.saturating_add(1);
        let doubled = 2.0_f64.powi(self.opens.min(10) as i32 - 1);
        let seconds = doubled.min(REST_SECONDS_MAX) * (0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        self.breaker = Breaker::Open(now + Duration::from_secs_f64(seconds));
        self.opened = Some(now);
        self.out_since.get_or_insert(now);
    }

    /// The deployment refused for its configuration.
    pub(super) fn denied(&mut self, now: Instant, message: String) {
        self.denied = Some((now + DENIED_PAUSE, message));
        self.out_since.get_or_insert(now);
    }

    /// What it said when it refused.
    pub(super) fn denial(&self) -> Option<&str> {
        self.denied.as_ref().map(|(_, message)| message.as_str())
    }

    /// The mean time of an answer.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.speed.mean.map(Duration::from_secs_f64)
    }

    /// How long an answer may take now, in seconds: a peak is felt at once and forgotten slowly,
    /// and failures count as slow.
    pub(super) fn latency_peak(&self, now: Instant) -> Option<f64> {
        self.speed.peak(now)
    }

    /// The time within which 95 of 100 answers come, once there were enough.
    pub(super) fn latency_p95(&self) -> Option<Duration> {
        self.speed.p95.map(Duration::from_secs_f64)
    }
}

/// How long answers take, in seconds.
#[derive(Clone, Debug, Default)]
struct Speed {
    mean: Option<f64>,
    /// How far above the mean the last peak was, and when.
    excess: Option<(f64, Instant)>,
    answers: VecDeque<f64>,
    p95: Option<f64>,
}

impl Speed {
    fn answered(&mut self, seconds: f64, now: Instant) {
        let mean = self.mean.map_or(seconds, |old| old + LATENCY_WEIGHT * (seconds - old));
        self.mean = Some(mean);
        self.raise(seconds - mean, now);
        if self.answers.len() == ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(seconds);
        if self.answers.len() >= ANSWERS_MIN {
            let mut answers: Vec<f64> = self.answers.iter().copied().collect();
            let index = (answers.len() * 95).div_ceil(100) - 1;
            let (_, p95, _) = answers.select_nth_unstable_by(index, f64::total_cmp);
            self.p95 = Some(*p95);
        }
    }

    fn failed(&mut self, now: Instant) {
        self.raise(FAILURE_SECONDS - self.mean.unwrap_or_default(), now);
    }

    fn raise(&mut self, excess: f64, now: Instant) {
        if excess > self.excess(now) {
            self.excess = Some((excess, now));
        }
    }

    /// What is left of the last peak.
    fn excess(&self, now: Instant) -> f64 {
        let Some((excess, at)) = self.excess else { return 0.0 };
        excess * (-now.saturating_duration_since(at).as_secs_f64() / PEAK_SECONDS).exp()
    }

    fn peak(&self, now: Instant) -> Option<f64> {
        if self.mean.is_none() && self.excess.is_none() {
            return None;
        }
        Some(self.mean.unwrap_or_default() + self.excess(now))
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
