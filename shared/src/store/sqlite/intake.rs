//! What the HTTP side does: accept, look up, list, and change documents when somebody asks.

use super::{
    SqliteStore,
    events::changed,
    now,
    rows::{DOCUMENT, document, state, time, to_json},
};
use crate::{
    document::{Attempt, Document, DocumentId, DocumentState},
    schema::SchemaRef,
    store::{Accepted, Changed, Filter, Found, IdempotencyKey, NewDocument, Place, StoreError},
};
use rusqlite::{Connection, OptionalExtension, Transaction, named_params, params, types::Value};

impl SqliteStore {
    pub(in crate::store) async fn accept(
        &self,
        documents: Vec<NewDocument>,
        key: Option<IdempotencyKey>,
    ) -> Result<Accepted, StoreError> {
        self.file.write(move |db| accept(db, &documents, key.as_ref())).await
    }

    pub(in crate::store) async fn restore(
        &self,
        document: NewDocument,
        ended: Option<(u32, DocumentState)>,
    ) -> Result<bool, StoreError> {
        let restore = move |db: &Transaction<'_>| {
            if find(db, &document.id)? != Found::Nothing {
                return Ok(false);
            }
            insert(db, &document)?;
            let Some((run, state)) = ended else { return Ok(true) };
            let sql = concat!(
                "UPDATE documents SET run = ?2, state = ?3, finished_ms = ",
                now!(),
                " WHERE id = ?1"
            );
            db.execute(sql, params![document.id.as_str(), run, state.as_str()])?;
            db.execute("DELETE FROM outbox WHERE document = ?1", [document.id.as_str()])?;
            // It came to this state long ago, and that was told.
            db.execute("DELETE FROM events WHERE document = ?1", [document.id.as_str()])?;
            Ok(true)
        };
        self.file.write(restore).await
    }

    pub(in crate::store) async fn questions(
        &self,
        id: &DocumentId,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT question FROM calls WHERE document = ?1 ORDER BY question";
        let id = id.clone();
        let read = move |db: &Connection| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([id.as_str()], |row| row.get(0))?;
            rows.collect()
        };
        self.file.read(read).await
    }

    pub(in crate::store) async fn find(&self, id: &DocumentId) -> Result<Found, StoreError> {
        let id = id.clone();
        self.file.read(move |db| find(db, &id)).await
    }

    pub(in crate::store) async fn list(&self, filter: Filter) -> Result<Vec<Document>, StoreError> {
        self.file.read(move |db| list(db, &filter)).await
    }

    pub(in crate::store) async fn count(&self) -> Result<Vec<(DocumentState, u64)>, StoreError> {
        let sql = "SELECT state, count(*) FROM documents WHERE deleted_ms IS NULL GROUP BY state";
        let count = |db: &Connection| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((state(row, 0)?, row.get(1)?)))?;
            rows.collect()
        };
        self.file.read(count).await
    }

    pub(in crate::store) async fn place(
        &self,
        id: &DocumentId,
    ) -> Result<Option<Place>, StoreError> {
        let id = id.clone();
        let sql = "SELECT run, text_engine FROM documents WHERE id = ?1 AND deleted_ms IS NULL";
        let place = move |db: &Connection| {
            let place =
                |row: &rusqlite::Row<'_>| Ok(Place { run: row.get(0)?, text_engine: row.get(1)? });
            db.query_row(sql, [id.as_str()], place).optional()
        };
        self.file.read(place).await
    }

    pub(in crate::store) async fn attempts(
        &self,
        id: &DocumentId,
    ) -> Result<Vec<Attempt>, StoreError> {
        let id = id.clone();
        self.file.read(move |db| attempts(db, &id)).await
    }

    pub(in crate::store) async fn cancel(&self, id: &DocumentId) -> Result<Changed, StoreError> {
        let sql = concat!(
            "UPDATE documents SET state = 'cancelled', finished_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", lease_until_ms = NULL, waiting = NULL, fence = fence + 1 WHERE id = ?1"
        );
        let allowed = |state: DocumentState| !state.is_end();
        let id = id.clone();
        let cancel = move |db: &Transaction<'_>| {
            change(db, &id, allowed, |db| {
                let count = db.execute(sql, [id.as_str()])?;
                changed(db, &id)?;
                Ok(count)
            })
        };
        self.file.write(cancel).await
    }

    pub(in crate::store) async fn retry(&self, id: &DocumentId) -> Result<Changed, StoreError> {
        let allowed = |state| matches!(state, DocumentState::Failed | DocumentState::Cancelled);
        let id = id.clone();
        self.file.write(move |db| change(db, &id, allowed, |db| run_again(db, &id, None))).await
    }

    pub(in crate::store) async fn reprocess(
        &self,
        id: &DocumentId,
        schema: Option<SchemaRef>,
    ) -> Result<Changed, StoreError> {
        let id = id.clone();
        let again = move |db: &Transaction<'_>| {
            change(db, &id, DocumentState::is_end, |db| run_again(db, &id, schema.as_ref()))
        };
        self.file.write(again).await
    }

    pub(in crate::store) async fn delete(&self, id: &DocumentId) -> Result<Changed, StoreError> {
        let id = id.clone();
        let bury = concat!(
            "UPDATE documents SET deleted_ms = ",
            now!(),
            ", purge_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", fence = fence + 1, lease_until_ms = NULL, waiting = NULL,
             failure = NULL, metadata = '{}', filename = '',
             state = CASE WHEN state IN ('queued', 'processing') THEN 'cancelled' ELSE state END
             WHERE id = ?1"
        );
        // Whoever follows it is to hear that it goes no further.
        let cancelled = concat!(
            "INSERT INTO events (document, schema, state, at_ms, due_ms)
             SELECT id, schema_name || '@' || schema_version, 'cancelled', ",
            now!(),
            ", ",
            now!(),
            " FROM documents WHERE id = ?1 AND state IN ('queued', 'processing')"
        );
        let delete = move |db: &Transaction<'_>| {
            change(
                db,
                &id,
                |_| true,
                |db| {
                    let keys = "DELETE FROM idempotency WHERE EXISTS
                    (SELECT 1 FROM json_each(documents) WHERE value = ?1)";
                    db.execute(keys, [id.as_str()])?;
                    db.execute("DELETE FROM outbox WHERE document = ?1", [id.as_str()])?;
                    db.execute(cancelled, [id.as_str()])?;
                    db.execute(bury, [id.as_str()])
                },
            )
        };
        self.file.write(delete).await
    }
}

