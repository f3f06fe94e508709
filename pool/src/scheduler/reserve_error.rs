//! Why a call gets no slot, for who asked.
//!
//! It must know nothing of how that is found out.

use super::Scheduler;
use crate::deployment::milliseconds;
use crate::limiter::Limiter;
use crate::state::{NoSlot, Waiter};
use std::time::Duration;
use tokio::time::Instant;

/// Why a call gets no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// No deployment serves the model.
    #[error("no deployment serves the model {model:?}")]
    NoDeployment {
        /// The model.
        model: String,
    },
    /// The call has images, and no deployment of its model takes any.
    #[error(
        "no deployment of {model:?} takes images: set vision = true where the model does, or install \
         tesseract where the worker runs"
    )]
    NoVision {
        /// The model.
        model: String,
    },
    /// The call is larger than a whole minute's quota of every deployment: it never starts.
    #[error("the call counts {tokens} tokens; no deployment takes more than {tokens_max}")]
    TooLong {
        /// What it counts as at admission.
        tokens: u64,
        /// The largest minute's quota.
        tokens_max: u64,
    },
    /// It cannot start within the wait that makes sense.
    #[error("{deployment} has no room for another {} s", wait.as_secs())]
    Later {
        /// The deployment that would take it first.
        deployment: String,
        /// How long until then.
        wait: Duration,
    },
    /// No answer could come before the deadline, so nothing was sent.
    #[error("{deployment} could take the call in {} s, too late for an answer", wait.as_secs())]
    TooLate {
        /// The deployment that would take it first.
        deployment: String,
        /// How long until then.
        wait: Duration,
    },
}

impl Scheduler {
    /// What to say to who asked.
    pub(super) fn error(&self, ask: &Waiter, why: NoSlot, now: Instant) -> ReserveError {
        match why {
            _ if ask.has_images && !self.sees() => {
                let models = self.deployments.iter().map(|one| one.config.model.clone());
                ReserveError::NoVision { model: models.take(1).collect() }
            }
            NoSlot::TooLarge => {
                let limiters = self.deployments.iter().filter_map(|deployment| {
                    let limiter: &Limiter = self.state.limiter(&deployment.address)?;
                    let tokens_max = limiter.per_minute().0? as u64;
                    Some((
                        deployment.config.tokens_per_minute.unwrap_or(tokens_max),
                        limiter.cost(&ask.size),
                    ))
                });
                let (tokens_max, tokens) =
                    limiters.max_by_key(|(tokens_max, _)| *tokens_max).unwrap_or_default();
                ReserveError::TooLong { tokens: tokens.ceil() as u64, tokens_max }
            }
            NoSlot::TooLate { view, at } => {
                let wait = milliseconds(at - self.at(now));
                ReserveError::TooLate { deployment: self.name(view), wait }
            }
        }
    }
}
