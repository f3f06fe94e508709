//! What a limiter learns from how calls end.

use super::feedback::{LimiterHints, Outcome};
use super::fit::Refill;
use super::readings::CallTimes;
use super::{Booking, Knowledge, Limiter, LimiterKind, MINUTE_MS, ptu};

/// The longest that a rejection is believed to mean where a minute is not its measure: some providers
/// name a day.
const BLOCK_MS_MAX: f64 = 15_000.0;
/// Rejections this close together are one.
const REJECTED_MS: f64 = 2_000.0;
/// So long without a rejection, and what is used grows again.
const RAISE_MS: f64 = 20_000.0;
/// What is used of the limit after a rejection for quota and for want of capacity, and the least.
const TRIMMED: (f64, f64) = (0.99, 0.7);
const TRIMMED_CAPACITY: (f64, f64) = (0.8, 0.1);
/// Of what was let in before a rejection, where nobody names a limit, this part is taken for it.
const FOUND_PART: f64 = 0.95;
/// It grows by this after a time without a rejection in which it was used, by twice as much with each
/// minute since the last one, up to the second.
const FOUND_RAISED: (f64, f64) = (0.005, 1.0);
/// It was used if at least this part of it was sent within a minute.
const FOUND_USED: f64 = 0.5;
/// The least time over which a rate is reckoned from what was sent before a rejection.
const FOUND_MS_MIN: f64 = 1_000.0;
/// A call that was sent so much later than reserved counts from when it was sent.
const LATE_MS: f64 = 50.0;
/// Responses to calls that were sent longer ago say nothing of what is left.
const SEEN_MS: f64 = 40_000.0;
/// The weight of the newest answer in the mean length.
const OUTPUT_WEIGHT: f64 = 0.03;

impl Limiter {
    /// Learns from how a call ended that was sent at this time.
    pub fn settle(&mut self, booking: &Booking, sent: f64, outcome: &Outcome, now: f64) {
        match *outcome {
            Outcome::Returned => {
                self.breaker.returned();
                self.refund(booking, booking.at, true);
            }
            Outcome::Answered { tokens_input, tokens_output, hints } => {
                let sent = self.moved(booking, sent);
                self.breaker.works(booking.at);
                self.hear(&hints);
                self.has_answered = true;
                self.see(booking, sent, &hints, now);
                self.correct(booking, sent, tokens_input, tokens_output, now);
                self.raise(now);
            }
            Outcome::Refused { hints } => {
                let sent = self.moved(booking, sent);
                self.breaker.works(booking.at);
                self.hear(&hints);
                self.see(booking, sent, &hints, now);
            }
            Outcome::Throttled { wait_ms, no_capacity, hints } => {
                self.hear(&hints);
                self.throttled(booking, sent, wait_ms, no_capacity, now);
            }
            Outcome::Failed { charged, took_ms, jitter, wait_ms } => {
                self.breaker.failed(booking.at, took_ms, jitter, now);
                wait_ms.into_iter().for_each(|wait_ms| self.block(wait_ms, now));
                if !charged {
                    self.refund(booking, booking.at, true);
                }
            }
        }
    }

    /// Nothing is to be sent for so long, as far as that is believed.
    pub fn block(&mut self, wait_ms: f64, now: f64) {
        self.breaker.block(self.believed(wait_ms), now);
    }

    fn believed(&self, wait_ms: f64) -> f64 {
        let is_likely = self.kind() != LimiterKind::Ptu && wait_ms < MINUTE_MS + 1_000.0;
        if is_likely { wait_ms } else { wait_ms.min(BLOCK_MS_MAX) }
    }

    /// Takes a call out that the provider did not count; one that was rejected has used its
    /// request.
    fn refund(&mut self, booking: &Booking, at: f64, with_request: bool) {
        self.next_tokens -= booking.spacing_ms;
        self.tokens.take(at, booking.cost);
        if with_request {
            self.requests.take(at, 1.0);
            self.next_requests -= self.request_spacing();
        }
        if self.may_become_ptu() {
            self.ptu.take(booking.at, ptu::full(&booking.size, self.terms.output_weight));
        }
    }