fn accept(
    db: &Transaction<'_>,
    documents: &[NewDocument],
    key: Option<&IdempotencyKey>,
) -> rusqlite::Result<Accepted> {
    let tenant = documents.first().map(|first| first.tenant.as_str()).unwrap_or_default();
    if let Some(key) = key {
        let sql = "SELECT fingerprint, documents FROM idempotency WHERE tenant = ?1 AND key = ?2";
        let known = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let known: Option<(String, String)> =
            db.query_row(sql, params![tenant, key.key], known).optional()?;
        if let Some((fingerprint, ids)) = known {
            if fingerprint != key.fingerprint {
                return Ok(Accepted::Conflict);
            }
            let sql = format!(
                "SELECT {DOCUMENT} FROM documents
                 JOIN json_each(?1) AS ids ON ids.value = documents.id ORDER BY ids.key"
            );
            let sql = sql.replace("SELECT id,", "SELECT documents.id,");
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map([ids], document)?;
            return Ok(Accepted::Replayed(rows.collect::<Result<_, _>>()?));
        }
        let ids: Vec<&str> = documents.iter().map(|new| new.id.as_str()).collect();
        let sql = concat!("INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ", now!(), ")");
        db.execute(sql, params![tenant, key.key, key.fingerprint, to_json(&ids)?])?;
    }
    let mut accepted = Vec::with_capacity(documents.len());
    for new in documents {
        accepted.push(insert(db, new)?);
    }
    Ok(Accepted::New(accepted))
}

fn insert(db: &Transaction<'_>, new: &NewDocument) -> rusqlite::Result<Document> {
    let sql = format!(
        concat!(
            "INSERT INTO documents (id, tenant, state, schema_name, schema_version, priority,
               filename, content_type, size_bytes, sha256, metadata, traceparent,
               rung_ms, created_ms, queued_ms, updated_ms)
             VALUES (:id, :tenant, 'queued', :schema, :version, :priority, :filename, :type,
               :size, :sha256, :metadata, :trace, ",
            now!(),
            ", ",
            now!(),
            ", ",
            now!(),
            ", ",
            now!(),
            ")
             RETURNING {}"
        ),
        DOCUMENT
    );
    let values = named_params! {
        ":id": new.id.as_str(), ":tenant": new.tenant, ":schema": new.schema.name.as_str(),
        ":version": new.schema.version, ":priority": new.priority.as_str(),
        ":filename": new.filename, ":type": new.format.media_type(),
        ":size": new.size_bytes, ":sha256": new.sha256, ":metadata": to_json(&new.metadata)?,
        ":trace": new.traceparent.as_ref().map(ToString::to_string),
    };
    let row = db.prepare_cached(&sql)?.query_row(values, document)?;
    ring(db, &new.id, 0)?;
    changed(db, &new.id)?;
    Ok(row)
}

/// Adds a ring to the outbox, due after `pause_ms`.
pub(super) fn ring(
    db: &Transaction<'_>,
    id: &DocumentId,
    pause_ms: i64,
) -> rusqlite::Result<usize> {
    let sql = concat!(
        "INSERT INTO outbox (document, priority, due_ms)
         SELECT id, priority, ",
        now!(),
        " + ?2 FROM documents WHERE id = ?1"
    );
    db.prepare_cached(sql)?.execute(params![id.as_str(), pause_ms])
}

