//! The values of statements and rows, the same for both databases.

use super::DbError;
use crate::{
    document::{DocumentId, DocumentState, Priority},
    schema::SchemaName,
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fmt::Display, str::FromStr, time::Duration};

/// One value. Times are milliseconds since 1970, JSON is text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SqlValue {
    Null,
    Integer(i64),
    Text(String),
}

/// The values of a statement, for `$1`, `$2` and so on.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::value::SqlValue::from($value)),*] };
}
pub(super) use values;

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for SqlValue {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for SqlValue {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Duration> for SqlValue {
    fn from(duration: Duration) -> Self {
        // A time far ahead must not overflow when it is added to the clock.
        Self::Integer(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4))
    }
}

impl From<Timestamp> for SqlValue {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.as_millisecond())
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SqlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for SqlValue {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&DocumentId> for SqlValue {
    fn from(id: &DocumentId) -> Self {
        id.as_str().into()
    }
}

impl From<&SchemaName> for SqlValue {
    fn from(name: &SchemaName) -> Self {
        name.as_str().into()
    }
}

impl From<DocumentState> for SqlValue {
    fn from(state: DocumentState) -> Self {
        state.as_str().into()
    }
}

impl From<Priority> for SqlValue {
    fn from(priority: Priority) -> Self {
        priority.as_str().into()
    }
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A value as JSON text.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(DbError::row)
}

/// JSON text in which the database can look something up: Postgres cannot read a string with the
/// character NUL.
pub(super) fn to_searchable_json(value: &impl Serialize) -> Result<String, DbError> {
    let json = to_json(value)?;
    if !json.contains("\\u0000") {
        return Ok(json);
    }
    let mut value = serde_json::to_value(value).map_err(DbError::row)?;
    replace_nul(&mut value);
    to_json(&value)
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_nul(text),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(entries) => {
            let replaced = std::mem::take(entries).into_iter().map(|(key, mut value)| {
                replace_nul(&mut value);
                (without_nul(&key), value)
            });
            *entries = replaced.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Text from outside with the replacement character for NUL.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A row that a statement returned. Columns are counted from 0.
#[derive(Clone, Debug)]
pub(super) struct Row(pub(super) Vec<SqlValue>);

impl Row {
    fn value(&self, column: usize) -> Result<&SqlValue, DbError> {
        self.0.get(column).ok_or_else(|| DbError::Row(format!("there is no column {column}")))
    }

    pub(super) fn text_or_null(&self, column: usize) -> Result<Option<&str>, DbError> {
        match self.value(column)? {
            SqlValue::Text(text) => Ok(Some(text)),
            SqlValue::Null => Ok(None),
            SqlValue::Integer(_) => Err(wrong(column, "a number, not text")),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, DbError> {
        self.text_or_null(column)?.ok_or_else(|| wrong(column, "NULL"))
    }

    pub(super) fn number_or_null<T: TryFrom<i64, Error: Display>>(
        &self,
        column: usize,
    ) -> Result<Option<T>, DbError> {
        match self.value(column)? {
            SqlValue::Integer(number) => T::try_from(*number).map(Some).map_err(DbError::row),
            SqlValue::Null => Ok(None),
            SqlValue::Text(_) => Err(wrong(column, "text, not a number")),
        }
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(
        &self,
        column: usize,
    ) -> Result<T, DbError> {
        self.number_or_null(column)?.ok_or_else(|| wrong(column, "NULL"))
    }

    pub(super) fn flag(&self, column: usize) -> Result<bool, DbError> {
        Ok(self.number::<i64>(column)? != 0)
    }

    pub(super) fn parsed_or_null<T: FromStr<Err: Display>>(
        &self,
        column: usize,
    ) -> Result<Option<T>, DbError> {
        self.text_or_null(column)?.map(str::parse).transpose().map_err(DbError::row)
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, column: usize) -> Result<T, DbError> {
        self.text(column)?.parse().map_err(DbError::row)
    }

    /// By way of a [`Value`]: where numbers keep their digits, serde reads those of a flattened
    /// struct only from there.
    pub(super) fn json<T: DeserializeOwned>(&self, column: usize) -> Result<Option<T>, DbError> {
        let value = self.text_or_null(column)?.map(serde_json::from_str::<Value>);
        let value = value.transpose().map_err(DbError::row)?;
        value.map(serde_json::from_value).transpose().map_err(DbError::row)
    }

    pub(super) fn time_or_null(&self, column: usize) -> Result<Option<Timestamp>, DbError> {
        let ms = self.number_or_null(column)?;
        ms.map(Timestamp::from_millisecond).transpose().map_err(DbError::row)
    }

    pub(super) fn time(&self, column: usize) -> Result<Timestamp, DbError> {
        self.time_or_null(column)?.ok_or_else(|| wrong(column, "NULL"))
    }
}

fn wrong(column: usize, found: &str) -> DbError {
    DbError::Row(format!("column {column} holds {found}"))
}
