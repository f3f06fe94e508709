//! What this worker says of itself to the rest of the fleet: how its deployments fare, and how many
//! of its calls wait for them.
//!
//! It must know nothing of where that is kept or who reads it.

use crate::{measured::Waits, worker::Worker};
use jiff::Timestamp;
use pool::{Forecast, Need, Pool, ReserveError};
use shared::{
    clock,
    fleet::{DeploymentReport, ModelWait, WorkerReport},
};
use std::{num::NonZero, time::Duration};

/// The call whose start a report forecasts: as small as they come.
const TYPICAL_TOKENS: u64 = 1000;
const TYPICAL_TOKENS_OUTPUT: u32 = 256;

/// What there is to say now. Also brings the gauges of the deployments up to date.
pub fn report(worker: &Worker) -> WorkerReport {
    let now = clock::now();
    let Worker { pool, waits, recent, settings, .. } = worker;
    let deployments = pool.snapshot().into_iter().map(|status| DeploymentReport {
        resumes_at: status.resumes_in.and_then(|wait| soon(now, wait)),
        recent: recent.of(&status.name),
        status,
    });
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    WorkerReport {
        model: settings.model.clone(),
        deployments: deployments.collect(),
        waits: pool.models().into_iter().map(|model| wait(pool, waits, model, now)).collect(),
        concurrency: settings.concurrency,
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        reading_seconds: worker.text.reading_mean().map(|mean| mean.as_secs_f64()),
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
