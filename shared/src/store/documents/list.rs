//! Lists of documents.

use super::{Documents, document, document_columns, family::add_children};
use crate::{
    document::{Document, DocumentId, DocumentState},
    schema::SchemaName,
    store::{
        DbError, Result, Store,
        db::{Access, Db},
        sql::Sql,
        value::{SqlValue, to_json, without_nul},
    },
};
use jiff::Timestamp;

/// Which documents to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<DocumentState>,
    /// For this schema, any version.
    pub schema: Option<SchemaName>,
    /// With this failure code.
    pub code: Option<String>,
    /// Accepted before this.
    pub before: Option<Timestamp>,
    /// Made of this document.
    pub parent: Option<DocumentId>,
    /// With these entries in their metadata.
    pub metadata: Vec<(String, String)>,
    /// Older than this one.
    pub after: Option<DocumentId>,
    /// At most so many.
    pub limit: u32,
}

impl Documents<'_> {
    /// Documents that match, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(self, filter: Filter) -> Result<Vec<Document>> {
        let metadata = match self.0 {
            Store::Sqlite(_) => SQLITE_METADATA,
            Store::Postgres(_) => POSTGRES_METADATA,
        };
        let arguments = (filter, metadata);
        let listed = self.0.run(Access::Read, arguments, |db, (filter, metadata)| {
            Box::pin(list(db, filter, metadata))
        });
        listed.await
    }
}

/// Whether the metadata has the value `?[1]` under the key `?[0]`. SQLite gives 1 for `true`.
const SQLITE_METADATA: &str = "EXISTS (SELECT 1 FROM json_each(metadata), (SELECT ? AS pair)
    WHERE key = pair ->> 0 AND pair ->> 1 =
      CASE type WHEN 'true' THEN type WHEN 'false' THEN type ELSE CAST(value AS TEXT) END)";

/// The same on Postgres.
const POSTGRES_METADATA: &str = "EXISTS (SELECT 1 FROM (SELECT CAST(? AS TEXT)::json AS pair) AS p
    WHERE metadata::json ->> (pair ->> 0) = pair ->> 1)";

async fn list(db: &Db<'_>, filter: &Filter, metadata: &str) -> Result<Vec<Document>, DbError> {
    let mut sql =
        concat!("SELECT ", document_columns!(), " FROM documents WHERE deleted_ms IS NULL")
            .to_owned();
    let mut values = Vec::new();
    let mut and = |condition: &str, value: SqlValue| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(state) = filter.state {
        and("state = ?", state.into());
    }
    if let Some(schema) = &filter.schema {
        and("schema_name = ?", schema.into());
    }
    if let Some(code) = &filter.code {
        and("failure{json} ->> 'code' = ?", code.into());
    }
    if let Some(before) = filter.before {
        and("created_ms < ?", before.into());
    }
    if let Some(after) = &filter.after {
        and("id < ?", after.into());
    }
    if let Some(parent) = &filter.parent {
        and("parent = ?", parent.into());
    }
    for (key, value) in &filter.metadata {
        and(metadata, to_json(&[without_nul(key), without_nul(value)])?.into());
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", filter.limit));
    let rows = db.query(&Sql::uncached(sql), values).await?;
    let mut listed = rows.iter().map(document).collect::<Result<Vec<_>, _>>()?;
    add_children(db, &mut listed).await?;
    Ok(listed)
}
