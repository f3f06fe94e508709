//! What the HTTP side does: accept, look up, list, and change documents when somebody asks.

use super::{
    PostgresStore, Trouble, all,
    events::{changing, noting},
    execute, maybe, now, one,
    rows::{
        DOCUMENT, document, number, number_or_null, state, time, to_number, to_searchable_json,
        to_text,
    },
    statement, transaction,
};
use crate::{
    document::{Attempt, Document, DocumentId, DocumentState},
    schema::SchemaRef,
    store::{Accepted, Changed, Filter, Found, IdempotencyKey, NewDocument, Place, StoreError},
};
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::{Row, types::ToSql};

impl PostgresStore {
    pub(in crate::store) async fn accept(
        &self,
        documents: Vec<NewDocument>,
        key: Option<IdempotencyKey>,
    ) -> Result<Accepted, StoreError> {
        transaction!(self, |db| accept(db, &documents, key.as_ref()).await)
    }

    pub(in crate::store) async fn restore(
        &self,
        document: NewDocument,
        ended: Option<(u32, DocumentState)>,
    ) -> Result<bool, StoreError> {
        transaction!(self, |db| {
            if find(db, &document.id, "FOR UPDATE").await? != Found::Nothing {
                return Ok(false);
            }
            insert(db, &document).await?;
            let Some((run, state)) = &ended else { return Ok(true) };
            let sql = concat!(
                "UPDATE documents SET run = $2, state = $3, finished_ms = ",
                now!(),
                " WHERE id = $1"
            );
            let id = document.id.as_str();
            execute(db, sql, &[&id, &i64::from(*run), &state.as_str()]).await?;
            execute(db, "DELETE FROM outbox WHERE document = $1", &[&id]).await?;
            // It came to this state long ago, and that was told.
            execute(db, "DELETE FROM events WHERE document = $1", &[&id]).await?;
            Ok(true)
        })
    }

    pub(in crate::store) async fn questions(
        &self,
        id: &DocumentId,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT question FROM calls WHERE document = $1";
        statement!(self, |db| {
            let rows = all(db, sql, &[&id.as_str()]).await?;
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
        })
    }

    pub(in crate::store) async fn find(&self, id: &DocumentId) -> Result<Found, StoreError> {
        statement!(self, |db| find(db, id, "").await)
    }

    pub(in crate::store) async fn list(&self, filter: Filter) -> Result<Vec<Document>, StoreError> {
        statement!(self, |db| list(db, &filter).await)
    }

    pub(in crate::store) async fn count(&self) -> Result<Vec<(DocumentState, u64)>, StoreError> {
        let sql = "SELECT state, count(*) FROM documents WHERE deleted_ms IS NULL GROUP BY state";
        let pair = |row: &Row| Ok((state(row, 0)?, number(row, 1)?));
        statement!(self, |db| all(db, sql, &[]).await?.iter().map(pair).collect())
    }

    pub(in crate::store) async fn place(
        &self,
        id: &DocumentId,
    ) -> Result<Option<Place>, StoreError> {
        let sql = "SELECT run, text_engine FROM documents WHERE id = $1 AND deleted_ms IS NULL";
        let place = |row: Row| Ok(Place { run: number(&row, 0)?, text_engine: row.try_get(1)? });
        statement!(self, |db| maybe(db, sql, &[&id.as_str()]).await?.map(place).transpose())
    }

    pub(in crate::store) async fn attempts(
        &self,
        id: &DocumentId,
    ) -> Result<Vec<Attempt>, StoreError> {
        let sql = "SELECT label, deployment, outcome, status, error, tokens_input, tokens_output,
               started_ms, ended_ms, duration_ms FROM calls WHERE document = $1 ORDER BY id";
        statement!(self, |db| {
            all(db, sql, &[&id.as_str()]).await?.iter().map(attempt).collect()
        })
    }

    pub(in crate::store) async fn cancel(&self, id: &DocumentId) -> Result<Changed, StoreError> {
        let sql = changing!(
            "UPDATE documents SET state = 'cancelled', finished_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", lease_until_ms = NULL, waiting = NULL, fence = fence + 1 WHERE id = $1"
        );
        let allowed = |state: DocumentState| !state.is_end();
        transaction!(self, |db| {
            change(db, id, allowed, execute(db, sql, &[&id.as_str()])).await
        })
    }

    pub(in crate::store) async fn retry(&self, id: &DocumentId) -> Result<Changed, StoreError> {
        let allowed = |state| matches!(state, DocumentState::Failed | DocumentState::Cancelled);
        transaction!(self, |db| change(db, id, allowed, run_again(db, id, None)).await)
    }

    pub(in crate::store) async fn reprocess(
        &self,
        id: &DocumentId,
        schema: Option<SchemaRef>,
    ) -> Result<Changed, StoreError> {
        transaction!(self, |db| {
            let again = run_again(db, id, schema.as_ref());
            change(db, id, DocumentState::is_end, again).await
        })
    }

