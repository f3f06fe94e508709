//! What a limiter learns from how calls end, and what it says of itself.

use super::{Booking, Limiter, LimiterKind, MINUTE_MS, TEN_SECONDS_MS};

/// The longest that a rejection is believed to mean where a minute is not its measure.
const BLOCK_MS_MAX: f64 = 15_000.0;
/// Rejections this close together are one.
const REJECTED_MS: f64 = 2_000.0;
/// So long without a rejection, and what is used grows again.
const RAISE_MS: f64 = 20_000.0;
/// The same for what provisioned throughput lets through at once.
const CEILING_RAISE_MS: f64 = 15_000.0;
/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 3;
/// The longest that the breaker stays open.
const OPEN_MS_MAX: f64 = 5_000.0;
/// The longest that a probe is waited for.
const PATIENCE_MS_MAX: f64 = 60_000.0;
/// Less than this part of a window says nothing of our bias.
const RATIO_FROM: f64 = 0.3;
/// What the first responses tell is taken for our bias alone.
const RATIOS_FIRST: u32 = 20;
/// How much the newest response counts.
const RATIO_GAIN: f64 = 0.05;
/// A part of a window that we may be off by chance; where a call is larger, so much.
const BY_CHANCE: f64 = 0.06;
/// The most of a window that external_load are taken to use: only who sends hears of it when they go.
const EXTERNAL_LOAD_MAX: f64 = 0.7;

/// What a response says of its deployment's limiter; none where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimiterHints {
    /// The limit of tokens in force.
    pub tokens_limit: Option<f64>,
    /// The limit of requests in force.
    pub requests_limit: Option<f64>,
    /// The tokens left.
    pub tokens_left: Option<f64>,
    /// The requests left.
    pub requests_left: Option<f64>,
    /// Whether it named a renewal period, as only buckets do.
    pub renews: bool,
    /// Whether it named the wait in milliseconds and no limits, as provisioned throughput does.
    pub exact: bool,
}

/// How a booking ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It was never sent.
    Returned,
    /// An answer came.
    Answered {
        /// The tokens of the question as the provider counts them; 0 where it does not say.
        tokens_input: f64,
        /// The tokens of the answer.
        tokens_output: f64,
        /// What else was said.
        hints: LimiterHints,
    },
    /// The question was refused: the deployment works.
    Refused {
        /// What else was said.
        hints: LimiterHints,
    },
    /// The provider had no room.
    Throttled {
        /// For how long it wants nothing, in milliseconds: twice what it says where it is
        /// capacity that is short.
        wait_ms: f64,
        /// Whether it is the provider that has too little, rather than the quota.
        no_capacity: bool,
        /// What else was said.
        hints: LimiterHints,
    },
    /// No answer came.
    Failed {
        /// Whether it may have been taken up, and so charged.
        charged: bool,
        /// How long it took, in milliseconds.
        took_ms: f64,
        /// From 0 to 1, by chance.
        jitter: f64,
    },
}

impl Limiter {
    /// Learns from how a call ended that was sent at this time.
    pub fn settle(&mut self, booking: &Booking, sent: f64, outcome: &Outcome, now: f64) {
        match *outcome {
            Outcome::Returned => {
                // Were it the probe, the next call is.
                self.probe_until = None;
                self.refund(booking, true);
            }
            Outcome::Answered { tokens_input, tokens_output, hints } => {
                self.went_late(booking, sent);
                self.works(booking);
                if tokens_output > 0.0 {
                    let mean = self.output.unwrap_or(tokens_output);
                    self.output = Some(mean + 0.03 * (tokens_output - mean));
                }
                self.correct(booking, tokens_input, tokens_output, now);
                self.hear(booking, &hints, now);
                self.raise(now);
            }
            Outcome::Refused { hints } => {
                self.went_late(booking, sent);
                self.works(booking);
                self.hear_limits(&hints);
            }
            Outcome::Throttled { wait_ms, no_capacity, hints } => {
                self.hear_limits(&hints);
                self.find_kind(&hints);
                self.throttled(booking, wait_ms, no_capacity, now);
            }
            Outcome::Failed { charged, took_ms, jitter } => {
                self.failed(booking, took_ms, jitter, now);
                if !charged {
                    self.refund(booking, true);
                }
            }
        }
    }

