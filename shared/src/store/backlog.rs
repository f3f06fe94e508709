//! What waits for a worker, and who is served before whom.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, values},
};
use crate::{document::DocumentId, schema::SchemaRef};
use jiff::Timestamp;

/// Queued documents of one schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaBacklog {
    /// What is asked of them.
    pub schema: SchemaRef,
    /// How many there are.
    pub documents: u64,
    /// When the last of those that were put back is due.
    pub due: Option<Timestamp>,
}

/// Documents that wait.
#[derive(Clone, Copy, Debug)]
pub struct Backlog<'a>(pub(super) &'a Store);

impl Backlog<'_> {
    /// The queued documents by schema. Looks at no more than the first `limit` of them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_schema(self, limit: u32) -> Result<Vec<SchemaBacklog>> {
        static BY_SCHEMA: Sql = Sql::new(
            "SELECT schema_name, schema_version, count(*),
               max(due_ms) FILTER (WHERE due_ms > {now_once})
             FROM (SELECT schema_name, schema_version, due_ms FROM documents
               WHERE state = 'queued' AND deleted_ms IS NULL
               ORDER BY priority, queued_ms, id LIMIT $1) AS first
             GROUP BY schema_name, schema_version ORDER BY schema_name, schema_version",
        );
        let backlog = |row: &Row| {
            Ok(SchemaBacklog {
                schema: SchemaRef { name: row.parsed(0)?, version: row.number(1)? },
                documents: row.number(2)?,
                due: row.time_or_null(3)?,
            })
        };
        self.0.query(&BY_SCHEMA, values![limit], backlog).await
    }

    /// How many documents are served before this one: the interactive ones first, each in the order
    /// of asking. A queued document waits behind queued ones, one in work behind those that wait
    /// for the same deployment. Counts no further than `limit` of each priority; none when the
    /// document does not wait.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn position(self, id: &DocumentId, limit: u32) -> Result<Option<u32>> {
        let arguments = (id.clone(), limit);
        let position = self
            .0
            .run(Access::Read, arguments, |db, (id, limit)| Box::pin(position(db, id, *limit)));
        position.await
    }
}

async fn position(db: &Db<'_>, id: &DocumentId, limit: u32) -> Result<Option<u32>, DbError> {
    // A document in work has a position only while it waits for a deployment.
    static OWN: Sql = Sql::new(
        "SELECT state, priority, queued_ms, waiting{json} ->> 'deployment' FROM documents
         WHERE id = $1 AND deleted_ms IS NULL
           AND (state = 'queued' OR (state = 'processing' AND waiting IS NOT NULL))",
    );
    static SAME: Sql = Sql::new(
        "SELECT count(*) FROM (SELECT 1 FROM documents
           WHERE state = $1 AND deleted_ms IS NULL AND priority = $3
             AND ($1 = 'queued' OR waiting{json} ->> 'deployment' = $2)
             AND (queued_ms, id) < ($4, $5) LIMIT $6) AS same",
    );
    static HIGHER: Sql = Sql::new(
        "SELECT count(*) FROM (SELECT 1 FROM documents
           WHERE state = $1 AND deleted_ms IS NULL AND priority = 'interactive'
             AND ($1 = 'queued' OR waiting{json} ->> 'deployment' = $2)
             AND $3 <> 'interactive' LIMIT $4) AS higher",
    );
    let Some(own) = db.first(&OWN, values![id]).await? else { return Ok(None) };
    let (state, priority, deployment) = (own.text(0)?, own.text(1)?, own.text_or_null(3)?);
    let queued: i64 = own.number(2)?;
    let same = db.one(&SAME, values![state, deployment, priority, queued, id, limit]).await?;
    let higher = db.one(&HIGHER, values![state, deployment, priority, limit]).await?;
    Ok(Some(same.number::<u32>(0)?.saturating_add(higher.number(0)?)))
}