    /// Windows count from when a call arrives: one that was sent late is moved in the logs. Gives
    /// the time at which it stands there.
    fn moved(&mut self, booking: &Booking, sent: f64) -> f64 {
        if sent <= booking.at + LATE_MS {
            return booking.at;
        }
        let tokens = self.tokens.take(booking.at, booking.cost);
        self.tokens.add(sent, tokens);
        let requests = self.requests.take(booking.at, 1.0);
        self.requests.add(sent, requests);
        sent
    }

    /// Takes in the limits that a response names, and what else tells the kind at once.
    fn hear(&mut self, hints: &LimiterHints) {
        // Some name what they take in ten seconds, which is a sixth.
        let slice = (self.terms.requests_per_minute / 6.0).ceil();
        let named = hints.requests_limit.filter(|limit| *limit > 0.0 && *limit != slice);
        self.named_requests = named.or(self.named_requests);
        self.named_tokens = hints.tokens_limit.filter(|limit| *limit > 0.0).or(self.named_tokens);
        let is_limited = hints.tokens_limit.or(hints.requests_limit).is_some();
        if hints.exact && !is_limited && hints.requests_left.is_none() && !self.says_left {
            self.is_ptu = self.terms.kind == LimiterKind::Auto;
        }
        if !self.says_left && hints.tokens_left.is_some() {
            self.says_left = true;
            if let Some(refill) = typical_refill(hints, slice, is_limited) {
                self.readings.both(|observations| observations.prefer(refill));
            }
        }
    }

    /// Takes in what a response says is left.
    fn see(&mut self, booking: &Booking, sent: f64, hints: &LimiterHints, now: f64) {
        let Some(left) = hints.tokens_left else { return };
        // Alone, what others of the fleet use would look like external load.
        if self.share < 1.0 || now - sent > SEEN_MS {
            return;
        }
        let limit = self.limit_tokens();
        // More is left than is configured: the provider allows more without naming it. Where nothing
        // is configured, the most that was ever left is the limit.
        let is_more = left > limit || !self.terms.is_limited();
        if hints.tokens_limit.is_none() && is_more {
            let allowed = left + booking.cost;
            self.named_tokens = Some(self.named_tokens.map_or(allowed, |named| named.max(allowed)));
        }
        // Then all of what is used counts against what is configured.
        let used = self.named_tokens.unwrap_or(limit).max(limit) - left;
        let (left, times) = ((limit - used).clamp(0.0, limit), CallTimes { sent, answered: now });
        self.readings.observe(times, left, booking.cost, &self.tokens, limit);
    }

    /// Puts what was really used in the place of what was expected.
    fn correct(&mut self, booking: &Booking, sent: f64, input: f64, output: f64, now: f64) {
        // A response that does not say what it used keeps its estimate.
        if input.max(output) <= 0.0 {
            return;
        }
        if output > 0.0 {
            let mean = self.output.unwrap_or(output);
            self.output = Some(mean + OUTPUT_WEIGHT * (output - mean));
        }
        let input = if input > 0.0 { input } else { booking.size.input_real };
        let weight = self.terms.output_weight;
        let used = input + weight * output;
        if self.may_become_ptu() {
            self.ptu.pass(now, self.limit_tokens());
            self.ptu.take(booking.at, ptu::full(&booking.size, weight) - used);
        }
        if self.kind() == LimiterKind::Ptu {
            self.next_tokens += (used - booking.cost) / booking.cost.max(1.0) * booking.spacing_ms;
            self.tokens.take(sent, booking.cost);
            self.tokens.add(sent, used);
        }
        let is_settled =
            self.terms.charge.settled != Some(false) && self.terms.charge.output != Some(true);
        if self.kind() == LimiterKind::Bucket && !self.says_left && is_settled {
            let (counted, used) = (booking.cost, input + output);
            self.readings.both(|observations| observations.used(counted, used));
        }
    }

