//! Schemas by name and version.

use super::{
    SqliteStore, now,
    rows::{time, to_json},
};
use crate::{
    schema::{ExtractionSchema, SchemaName, SchemaRef, fingerprint},
    store::StoreError,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

const COLUMNS: &str = "name, version, body, created_ms";

impl SqliteStore {
    pub(in crate::store) async fn put_schema(
        &self,
        name: &SchemaName,
        body: Value,
    ) -> Result<ExtractionSchema, StoreError> {
        let name = name.clone();
        let put = move |db: &Transaction<'_>| {
            // Values that are equal may differ in the order of their keys, and that order counts.
            match newest(db, &name, None)? {
                Some(newest) if newest.fingerprint() == fingerprint(&body) => Ok(newest),
                _ => insert(db, &name, body),
            }
        };
        self.file.write(put).await
    }

    pub(in crate::store) async fn seed_schema(
        &self,
        name: &SchemaName,
        body: Value,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        let seed = move |db: &Transaction<'_>| {
            let sql = "SELECT 1 FROM schemas WHERE name = ?1 AND fingerprint = ?2";
            let values = params![name.as_str(), fingerprint(&body)];
            if db.query_row(sql, values, |_| Ok(())).optional()?.is_none() {
                insert(db, &name, body)?;
            }
            Ok(())
        };
        self.file.write(seed).await
    }

    pub(in crate::store) async fn restore_schema(
        &self,
        schema: ExtractionSchema,
    ) -> Result<bool, StoreError> {
        let restore = move |db: &Transaction<'_>| {
            let sql = concat!(
                "INSERT INTO schemas VALUES (?1, ?2, ?3, ?4, ",
                now!(),
                ") ON CONFLICT DO NOTHING"
            );
            let (reference, body) = (&schema.reference, to_json(&schema.body)?);
            let values =
                params![reference.name.as_str(), reference.version, body, schema.fingerprint()];
            Ok(db.execute(sql, values)? == 1)
        };
        self.file.write(restore).await
    }

    pub(in crate::store) async fn schema(
        &self,
        name: &SchemaName,
        version: Option<u32>,
    ) -> Result<Option<ExtractionSchema>, StoreError> {
        let name = name.clone();
        self.file.read(move |db| newest(db, &name, version)).await
    }

    pub(in crate::store) async fn schemas(&self) -> Result<Vec<ExtractionSchema>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM schemas AS s WHERE version =
             (SELECT max(version) FROM schemas AS t WHERE t.name = s.name) ORDER BY name"
        );
        self.file.read(move |db| rows(db, &sql, [])).await.map(without_time)
    }

    pub(in crate::store) async fn schema_versions(
        &self,
        name: &SchemaName,
    ) -> Result<Vec<(ExtractionSchema, Timestamp)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM schemas WHERE name = ?1 ORDER BY version");
        let name = name.clone();
        self.file.read(move |db| rows(db, &sql, [name.as_str()])).await
    }
}

fn newest(
    db: &Connection,
    name: &SchemaName,
    version: Option<u32>,
) -> rusqlite::Result<Option<ExtractionSchema>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM schemas WHERE name = ?1 AND (?2 IS NULL OR version = ?2)
         ORDER BY version DESC LIMIT 1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let found = statement.query_row(params![name.as_str(), version], schema).optional()?;
    Ok(found.map(|(schema, _)| schema))
}

fn insert(
    db: &Transaction<'_>,
    name: &SchemaName,
    body: Value,
) -> rusqlite::Result<ExtractionSchema> {
    let sql = concat!(
        "INSERT INTO schemas SELECT ?1, coalesce(max(version), 0) + 1, ?2, ?3, ",
        now!(),
        " FROM schemas WHERE name = ?1 RETURNING version"
    );
    let values = params![name.as_str(), to_json(&body)?, fingerprint(&body)];
    let version = db.query_row(sql, values, |row| row.get(0))?;
    Ok(ExtractionSchema { reference: SchemaRef { name: name.clone(), version }, body })
}

fn rows<P: rusqlite::Params>(
    db: &Connection,
    sql: &str,
    values: P,
) -> rusqlite::Result<Vec<(ExtractionSchema, Timestamp)>> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(values, schema)?;
    rows.collect()
}

fn schema(row: &Row<'_>) -> rusqlite::Result<(ExtractionSchema, Timestamp)> {
    let reference = SchemaRef { name: super::rows::parsed(row, 0)?, version: row.get(1)? };
    let body: Option<Value> = super::rows::json(row, 2)?;
    let schema = ExtractionSchema { reference, body: body.unwrap_or_default() };
    Ok((schema, time(row, 3)?.unwrap_or_default()))
}

fn without_time(rows: Vec<(ExtractionSchema, Timestamp)>) -> Vec<ExtractionSchema> {
    rows.into_iter().map(|(schema, _)| schema).collect()
}
