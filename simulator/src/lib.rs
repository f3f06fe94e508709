//! A stand-in for Azure OpenAI and OpenAI deployments: it enforces rate limits as the real
//! services do, fails on demand, and answers from labels, or as it is told. It holds no model and must never know
//! anything about the rest of Sluice: it sees only what a provider would see.

pub mod schema;
mod image;
pub mod request;
pub mod fault;
pub mod stats;
pub mod entra;
mod script;
pub mod config;
pub mod limiter;
pub mod answer;
mod deployment;
mod run_state;
mod reply;
mod identity;
mod completion;
mod server;

pub use config::{Config, DeploymentConfig, Kind};
pub use entra::EntraConfig;
pub use fault::{Fault, FaultKind};
pub use request::Mode;
pub use script::ScriptedAnswer;
pub use server::{Running, serve, start};
pub use stats::{DeploymentStats, RejectedStats, Stats, TokenStats};
