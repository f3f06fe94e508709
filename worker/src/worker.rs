//! What a worker works with: the services, the pool, the reader of text, and its settings.

use crate::{
    extract::{compiled::CompiledSchema, embedded::AskingLimits, sizes::Sizes},
    measured::{RecentDocuments, Waits},
};
use pool::{Fleet, Pool};
use reader::TextReader;
use shared::{
    blob::BlobError,
    config::{Members, Scans},
    document::{WaitReason, Waiting},
    job::Verdict,
    schema::SchemaRef,
    services::Services,
    store::{CallLimits, Store, StoreError},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How long a document rests when a service that it needs does not answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// The limits of a worker; each is a setting of `[worker]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Documents in work at once.
    pub concurrency: u32,
    /// How many of these are kept for interactive ones.
    pub interactive_reserved: u32,
    /// How often, and how soon again, one question is paid for.
    pub call_limits: CallLimits,
    /// How often a document is taken up before it is given up.
    pub attempts_max: u32,
    /// How long a claim lasts without a sign of life.
    pub lease: Duration,
    /// How often to look for documents that were left behind.
    pub sweep: Duration,
    /// How long one document may be in work at a stretch.
    pub job_time_max: Duration,
    /// The room for a first answer; a second one gets double.
    pub tokens_output_max: u32,
    /// The longest question, where the deployments do not say.
    pub context_tokens_max: u32,
    /// The model of schemas that name none.
    pub model: String,
    /// What is asked of a document, and how much in one question.
    pub asking: AskingLimits,
    /// How long a document waits while no deployment of its model can be used.
    pub outage_max: Duration,
    /// What becomes of pages without text.
    pub scans: Scans,
    /// The most pages of a document that models are shown.
    pub scan_pages_max: u32,
    /// What becomes of attachments and of several documents in one file.
    pub members: Members,
    /// The models to ask, in order, in place of one that cannot answer.
    pub fallback: BTreeMap<String, Vec<String>>,
}

/// A worker. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    /// Its name among the workers.
    pub id: Arc<str>,
    /// Storage, database, queue.
    pub services: Services,
    /// The model deployments.
    pub pool: Pool,
    /// Its part in the fleet that shares the deployments' quotas.
    pub fleet: Fleet,
    /// Its calls that wait for room.
    pub waits: Waits,
    /// What its last documents took.
    pub recent: RecentDocuments,
    /// The child processes that read files.
    pub text: Arc<TextReader>,
    /// The schemas that it has compiled.
    pub schemas: CompiledSchemas,
    /// What it has learned of the sizes of answers.
    pub learned: Learned,
    /// Turns to prove values, one for each processor: an index of a document's text is several times
    /// the text.
    pub assembling: Arc<Semaphore>,
    /// Its limits.
    pub settings: Arc<Settings>,
    /// Set when the worker is asked to stop: what waits goes back, what is being paid ends.
    pub draining: CancellationToken,
}

impl Worker {
    /// The models that may answer in place of this one, itself first.
    pub(crate) fn models<'a>(&'a self, first: &'a str) -> impl Iterator<Item = &'a str> {
        let others = self.settings.fallback.get(first).map(Vec::as_slice).unwrap_or_default();
        std::iter::once(first).chain(others.iter().map(String::as_str))
    }

    /// The model that a schema asks for.
    pub(crate) fn model<'a>(&'a self, schema: &'a CompiledSchema) -> &'a str {
        schema.schema.model().unwrap_or(&self.settings.model)
    }
}

/// The schemas that are remembered, compiled or by the sizes of their answers. Beyond so many the
/// memory is cleared.
const SCHEMAS_MAX: usize = 1000;

/// Compiled schemas by name and version. Cheap to clone: clones share them.
#[derive(Clone, Debug, Default)]
pub struct CompiledSchemas(Arc<Mutex<BTreeMap<SchemaRef, Arc<CompiledSchema>>>>);

impl CompiledSchemas {
    /// The schema, from memory or from the database. A version of a schema never changes.
    ///
    /// # Errors
    /// The verdict on the document when there is no such schema, or no model can be asked for it.
    pub(crate) async fn get(
        &self,
        store: &Store,
        reference: &SchemaRef,
    ) -> Result<Arc<CompiledSchema>, Verdict> {
        if let Some(known) = self.lock().get(reference) {
            return Ok(Arc::clone(known));
        }
        let found = store.schemas().get(&reference.name, Some(reference.version)).await;
        let missing = || outage(Outage(format!("the schema {reference} is not in the database")));
        let schema = found.map_err(outage)?.ok_or_else(missing)?;
        let compiled = Arc::new(CompiledSchema::new(schema).map_err(Verdict::Reject)?);
        let mut all = self.lock();
        if all.len() >= SCHEMAS_MAX {
            all.clear();
        }
        all.insert(reference.clone(), Arc::clone(&compiled));
        Ok(compiled)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SchemaRef, Arc<CompiledSchema>>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sizes of answers, by schema. Cheap to clone: clones learn together.
#[derive(Clone, Debug, Default)]
pub struct Learned(Arc<Mutex<BTreeMap<SchemaRef, Sizes>>>);

impl Learned {
    /// The room for the answer to a question of so many characters, see [`Sizes::room`].
    pub fn room(&self, schema: &SchemaRef, characters: u64, tokens_max: u32) -> u32 {
        self.lock().get(schema).map_or(tokens_max, |sizes| sizes.room(characters, tokens_max))
    }

    /// Learns from an answer, see [`Sizes::learn`].
    pub fn learn(&self, schema: &SchemaRef, characters: u64, tokens_output: u64, was_cut: bool) {
        let mut all = self.lock();
        if all.len() >= SCHEMAS_MAX && !all.contains_key(schema) {
            all.clear();
        }
        all.entry(schema.clone()).or_default().learn(characters, tokens_output, was_cut);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SchemaRef, Sizes>> {
        // Nothing panics while it is held, and counts are whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verdict when a service does not answer: wait, at no cost.
pub(crate) fn outage(error: impl Into<Outage>) -> Verdict {
    let Outage(error) = error.into();
    tracing::warn!(%error, "a service does not answer: the document waits");
    let why = Waiting {
        reason: WaitReason::Outage,
        deployment: None,
        message: None,
        until: None,
        position: None,
    };
    Verdict::Wait { pause: OUTAGE_PAUSE, why: Some(why) }
}

/// A service that does not answer.
pub(crate) struct Outage(pub(crate) String);

impl From<StoreError> for Outage {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<BlobError> for Outage {
    fn from(error: BlobError) -> Self {
        Self(error.to_string())
    }
}
