//! What every handler has at hand: the services, the limits, and whether the program stops.

use crate::{
    error::{ApiError, Code},
    limits::Limits,
};
use axum::{extract::FromRequestParts, http::request::Parts};
use metrics_exporter_prometheus::PrometheusHandle;
use shared::{
    document::{Document, DocumentId, DocumentState, WaitReason, Waiting},
    schema::{SchemaName, SchemaRef},
    services::Services,
    store::{Found, Store, StoreError},
};
use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a count of the queue is believed.
const COUNT_AGE_MAX: Duration = Duration::from_secs(1);

/// How far the place of a document in the queue is counted, for each priority.
const POSITION_MAX: u32 = 10_000;

/// How soon to come again when the queue is full, in seconds.
const BACKLOG_RETRY_SECONDS: u32 = 30;

/// The most names that an error lists.
const NAMES_MAX: usize = 20;

/// The services, the limits, the metrics.
pub(super) struct App {
    pub(super) services: Services,
    pub(super) limits: Limits,
    pub(super) metrics: Option<PrometheusHandle>,
    backlog: Mutex<Option<(Instant, u64)>>,
}

impl App {
    pub(super) fn new(
        services: Services,
        limits: Limits,
        metrics: Option<PrometheusHandle>,
    ) -> Self {
        Self { services, limits, metrics, backlog: Mutex::new(None) }
    }

    /// The document with this id.
    pub(super) async fn document(&self, id: &DocumentId) -> Result<Document, ApiError> {
        match self.services.store.documents().find(id).await? {
            Found::Document(document) => Ok(*document),
            Found::Deleted => Err(deleted(id)),
            Found::Nothing => Err(unknown(id.as_str())),
        }
    }

    /// The document, with its place in the line while it waits.
    pub(super) async fn placed(&self, mut document: Document) -> Result<Document, ApiError> {
        if document.state == DocumentState::Queued {
            queued(&mut document);
        }
        if let Some(waiting) = &mut document.waiting {
            waiting.position =
                self.services.store.backlog().position(&document.id, POSITION_MAX).await?;
        }
        Ok(document)
    }

    /// Refuses an upload when too many documents wait already.
    pub(super) async fn has_room(&self) -> Result<(), ApiError> {
        let queued = self.queued().await?;
        let most = self.limits.queue_length_max;
        if queued < most {
            return Ok(());
        }
        let detail = format!("{queued} documents are waiting, and {most} are the limit");
        Err(ApiError::new(Code::BacklogFull, detail).retry_after(BACKLOG_RETRY_SECONDS))
    }

    /// Notes documents that were accepted since the queue was counted.
    pub(super) fn accepted(&self, documents: usize) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, queued)) = backlog.as_mut() {
            *queued = queued.saturating_add(documents as u64);
        }
    }

    async fn queued(&self) -> Result<u64, StoreError> {
        let known = *self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, queued)) = known.filter(|(at, _)| at.elapsed() < COUNT_AGE_MAX) {
            return Ok(queued);
        }
        let queued = count(&self.services.store, DocumentState::Queued).await?;
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), queued));
        Ok(queued)
    }

    /// The schema that `name` or `name@version` means now.
    pub(super) async fn schema(&self, asked: &str) -> Result<SchemaRef, ApiError> {
        let (name, version) = match asked.split_once('@') {
            None => (asked.parse::<SchemaName>(), None),
            Some(_) => match asked.parse::<SchemaRef>() {
                Ok(fixed) => (Ok(fixed.name), Some(fixed.version)),
                Err(error) => (Err(error), None),
            },
        };
        let found = match name {
            Ok(name) => self.services.store.schemas().get(&name, version).await?,
            Err(_) => None,
        };
        match found {
            Some(schema) => Ok(schema.reference),
            None => Err(self.no_schema(asked).await?),
        }
    }

    /// The error that names the schemas there are.
    pub(super) async fn no_schema(&self, asked: &str) -> Result<ApiError, StoreError> {
        let schemas = self.services.store.schemas().latest().await?;
        let asked: String = asked.chars().take(80).collect();
        let (name, version) = asked.split_once('@').unwrap_or((&asked, ""));
        let newest = schemas.iter().find(|schema| schema.reference.name.as_str() == name);
        if let Some(newest) = newest {
            let newest = newest.reference.version;
            let detail = format!("{name} has the versions 1 to {newest}, not {version:?}");
            return Ok(ApiError::new(Code::UnknownSchema, detail));
        }
        let names = schemas.iter().map(|schema| schema.reference.name.as_str());
        let listed: Vec<&str> = names.clone().take(NAMES_MAX).collect();
        let more = if schemas.len() > NAMES_MAX { ", …" } else { "" };
        let detail = format!("there is no schema {name:?}; there are: {}{more}", listed.join(", "));
        let error = ApiError::new(Code::UnknownSchema, detail);
        let near = |known: &&str| strsim::jaro_winkler(known, name);
        let nearest = names.max_by(|a, b| near(a).total_cmp(&near(b)));
        Ok(match nearest.filter(|nearest| near(nearest) > 0.7) {
            Some(nearest) => error.hint(format!("did you mean {nearest}?")),
            None => error.hint("PUT /v1/schemas/{name} makes one"),
        })
    }
}

/// Why a queued document waits: it was put back with a reason, or others are before it.
pub(super) fn queued(document: &mut Document) -> &mut Waiting {
    let behind =
        Waiting { reason: WaitReason::Backlog, deployment: None, until: None, position: None };
    document.waiting.get_or_insert(behind)
}

/// How many documents are in this state.
pub(super) async fn count(store: &Store, state: DocumentState) -> Result<u64, StoreError> {
    let counts = store.documents().count().await?;
    Ok(counts.iter().filter(|(of, _)| *of == state).map(|(_, count)| count).sum())
}

/// There was a document with this id.
pub(super) fn deleted(id: &DocumentId) -> ApiError {
    ApiError::new(Code::Deleted, format!("{id} was deleted"))
}

/// There is no document with this id.
pub(super) fn unknown(id: &str) -> ApiError {
    let id: String = id.chars().take(80).collect();
    ApiError::new(Code::UnknownDocument, format!("there is no document {id:?}"))
}

/// The server around a request: whether it stops, and the tasks that it waits for then.
#[derive(Clone, Debug, Default)]
pub(super) struct Serving {
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Serving {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, tasks: TaskTracker::new() }
    }
}

impl<S: Sync> FromRequestParts<S> for Serving {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
