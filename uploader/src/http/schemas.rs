//! Schemas by name and version.

use super::{
    app::{App, Serving},
    request::{Name, Parameters, json, small_body},
};
use crate::error::ApiError;
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::schema::{ExtractionSchema, SchemaName, faults};
use std::sync::Arc;
use utoipa::ToSchema;

/// A version of a schema.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "receipt", "version": 2, "ref": "receipt@2",
    "schema": { "type": "object", "properties": { "total": { "type": "number" } } },
}))]
pub(super) struct SchemaVersion {
    /// Its name.
    name: String,
    /// Counted from 1.
    version: u32,
    /// `name@version`.
    #[serde(rename = "ref")]
    reference: String,
    /// The JSON Schema as it was given, `x-sluice` included.
    #[schema(value_type = Object)]
    schema: Value,
    /// When it was given; only in the list of versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
}

impl From<ExtractionSchema> for SchemaVersion {
    fn from(schema: ExtractionSchema) -> Self {
        Self {
            name: schema.reference.name.to_string(),
            version: schema.reference.version,
            reference: schema.reference.to_string(),
            schema: schema.body,
            created_at: None,
        }
    }
}

/// Schemas; always all of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchemaList {
    data: Vec<SchemaVersion>,
    has_more: bool,
    next: Option<String>,
}

impl SchemaList {
    fn new(data: Vec<SchemaVersion>) -> Json<Self> {
        Json(Self { data, has_more: false, next: None })
    }
}

/// The newest version of every schema
#[utoipa::path(
    get, path = "/v1/schemas", tag = "schemas",
    responses(
        (status = 200, description = "By name", body = SchemaList),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<SchemaList>, ApiError> {
    Parameters::read(&uri, &[])?;
    let schemas = app.services.store.schemas().latest().await?;
    Ok(SchemaList::new(schemas.into_iter().map(SchemaVersion::from).collect()))
}

/// A schema
#[utoipa::path(
    get, path = "/v1/schemas/{name}", tag = "schemas",
    params(("name" = String, Path, description = "`name` for the newest version, `name@2` for version 2")),
    responses(
        (status = 200, description = "The schema", body = SchemaVersion),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Name(name): Name,
    uri: Uri,
) -> Result<Json<SchemaVersion>, ApiError> {
    Parameters::read(&uri, &[])?;
    let reference = app.schema(&name).await?;
    let schema = app.services.store.schemas().get(&reference.name, Some(reference.version)).await?;
    match schema {
        Some(schema) => Ok(Json(schema.into())),
        None => Err(app.no_schema(&name).await?),
    }
}

/// Every version of a schema, oldest first
#[utoipa::path(
    get, path = "/v1/schemas/{name}/versions", tag = "schemas",
    params(("name" = String, Path, description = "The schema")),
    responses(
        (status = 200, description = "With the time each was given", body = SchemaList),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn versions(
    State(app): State<Arc<App>>,
    Name(name): Name,
    uri: Uri,
) -> Result<Json<SchemaList>, ApiError> {
    Parameters::read(&uri, &[])?;
    let versions = match name.parse::<SchemaName>() {
        Ok(name) => app.services.store.schemas().versions(&name).await?,
        Err(_) => Vec::new(),
    };
    if versions.is_empty() {
        return Err(app.no_schema(&name).await?);
    }
    let version = |(schema, created): (ExtractionSchema, Timestamp)| SchemaVersion {
        created_at: Some(created),
        ..schema.into()
    };
    Ok(SchemaList::new(versions.into_iter().map(version).collect()))
}

/// Keep a schema
///
/// A changed schema makes a new version, an unchanged one none. Old versions stay readable.
#[utoipa::path(
    put, path = "/v1/schemas/{name}", tag = "schemas",
    params(("name" = String, Path, description = "1 to 64 lower-case letters, digits, `-` and `_`, a letter first")),
    request_body(content = Object, description = "A JSON Schema (2020-12), with `x-sluice` keywords", example = json!({
        "type": "object",
        "properties": { "total": { "type": "number", "description": "The sum to pay" } },
        "x-sluice": { "instructions": "Amounts as printed." },
    })),
    responses(
        (status = 200, description = "Unchanged: the version there was", body = SchemaVersion),
        (status = 201, description = "A new version", body = SchemaVersion, headers(("Location" = String, description = "The version"))),
        (status = 422, description = "`invalid_schema`, with the path of each fault in `errors`", body = crate::error::Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    serving: Serving,
    Name(name): Name,
    body: Body,
) -> Result<Response, ApiError> {
    let name: SchemaName = name.parse().map_err(|error| ApiError::parameter("name", error))?;
    let bytes = small_body(&serving, body, app.limits.schema_bytes_max).await?;
    let body: Value = json(&bytes)?;
    // A schema of the largest size takes longer than a thread of the runtime may be held.
    let check = move || (faults(&body), body);
    let (faults, body) = tokio::task::spawn_blocking(check).await.map_err(ApiError::internal)?;
    if !faults.is_empty() {
        return Err(ApiError::faults(faults));
    }
    let store = &app.services.store;
    let before = store.schemas().get(&name, None).await?;
    let before = before.map_or(0, |schema| schema.reference.version);
    let kept = store.schemas().put(&name, body).await?;
    app.services.copy_schema(&kept).await?;
    let is_new = kept.reference.version > before;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = HeaderValue::from_str(&format!("/v1/schemas/{}", kept.reference));
    let mut response = (status, Json(SchemaVersion::from(kept))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