fn find(db: &Connection, id: &DocumentId) -> rusqlite::Result<Found> {
    let sql = format!("SELECT {DOCUMENT}, deleted_ms IS NOT NULL FROM documents WHERE id = ?1");
    let read = |row: &rusqlite::Row<'_>| {
        let deleted: bool = row.get(17)?;
        Ok(if deleted { Found::Deleted } else { Found::Document(Box::new(document(row)?)) })
    };
    let found = db.prepare_cached(&sql)?.query_row([id.as_str()], read).optional()?;
    Ok(found.unwrap_or(Found::Nothing))
}

fn list(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Document>> {
    let mut sql = format!("SELECT {DOCUMENT} FROM documents WHERE deleted_ms IS NULL");
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(&format!(" AND {}", condition.replace('?', &format!("?{}", values.len()))));
    };
    if let Some(state) = filter.state {
        and("state = ?", state.as_str().to_owned().into());
    }
    if let Some(schema) = &filter.schema {
        and("schema_name = ?", schema.to_string().into());
    }
    if let Some(code) = &filter.code {
        and("failure ->> '$.code' = ?", code.clone().into());
    }
    if let Some(before) = filter.before {
        and("created_ms < ?", before.as_millisecond().into());
    }
    if let Some(after) = &filter.after {
        and("id < ?", after.to_string().into());
    }
    for (key, value) in &filter.metadata {
        let pair = to_json(&[key, value])?;
        and(
            "EXISTS (SELECT 1 FROM json_each(metadata), (SELECT ? AS pair)
             WHERE key = pair ->> 0 AND pair ->> 1 =
               CASE type WHEN 'true' THEN type WHEN 'false' THEN type ELSE CAST(value AS TEXT) END)",
            pair.into(),
        );
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", filter.limit));
    let mut statement = db.prepare(&sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(values), document)?;
    rows.collect()
}

fn attempts(db: &Connection, id: &DocumentId) -> rusqlite::Result<Vec<Attempt>> {
    let sql = "SELECT label, deployment, outcome, status, error, tokens_input, tokens_output,
               started_ms, ended_ms, duration_ms FROM calls WHERE document = ?1 ORDER BY id";
    let mut statement = db.prepare_cached(sql)?;
    let attempt = |row: &rusqlite::Row<'_>| {
        Ok(Attempt {
            question: row.get(0)?,
            deployment: row.get(1)?,
            outcome: row.get(2)?,
            status: row.get(3)?,
            error: row.get(4)?,
            tokens_input: row.get(5)?,
            tokens_output: row.get(6)?,
            started_at: time(row, 7)?.unwrap_or_default(),
            ended_at: time(row, 8)?,
            duration_ms: row.get(9)?,
        })
    };
    let rows = statement.query_map([id.as_str()], attempt)?;
    rows.collect()
}

/// Changes a document when its state allows it, and gives it as it is then.
fn change(
    db: &Transaction<'_>,
    id: &DocumentId,
    allowed: impl FnOnce(DocumentState) -> bool,
    how: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize>,
) -> rusqlite::Result<Changed> {
    match find(db, id)? {
        Found::Nothing => Ok(Changed::Nothing),
        Found::Deleted => Ok(Changed::Deleted),
        Found::Document(before) if !allowed(before.state) => Ok(Changed::WrongState(before.state)),
        Found::Document(before) => {
            how(db)?;
            Ok(match find(db, id)? {
                Found::Document(after) => Changed::Done(after),
                Found::Deleted | Found::Nothing => Changed::Done(before),
            })
        }
    }
}

fn run_again(
    db: &Transaction<'_>,
    id: &DocumentId,
    schema: Option<&SchemaRef>,
) -> rusqlite::Result<usize> {
    // Who asks for another run allows the model to be paid again for what it never answered.
    // Calls under way are closed first: one that ends unpaid later must not give back a count that
    // is forgiven already, or more than `calls_max` would be paid.
    let close = concat!(
        "UPDATE calls SET outcome = 'unknown', ended_ms = ",
        now!(),
        ", error = 'another run was asked for during the call'
         WHERE outcome = 'open' AND question IN (SELECT key FROM questions
           WHERE answered_ms IS NULL
             AND key IN (SELECT question FROM calls WHERE document = ?1))"
    );
    db.execute(close, [id.as_str()])?;
    let forgive = "UPDATE questions SET calls = 0 WHERE answered_ms IS NULL
        AND key IN (SELECT question FROM calls WHERE document = ?1)";
    db.execute(forgive, [id.as_str()])?;
    let again = concat!(
        "UPDATE documents SET state = 'queued', run = run + 1, attempts = 0, fence = fence + 1,
         lease_until_ms = NULL, due_ms = 0, waiting = NULL, failure = NULL, finished_ms = NULL,
         queued_ms = ",
        now!(),
        ", updated_ms = ",
        now!(),
        ", rung_ms = ",
        now!(),
        ",
         schema_name = coalesce(?2, schema_name), schema_version = coalesce(?3, schema_version)
         WHERE id = ?1"
    );
    let name = schema.map(|schema| schema.name.as_str());
    let version = schema.map(|schema| schema.version);
    let count = db.execute(again, params![id.as_str(), name, version])?;
    ring(db, id, 0)?;
    changed(db, id)?;
    Ok(count)
}
