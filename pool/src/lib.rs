//! A balanced pool of model deployments: paces calls to what each provider's limiter admits, spreads
//! them over the deployments of a model, and says what became of each.
//!
//! A call has two steps so that its caller can write down its intent between them: [`Pool::reserve`]
//! waits for quota and gives a [`Reservation`]; [`Reservation::send`] asks the one typed question
//! that it stands for, or [`Reservation::forward`] passes one raw request on and its response back.
//! The pool never repeats a call, and knows nothing of documents or databases.
//! A module uses only modules listed above it.

pub mod trust;
mod series;
pub mod typed;
mod strategy;
pub mod limiter;
pub mod config;
mod provider;
mod need;
mod state;
mod exchange;
mod health;
mod hedge;
mod deployment;
mod scheduler;
mod reservation;
mod pool;
mod fleet;
pub mod probe;
#[doc(hidden)]
pub mod overhead;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod tests;

pub use config::{Auth, DeploymentConfig, PoolConfig, PoolError, Provider, Secret};
pub use deployment::{DeploymentState, DeploymentStatus};
pub use fleet::{Fleet, FleetConnection, FleetError};
pub use limiter::LimiterKind;
pub use need::Need;
pub use pool::{Forecast, Pool};
pub use reservation::{ForwardOutcome, Forwarded, ForwardedBody, Reservation};
pub use scheduler::ReserveError;
pub use series::{FRACTIONAL_COUNTERS, LabelValues, describe_metrics};
pub use strategy::Strategy;
pub use typed::dialect::{Dialect, Part};
pub use typed::effort::Effort;
pub use typed::mode::Mode;
pub use typed::schema_size::SchemaSize;
pub use typed::usage::Usage;
