//! Faults under load on the real engines, with the figures that are promised: `just chaos` runs
//! the long ones, and docs/reliability.md keeps what they print.

mod away;
mod cluster;
mod kills;
mod storm;
mod poison;
mod resumed;
mod drain;
