//! Changes of a document that a client requests: cancel, retry, reprocess, delete.

use super::{Documents, Found, family::family_locked, find, find_locked};
use crate::{
    document::{Document, DocumentId, DocumentState},
    schema::SchemaRef,
    store::{
        DbError, Result,
        db::{Access, Db, Running},
        sql::{Change, Sql},
        value::values,
    },
};

/// The outcome of a request to change a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// It is as requested now.
    Done(Box<Document>),
    /// Its state does not allow it.
    WrongState(DocumentState),
    /// It was deleted.
    Deleted,
    /// Nothing has this id.
    Nothing,
}

impl Documents<'_> {
    /// Stops a document that has not ended, and all that were made of it and have not.
    ///
    /// # Errors
    /// When the database does not answer; nothing was changed then, or the next look shows it.
    pub async fn cancel(self, id: &DocumentId) -> Result<Changed> {
        let cancelled =
            self.0.run(Access::Transaction, id.clone(), |db, id| Box::pin(cancel(db, id)));
        cancelled.await
    }

    /// Runs a failed or cancelled document again, and of those that were made of it the failed and
    /// cancelled ones. Unanswered questions may be paid again.
    ///
    /// # Errors
    /// When the database does not answer; nothing was changed then, or the next look shows it.
    pub async fn retry(self, id: &DocumentId) -> Result<Changed> {
        let again = self.0.run(Access::Transaction, id.clone(), |db, id| {
            Box::pin(change(db, id, may_retry, Box::pin(retry(db, id))))
        });
        again.await
    }

    /// Runs a document that has ended again, with another schema where one is given, and all that
    /// were made of it, in whatever state they are.
    ///
    /// # Errors
    /// When the database does not answer; nothing was changed then, or the next look shows it.
    pub async fn reprocess(self, id: &DocumentId, schema: Option<SchemaRef>) -> Result<Changed> {
        let arguments = (id.clone(), schema);
        let again = self.0.run(Access::Transaction, arguments, |db, (id, schema)| {
            let again = Box::pin(async move {
                for id in family_locked(db, id).await? {
                    run_again(db, &id, schema.as_ref()).await?;
                }
                Ok(())
            });
            Box::pin(change(db, id, DocumentState::is_end, again))
        });
        again.await
    }

    /// Leaves tombstones of a document and of all that were made of it, and has their bytes removed
    /// from storage.
    ///
    /// # Errors
    /// When the database does not answer; nothing was changed then, or the next look shows it.
    pub async fn delete(self, id: &DocumentId) -> Result<Changed> {
        let deleted = self.0.run(Access::Transaction, id.clone(), |db, id| {
            let delete = Box::pin(async move {
                for id in family_locked(db, id).await? {
                    delete(db, &id).await?;
                }
                Ok(())
            });
            Box::pin(change(db, id, |_| true, delete))
        });
        deleted.await
    }
}

/// Changes a document when its state allows it, and gives it as it is then.
async fn change(
    db: &Db<'_>,
    id: &DocumentId,
    is_allowed: fn(DocumentState) -> bool,
    how: Running<'_, ()>,
) -> Result<Changed, DbError> {
    let before = match find_locked(db, id).await? {
        Found::Nothing => return Ok(Changed::Nothing),
        Found::Deleted => return Ok(Changed::Deleted),
        Found::Document(before) if !is_allowed(before.state) => {
            return Ok(Changed::WrongState(before.state));
        }
        Found::Document(before) => before,
    };
    how.await?;
    Ok(match find(db, id).await? {
        Found::Document(after) => Changed::Done(after),
        Found::Deleted | Found::Nothing => Changed::Done(before),
    })
}

async fn cancel(db: &Db<'_>, id: &DocumentId) -> Result<Changed, DbError> {
    static CANCEL: Change = Change::new(
        "UPDATE documents SET state = 'cancelled', finished_ms = {now}, updated_ms = {now},
           lease_until_ms = NULL, waiting = NULL, fence = fence + 1
         WHERE id = $1 AND state IN ('queued', 'processing')",
        "id",
    )
    .with_event();
    let before = match find_locked(db, id).await? {
        Found::Nothing => return Ok(Changed::Nothing),
        Found::Deleted => return Ok(Changed::Deleted),
        Found::Document(before) => before,
    };
    let mut cancelled = 0;
    for id in family_locked(db, id).await? {
        cancelled += db.change(&CANCEL, values![&id]).await?.len();
    }
    // One that has ended may have made others that have not.
    if cancelled == 0 {
        return Ok(Changed::WrongState(before.state));
    }
    Ok(match find(db, id).await? {
        Found::Document(after) => Changed::Done(after),
        Found::Deleted | Found::Nothing => Changed::Done(before),
    })
}

