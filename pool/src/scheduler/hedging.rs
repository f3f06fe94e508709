//! Second calls, where a first one takes long.
//!
//! It must know nothing of when that is so, nor of how a slot is given.

use super::Scheduler;
use crate::hedge::{Hedge, RunningCall, hedge};
use crate::need::Need;
use tokio::time::Instant;

impl Scheduler {
    /// A call was sent that somebody waits for.
    pub(crate) fn earn_second(&mut self) {
        self.allowance.earn();
    }

    /// Whether a call that was sent to this deployment is to be made a second time now.
    pub(crate) fn second(&self, need: &Need, first: &str, sent: Instant, now: Instant) -> Hedge {
        let sent_to = self.deployments.iter().find(|one| one.config.name == first);
        let Some(sent_to) = sent_to.filter(|_| self.deployments.len() > 1) else {
            return Hedge::Never;
        };
        let age = now.saturating_duration_since(sent);
        let running = RunningCall { age, p95: sent_to.answers_within() };
        let mut others = self.state.free(&self.ask(need), &self.views(now), self.at(now));
        others.retain(|other| self.name(other.index) != first);
        hedge(running, &others, self.allowance)
    }

    /// A second call has its slot; false where there are too many.
    pub(crate) fn spend_second(&mut self) -> bool {
        self.allowance.spend()
    }
}
