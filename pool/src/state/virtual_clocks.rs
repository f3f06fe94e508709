//! Virtual times: how much each tenant was served, for its weight.
//!
//! Start-time fair queueing: whoever is served pays `cost / weight` on its own clock, and the clock
//! that is most behind goes next. Plain data, so that workers may share it. It must know nothing of
//! who waits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The least weight: one of nothing would wait for ever.
const WEIGHT_MIN: f64 = 0.001;

/// Who waited no longer ago than this is taken to wait still, at whichever worker.
const WAITS_MS: f64 = 1_500.0;
/// Of more tenants, the clocks of those that do not wait and are least ahead are forgotten.
const CLOCKS_MAX: usize = 1_000;
/// So often it is worth telling that a tenant waits.
const TOLD_MS: f64 = 500.0;

/// The clocks of the tenants, and the time below which no clock starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct VirtualClocks {
    /// Where a tenant starts that has no clock: who was idle has saved nothing up.
    now: f64,
    /// The clocks by tenant, of those that are ahead of `now` or wait.
    clocks: BTreeMap<String, Clock>,
}

/// How far a tenant was served, and when it last waited, in milliseconds of the state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Clock {
    served: f64,
    waited: f64,
}

impl VirtualClocks {
    /// The clock of a tenant.
    pub(super) fn of(&self, tenant: &str) -> f64 {
        self.clocks.get(tenant).map_or(self.now, |clock| clock.served)
    }

    /// The clock of a tenant that waits: not behind that of the others when it begins to.
    pub(super) fn wait(&mut self, tenant: &str, at: f64) {
        let waits = self.clocks.get(tenant).filter(|clock| clock.waited + WAITS_MS > at);
        let served = waits.map_or_else(|| self.of(tenant).max(self.now), |clock| clock.served);
        self.clocks.insert(tenant.to_owned(), Clock { served, waited: at });
    }

    /// A tenant waits no more.
    pub(super) fn rest(&mut self, tenant: &str) {
        if let Some(clock) = self.clocks.get_mut(tenant) {
            clock.waited = f64::MIN;
        }
    }

    /// Whether others that wait are behind it: then they go first.
    pub(super) fn is_ahead(&self, tenant: &str, at: f64) -> bool {
        let served = self.of(tenant);
        self.clocks.values().any(|other| other.served < served && other.waited + WAITS_MS > at)
    }

    /// Whether more than one tenant waits, at any member.
    pub(super) fn has_rivals(&self, at: f64) -> bool {
        self.clocks.values().filter(|clock| clock.waited + WAITS_MS > at).nth(1).is_some()
    }

    /// Whether it was told lately that the tenant waits.
    pub(super) fn is_told(&self, tenant: &str, at: f64) -> bool {
        self.clocks.get(tenant).is_some_and(|clock| clock.waited + TOLD_MS > at)
    }

    /// A tenant is served: its clock moves on.
    pub(super) fn charge(&mut self, tenant: &str, cost: f64, weight: f64) {
        let served = self.of(tenant) + step(cost, weight);
        let waited = self.clocks.get(tenant).map_or(f64::MIN, |clock| clock.waited);
        self.clocks.insert(tenant.to_owned(), Clock { served, waited });
    }

    /// The time has come to this: it never goes back.
    pub(super) fn reach(&mut self, time: f64) {
        self.now = self.now.max(time);
    }

    /// Forgets the clocks that time has caught up with, unless their tenant waits.
    pub(super) fn keep(&mut self, at: f64) {
        let now = self.now;
        let waits = |clock: &Clock| clock.waited + WAITS_MS > at;
        self.clocks.retain(|_, clock| clock.served > now || waits(clock));
        if self.clocks.len() > CLOCKS_MAX {
            let idle = self.clocks.iter().filter(|(_, clock)| !waits(clock));
            let mut idle: Vec<_> = idle.map(|(name, clock)| (clock.served, name.clone())).collect();
            idle.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (_, name) in idle.into_iter().take(self.clocks.len() - CLOCKS_MAX) {
                self.clocks.remove(&name);
            }
        }
    }

    /// Moves the times at which tenants waited.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.clocks.values_mut().for_each(|clock| clock.waited += by_ms);
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
        let mut times = VirtualClocks::default();
        times.charge("busy", 100.0, 2.0);
        times.reach(50.0);
        times.wait("idle", 0.0);
        times.wait("busy", 0.0);
        assert_eq!((times.of("idle"), times.of("busy")), (50.0, 50.0));
        times.charge("busy", 10.0, 2.0);
        times.keep(WAITS_MS);
        assert_eq!(times.clocks.len(), 1);
        times.wait("busy", WAITS_MS);
        assert_eq!(times.of("busy"), 55.0, "what it was served ahead is not forgotten");
        times.reach(60.0);
        times.keep(2.0 * WAITS_MS);
        assert_eq!(times.clocks.len(), 0);
    }

    #[test]
    fn who_waits_elsewhere_goes_first_where_it_is_behind() {
        let mut times = VirtualClocks::default();
        times.wait("here", 0.0);
        times.charge("here", 8.0, 1.0);
        assert!(!times.is_ahead("here", 0.0), "nobody else waits");
        times.wait("there", 100.0);
        assert!(times.is_ahead("here", 200.0));
        assert!(!times.is_ahead("there", 200.0));
        assert!(times.is_told("there", 200.0) && !times.is_told("there", 100.0 + TOLD_MS));
        assert!(!times.is_ahead("here", 100.0 + WAITS_MS), "it does not wait any more");
        times.shift(1_000.0);
        assert!(times.is_ahead("here", 100.0 + WAITS_MS));
        times.charge("there", 8.0, 1.0);
        assert!(!times.is_ahead("here", 200.0));
        // Who waits keeps what it is behind; who does not, does not.
        times.charge("here", 8.0, 1.0);
        times.reach(16.0);
        for expected in [8.0, 16.0] {
            times.wait("there", 1_100.0);
            assert_eq!(times.of("there"), expected);
            times.rest("there");
        }
    }

    #[test]
    fn there_are_not_more_clocks_than_that() {
        let mut times = VirtualClocks::default();
        times.wait("waits", 0.0);
        for number in 0..=CLOCKS_MAX {
            times.charge(&number.to_string(), 1.0 + number as f64, 1.0);
        }
        times.keep(0.0);
        let kept = ["waits", "0", "1", "2", "1000"].map(|name| times.clocks.contains_key(name));
        assert_eq!((kept, times.clocks.len()), ([true, false, false, true, true], CLOCKS_MAX));
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
        let mut times = VirtualClocks::default();
        times.wait("a", 7.0);
        times.charge("a", 3.0, 2.0);
        let text = serde_json::to_string(&times).unwrap();
        assert_eq!(text, r#"{"now":0.0,"clocks":{"a":{"served":1.5,"waited":7.0}}}"#);
        assert_eq!(serde_json::from_str::<VirtualClocks>(&text).unwrap(), times);
    }
}
