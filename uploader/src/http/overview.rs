//! What the fleet as a whole has before it: the backlog, the workers, and how many of these are of
//! use. Read from the database, the same at every uploader, and at most some seconds old.

use crate::error::ApiError;
use shared::{
    document::{DocumentState, WaitReason},
    fleet::{Demand, WorkersWanted, workers_wanted},
    services::Services,
    store::Pending,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long an overview is good for: counting a long backlog costs the database something, and
/// anybody may ask.
const FRESH: Duration = Duration::from_secs(5);

/// A document that is due so soon is work for now: that is about how long a worker takes to start.
const SOON: Duration = Duration::from_secs(30);

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overview {
    /// Documents that wait for a worker.
    pub(super) queued: u64,
    /// Documents in the hands of workers.
    pub(super) processing: u64,
    /// Documents that wait, by reason.
    pub(super) waiting: BTreeMap<&'static str, u64>,
    /// Workers that are alive.
    pub(super) workers: u32,
    /// How many are of use.
    pub(super) wanted: WorkersWanted,
    /// What is due besides.
    pub(super) pending: Pending,
}

/// The last overview. Cheap to clone: clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastOverview(Arc<Mutex<Option<(Instant, Overview)>>>);

impl LastOverview {
    /// The fleet now, or some seconds ago.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn get(&self, services: &Services) -> Result<Overview, ApiError> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, overview)) = last
            && at.elapsed() < FRESH
        {
            return Ok(overview);
        }
        let overview = read(services).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), overview.clone()));
        Ok(overview)
    }
}

async fn read(services: &Services) -> Result<Overview, ApiError> {
    let store = &services.store;
    let reports = store.fleet().reports().await?;
    let pending = store.backlog().pending().await?;
    let mut demand = Demand { chores: pending.has_purges, ..Demand::default() };
    let (mut queued, mut processing) = (0, 0);
    let reasons = [WaitReason::Quota, WaitReason::Budget, WaitReason::Outage, WaitReason::Backlog];
    let mut waiting = BTreeMap::from(reasons.map(|reason| (reason.as_str(), 0)));
    let mut models: BTreeMap<String, Option<String>> = BTreeMap::new();
    for alike in store.backlog().unfinished(SOON).await? {
        let is_queued = alike.state == DocumentState::Queued;
        *(if is_queued { &mut queued } else { &mut processing }) += alike.documents;
        if let Some(reason) = alike.reason.or(is_queued.then_some(WaitReason::Backlog)) {
            *waiting.entry(reason.as_str()).or_default() += alike.documents;
        }
        if !alike.is_due {
            continue;
        }
        let schema = &alike.schema;
        let model = match models.get(&schema.to_string()) {
            Some(model) => model.clone(),
            None => {
                let found = store.schemas().get(&schema.name, Some(schema.version)).await?;
                let model = found.and_then(|schema| schema.model().map(str::to_owned));
                models.entry(schema.to_string()).or_insert(model).clone()
            }
        };
        *demand.documents.entry(model).or_default() += alike.documents;
    }
    Ok(Overview {
        queued,
        processing,
        waiting,
        workers: u32::try_from(reports.len()).unwrap_or(u32::MAX),
        wanted: workers_wanted(&reports, &demand),
        pending,
    })
}