    fn throttled(
        &mut self,
        booking: &Booking,
        sent: f64,
        wait_ms: f64,
        no_capacity: bool,
        now: f64,
    ) {
        let is_ptu = self.kind() == LimiterKind::Ptu && !no_capacity;
        if now - self.breaker.rejected_at() > REJECTED_MS {
            if is_ptu && !self.is_unnamed() {
                let full = ptu::full(&booking.size, self.terms.output_weight);
                self.ptu.pass(now, self.limit_tokens());
                self.ptu.rejected(full, self.limit_tokens(), now);
            } else {
                let (factor, least) = if no_capacity { TRIMMED_CAPACITY } else { TRIMMED };
                self.trim = self.trim.min(f64::max(self.trim * factor, least));
            }
        }
        let wait_ms = self.believed(wait_ms);
        self.refund(booking, booking.at, false);
        let has_requests = self.requests.held(sent, 10_000.0) < 0.9 * self.at_once();
        if !no_capacity && has_requests && self.is_unnamed() {
            self.find(booking, sent, wait_ms);
        } else if !no_capacity && !is_ptu && has_requests && self.share >= 1.0 {
            let (at, limit) = (sent.max(booking.at), self.limit_tokens());
            self.readings.rejected(at, booking.cost, &self.tokens, limit, wait_ms);
        }
        self.breaker.rejected(wait_ms, !is_ptu, now);
    }

    /// A call was rejected where nobody names a limit: it is what was let in within a minute. Less
    /// than a minute of calls and the wait that was asked for tell a rate.
    fn find(&mut self, booking: &Booking, sent: f64, wait_ms: f64) {
        let at = sent.max(booking.at);
        let from = at - MINUTE_MS;
        let let_in = self.tokens.between(from, at).max(booking.cost);
        let elapsed = at - self.tokens.first_from(from).unwrap_or(at);
        let span = (elapsed + wait_ms).clamp(FOUND_MS_MIN, MINUTE_MS);
        let found = FOUND_PART * let_in * MINUTE_MS / span / self.share;
        self.found_tokens = Some(self.found_tokens.map_or(found, |known| known.min(found)));
    }

    /// Tries more than what was found, once that was used and nothing was rejected.
    fn raise_found(&mut self, now: f64) {
        let (limit, sent) = (self.limit_tokens(), self.tokens.held(now, MINUTE_MS));
        if let Some(found) = &mut self.found_tokens
            && sent >= FOUND_USED * limit
        {
            let minutes = ((now - self.breaker.rejected_at()) / MINUTE_MS).floor();
            *found *= 1.0 + (FOUND_RAISED.0 * minutes.exp2()).min(FOUND_RAISED.1);
        }
    }

    /// Uses more again after a time without rejections.
    fn raise(&mut self, now: f64) {
        let calm = now - self.breaker.rejected_at().max(self.raised_at);
        let is_ptu = self.kind() == LimiterKind::Ptu;
        if is_ptu && calm > ptu::RAISE_MS {
            self.ptu.raise();
        }
        if calm > RAISE_MS || (is_ptu && calm > ptu::RAISE_MS) {
            self.trim = (self.trim + f64::max(0.0025, 0.05 * (1.0 - self.trim))).min(1.0);
            self.raise_found(now);
            self.raised_at = now;
        }
    }

    /// What responses have taught; none before the first.
    pub fn knowledge(&self) -> Option<Knowledge> {
        (self.has_answered || self.is_ptu).then(|| Knowledge {
            is_ptu: self.is_ptu,
            named_tokens: self.named_tokens,
            named_requests: self.named_requests,
            found_tokens: self.found_tokens,
            readings: self.readings.clone(),
            ptu: self.ptu.clone(),
            trim: self.trim,
            output: self.output,
        })
    }

    /// Learns from what another limiter of the same deployment was taught: all of it where there
    /// was no response yet, and otherwise what makes it more careful.
    pub fn adopt(&mut self, known: &Knowledge) {
        if !self.has_answered {
            (self.named_tokens, self.named_requests) = (known.named_tokens, known.named_requests);
            (self.output, self.has_answered) = (known.output, true);
            self.readings = known.readings.clone();
        }
        self.is_ptu |= known.is_ptu;
        self.found_tokens =
            [self.found_tokens, known.found_tokens].into_iter().flatten().reduce(f64::min);
        self.readings.lower_to(&known.readings, self.limit_tokens() / self.share);
        self.trim = self.trim.min(known.trim);
        self.ptu.lower_to(&known.ptu);
    }
}

/// The way of refilling that what a first response says is typical of.
fn typical_refill(hints: &LimiterHints, slice: f64, is_limited: bool) -> Option<Refill> {
    match hints.requests_left {
        _ if hints.renews => Some(Refill::Continuous),
        // The older limiter of Azure names no limits, and what is left in ten seconds.
        Some(left) if !is_limited && left <= slice => Some(Refill::Sliding),
        _ => None,
    }
}