    pub(in crate::store) async fn delete(&self, id: &DocumentId) -> Result<Changed, StoreError> {
        transaction!(self, |db| change(db, id, |_| true, bury(db, id)).await)
    }
}

async fn accept(
    db: &Transaction<'_>,
    documents: &[NewDocument],
    key: Option<&IdempotencyKey>,
) -> Result<Accepted, Trouble> {
    if let Some(key) = key {
        let tenant = documents.first().map(|first| first.tenant.as_str()).unwrap_or_default();
        let ids: Vec<&str> = documents.iter().map(|new| new.id.as_str()).collect();
        // Changing nothing locks the row, be it new or old, and gives it: a call with the same key
        // that runs at this moment is waited for.
        let sql = concat!(
            "INSERT INTO idempotency (tenant, key, fingerprint, documents, created_ms)
             VALUES ($1, $2, $3, $4, ",
            now!(),
            ") ON CONFLICT (tenant, key) DO UPDATE SET key = excluded.key
             RETURNING fingerprint, documents"
        );
        let values: super::Values<'_> = &[&tenant, &key.key, &key.fingerprint, &ids];
        let row = one(db, sql, values).await?;
        let (fingerprint, known): (&str, Vec<&str>) = (row.try_get(0)?, row.try_get(1)?);
        if fingerprint != key.fingerprint {
            return Ok(Accepted::Conflict);
        }
        if known != ids {
            let sql = format!(
                "SELECT {DOCUMENT} FROM documents
                 JOIN unnest($1::text[]) WITH ORDINALITY AS known (document, place)
                   ON known.document = documents.id ORDER BY known.place"
            );
            let rows = all(db, &sql, &[&known]).await?;
            return Ok(Accepted::Replayed(rows.iter().map(document).collect::<Result<_, _>>()?));
        }
    }
    let mut accepted = Vec::with_capacity(documents.len());
    for new in documents {
        accepted.push(insert(db, new).await?);
    }
    Ok(Accepted::New(accepted))
}

async fn insert(db: &Transaction<'_>, new: &NewDocument) -> Result<Document, Trouble> {
    let sql = format!(
        concat!(
            "WITH changed AS (
               INSERT INTO documents (id, tenant, state, schema_name, schema_version, priority,
                 filename, content_type, size_bytes, sha256, metadata, traceparent,
                 rung_ms, created_ms, queued_ms, updated_ms)
               SELECT $1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11, now, now, now, now
               FROM (SELECT ",
            now!(),
            " AS now) AS clock RETURNING *),
             ring AS (
               INSERT INTO outbox (document, priority, due_ms)
               SELECT id, priority, created_ms FROM changed),
             ",
            noting!(),
            " SELECT {} FROM changed"
        ),
        DOCUMENT
    );
    let values: super::Values<'_> = &[
        &new.id.as_str(),
        &new.tenant,
        &new.schema.name.as_str(),
        &i64::from(new.schema.version),
        &new.priority.as_str(),
        &to_text(&new.filename),
        &new.format.media_type(),
        &to_number(new.size_bytes),
        &new.sha256,
        &to_searchable_json(&new.metadata)?,
        &new.traceparent.as_ref().map(ToString::to_string),
    ];
    document(&one(db, &sql, values).await?)
}

/// What there is under an id. `lock` is empty or `FOR UPDATE`.
async fn find(db: &impl GenericClient, id: &DocumentId, lock: &str) -> Result<Found, Trouble> {
    let sql =
        format!("SELECT {DOCUMENT}, deleted_ms IS NOT NULL FROM documents WHERE id = $1 {lock}");
    let Some(row) = maybe(db, &sql, &[&id.as_str()]).await? else { return Ok(Found::Nothing) };
    let is_deleted: bool = row.try_get(17)?;
    Ok(if is_deleted { Found::Deleted } else { Found::Document(Box::new(document(&row)?)) })
}

async fn list(db: &impl GenericClient, filter: &Filter) -> Result<Vec<Document>, Trouble> {
    let mut sql = format!("SELECT {DOCUMENT} FROM documents WHERE deleted_ms IS NULL");
    let mut values: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
    let mut and = |condition: &str, value: Box<dyn ToSql + Sync + Send>| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    let text = |text: &str| Box::new(to_text(text).into_owned());
    if let Some(state) = filter.state {
        and("state = ?", Box::new(state.as_str()));
    }
    if let Some(schema) = &filter.schema {
        and("schema_name = ?", text(schema.as_str()));
    }
    if let Some(code) = &filter.code {
        and("failure::json ->> 'code' = ?", text(code));
    }
    if let Some(before) = filter.before {
        and("created_ms < ?", Box::new(before.as_millisecond()));
    }
    if let Some(after) = &filter.after {
        and("id < ?", text(after.as_str()));
    }
    for (key, value) in &filter.metadata {
        let pair = vec![to_text(key).into_owned(), to_text(value).into_owned()];
        and("metadata::json ->> (?::text[])[1] = (?::text[])[2]", Box::new(pair));
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", filter.limit));
    let values: Vec<&(dyn ToSql + Sync)> =
        values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    // Not from the cache: there are too many of these.
    db.query(&sql, &values).await?.iter().map(document).collect()
}

fn attempt(row: &Row) -> Result<Attempt, Trouble> {
    Ok(Attempt {
        question: row.try_get(0)?,
        deployment: row.try_get(1)?,
        outcome: row.try_get(2)?,
        status: number_or_null(row, 3)?,
        error: row.try_get(4)?,
        tokens_input: number_or_null(row, 5)?,
        tokens_output: number_or_null(row, 6)?,
        started_at: time(row, 7)?.unwrap_or_default(),
        ended_at: time(row, 8)?,
        duration_ms: number_or_null(row, 9)?,
    })
}

/// Changes a document when its state allows it, and gives it as it is then.
async fn change(
    db: &Transaction<'_>,
    id: &DocumentId,
    allowed: impl FnOnce(DocumentState) -> bool,
    how: impl Future<Output = Result<u64, Trouble>>,
) -> Result<Changed, Trouble> {
    match find(db, id, "FOR UPDATE").await? {
        Found::Nothing => Ok(Changed::Nothing),
        Found::Deleted => Ok(Changed::Deleted),
        Found::Document(before) if !allowed(before.state) => Ok(Changed::WrongState(before.state)),
        Found::Document(before) => {
            how.await?;
            Ok(match find(db, id, "").await? {
                Found::Document(after) => Changed::Done(after),
                Found::Deleted | Found::Nothing => Changed::Done(before),
            })
        }
    }
}

async fn bury(db: &Transaction<'_>, id: &DocumentId) -> Result<u64, Trouble> {
    let keys = "DELETE FROM idempotency WHERE documents @> ARRAY[$1::text]";
    execute(db, keys, &[&id.as_str()]).await?;
    execute(db, "DELETE FROM outbox WHERE document = $1", &[&id.as_str()]).await?;
    // Whoever follows it is to hear that it goes no further.
    let cancelled = concat!(
        "INSERT INTO events (document, schema, state, at_ms, due_ms)
         SELECT id, schema_name || '@' || schema_version, 'cancelled', ",
        now!(),
        ", ",
        now!(),
        " FROM documents WHERE id = $1 AND state IN ('queued', 'processing')"
    );
    execute(db, cancelled, &[&id.as_str()]).await?;
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
         WHERE id = $1"
    );
    execute(db, bury, &[&id.as_str()]).await
}

async fn run_again(
    db: &Transaction<'_>,
    id: &DocumentId,
    schema: Option<&SchemaRef>,
) -> Result<u64, Trouble> {
    // Who asks for another run allows the model to be paid again for what it never answered.
    // Calls under way are closed first: one that ends unpaid later must not give back a count that
    // is forgiven already, or more than `calls_max` would be paid.
    let close = concat!(
        "UPDATE calls SET outcome = 'unknown', ended_ms = ",
        now!(),
        ", error = 'another run was asked for during the call'
         WHERE id IN (SELECT id FROM calls WHERE outcome = 'open' AND question IN (
             SELECT key FROM questions WHERE answered_ms IS NULL
               AND key IN (SELECT question FROM calls WHERE document = $1))
           ORDER BY id FOR UPDATE)"
    );
    execute(db, close, &[&id.as_str()]).await?;
    let forgive = "UPDATE questions SET calls = 0 WHERE key IN (
        SELECT key FROM questions WHERE answered_ms IS NULL
          AND key IN (SELECT question FROM calls WHERE document = $1)
        ORDER BY key FOR UPDATE)";
    execute(db, forgive, &[&id.as_str()]).await?;
    let again = concat!(
        "WITH changed AS (
           UPDATE documents SET state = 'queued', run = run + 1, attempts = 0, fence = fence + 1,
             lease_until_ms = NULL, due_ms = 0, waiting = NULL, failure = NULL, finished_ms = NULL,
             queued_ms = ",
        now!(),
        ", updated_ms = ",
        now!(),
        ", rung_ms = ",
        now!(),
        ",
             schema_name = coalesce($2, schema_name), schema_version = coalesce($3, schema_version)
           WHERE id = $1 RETURNING *),
         ",
        noting!(),
        " INSERT INTO outbox (document, priority, due_ms)
         SELECT id, priority, queued_ms FROM changed"
    );
    let name = schema.map(|schema| schema.name.as_str());
    let version = schema.map(|schema| i64::from(schema.version));
    execute(db, again, &[&id.as_str(), &name, &version]).await
}
