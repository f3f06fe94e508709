//! Why a call gets no slot, for who asked.
//!
//! It must know nothing of how that is found out.

use std::time::Duration;

/// Why a call gets no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// No deployment serves the model.
    #[error("no deployment serves the model {model:?}")]
    NoDeployment {
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
    /// Every deployment of the model refuses calls for now (401, 403, 404).
    #[error("every deployment refuses calls: {message}")]
    Denied {
        /// What the first of them said.
        message: String,
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