fn may_retry(state: DocumentState) -> bool {
    matches!(state, DocumentState::Failed | DocumentState::Cancelled)
}

async fn retry(db: &Db<'_>, id: &DocumentId) -> Result<(), DbError> {
    for id in family_locked(db, id).await? {
        if let Found::Document(member) = find(db, &id).await?
            && may_retry(member.state)
        {
            run_again(db, &id, None).await?;
        }
    }
    Ok(())
}

async fn delete(db: &Db<'_>, id: &DocumentId) -> Result<(), DbError> {
    static FORGET_KEY: Sql = Sql::new(
        "DELETE FROM idempotency WHERE (tenant, key) IN
         (SELECT tenant, idempotency_key FROM documents WHERE id = $1)",
    );
    static FORGET_ENTRY: Sql = Sql::new("DELETE FROM outbox WHERE document = $1");
    // Those who follow the document hear that it goes no further.
    static CANCELLED: Sql = Sql::new(
        "INSERT INTO events (document, schema, state, at_ms, due_ms)
         SELECT id, schema_name || '@' || schema_version, 'cancelled', {now}, {now}
         FROM documents WHERE id = $1 AND state IN ('queued', 'processing')",
    );
    static DELETE: Sql = Sql::new(
        "UPDATE documents SET deleted_ms = {now}, purge_ms = {now}, updated_ms = {now},
           fence = fence + 1, lease_until_ms = NULL, waiting = NULL, failure = NULL,
           metadata = '{}', filename = '', idempotency_key = NULL, part = NULL, warnings = NULL,
           state = CASE WHEN state IN ('queued', 'processing') THEN 'cancelled' ELSE state END
         WHERE id = $1",
    );
    for statement in [&FORGET_KEY, &FORGET_ENTRY, &CANCELLED, &DELETE] {
        db.execute(statement, values![id]).await?;
    }
    Ok(())
}

async fn run_again(
    db: &Db<'_>,
    id: &DocumentId,
    schema: Option<&SchemaRef>,
) -> Result<(), DbError> {
    // A request for another run allows new payments for questions that were never answered. Open
    // calls are closed first: one that ends unpaid later must not give back a count that is reset
    // already, or more than `calls_max` would be paid.
    static CLOSE: Sql = Sql::new(
        "UPDATE calls SET outcome = 'unknown', ended_ms = {now},
           error = 'another run was asked for during the call'
         WHERE id IN (SELECT id FROM calls WHERE outcome = 'open' AND question IN (
             SELECT key FROM questions WHERE answered_ms IS NULL
               AND key IN (SELECT question FROM calls WHERE document = $1))
           ORDER BY id {lock})",
    );
    static RESET: Sql = Sql::new(
        "UPDATE questions SET calls = 0 WHERE key IN (
           SELECT key FROM questions WHERE answered_ms IS NULL
             AND key IN (SELECT question FROM calls WHERE document = $1)
           ORDER BY key {lock})",
    );
    static AGAIN: Change = Change::new(
        "UPDATE documents SET state = 'queued', run = run + 1, attempts = 0, fence = fence + 1,
           lease_until_ms = NULL, due_ms = 0, waiting = NULL, failure = NULL, finished_ms = NULL,
           warnings = NULL, pages_done = NULL,
           queued_ms = {now}, updated_ms = {now}, enqueued_ms = {now},
           schema_name = coalesce($2, schema_name), schema_version = coalesce($3, schema_version)
         WHERE id = $1",
        "id",
    )
    .with_event()
    .with_entry();
    db.execute(&CLOSE, values![id]).await?;
    db.execute(&RESET, values![id]).await?;
    let name = schema.map(|schema| &schema.name);
    let version = schema.map(|schema| schema.version);
    db.change(&AGAIN, values![id, name, version]).await.map(drop)
}
