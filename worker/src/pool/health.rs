//! Whether a deployment works: failures one after another, refusals, and how long it takes.
//!
//! It must know nothing of quotas, the clock or chance: time and jitter are passed in.

use std::time::Duration;
use tokio::time::Instant;

/// How long a deployment rests after one, two, three and more failures in a row.
const COOL_DOWNS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(5),
];
/// From this many failures on it is tried with one call per [`PROBE_PAUSE`].
const FAILURES_PROBE: u32 = 3;
/// The pause between two calls that find out whether a deployment works again.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// How long a deployment is left alone that refused for its configuration.
const DENIED_PAUSE: Duration = Duration::from_secs(30);
/// The weight of the newest latency in the mean.
const LATENCY_WEIGHT: f64 = 0.2;

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

/// The health of one deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    failures: u32,
    failed_last: Option<Instant>,
    resting_until: Option<Instant>,
    denied: Option<(Instant, String)>,
    latency_seconds: Option<f64>,
}

impl Health {
    /// Whether calls may be sent at this time.
    pub(super) fn fitness(&self, now: Instant) -> Fitness {
        match (&self.denied, self.resting_until) {
            (Some((until, _)), _) if *until > now => Fitness::DeniedUntil(*until),
            (_, Some(until)) if until > now => Fitness::CoolingUntil(until),
            _ => Fitness::Well,
        }
    }

    /// A call starts: while it is not known whether the deployment works, the next must wait.
    pub(super) fn started(&mut self, now: Instant) {
        if let Some((until, _)) = &mut self.denied {
            *until = now + DENIED_PAUSE;
        }
        if self.failures >= FAILURES_PROBE {
            self.rest_until(now + PROBE_PAUSE);
        }
    }

    /// An answer came: whatever was wrong is over.
    pub(super) fn succeeded(&mut self, latency: Duration) {
        self.recovered();
        let newest = latency.as_secs_f64();
        let mean = self.latency_seconds.map_or(newest, |old| old + LATENCY_WEIGHT * (newest - old));
        self.latency_seconds = Some(mean);
    }

    /// The deployment spoke sensibly, though it gave no answer.
    pub(super) fn recovered(&mut self) {
        self.failures = 0;
        self.resting_until = None;
        self.denied = None;
    }

    /// A call that started at `started` failed; `jitter` from 0 to 1 spreads the cool-down over
    /// 80 % to 120 %.
    pub(super) fn failed(&mut self, started: Instant, now: Instant, jitter: f64) {
        // Calls that were under way together fail together: that is one failure.
        let same = self.failures > 0 && self.failed_last.is_some_and(|last| started < last);
        self.failed_last = Some(now);
        if same {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let index = (self.failures as usize - 1).min(COOL_DOWNS.len() - 1);
        let pause = COOL_DOWNS.get(index).copied().unwrap_or(PROBE_PAUSE);
        self.rest_until(now + pause.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)));
    }

    /// The deployment refused for its configuration.
    pub(super) fn denied(&mut self, now: Instant, message: String) {
        self.denied = Some((now + DENIED_PAUSE, message));
    }

    /// What it said when it refused.
    pub(super) fn denial(&self) -> Option<&str> {
        self.denied.as_ref().map(|(_, message)| message.as_str())
    }

    /// The mean time of an answer.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency_seconds.map(Duration::from_secs_f64)
    }

    fn rest_until(&mut self, until: Instant) {
        self.resting_until = Some(self.resting_until.map_or(until, |old| old.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(health: &Health, now: Instant) -> f64 {
        match health.fitness(now) {
            Fitness::CoolingUntil(until) => until.duration_since(now).as_secs_f64(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failures_in_a_row_rest_longer() {
        let mut now = Instant::now();
        let mut health = Health::default();
        for expected in [1.0, 2.0, 4.0, 5.0, 5.0] {
            assert_eq!(health.fitness(now), Fitness::Well);
            health.failed(now, now, 0.5);
            assert_eq!(rest(&health, now), expected);
            now += Duration::from_secs(6);
        }
        health.succeeded(Duration::from_secs(1));
        health.failed(now, now, 0.0);
        assert_eq!(rest(&health, now), 0.8);
        assert_eq!(health.fitness(now + Duration::from_secs(1)), Fitness::Well);
    }

    #[test]
    fn calls_that_fail_together_are_one_failure() {
        let now = Instant::now();
        let mut health = Health::default();
        for ms in 1..20 {
            health.failed(now, now + Duration::from_millis(ms), 0.5);
        }
        assert!(rest(&health, now + Duration::from_millis(20)) < 1.0);
    }

    #[test]
    fn after_three_failures_one_call_at_a_time_tries_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::default();
        for seconds in [0, 10, 20] {
            health.failed(at(seconds), at(seconds), 0.5);
        }
        health.started(at(30));
        assert_eq!(rest(&health, at(30)), 1.0);
        assert_eq!(health.fitness(at(31)), Fitness::Well);
        health.succeeded(Duration::from_secs(1));
        health.started(at(31));
        assert_eq!(health.fitness(at(31)), Fitness::Well);
    }

    #[test]
    fn a_refusal_lasts_until_a_probe_succeeds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::default();
        health.denied(start, "401".into());
        assert_eq!(health.fitness(at(29)), Fitness::DeniedUntil(at(30)));
        assert_eq!(health.fitness(at(30)), Fitness::Well);
        health.started(at(30));
        assert_eq!(health.fitness(at(30)), Fitness::DeniedUntil(at(60)));
        assert_eq!(health.denial(), Some("401"));
        health.succeeded(Duration::from_secs(2));
        assert_eq!((health.fitness(at(31)), health.denial()), (Fitness::Well, None));
        health.succeeded(Duration::from_secs(4));
        assert_eq!(health.latency(), Some(Duration::from_millis(2400)));
    }
}
