//! What Sluice's uploader and worker must agree on, and nothing else: plain data first, then the
//! services that both use. A module uses only modules listed above it.

pub mod schema;
pub mod document;
pub mod extraction;
pub mod message;
pub mod fleet;
pub mod config;
pub mod clock;
pub mod fault;
pub mod error_chain;
pub use pool::trust;
pub mod blob;
pub mod job;
pub mod store;
pub mod queue;
pub mod relay;
pub mod services;
