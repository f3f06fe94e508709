//! The health of a deployment as this member of the fleet measures it: latency, consecutive failures
//! and refusals. The circuit breaker is in its limiter, which all members share.
//!
//! A rejection for want of quota and a question that is not accepted change nothing here. It must
//! know nothing of quotas, the clock or randomness: time is passed in.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long a deployment is left alone that refused for its configuration: at first, and at most.
/// Each further refusal doubles it.
const DENIED_PAUSE: Duration = Duration::from_secs(1);
const DENIED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// The weight of the newest latency in the mean.
const LATENCY_WEIGHT: f64 = 0.2;
/// A failure counts as an answer that took this long, so that fast failures do not look like speed.
const FAILURE_SECONDS: f64 = 30.0;
/// The time constant with which a latency peak decays.
const PEAK_SECONDS: f64 = 10.0;
/// The number of answers that the 95th percentile is estimated from.
const ANSWERS_MAX: usize = 100;
/// With fewer answers there is no estimate.
const ANSWERS_MIN: usize = 20;

/// The health of one deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// In a row.
    failures: u32,
    /// What the last failure said.
    failure: String,
    denied: Option<Denial>,
    speed: Speed,
}

/// It refused for its configuration, or its key.
#[derive(Clone, Debug)]
struct Denial {
    since: Instant,
    /// When it last refused.
    at: Instant,
    /// Then one call tries it again.
    until: Instant,
    /// How long it is left alone after the last refusal.
    pause: Duration,
    message: String,
}

impl Health {
    /// Until when nothing is sent because it refused.
    pub(super) fn denied_until(&self, now: Instant) -> Option<Instant> {
        self.denied.as_ref().map(|denied| denied.until).filter(|until| *until > now)
    }

    /// Since when it refuses, unless a call may try it now.
    pub(super) fn denied_since(&self, now: Instant) -> Option<Instant> {
        self.denied.as_ref().filter(|denied| denied.until > now).map(|denied| denied.since)
    }

    /// From 0 (it refuses) to 1 (no failure since the last answer).
    pub(super) fn score(&self) -> f64 {
        if self.denied.is_some() { 0.0 } else { 1.0 / (1.0 + f64::from(self.failures)) }
    }

    /// A call got its reservation. Where the deployment refused before, this call tries it, and the
    /// next one waits.
    pub(super) fn started(&mut self, now: Instant) {
        if let Some(denied) = &mut self.denied {
            denied.until = now + denied.pause;
        }
    }

    /// An answer came: failures and refusals are over.
    pub(super) fn succeeded(&mut self, latency: Duration, now: Instant) {
        (self.failures, self.denied) = (0, None);
        self.failure.clear();
        self.speed.answered(latency.as_secs_f64(), now);
    }

    /// The call was let in, though it brought no answer: refusals are over.
    pub(super) fn admitted(&mut self) {
        self.denied = None;
    }

    /// Whether calls have failed since the last answer.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// A call failed.
    pub(super) fn failed(&mut self, now: Instant, message: String) {
        self.failures = self.failures.saturating_add(1);
        self.failure = message;
        self.speed.failed(now);
    }

    /// The deployment refused a call for its configuration that was sent at `sent`; `wait` is what it
    /// asked for. False where it had refused before.
    pub(super) fn denied(
        &mut self,
        sent: Instant,
        now: Instant,
        wait: Option<Duration>,
        message: String,
    ) -> bool {
        let (since, pause) = match &self.denied {
            // Calls that were under way when it refused say nothing new.
            Some(known) if sent < known.at => return false,
            Some(known) => (known.since, (known.pause * 2).min(DENIED_PAUSE_MAX)),
            None => (now, DENIED_PAUSE),
        };
        let is_new = self.denied.is_none();
        let wait = wait.unwrap_or_default().min(DENIED_PAUSE_MAX);
        let until = now + pause.max(wait);
        self.denied = Some(Denial { since, at: now, until, pause, message });
        is_new
    }

    /// Whether it refused when it was last called.
    pub(super) fn is_denied(&self) -> bool {
        self.denied.is_some()
    }

    /// What it said when it last refused or failed; none after an answer.
    pub(super) fn trouble(&self) -> Option<&str> {
        let failure = Some(self.failure.as_str()).filter(|failure| !failure.is_empty());
        self.denied.as_ref().map(|denied| denied.message.as_str()).or(failure)
    }

    /// The mean time of an answer.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.speed.mean.map(Duration::from_secs_f64)
    }

    /// The expected latency in seconds: the mean, and what is left of the last peak. Failures count as
    /// peaks.
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
