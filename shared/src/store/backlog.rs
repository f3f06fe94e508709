//! What waits for a worker, and who is served before whom.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, values},
};
use crate::{
    document::{DocumentId, DocumentState, WaitReason},
    schema::SchemaRef,
};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

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

/// Documents of one schema that have not ended and are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// What is asked of them.
    pub schema: SchemaRef,
    /// `queued` or `processing`.
    pub state: DocumentState,
    /// Why they wait, where that was written down.
    pub reason: Option<WaitReason>,
    /// Whether a worker holds them or may soon.
    pub is_due: bool,
    /// How many there are.
    pub documents: u64,
}

/// What is due besides documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// The age of the oldest due outbox entry; looks at the 1,000 oldest.
    pub outbox_oldest: Option<Duration>,
    /// The age of the oldest change of state that is not published.
    pub events_oldest: Option<Duration>,
    /// Whether deleted bytes are to be removed.
    pub has_purges: bool,
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

    /// The documents that have not ended. Those are due that are in work, or may be taken up within
    /// `soon`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unfinished(self, soon: Duration) -> Result<Vec<Unfinished>> {
        static UNFINISHED: Sql = Sql::new(
            "SELECT schema_name, schema_version, state, reason, is_due, count(*)
             FROM (SELECT schema_name, schema_version, state,
                 waiting{json} ->> 'reason' AS reason,
                 CASE WHEN state = 'processing' OR due_ms <= {now_once} + CAST($1 AS BIGINT)
                   THEN 1 ELSE 0 END AS is_due
               FROM documents
               WHERE state IN ('queued', 'processing') AND deleted_ms IS NULL) AS unfinished
             GROUP BY schema_name, schema_version, state, reason, is_due
             ORDER BY schema_name, schema_version, state, reason, is_due",
        );
        let unfinished = |row: &Row| {
            let reason = row.text_or_null(3)?.map(|reason| Value::from(reason.to_owned()));
            // A reason that only a newer program knows is none.
            let reason = reason.and_then(|reason| serde_json::from_value(reason).ok());
            Ok(Unfinished {
                schema: SchemaRef { name: row.parsed(0)?, version: row.number(1)? },
                state: row.parsed(2)?,
                reason,
                is_due: row.flag(4)?,
                documents: row.number(5)?,
            })
        };
        self.0.query(&UNFINISHED, values![soon], unfinished).await
    }

    /// What else is due.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pending(self) -> Result<Pending> {
        static PENDING: Sql = Sql::new(
            "SELECT
               (SELECT {now} - min(d.enqueued_ms)
                FROM (SELECT document FROM outbox ORDER BY id LIMIT 1000) AS o
                JOIN documents AS d ON d.id = o.document WHERE d.enqueued_ms <= {now_once}),
               (SELECT {now} - at_ms FROM events ORDER BY id LIMIT 1),
               EXISTS (SELECT 1 FROM documents WHERE purge_ms <= {now_once})",
        );
        let pending = |row: &Row| {
            let age = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
            Ok(Pending {
                outbox_oldest: row.number_or_null(0)?.map(age),
                events_oldest: row.number_or_null(1)?.map(age),
                has_purges: row.flag(2)?,
            })
        };
        Ok(self.0.query(&PENDING, values![], pending).await?.pop().unwrap_or_default())
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
