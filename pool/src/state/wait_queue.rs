//! Who asks, in the order of service.
//!
//! It must know nothing of deployments.

use super::Waiter;
use super::virtual_clocks::VirtualClocks;
use std::collections::{BTreeMap, VecDeque};

/// Who asks, in the order of service.
pub(super) struct WaitQueue<'a> {
    first: VecDeque<&'a Waiter>,
    tenants: BTreeMap<&'a str, VecDeque<&'a Waiter>>,
}

impl<'a> WaitQueue<'a> {
    pub(super) fn new(waiters: &'a [Waiter], times: &mut VirtualClocks, now: f64) -> Self {
        let rank = |ask: &Waiter| match (ask.urgent, ask.returned) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        let mut first: Vec<&Waiter> = waiters.iter().filter(|ask| rank(ask) < 3).collect();
        first.sort_by_key(|ask| rank(ask));
        let mut tenants: BTreeMap<&str, VecDeque<&Waiter>> = BTreeMap::new();
        for ask in waiters.iter().filter(|ask| rank(ask) == 3) {
            tenants.entry(&*ask.tenant).or_default().push_back(ask);
        }
        tenants.keys().for_each(|tenant| times.wait(tenant, now));
        Self { first: first.into(), tenants }
    }

    pub(super) fn next(&mut self, times: &VirtualClocks) -> Option<&'a Waiter> {
        if let Some(ask) = self.first.pop_front() {
            return Some(ask);
        }
        let next = self.tenants.keys().min_by(|a, b| times.of(a).total_cmp(&times.of(b)));
        let next = *next?;
        let line = self.tenants.get_mut(next)?;
        let ask = line.pop_front();
        if line.is_empty() {
            self.tenants.remove(next);
        }
        ask
    }

    pub(super) fn rest(&mut self) -> impl Iterator<Item = &'a Waiter> {
        let first = std::mem::take(&mut self.first);
        let tenants = std::mem::take(&mut self.tenants);
        first.into_iter().chain(tenants.into_values().flatten())
    }
}
