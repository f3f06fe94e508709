//! What the pool costs a call, beside the network: `cargo bench -p pool`. To reach: 5 µs in the
//! middle, 20 µs at p99.

#![allow(clippy::print_stdout, clippy::panic, reason = "a benchmark")]

use pool::overhead::Overhead;
use std::time::{Duration, Instant};

const CALLS: usize = 200_000;

fn main() {
    let mut overhead = Overhead::default();
    let mut cost = || {
        let began = Instant::now();
        assert!(overhead.call(), "there is room");
        began.elapsed()
    };
    let mut costs: Vec<Duration> = (0..CALLS).map(|_| cost()).collect();
    costs.sort();
    let at = |part: usize| costs.get(CALLS * part / 1_000).copied().unwrap_or_default();
    println!(
        "{CALLS} calls, 3 deployments, 8 kB: p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(500),
        at(990),
        at(999)
    );
}
