//! How a limiter refills, told from what it says is left: three models are kept side by side, each
//! predicts what the next response will say, and those that are wrong drop out.
//!
//! Between two responses the tokens left change by what we sent, and by what came back. What comes
//! back tells the models apart: entries of a minute ago one by one (sliding), all at once at a moment
//! of its own (fixed), or the same in every second (continuous). Each model has its own ratio of what
//! the provider counts for what we count, since a wrong model explains the same numbers by a wrong
//! ratio.

use super::fit::{ERROR_KEPT, ERROR_OUT, Fit, Refill};
use super::sliding_log::SlidingLog;
use super::{ARRIVAL_MS, LOG_STEP_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};

/// Responses closer together are one observation: of calls that are sent together nobody knows which
/// came first.
const STEP_MS: f64 = 1_000.0;
/// A response says nothing where more than this part of the limit was sent together with its call.
const TOGETHER: f64 = 0.015;
/// What a prediction may be off by: a part of the call, of all that was sent since, and of the limit.
const OFF_BY_CALL: f64 = 0.15;
const OFF_BY_SENT: f64 = 0.05;
const OFF_BY_LIMIT: f64 = 0.003;
/// A response that is off by more than this part of what was sent says nothing of the ratio.
const OUTLIER: f64 = 0.9;
/// What a sighting of a boundary may be off by, and how much a boundary moves in a minute.
const SIGHTING_MS: f64 = LOG_STEP_MS + ARRIVAL_MS;
const DRIFT_MS: f64 = 5.0;
/// A model with a smaller mean error predicts closely (assumed; counters that count late do not).
const CLOSE: f64 = 0.6;
/// A wait may be rounded up by so much.
const WAIT_MS: f64 = 1_000.0;

/// The tokens that were left at a time, as a response says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Observation {
    pub(super) at: f64,
    pub(super) left: f64,
}

/// When a counter starts anew: somewhere between two times, and every 60 s before and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Boundary {
    from: f64,
    to: f64,
}

impl Boundary {
    /// The last one that may have begun by this time: its first and its last moment.
    pub(super) fn before(&self, time: f64) -> (f64, f64) {
        let minutes = ((time - self.from) / MINUTE_MS).floor() * MINUTE_MS;
        (self.from + minutes, self.to + minutes)
    }

    /// Narrowed by another sighting; the newer one where they do not agree.
    fn narrowed(self, seen: Self) -> Self {
        let minutes = ((seen.from - self.from) / MINUTE_MS).round() * MINUTE_MS;
        let (from, to) = (self.from + minutes, self.to + minutes);
        // Clocks drift by a little, and a sighting is as coarse as the steps of the log.
        let (earliest, latest) = (seen.from - SIGHTING_MS, seen.to + SIGHTING_MS);
        let both = Self { from: (from - DRIFT_MS).max(earliest), to: (to + DRIFT_MS).min(latest) };
        if both.from < both.to { both } else { seen }
    }
}

/// What responses have told of how a limiter refills.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Observations {
    sliding: Fit,
    fixed: Fit,
    continuous: Fit,
    boundary: Option<Boundary>,
    /// The response from which the next prediction goes on.
    from: Option<Observation>,
    /// The newest response, or what would be left now, had one come.
    last: Observation,
    /// The most that was ever left before a call: a bucket that refills all the time may hold less
    /// than a minute's quota. All of it before the first response.
    most_left: Option<f64>,
    /// When the last call was sent that was rejected: older responses knew nothing of that.
    rejected_at: f64,
    /// How many predictions the errors rest on; older ones count less.
    weight: f64,
}

/// What a response says, as it is taken in.
pub(super) struct LimitSample<'a> {
    pub(super) now: Observation,
    /// What we count for its call.
    pub(super) cost: f64,
    /// The same where that call stands in the log at this time, else 0.
    pub(super) own: f64,
    /// What we sent, that call included.
    pub(super) log: &'a SlidingLog,
    /// Tokens a minute.
    pub(super) limit: f64,
}

impl Observations {
    /// Nothing yet: the deployment is taken to be idle.
    pub(super) fn new(now: f64, limit: f64) -> Self {
        let (fit, last) = (Fit::default(), Observation { at: now, left: limit });
        Self {
            sliding: fit,
            fixed: fit,
            continuous: fit,
            boundary: None,
            from: None,
            last,
            most_left: None,
            rejected_at: now - MINUTE_MS,
            weight: 0.0,
        }
    }

