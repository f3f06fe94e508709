//! Schemas by name and version.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, to_json, values},
};
use crate::schema::{ExtractionSchema, SchemaName, SchemaRef, fingerprint};
use jiff::Timestamp;
use serde_json::Value;

/// Schemas by name and version.
#[derive(Clone, Copy, Debug)]
pub struct Schemas<'a>(pub(super) &'a Store);

impl Schemas<'_> {
    /// Keeps a schema: a changed body makes a new version, an unchanged one none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put(self, name: &SchemaName, body: Value) -> Result<ExtractionSchema> {
        let arguments = (name.clone(), body);
        let put = self
            .0
            .run(Access::Transaction, arguments, |db, (name, body)| Box::pin(put(db, name, body)));
        put.await
    }

    /// Keeps a schema that comes with the program unless any version of that name has its body.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn seed(self, name: &SchemaName, body: Value) -> Result<()> {
        let arguments = (name.clone(), body);
        let seeded = self
            .0
            .run(Access::Transaction, arguments, |db, (name, body)| Box::pin(seed(db, name, body)));
        seeded.await
    }

    /// Puts back a schema under the version that it had. False when that version exists.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn restore(self, schema: &ExtractionSchema) -> Result<bool> {
        static RESTORE: Sql = Sql::new(
            "INSERT INTO schemas (name, version, body, fingerprint, created_ms)
             VALUES ($1, $2, $3, $4, {now}) ON CONFLICT DO NOTHING",
        );
        let SchemaRef { name, version } = &schema.reference;
        let values = values![name, *version, to_json(&schema.body)?, schema.fingerprint()];
        Ok(self.0.execute(&RESTORE, values).await? == 1)
    }

    /// A schema, the newest version when none is given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn get(
        self,
        name: &SchemaName,
        version: Option<u32>,
    ) -> Result<Option<ExtractionSchema>> {
        Ok(self.0.query(&GET, values![name, version], schema).await?.pop())
    }

    /// The newest version of every schema, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn latest(self) -> Result<Vec<ExtractionSchema>> {
        static LATEST: Sql = Sql::new(concat!(
            "SELECT ",
            columns!(),
            " FROM schemas AS s WHERE version =
             (SELECT max(version) FROM schemas AS t WHERE t.name = s.name) ORDER BY name"
        ));
        self.0.query(&LATEST, values![], schema).await
    }

    /// Every version of a schema with the time it was given, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn versions(self, name: &SchemaName) -> Result<Vec<(ExtractionSchema, Timestamp)>> {
        static VERSIONS: Sql = Sql::new(concat!(
            "SELECT ",
            columns!(),
            " FROM schemas WHERE name = $1 ORDER BY version"
        ));
        let with_time = |row: &Row| Ok((schema(row)?, row.time(3)?));
        self.0.query(&VERSIONS, values![name], with_time).await
    }
}

macro_rules! columns {
    () => {
        "name, version, body, created_ms"
    };
}
use columns;

static GET: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM schemas WHERE name = $1 AND (CAST($2 AS BIGINT) IS NULL OR version = $2)
     ORDER BY version DESC LIMIT 1"
));

fn schema(row: &Row) -> Result<ExtractionSchema, DbError> {
    let reference = SchemaRef { name: row.parsed(0)?, version: row.number(1)? };
    Ok(ExtractionSchema { reference, body: row.json(2)?.unwrap_or_default() })
}

async fn put(db: &Db<'_>, name: &SchemaName, body: &Value) -> Result<ExtractionSchema, DbError> {
    lock(db, name).await?;
    let newest = db.first(&GET, values![name, None::<u32>]).await?;
    // Values that are equal may differ in the order of their keys, and that order counts.
    match newest.as_ref().map(schema).transpose()? {
        Some(newest) if newest.fingerprint() == fingerprint(body) => Ok(newest),
        _ => insert(db, name, body).await,
    }
}

async fn seed(db: &Db<'_>, name: &SchemaName, body: &Value) -> Result<(), DbError> {
    static KNOWN: Sql =
        Sql::new("SELECT version FROM schemas WHERE name = $1 AND fingerprint = $2 LIMIT 1");
    lock(db, name).await?;
    if db.first(&KNOWN, values![name, fingerprint(body)]).await?.is_none() {
        insert(db, name, body).await?;
    }
    Ok(())
}

/// Lets one transaction at a time give versions to this name.
async fn lock(db: &Db<'_>, name: &SchemaName) -> Result<(), DbError> {
    db.lock(&format!("sluice schema {name}")).await
}

async fn insert(db: &Db<'_>, name: &SchemaName, body: &Value) -> Result<ExtractionSchema, DbError> {
    static INSERT: Sql = Sql::new(
        "INSERT INTO schemas (name, version, body, fingerprint, created_ms)
         SELECT CAST($1 AS TEXT), coalesce(max(version), 0) + 1, CAST($2 AS TEXT),
           CAST($3 AS TEXT), {now} FROM schemas WHERE name = $1 RETURNING version",
    );
    let values = values![name, to_json(body)?, fingerprint(body)];
    let version = db.one(&INSERT, values).await?.number(0)?;
    let reference = SchemaRef { name: name.clone(), version };
    Ok(ExtractionSchema { reference, body: body.clone() })
}
