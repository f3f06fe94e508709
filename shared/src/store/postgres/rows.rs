//! From rows to values and back, in one place.

use super::Trouble;
use crate::{
    document::{Document, DocumentState, Format, Priority},
    job::Claim,
    schema::{SchemaName, SchemaRef},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{borrow::Cow, error::Error, str::FromStr, time::Duration};
use tokio_postgres::Row;

/// The columns that [`document`] reads, in its order.
pub(super) const DOCUMENT: &str = "id, state, schema_name, schema_version, priority, filename, \
     content_type, size_bytes, sha256, metadata, pages, attempts, created_ms, updated_ms, \
     finished_ms, waiting, failure";

pub(super) fn document(row: &Row) -> Result<Document, Trouble> {
    Ok(Document {
        id: parsed(row, 0)?,
        state: parsed(row, 1)?,
        schema: SchemaRef { name: parsed(row, 2)?, version: number(row, 3)? },
        priority: parsed(row, 4)?,
        filename: row.try_get(5)?,
        content_type: row.try_get(6)?,
        size_bytes: number(row, 7)?,
        sha256: row.try_get(8)?,
        metadata: json(row, 9)?.unwrap_or_default(),
        pages: number_or_null(row, 10)?,
        attempts: number(row, 11)?,
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

pub(super) fn claim(row: &Row) -> Result<Claim, Trouble> {
    let media_type: String = row.try_get(7)?;
    Ok(Claim {
        document: parsed(row, 0)?,
        tenant: row.try_get(1)?,
        fence: row.try_get(2)?,
        run: number(row, 3)?,
        attempts: number(row, 4)?,
        schema: SchemaRef { name: parsed::<SchemaName>(row, 5)?, version: number(row, 6)? },
        format: Format::from_media_type(&media_type).unwrap_or(Format::Text),
        sha256: row.try_get(8)?,
        priority: parsed::<Priority>(row, 9)?,
        queued_at: time(row, 10)?.unwrap_or_default(),
        claimed_at: time(row, 11)?.unwrap_or_default(),
    })
}

pub(super) fn parsed<T: FromStr<Err: Error>>(row: &Row, column: usize) -> Result<T, Trouble> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(bad)
}

pub(super) fn parsed_or_null<T: FromStr<Err: Error>>(
    row: &Row,
    column: usize,
) -> Result<Option<T>, Trouble> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(str::parse).transpose().map_err(bad)
}

pub(super) fn json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>, Trouble> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(bad)
}

pub(super) fn time(row: &Row, column: usize) -> Result<Option<Timestamp>, Trouble> {
    let ms: Option<i64> = row.try_get(column)?;
    ms.map(Timestamp::from_millisecond).transpose().map_err(bad)
}

pub(super) fn state(row: &Row, column: usize) -> Result<DocumentState, Trouble> {
    parsed(row, column)
}

/// Every number is a `bigint`: the server has none without a sign.
pub(super) fn number<T: TryFrom<i64, Error: Error>>(
    row: &Row,
    column: usize,
) -> Result<T, Trouble> {
    T::try_from(row.try_get(column)?).map_err(bad)
}

pub(super) fn number_or_null<T: TryFrom<i64, Error: Error>>(
    row: &Row,
    column: usize,
) -> Result<Option<T>, Trouble> {
    let number: Option<i64> = row.try_get(column)?;
    number.map(T::try_from).transpose().map_err(bad)
}

pub(super) fn to_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(bad)
}

/// JSON in which the server can look something up: its JSON cannot hold the character NUL.
pub(super) fn to_searchable_json(value: &impl Serialize) -> Result<String, Trouble> {
    let json = to_json(value)?;
    if !json.contains("\\u0000") {
        return Ok(json);
    }
    let mut value = serde_json::to_value(value).map_err(bad)?;
    replace_nul(&mut value);
    to_json(&value)
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = to_text(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(entries) => {
            let replaced = std::mem::take(entries).into_iter().map(|(key, mut value)| {
                replace_nul(&mut value);
                (to_text(&key).into_owned(), value)
            });
            *entries = replaced.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Text from outside: the server's text cannot hold the character NUL.
pub(super) fn to_text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

pub(super) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn bad(error: impl Error) -> Trouble {
    Trouble::Row(error.to_string())
}