    pub(super) fn fit(&self, refill: Refill) -> &Fit {
        match refill {
            Refill::Sliding => &self.sliding,
            Refill::Fixed => &self.fixed,
            Refill::Continuous => &self.continuous,
        }
    }

    fn fit_mut(&mut self, refill: Refill) -> &mut Fit {
        match refill {
            Refill::Sliding => &mut self.sliding,
            Refill::Fixed => &mut self.fixed,
            Refill::Continuous => &mut self.continuous,
        }
    }

    /// How many predictions the errors rest on.
    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// The mean squared error of the best model, in standard deviations.
    pub(super) fn mean_error(&self) -> f64 {
        self.least_error() / self.weight.max(1.0)
    }

    /// Whether this model predicts closely.
    fn is_close(&self, refill: Refill) -> bool {
        self.is_likely(refill) && self.fit(refill).error() < CLOSE * self.weight
    }

    /// Whether this model is still likely.
    pub(super) fn is_likely(&self, refill: Refill) -> bool {
        self.fit(refill).is_likely()
    }

    fn least_error(&self) -> f64 {
        let errors = Refill::ALL.map(|refill| self.fit(refill).error());
        errors.into_iter().fold(f64::INFINITY, f64::min)
    }

    /// The only model that is likely, if there is only one.
    pub(super) fn identified(&self) -> Option<Refill> {
        let mut likely = Refill::ALL.into_iter().filter(|refill| self.is_likely(*refill));
        likely.next().filter(|_| likely.next().is_none())
    }

    /// The newest response.
    #[cfg(test)]
    pub(super) fn last(&self) -> Observation {
        self.last
    }

    /// What a bucket that refills all the time may hold: what was seen, unless a call needs more. It
    /// may just never have been full, and only a call can tell.
    pub(super) fn capacity(&self, limit: f64, needed: f64) -> f64 {
        self.most_left.filter(|most| *most >= needed).map_or(limit, |most| most.min(limit))
    }

    /// What a bucket that refills all the time holds at this time, calls to come taken out.
    pub(super) fn level(&self, log: &SlidingLog, limit: f64, at: f64) -> f64 {
        self.level_within(log, limit, self.capacity(limit, 0.0), at)
    }

    /// The same of one that holds so much.
    pub(super) fn level_within(&self, log: &SlidingLog, limit: f64, capacity: f64, at: f64) -> f64 {
        let ratio = self.continuous.ratio();
        let Observation { at: mut time, left: mut level } = self.last;
        let mut refill = |level: f64, to: f64| {
            let refilled = limit / MINUTE_MS * (to.min(at) - time).max(0.0);
            time = time.max(to);
            (level + refilled).min(capacity)
        };
        for (sent, amount) in log.after(self.last.at) {
            level = refill(level, sent) - ratio * amount;
        }
        refill(level, at)
    }

    /// Where no response tells, what is left is what it should be by now.
    pub(super) fn go_on(&mut self, log: &SlidingLog, limit: f64, to: f64) {
        if to > self.last.at {
            let to_come = self.continuous.ratio() * log.between(to, f64::INFINITY);
            let left = (self.level(log, limit, to) + to_come).min(self.capacity(limit, 0.0));
            self.last = Observation { at: to, left };
        }
    }

    /// A deployment that does not say what is left says what it used: the ratio follows.
    pub(super) fn used(&mut self, counted: f64, used: f64) {
        if counted > 0.0 {
            self.continuous.follow(used / counted);
        }
    }

    /// When a counter starts anew, where that is known.
    pub(super) fn boundary(&self) -> Option<Boundary> {
        self.boundary
    }

    /// Speaks for one model from outside: what else a response says is typical of it.
    pub(super) fn prefer(&mut self, preferred: Refill) {
        for other in Refill::ALL.into_iter().filter(|refill| *refill != preferred) {
            let fit = self.fit_mut(other);
            fit.raise_error(ERROR_OUT / 2.0);
        }
    }

