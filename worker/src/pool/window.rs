//! The older limiter: exact sliding logs of 60 s for tokens and of 10 s and 60 s for requests.
//!
//! It must know nothing of the clock: every question carries its time.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Entries count this much longer than at the provider: two calls may come closer than they left.
pub(super) const MARGIN: Duration = Duration::from_millis(300);
const MINUTE: Duration = Duration::from_secs(60);
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// What may be used: already this process's share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) tokens: u64,
    pub(super) requests: u64,
    pub(super) requests_10s: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    at: Instant,
    id: u64,
    tokens: u64,
}

/// The log of the last minute, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    log: VecDeque<Entry>,
}

impl Window {
    /// The first time from `now` on at which a call of this cost is within the quota. A call
    /// larger than the quota may go when it is alone.
    pub(super) fn earliest(&self, now: Instant, tokens: u64, quota: &Quota) -> Instant {
        let mut at = now;
        let count = self.log.len() as u64;
        // The k-th entry from the end must have left its window.
        for (requests, period) in [(quota.requests, MINUTE), (quota.requests_10s, TEN_SECONDS)] {
            if let Some(index) = count.checked_sub(requests)
                && let Some(entry) = self.log.get(index as usize)
            {
                at = at.max(entry.at + period + MARGIN);
            }
        }
        let room = quota.tokens.saturating_sub(tokens);
        let mut held: u64 = 0;
        // From the newest back: the first entry that no longer fits must have left.
        for entry in self.log.iter().rev() {
            held += entry.tokens;
            if held > room {
                at = at.max(entry.at + MINUTE + MARGIN);
                break;
            }
        }
        at
    }

    /// Writes a call down, in order of time.
    pub(super) fn insert(&mut self, at: Instant, id: u64, tokens: u64) {
        let index = self.log.partition_point(|entry| entry.at <= at);
        self.log.insert(index, Entry { at, id, tokens });
    }

    /// Forgets what no longer counts.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.log.front().is_some_and(|entry| entry.at + MINUTE + MARGIN <= now) {
            self.log.pop_front();
        }
    }

    /// Takes a call out; none when it has expired.
    pub(super) fn remove(&mut self, id: u64) -> Option<u64> {
        let index = self.log.iter().rposition(|entry| entry.id == id)?;
        self.log.remove(index).map(|entry| entry.tokens)
    }

    /// Keeps a call's request and gives back its tokens.
    pub(super) fn clear_tokens(&mut self, id: u64) {
        if let Some(entry) = self.log.iter_mut().rev().find(|entry| entry.id == id) {
            entry.tokens = 0;
        }
    }

    /// Tokens and requests in the last minute, and requests in the last ten seconds.
    pub(super) fn used(&self, now: Instant) -> (u64, u64, u64) {
        let within =
            |period: Duration| self.log.partition_point(|entry| entry.at + period + MARGIN <= now);
        let minute = self.log.iter().skip(within(MINUTE));
        let requests = self.log.len() - within(MINUTE);
        let recent = self.log.len() - within(TEN_SECONDS);
        (minute.map(|entry| entry.tokens).sum(), requests as u64, recent as u64)
    }
}
