//! What the pool is told: its deployments and how to address and pace each.
//!
//! [`DeploymentConfig`] is a section of a configuration file: it has its defaults, and shows no
//! secret. Where the file is and how it is read is the caller's.

mod secret;
mod endpoint;
mod deployment;

pub use deployment::{Auth, DeploymentConfig};
pub(crate) use deployment::{DEFAULT_SCOPE, NO_HEADER};
pub use endpoint::Provider;
pub(crate) use endpoint::{Endpoint, NO_URL};
pub use secret::Secret;

use crate::strategy::Strategy;
use std::collections::BTreeMap;
use std::time::Duration;

/// The pool's configuration.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The deployments; their names are unique.
    pub deployments: Vec<DeploymentConfig>,
    /// What is preferred among the deployments of a model, where it is not the default.
    pub strategies: BTreeMap<String, Strategy>,
    /// The longest that one call may take from its first byte to its last. Of a streamed answer: the
    /// longest until its headers, and between two of its chunks.
    pub call_timeout: Duration,
}

/// Why a configuration makes no pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is nothing to call.
    #[error("no deployment is configured")]
    Empty,
    /// Two deployments share a name.
    #[error("two deployments are named {0:?}")]
    DuplicateName(String),
    /// A setting of a deployment cannot be used.
    #[error("deployment {name:?}: {field} {rule}")]
    Setting {
        /// The deployment.
        name: String,
        /// The setting.
        field: &'static str,
        /// The rule that it breaks, to be read after the setting's name.
        rule: &'static str,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {0}")]
    Client(String),
}

impl PoolConfig {
    /// Checks all that can be checked without a network.
    pub(super) fn check(&self) -> Result<(), PoolError> {
        if self.deployments.is_empty() {
            return Err(PoolError::Empty);
        }
        for (index, one) in self.deployments.iter().enumerate() {
            if self.deployments.iter().skip(index + 1).any(|other| other.name == one.name) {
                return Err(PoolError::DuplicateName(one.name.clone()));
            }
            if let Some((field, rule)) = one.broken_rules().next() {
                return Err(one.error(field, rule));
            }
        }
        Ok(())
    }
}