    /// A response came. Those that are older than the newest tell nothing.
    pub(super) fn observe(&mut self, seen: &LimitSample<'_>) {
        if seen.now.at > self.last.at {
            self.last = seen.now;
        }
        let before = seen.now.left + self.continuous.ratio() * seen.own;
        self.most_left =
            Some(self.most_left.map_or(before, |most| most.max(before)).min(seen.limit));
        if seen.now.at <= self.rejected_at {
            return;
        }
        // Of calls that are sent together nobody knows which came first.
        let together = (seen.log.near(seen.now.at) - seen.own).max(0.0);
        if together > f64::max(TOGETHER * seen.limit, 0.5 * seen.cost) {
            return;
        }
        let from = *self.from.get_or_insert(seen.now);
        if seen.now.at >= from.at + STEP_MS {
            self.predict(from, seen);
            self.from = Some(seen.now);
        }
        self.see_own(seen, together);
    }

    /// Holds each model to what it predicts from an earlier response.
    fn predict(&mut self, from: Observation, seen: &LimitSample<'_>) {
        let LimitSample { now, cost, own, log, limit } = *seen;
        self.weight = self.weight * ERROR_KEPT + 1.0;
        let sent = log.between(from.at, now.at);
        let come_back = log.between(from.at - MINUTE_MS, now.at - MINUTE_MS);
        let refilled = limit / MINUTE_MS * (now.at - from.at);
        let may_be_off = |ratio: f64| {
            OFF_BY_CALL * cost + OFF_BY_SENT * ratio * (sent + come_back) + OFF_BY_LIMIT * limit
        };
        let is_outlier = |off: f64| off.abs() > OUTLIER * sent.max(cost) + OFF_BY_LIMIT * limit;
        let drop = from.left - now.left;

        let ratio = self.sliding.ratio();
        let off = drop - ratio * (sent - come_back);
        self.sliding.judge(off, may_be_off(ratio));
        if !is_outlier(off) {
            self.sliding.learn((sent - come_back) / limit, drop / limit);
        }

        let ratio = self.continuous.ratio();
        let capacity = self.capacity(limit, 0.0);
        let predicted = from.left + refilled - ratio * sent;
        // One that was full may have been so until just before the call.
        let full = capacity - ratio * own;
        self.continuous.judge(predicted.min(full) - now.left, may_be_off(ratio));
        if predicted < full - cost && !is_outlier(predicted - now.left) {
            self.continuous.learn(sent / limit, (drop + refilled) / limit);
        }

        self.predict_fixed(from, seen, may_be_off(self.fixed.ratio()));
        let best = self.least_error();
        for refill in Refill::ALL {
            self.fit_mut(refill).compare(best);
        }
    }

    fn predict_fixed(&mut self, from: Observation, seen: &LimitSample<'_>, may_be_off: f64) {
        let LimitSample { now, cost, log, limit, .. } = *seen;
        let (ratio, sent) = (self.fixed.ratio(), log.between(from.at, now.at));
        let straight = from.left - ratio * sent - now.left;
        let boundary = self.boundary.map(|boundary| boundary.before(now.at));
        let may_have_passed = boundary.is_some_and(|(_, to)| to > from.at);
        let must_have_passed = boundary.is_some_and(|(begin, to)| begin >= from.at && to <= now.at);
        // More is left than could be: it has begun anew, and what was used since is ours.
        let sighting = begun_anew(from, seen, ratio);
        let is_anew = straight < -f64::max(0.7 * cost * ratio, 2.0 * may_be_off);
        match sighting.filter(|_| is_anew && (may_have_passed || boundary.is_none())) {
            Some(sighting) => {
                let known = self.boundary.map_or(sighting, |known| known.narrowed(sighting));
                self.boundary = Some(known);
                self.fixed.judge(0.0, may_be_off);
            }
            None if must_have_passed => {
                let (begin, _) = boundary.unwrap_or_default();
                let predicted = limit - ratio * log.between(begin, now.at);
                self.fixed.judge(predicted - now.left, may_be_off + ratio * cost);
            }
            None => {
                self.fixed.judge(straight, may_be_off);
                if straight.abs() <= OUTLIER * sent.max(cost) + OFF_BY_LIMIT * limit
                    && !may_have_passed
                {
                    self.fixed.learn(sent / limit, (from.left - now.left) / limit);
                }
            }
        }
    }

