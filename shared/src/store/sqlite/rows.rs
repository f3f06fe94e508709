//! From rows to values and back, in one place.

use crate::{
    document::{Document, DocumentState, Format, Priority},
    job::Claim,
    schema::{SchemaName, SchemaRef},
};
use jiff::Timestamp;
use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, str::FromStr};

/// The columns that [`document`] reads, in its order.
pub(super) const DOCUMENT: &str = "id, state, schema_name, schema_version, priority, filename, \
     content_type, size_bytes, sha256, metadata, pages, attempts, created_ms, updated_ms, \
     finished_ms, waiting, failure";

pub(super) fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        id: parsed(row, 0)?,
        state: parsed(row, 1)?,
        schema: SchemaRef { name: parsed(row, 2)?, version: row.get(3)? },
        priority: parsed(row, 4)?,
        filename: row.get(5)?,
        content_type: row.get(6)?,
        size_bytes: row.get(7)?,
        sha256: row.get(8)?,
        metadata: json(row, 9)?.unwrap_or_default(),
        pages: row.get(10)?,
        attempts: row.get(11)?,
        created_at: time(row, 12)?.unwrap_or_default(),
        updated_at: time(row, 13)?.unwrap_or_default(),
        finished_at: time(row, 14)?,
        waiting: json(row, 15)?,
        failure: json(row, 16)?,
    })
}

/// The columns that [`claim`] reads, in its order.
pub(super) const CLAIM: &str = "id, tenant, fence, run, attempts, schema_name, schema_version, \
     content_type, sha256, priority, queued_ms, updated_ms";

pub(super) fn claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    let media_type: String = row.get(7)?;
    Ok(Claim {
        document: parsed(row, 0)?,
        tenant: row.get(1)?,
        fence: row.get(2)?,
        run: row.get(3)?,
        attempts: row.get(4)?,
        schema: SchemaRef { name: parsed::<SchemaName>(row, 5)?, version: row.get(6)? },
        format: Format::from_media_type(&media_type).unwrap_or(Format::Text),
        sha256: row.get(8)?,
        priority: parsed::<Priority>(row, 9)?,
        queued_at: time(row, 10)?.unwrap_or_default(),
        claimed_at: time(row, 11)?.unwrap_or_default(),
    })
}

pub(super) fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| bad(column, error))
}

pub(super) fn parsed_or_null<T: FromStr<Err: Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse()).transpose().map_err(|error| bad(column, error))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    value.map_err(|error| bad(column, error))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let ms: Option<i64> = row.get(column)?;
    let time = ms.map(Timestamp::from_millisecond).transpose();
    time.map_err(|error| bad(column, error))
}

pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentState> {
    parsed(row, column)
}

fn bad(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
