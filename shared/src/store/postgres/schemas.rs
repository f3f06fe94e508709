//! Schemas by name and version.

use super::{
    PostgresStore, Trouble, all, execute, maybe, now, one,
    rows::{json, number, parsed, time, to_json},
    statement, transaction,
};
use crate::{
    schema::{ExtractionSchema, SchemaName, SchemaRef, fingerprint},
    store::StoreError,
};
use deadpool_postgres::{GenericClient, Transaction};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;

const COLUMNS: &str = "name, version, body, created_ms";

impl PostgresStore {
    pub(in crate::store) async fn put_schema(
        &self,
        name: &SchemaName,
        body: Value,
    ) -> Result<ExtractionSchema, StoreError> {
        transaction!(self, |db| {
            lock(db, name).await?;
            // Values that are equal may differ in the order of their keys, and that order counts.
            match newest(db, name, None).await? {
                Some(newest) if newest.fingerprint() == fingerprint(&body) => Ok(newest),
                _ => insert(db, name, &body).await,
            }
        })
    }

    pub(in crate::store) async fn seed_schema(
        &self,
        name: &SchemaName,
        body: Value,
    ) -> Result<(), StoreError> {
        transaction!(self, |db| {
            lock(db, name).await?;
            let sql = "SELECT 1 FROM schemas WHERE name = $1 AND fingerprint = $2 LIMIT 1";
            let known = maybe(db, sql, &[&name.as_str(), &fingerprint(&body)]).await?;
            if known.is_none() {
                insert(db, name, &body).await?;
            }
            Ok(())
        })
    }

    pub(in crate::store) async fn restore_schema(
        &self,
        schema: ExtractionSchema,
    ) -> Result<bool, StoreError> {
        let sql = concat!(
            "INSERT INTO schemas (name, version, body, fingerprint, created_ms)
             VALUES ($1, $2, $3, $4, ",
            now!(),
            ") ON CONFLICT DO NOTHING"
        );
        statement!(self, |db| {
            let (reference, body) = (&schema.reference, to_json(&schema.body)?);
            let version = i64::from(reference.version);
            let values: super::Values<'_> =
                &[&reference.name.as_str(), &version, &body, &schema.fingerprint()];
            Ok(execute(db, sql, values).await? == 1)
        })
    }

    pub(in crate::store) async fn schema(
        &self,
        name: &SchemaName,
        version: Option<u32>,
    ) -> Result<Option<ExtractionSchema>, StoreError> {
        statement!(self, |db| newest(db, name, version).await)
    }

    pub(in crate::store) async fn schemas(&self) -> Result<Vec<ExtractionSchema>, StoreError> {
        let sql =
            format!("SELECT DISTINCT ON (name) {COLUMNS} FROM schemas ORDER BY name, version DESC");
        statement!(self, |db| {
            let rows = all(db, &sql, &[]).await?;
            rows.iter().map(|row| schema(row).map(|(schema, _)| schema)).collect()
        })
    }

    pub(in crate::store) async fn schema_versions(
        &self,
        name: &SchemaName,
    ) -> Result<Vec<(ExtractionSchema, Timestamp)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM schemas WHERE name = $1 ORDER BY version");
        statement!(self, |db| {
            all(db, &sql, &[&name.as_str()]).await?.iter().map(schema).collect()
        })
    }
}

/// Lets one transaction at a time give versions to this name: there may be no row to lock yet.
async fn lock(db: &Transaction<'_>, name: &SchemaName) -> Result<(), Trouble> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('sluice schema ' || $1::text, 0))";
    execute(db, sql, &[&name.as_str()]).await.map(drop)
}

async fn newest(
    db: &impl GenericClient,
    name: &SchemaName,
    version: Option<u32>,
) -> Result<Option<ExtractionSchema>, Trouble> {
    let sql = format!(
        "SELECT {COLUMNS} FROM schemas WHERE name = $1 AND ($2::bigint IS NULL OR version = $2)
         ORDER BY version DESC LIMIT 1"
    );
    let row = maybe(db, &sql, &[&name.as_str(), &version.map(i64::from)]).await?;
    row.map(|row| schema(&row).map(|(schema, _)| schema)).transpose()
}

async fn insert(
    db: &Transaction<'_>,
    name: &SchemaName,
    body: &Value,
) -> Result<ExtractionSchema, Trouble> {
    let sql = concat!(
        "INSERT INTO schemas SELECT $1::text, coalesce(max(version), 0) + 1, $2::text, $3::text, ",
        now!(),
        " FROM schemas WHERE name = $1 RETURNING version"
    );
    let row = one(db, sql, &[&name.as_str(), &to_json(body)?, &fingerprint(body)]).await?;
    let reference = SchemaRef { name: name.clone(), version: number(&row, 0)? };
    Ok(ExtractionSchema { reference, body: body.clone() })
}

fn schema(row: &Row) -> Result<(ExtractionSchema, Timestamp), Trouble> {
    let reference = SchemaRef { name: parsed(row, 0)?, version: number(row, 1)? };
    let body: Option<Value> = json(row, 2)?;
    let schema = ExtractionSchema { reference, body: body.unwrap_or_default() };
    Ok((schema, time(row, 3)?.unwrap_or_default()))
}