    /// What is ours of the limit: what is left, and what we use of it. Calls that were sent at about
    /// the same time may not be counted yet.
    fn see_own(&mut self, seen: &LimitSample<'_>, together: f64) {
        let LimitSample { now, cost, own, log, limit } = *seen;
        // What is about to leave the window may have left it.
        let used = log.between(now.at - MINUTE_MS + LOG_STEP_MS, now.at) - together;
        let ratio = self.sliding.ratio();
        self.sliding.observe_own(now.left + ratio * used.max(own), cost, limit);
        if self.is_close(Refill::Sliding) {
            self.sliding.limit_ratio(used, limit - now.left, limit);
        }
        if let Some((begin, to)) = self.boundary.map(|boundary| boundary.before(now.at))
            && to <= now.at
        {
            let used = log.between(begin, now.at) - together;
            let ours = now.left + self.fixed.ratio() * used.max(own);
            self.fixed.observe_own(ours, cost, limit);
            if self.is_close(Refill::Fixed) {
                let used = log.between(to + SIGHTING_MS, now.at) - together;
                self.fixed.limit_ratio(used, limit - now.left, limit);
            }
        }
    }

    /// A call was rejected for its tokens, and told to wait; the log does not hold it any more.
    pub(super) fn rejected(&mut self, seen: &LimitSample<'_>, wait_ms: f64) {
        let LimitSample { now: Observation { at, .. }, cost, log, limit, .. } = *seen;
        // When it has room, it is what we sent that has left: others use the rest.
        let ratio = self.sliding.ratio();
        let then = log.between(at + wait_ms - MINUTE_MS, at);
        self.sliding.lower_own(ratio * (then + cost), limit);
        if self.identified() == Some(Refill::Fixed) {
            // Waits are whole seconds, rounded up.
            let end = at + wait_ms;
            let told =
                Boundary { from: end - WAIT_MS - MINUTE_MS, to: end + ARRIVAL_MS - MINUTE_MS };
            self.boundary = Some(self.boundary.map_or(told, |known| known.narrowed(told)));
        }
        if let Some(boundary) = self.boundary {
            let (begin, _) = boundary.before(at);
            let used = self.fixed.ratio() * (log.between(begin, at) + cost);
            self.fixed.lower_own(used - 1.0, limit);
        }
        let left = self.continuous.ratio() * cost - wait_ms * limit / MINUTE_MS;
        let left = left.clamp(0.0, limit);
        if at > self.last.at {
            self.last = Observation { at, left };
        }
        (self.from, self.rejected_at) = (None, self.rejected_at.max(at));
    }

    /// Is as careful as the other.
    pub(super) fn lower_to(&mut self, other: &Self, limit: f64) {
        for refill in Refill::ALL {
            let own = other.fit(refill).own(limit);
            self.fit_mut(refill).lower_own(own, limit);
        }
    }

    /// Goes on with this part of what is left.
    pub(super) fn scale(&mut self, part: f64) {
        self.last.left *= part;
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.from.iter_mut().for_each(|from| from.at += by_ms);
        self.last.at += by_ms;
        self.rejected_at += by_ms;
        if let Some(boundary) = &mut self.boundary {
            (boundary.from, boundary.to) = (boundary.from + by_ms, boundary.to + by_ms);
        }
    }
}

/// When a counter began anew between two responses: the newest calls that make up what is used now
/// came after, the one before them came before.
fn begun_anew(from: Observation, seen: &LimitSample<'_>, ratio: f64) -> Option<Boundary> {
    let LimitSample { now, cost, log, limit, .. } = *seen;
    let used = (limit - now.left) / ratio;
    let (mut counted, mut first) = (0.0, now.at);
    for (at, amount) in log.backwards(now.at) {
        if amount <= 0.0 {
            continue;
        }
        if counted + 0.5 * amount >= used || at <= from.at {
            let is_enough = (counted - used).abs() <= f64::max(0.5 * cost, 0.1 * used);
            let from = (at - LOG_STEP_MS).max(from.at);
            return is_enough.then_some(Boundary { from, to: first + ARRIVAL_MS });
        }
        counted += amount;
        first = at;
    }
    None
}

#[cfg(test)]
#[path = "observation_tests.rs"]
mod tests;