    /// The deployment works, unless something came up since the call was sent.
    fn works(&mut self, booking: &Booking) {
        if booking.at > self.failed_at.max(self.rejected_at) {
            self.recover();
        }
    }

    /// Takes a call out that the provider did not count; one that was rejected has used its
    /// request.
    fn refund(&mut self, booking: &Booking, with_request: bool) {
        self.next_tokens -= booking.cost / booking.rate;
        self.tokens.take(booking.at, booking.cost);
        if with_request {
            self.requests.take(booking.at, 1.0);
            self.next_requests -= self.spacing();
        }
        if self.may_be_ptu() {
            self.used.take(booking.at, self.full(&booking.size));
        }
    }

    /// A window counts from when a call arrives.
    fn went_late(&mut self, booking: &Booking, sent: f64) {
        if matches!(self.kind, LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow)
            && sent > booking.at + 50.0
        {
            let tokens = self.tokens.take(booking.at, booking.cost);
            self.tokens.add(sent, tokens);
            let requests = self.requests.take(booking.at, 1.0);
            self.requests.add(sent, requests);
        }
    }

    /// Puts what was really used in the place of what was expected.
    fn correct(&mut self, booking: &Booking, tokens_input: f64, tokens_output: f64, now: f64) {
        // A response that does not say what it used keeps its estimate.
        if tokens_input.max(tokens_output) <= 0.0 {
            return;
        }
        let input = if tokens_input > 0.0 { tokens_input } else { booking.size.input_real };
        if self.may_be_ptu() {
            let used = input + self.terms.output_weight * tokens_output;
            let unused = self.full(&booking.size) - used;
            self.used.pass(now, self.drains());
            self.used.take(booking.at, unused);
        }
        let more = tokens_output - booking.output;
        let more = match self.kind {
            // A window keeps its estimate for a minute, whatever comes.
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => return,
            LimiterKind::Bucket if self.terms.charge.settled == Some(false) => return,
            LimiterKind::Bucket => more,
            LimiterKind::Ptu => self.terms.output_weight * more + input - booking.size.input_real,
        };
        self.next_tokens += more / booking.rate;
        if more > 0.0 {
            self.tokens.add(booking.at, more);
        } else {
            self.tokens.take(booking.at, -more);
        }
    }

    fn hear(&mut self, booking: &Booking, hints: &LimiterHints, now: f64) {
        self.hear_limits(hints);
        self.find_kind(hints);
        self.is_silent |= self.kind == LimiterKind::Auto;
        let Some(left) = hints.tokens_left else { return };
        let limit = self.limit_tokens() / self.share;
        match self.kind {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow
                if self.share >= 1.0 =>
            {
                let used = hints.tokens_limit.unwrap_or(self.terms.tokens_per_minute) - left;
                self.hear_window(booking, used, limit);
            }
            LimiterKind::Bucket => {
                let level = (left / limit).clamp(-0.5, 1.0);
                self.level += 0.1 * (level - self.level);
                self.hear_bucket(booking, now);
                self.heard_at = now;
            }
            _ => {}
        }
    }

    /// What is used beside what we know of: our bias grows with what we send, and what external_load
    /// use does not.
    fn hear_window(&mut self, booking: &Booking, used: f64, limit: f64) {
        // Of calls that are sent together nobody knows which came first.
        let together = self.tokens.near(booking.at) - booking.cost;
        if booking.expected <= 0.0 || together > 0.5 * BY_CHANCE * limit {
            return;
        }
        let ours = booking.expected * self.ratio;
        let (others, chance) = (used - ours, f64::max(BY_CHANCE * limit, booking.cost));
        if booking.expected < RATIO_FROM * limit {
            if others - self.external_load > 0.1 * ours + 0.1 * limit {
                // It was used before we came: it is forgotten a minute after now at the latest.
                let known = self.tokens.within(booking.at, MINUTE_MS);
                let more = (used - self.external_load) / self.ratio - known;
                self.tokens.add(booking.at, more.max(0.0));
            }
        } else if self.ratios < RATIOS_FIRST || (self.external_load <= 0.0 && others <= chance) {
            let ratio = (used / booking.expected).clamp(0.5, 3.0);
            self.ratios = (self.ratios + 1).min(RATIOS_FIRST);
            self.ratio += RATIO_GAIN * (ratio - self.ratio);
        } else {
            // Strangers have come, or the limit has fallen without a word.
            let gain = match others - self.external_load {
                more if more > chance => 0.5,
                less if less < -chance => 0.2,
                _ => RATIO_GAIN,
            };
            let external_load = self.external_load + gain * (others - self.external_load);
            let is_chance = external_load < 0.5 * chance;
            self.external_load =
                if is_chance { 0.0 } else { external_load.min(EXTERNAL_LOAD_MAX * limit) };
        }
    }

