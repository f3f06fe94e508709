//! The older limiter: a log of admitted tokens over sixty seconds and a log of requests over ten.

use super::{HOPELESS, Limit, Rejection, Standing, Verdict};
use crate::fault::Terms;
use std::collections::VecDeque;
use std::time::Duration;

const TOKEN_WINDOW: Duration = Duration::from_secs(60);
const REQUEST_WINDOW: Duration = Duration::from_secs(10);

/// Two sliding logs.
#[derive(Debug)]
pub struct Window {
    tokens_per_minute: u64,
    requests_per_minute: u64,
    tokens: VecDeque<(Duration, u64)>,
    requests: VecDeque<Duration>,
}

impl Window {
    pub(super) fn new(tokens_per_minute: u64, requests_per_minute: u64) -> Self {
        Self {
            tokens_per_minute,
            requests_per_minute,
            tokens: VecDeque::new(),
            requests: VecDeque::new(),
        }
    }

    pub(super) fn admit(&mut self, now: Duration, charge: u64, terms: Terms) -> Verdict {
        self.forget(now);
        let scale = terms.limit * terms.share;
        let requests_max = self.requests_max(scale);
        let tokens_max = (self.tokens_per_minute as f64 * scale) as u64;
        let request_wait = self.request_wait(now, requests_max);
        if !request_wait.is_zero() {
            let wait = request_wait.max(self.token_wait(now, charge, tokens_max));
            return self.reject(now, Limit::Requests, wait, terms);
        }
        // A call that fails for its tokens has used its place among the requests all the same.
        self.requests.push_back(now);
        let token_wait = self.token_wait(now, charge, tokens_max);
        if !token_wait.is_zero() {
            let wait = token_wait.max(self.request_wait(now, requests_max));
            return self.reject(now, Limit::Tokens, wait, terms);
        }
        self.tokens.push_back((now, charge));
        Verdict::Admitted(self.standing(now, terms))
    }

    fn reject(&self, now: Duration, limit: Limit, wait: Duration, terms: Terms) -> Verdict {
        // This generation speaks in whole seconds.
        let wait = Duration::from_secs(wait.as_secs_f64().ceil() as u64);
        Verdict::Rejected(Rejection { limit, wait, standing: self.standing(now, terms) })
    }

    fn forget(&mut self, now: Duration) {
        while self.tokens.front().is_some_and(|(at, _)| *at + TOKEN_WINDOW <= now) {
            self.tokens.pop_front();
        }
        while self.requests.front().is_some_and(|at| *at + REQUEST_WINDOW <= now) {
            self.requests.pop_front();
        }
    }

    fn requests_max(&self, scale: f64) -> usize {
        ((self.requests_per_minute as f64 * scale / 6.0).ceil() as usize).max(1)
    }

    fn used(&self) -> u64 {
        self.tokens.iter().map(|(_, charge)| charge).sum()
    }

    fn request_wait(&self, now: Duration, max: usize) -> Duration {
        let Some(blocking) = self.requests.len().checked_sub(max) else { return Duration::ZERO };
        let frees = self.requests.get(blocking).map(|at| *at + REQUEST_WINDOW);
        frees.map_or(Duration::ZERO, |at| at.saturating_sub(now))
    }

    fn token_wait(&self, now: Duration, charge: u64, max: u64) -> Duration {
        if charge > max {
            return HOPELESS;
        }
        let mut used = self.used();
        let mut wait = Duration::ZERO;
        for (at, tokens) in &self.tokens {
            if used + charge <= max {
                break;
            }
            used -= tokens;
            wait = (*at + TOKEN_WINDOW).saturating_sub(now);
        }
        wait
    }

    fn standing(&self, now: Duration, terms: Terms) -> Standing {
        let scale = terms.limit * terms.share;
        let requests_max = self.requests_max(scale) as i64;
        let tokens_max = (self.tokens_per_minute as f64 * scale) as i64;
        let reset = |at: Option<Duration>| at.map_or(Duration::ZERO, |at| at.saturating_sub(now));
        Standing {
            requests_limit: requests_max,
            requests_left: (requests_max - self.requests.len() as i64).max(0),
            requests_reset: reset(self.requests.back().map(|at| *at + REQUEST_WINDOW)),
            tokens_limit: tokens_max,
            tokens_left: (tokens_max - self.used() as i64).max(0),
            tokens_reset: reset(self.tokens.back().map(|(at, _)| *at + TOKEN_WINDOW)),
        }
    }
}
