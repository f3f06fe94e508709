//! From pages to questions, and from answers to a typed result with its proof. Pure functions.
//!
//! It must know nothing of stores, deployments or processes. A module uses only modules listed
//! above it.

pub mod node;
pub mod budget;
pub mod sizes;
pub mod prompt;
pub mod compiled;
pub mod validate;
pub mod repair;
pub mod merge;
pub mod number;
pub mod date;
pub mod words;
pub mod evidence;
pub mod rules;