    /// A bucket that stays full though calls wait charges less than we think.
    fn hear_bucket(&mut self, booking: &Booking, now: f64) {
        let seconds = ((now - self.heard_at) / 1_000.0).clamp(0.0, 1.0);
        if self.level > 0.9 && booking.paced {
            self.pace = (self.pace * (1.0 + 0.004 * seconds)).min(4.0);
        } else if self.level < 0.6 {
            self.pace = (self.pace * (1.0 - 0.004 * seconds)).max(1.0);
        }
    }

    fn hear_limits(&mut self, hints: &LimiterHints) {
        // The older limiter names what it takes in ten seconds, where it names anything.
        if self.kind != LimiterKind::Window {
            self.told_requests = hints.requests_limit.or(self.told_requests);
        }
        self.told_tokens = hints.tokens_limit.or(self.told_tokens);
    }

    /// Finds out how the quota is enforced, where that is not configured.
    fn find_kind(&mut self, hints: &LimiterHints) {
        if self.kind != LimiterKind::Auto {
            return;
        }
        let limit = hints.requests_limit.unwrap_or(self.terms.requests_per_minute);
        let is_limited = hints.tokens_limit.or(hints.requests_limit).is_some();
        let in_ten_seconds = (limit / 6.0).ceil();
        let kind = match hints.requests_left {
            _ if hints.renews => LimiterKind::Bucket,
            Some(left) if is_limited && left > in_ten_seconds => LimiterKind::Bucket,
            Some(left) if !is_limited && left <= in_ten_seconds => LimiterKind::Window,
            None if hints.exact && !is_limited => LimiterKind::Ptu,
            _ => LimiterKind::Auto,
        };
        self.kind = kind;
    }

    fn throttled(&mut self, booking: &Booking, wait_ms: f64, no_capacity: bool, now: f64) {
        if now - self.rejected_at > REJECTED_MS {
            if self.kind == LimiterKind::Ptu && !no_capacity {
                let held = (self.used_now(now) - self.full(&booking.size)) / self.drains();
                let met = self.ceiling_ms.min(held.max(1_000.0));
                (self.ceiling_ms, self.ceiling_known_ms) = (met * 0.93, met * 0.97);
            } else {
                let (factor, least) = if no_capacity { (0.8, 0.1) } else { (0.99, 0.7) };
                self.trim = self.trim.min(f64::max(self.trim * factor, least));
            }
        }
        let wait_ms = self.believed(wait_ms);
        if !no_capacity {
            self.was_full(booking, wait_ms, now);
        }
        self.refund(booking, false);
        self.block(wait_ms, now);
        self.rejected_at = now;
        self.half_open =
            matches!(self.kind, LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow);
        self.probe_until = None;
    }

    /// Nothing is to be sent for so long, as far as that is believed.
    pub fn block(&mut self, wait_ms: f64, now: f64) {
        self.blocked_until = self.blocked_until.max(now + self.believed(wait_ms));
    }

    /// Some providers name a day.
    fn believed(&self, wait_ms: f64) -> f64 {
        let is_likely = self.kind == LimiterKind::Window && wait_ms < MINUTE_MS;
        if is_likely { wait_ms } else { wait_ms.min(BLOCK_MS_MAX) }
    }

    /// A window was full though we thought there was room. When it will have room, as it says, what
    /// others use is what we do not use then: external_load have come, or its limit has fallen.
    fn was_full(&mut self, booking: &Booking, wait_ms: f64, now: f64) {
        let limit = self.limit_tokens();
        let has_requests = self.requests.sum() < 0.9 * self.at_once();
        if matches!(self.kind, LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow)
            && self.share >= 1.0
            && has_requests
            && booking.expected > RATIO_FROM * limit
        {
            let others = limit - self.ratio * self.tokens.within(now + wait_ms, MINUTE_MS);
            if others > f64::max(BY_CHANCE * limit, booking.cost) {
                self.external_load = self.external_load.max(others.min(EXTERNAL_LOAD_MAX * limit));
            }
        }
    }

