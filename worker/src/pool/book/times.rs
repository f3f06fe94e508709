//! Virtual times: how much each tenant was served, for its weight.
//!
//! Start-time fair queueing: whoever is served pays `cost / weight` on its own clock, and the clock
//! that is most behind goes next. Plain data, so that workers may share it. It must know nothing of
//! who waits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The least weight: one of nothing would wait for ever.
const WEIGHT_MIN: f64 = 0.001;

/// The clocks of the tenants, and the time below which no clock starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Times {
    /// Where a tenant starts that has no clock: who was idle has saved nothing up.
    now: f64,
    /// The clocks by tenant, of those that are ahead of `now` or wait.
    clocks: BTreeMap<String, f64>,
}

impl Times {
    /// The clock of a tenant.
    pub(super) fn of(&self, tenant: &str) -> f64 {
        self.clocks.get(tenant).copied().unwrap_or(self.now)
    }

    /// The clock of a tenant that begins to wait: not behind that of the others.
    pub(super) fn begin(&mut self, tenant: &str) -> f64 {
        let clock = self.of(tenant).max(self.now);
        self.clocks.insert(tenant.to_owned(), clock);
        clock
    }

    /// A tenant is served: its clock moves on.
    pub(super) fn charge(&mut self, tenant: &str, cost: f64, weight: f64) -> f64 {
        let clock = self.of(tenant) + step(cost, weight);
        self.clocks.insert(tenant.to_owned(), clock);
        clock
    }

    /// The time has come to this: it never goes back.
    pub(super) fn reach(&mut self, time: f64) {
        self.now = self.now.max(time);
    }

    /// Forgets the clocks that time has caught up with, unless their tenant waits.
    pub(super) fn keep(&mut self, waits: impl Fn(&str) -> bool) {
        self.clocks.retain(|tenant, clock| *clock > self.now || waits(tenant));
    }
}

/// How far a clock moves for this cost.
fn step(cost: f64, weight: f64) -> f64 {
    let weight = if weight.is_finite() { weight.max(WEIGHT_MIN) } else { 1.0 };
    if cost.is_finite() { cost / weight } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_idle_starts_with_the_others() {
        let mut times = Times::default();
        times.charge("busy", 100.0, 2.0);
        times.reach(50.0);
        assert_eq!(times.begin("idle"), 50.0);
        assert_eq!(times.begin("busy"), 50.0);
        times.charge("busy", 10.0, 2.0);
        times.keep(|_| false);
        assert_eq!(times.begin("busy"), 55.0, "what it was served ahead is not forgotten");
        times.reach(60.0);
        times.keep(|_| false);
        assert_eq!(times.clocks.len(), 0);
    }

    #[test]
    fn weights_and_costs_that_are_none_do_no_harm() {
        for (cost, weight, expected) in
            [(1.0, 0.0, 1000.0), (1.0, -4.0, 1000.0), (1.0, f64::NAN, 1.0), (f64::NAN, 1.0, 0.0)]
        {
            assert_eq!(step(cost, weight), expected, "{cost} {weight}");
        }
    }

    #[test]
    fn they_are_plain_data() {
        let mut times = Times::default();
        times.charge("a", 3.0, 2.0);
        let text = serde_json::to_string(&times).unwrap();
        assert_eq!(text, r#"{"now":0.0,"clocks":{"a":1.5}}"#);
        assert_eq!(serde_json::from_str::<Times>(&text).unwrap(), times);
    }
}
