//! What this worker says of itself to the rest of the fleet: how its deployments fare, and how many
//! of its calls wait for them.
//!
//! It must know nothing of where that is kept or who reads it.

use jiff::Timestamp;
use pool::{Forecast, Need, Pool, ReserveError};
use shared::{
    clock,
    fleet::{DeploymentReport, ModelWait, WorkerReport},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The call whose start a report forecasts: as small as they come.
const TYPICAL_TOKENS: u64 = 1000;
const TYPICAL_TOKENS_OUTPUT: u32 = 256;

/// The calls that wait for room, by model. Cheap to clone: clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// A call that waits until this is dropped.
#[derive(Debug)]
pub struct Wait {
    waits: Waits,
    model: String,
}

impl Waits {
    /// A call begins to wait for this model.
    pub fn enter(&self, model: &str) -> Wait {
        self.change(model, |calls| calls.saturating_add(1));
        Wait { waits: self.clone(), model: model.to_owned() }
    }

    /// How many wait for this model.
    pub fn calls(&self, model: &str) -> u32 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(model).copied().unwrap_or_default()
    }

    fn change(&self, model: &str, change: impl FnOnce(u32) -> u32) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(model.to_owned()).or_default();
        *count = change(*count);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.change(&self.model, |calls| calls.saturating_sub(1));
    }
}

/// What there is to say now. `model` is the one of schemas that name none. Also brings the gauges
/// of the deployments up to date.
pub fn report(pool: &Pool, waits: &Waits, model: &str) -> WorkerReport {
    let now = clock::now();
    let deployments = pool.snapshot().into_iter().map(|status| DeploymentReport {
        resumes_at: status.resumes_in.and_then(|wait| soon(now, wait)),
        status,
    });
    WorkerReport {
        model: model.to_owned(),
        deployments: deployments.collect(),
        waits: pool.models().into_iter().map(|model| wait(pool, waits, model, now)).collect(),
    }
}

fn wait(pool: &Pool, waits: &Waits, model: String, now: Timestamp) -> ModelWait {
    let need = Need {
        model: model.clone(),
        tokens_input: TYPICAL_TOKENS,
        tokens_output_max: TYPICAL_TOKENS_OUTPUT,
        interactive: false,
        wait_max: Duration::ZERO,
        returned: false,
        tenant: "".into(),
        weight: 1.0,
        schema: String::new(),
        deadline: None,
        images: Vec::new(),
    };
    let until = match pool.forecast(&need) {
        Ok(Forecast { wait, .. }) | Err(ReserveError::Later { wait, .. }) => soon(now, wait),
        Err(_) => None,
    };
    ModelWait { calls: waits.calls(&model), model, until }
}

/// A time that is yet to come; none for no wait.
fn soon(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    if wait.is_zero() { None } else { now.checked_add(wait).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_until_its_wait_is_dropped() {
        let waits = Waits::default();
        let (first, second) = (waits.enter("a"), waits.enter("a"));
        let other = waits.enter("b");
        assert_eq!((waits.calls("a"), waits.calls("b"), waits.calls("c")), (2, 1, 0));
        drop(first);
        drop(other);
        assert_eq!((waits.calls("a"), waits.calls("b")), (1, 0));
        drop(second);
        assert_eq!(waits.calls("a"), 0);
    }
}
