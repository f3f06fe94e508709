//! What every handler has at hand: the services, the limits, and whether the program stops.

use super::overview::LastOverview;
use crate::{
    accept::Acceptance,
    error::{ApiError, Code},
    limits::Limits,
    unlock::Unlocking,
};
use axum::{extract::FromRequestParts, http::request::Parts};
use metrics_exporter_prometheus::PrometheusHandle;
use reader::TextReader;
use shared::{
    document::{Document, DocumentId, DocumentState, WaitReason, Waiting},
    schema::{SchemaName, SchemaRef},
    services::Services,
    store::{Found, StoreError},
};
use std::{convert::Infallible, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How far the position of a document in the queue is counted, for each priority.
const POSITION_MAX: u32 = 10_000;

/// The most names that an error lists.
const NAMES_MAX: usize = 20;

/// The services, the limits, the metrics.
pub(super) struct App {
    pub(super) services: Services,
    pub(super) limits: Limits,
    pub(super) metrics: Option<PrometheusHandle>,
    pub(super) acceptance: Acceptance,
    /// None in a worker that runs alone: each uploader shows the fleet already.
    pub(super) overview: Option<LastOverview>,
    /// None where nothing is uploaded.
    pub(super) unlocking: Option<Unlocking>,
}

impl App {
    pub(super) fn new(
        services: Services,
        limits: Limits,
        metrics: Option<PrometheusHandle>,
        text: Option<Arc<TextReader>>,
    ) -> Self {
        let acceptance = Acceptance::new(services.clone(), limits.queue_length_max);
        let unlocking = text.map(Unlocking::new);
        Self { services, limits, metrics, acceptance, overview: None, unlocking }
    }

    /// One that shows the fleet as a whole.
    pub(super) fn with_overview(self) -> Self {
        Self { overview: Some(LastOverview::default()), ..self }
    }

    /// The document with this id.
    pub(super) async fn document(&self, id: &DocumentId) -> Result<Document, ApiError> {
        match self.services.store.documents().find(id).await? {
            Found::Document(document) => Ok(*document),
            Found::Deleted => Err(deleted(id)),
            Found::Nothing => Err(unknown(id.as_str())),
        }
    }

    /// The document, with its position in the queue while it waits.
    pub(super) async fn with_position(&self, mut document: Document) -> Result<Document, ApiError> {
        if document.state == DocumentState::Queued {
            explain_queued(&mut document);
        }
        if let Some(waiting) = &mut document.waiting {
            waiting.position =
                self.services.store.backlog().position(&document.id, POSITION_MAX).await?;
        }
        Ok(document)
    }

    /// The schema that `name` or `name@version` means now.
    pub(super) async fn schema(&self, requested: &str) -> Result<SchemaRef, ApiError> {
        let (name, version) = match requested.split_once('@') {
            None => (requested.parse::<SchemaName>(), None),
            Some(_) => match requested.parse::<SchemaRef>() {
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
            None => Err(self.no_schema(requested).await?),
        }
    }

    /// The error that names the schemas there are.
    pub(super) async fn no_schema(&self, requested: &str) -> Result<ApiError, StoreError> {
        let schemas = self.services.store.schemas().latest().await?;
        let requested: String = requested.chars().take(80).collect();
        let (name, version) = requested.split_once('@').unwrap_or((&requested, ""));
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
pub(super) fn explain_queued(document: &mut Document) -> &mut Waiting {
    let behind = Waiting {
        reason: WaitReason::Backlog,
        deployment: None,
        message: None,
        until: None,
        position: None,
    };
    document.waiting.get_or_insert(behind)
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