    fn failed(&mut self, booking: &Booking, took_ms: f64, jitter: f64, now: f64) {
        // Calls that were under way when the breaker opened say nothing new.
        if booking.at < self.opened_at {
            return;
        }
        self.failed_at = self.failed_at.max(booking.at);
        self.failures = self.failures.saturating_add(1);
        self.probe_until = None;
        self.patience_ms = (1.5 * took_ms).clamp(0.0, PATIENCE_MS_MAX);
        if self.failures >= FAILURES_MAX {
            self.opens = (self.opens + 1).min(10);
            let open_ms = (1_000.0 * 2_f64.powi(self.opens as i32 - 1)).min(OPEN_MS_MAX);
            let open_ms = open_ms * (0.8 + 0.4 * jitter.clamp(0.0, 1.0));
            self.blocked_until = self.blocked_until.max(now + open_ms);
            self.opened_at = now;
            self.out_since = self.out_since.or(Some(now));
            self.half_open = true;
        }
    }

    /// Uses more again after a time without rejections.
    fn raise(&mut self, now: f64) {
        let calm = now - self.rejected_at.max(self.raised_at);
        if self.kind == LimiterKind::Ptu && calm > CEILING_RAISE_MS {
            let is_known = self.ceiling_ms < self.ceiling_known_ms;
            let factor = if is_known { 1.0025 } else { 1.0003 };
            self.ceiling_ms = (self.ceiling_ms * factor).min(MINUTE_MS);
            self.raised_at = now;
        }
        if calm > RAISE_MS || (self.kind == LimiterKind::Ptu && calm > CEILING_RAISE_MS) {
            self.trim = (self.trim + f64::max(0.0025, 0.05 * (1.0 - self.trim))).min(1.0);
            self.raised_at = now;
        }
    }

    /// Whether nothing is sent, and until when: after a rejection, or after failures.
    pub fn blocked(&self, now: f64) -> Option<f64> {
        Some(self.blocked_until).filter(|until| *until > now)
    }

    /// Since when it cannot be used for failures, unless it can, or a call may try it now.
    pub fn out_since(&self, now: f64) -> Option<f64> {
        let rests = self.blocked(now).or(self.probe_until.filter(|until| *until > now));
        rests.and(self.out_since)
    }

    /// Whether it rests after failures.
    pub fn is_open(&self) -> bool {
        self.opens > 0
    }

    /// How the quota is enforced, as far as is known.
    pub fn kind(&self) -> LimiterKind {
        self.kind
    }

    /// Tokens and requests a minute that may be used.
    pub fn per_minute(&self) -> (f64, f64) {
        (self.limit_tokens(), self.limit_requests())
    }

    /// Calls of this cost that may start in a millisecond, in the long run.
    pub fn supply(&self, cost: f64) -> f64 {
        let tokens = self.ours() * self.trim / self.ratio.max(1.0) / cost.max(1.0);
        let requests = if self.kind == LimiterKind::Ptu { tokens } else { self.limit_requests() };
        tokens.min(requests) / MINUTE_MS
    }

    /// Tokens and requests that could be sent now.
    pub fn available(&self, now: f64) -> (f64, f64) {
        let ahead = |next: f64| (now - next).clamp(0.0, MINUTE_MS) / MINUTE_MS;
        let requests = ahead(self.next_requests) * self.limit_requests();
        match self.kind {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                let tokens = (self.window_limit() - self.tokens.within(now, MINUTE_MS)).max(0.0);
                let used = self.requests.within(now, TEN_SECONDS_MS);
                (tokens, (self.at_once() - used).max(0.0))
            }
            LimiterKind::Bucket => {
                let owed = (self.next_tokens - now).max(0.0) / MINUTE_MS;
                let level = (self.level - owed).max(0.0);
                let requests = requests.max(level * self.limit_requests());
                (level * self.limit_tokens(), requests)
            }
            LimiterKind::Ptu => {
                let most = self.ceiling_ms * self.limit_tokens() / MINUTE_MS;
                ((most - self.used_now(now)).max(0.0), self.limit_requests())
            }
        }
    }

    /// The part of the last minute's quota that was used, as we count.
    pub fn utilisation(&self, now: f64) -> f64 {
        self.tokens.within(now, MINUTE_MS) * self.ratio / self.ours().max(1.0)
    }
}
