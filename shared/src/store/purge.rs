//! Deleted documents whose bytes are still in storage.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, values},
};
use crate::document::DocumentId;
use std::time::Duration;

/// A deleted document whose bytes are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The document.
    pub document: DocumentId,
    /// Questions that no other document of the tenant asks: their replies go too.
    pub questions: Vec<String>,
}

/// Deleted documents.
#[derive(Clone, Copy, Debug)]
pub struct Purges<'a>(pub(super) &'a Store);

impl Purges<'_> {
    /// Deleted documents whose bytes are to be removed now, at most 100. Each is given out again
    /// until it is [`done`](Self::done).
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn due(self) -> Result<Vec<Purge>> {
        // Without a lock, which would be gone before anything is removed: two may remove the same.
        static DUE: Sql = Sql::new(concat!(
            "SELECT gone.id, c.question FROM (SELECT id, tenant, sha256, purge_ms FROM documents
               WHERE purge_ms <= {now_once} ORDER BY purge_ms LIMIT 100) AS gone
             LEFT JOIN calls AS c ON c.document = gone.id AND NOT EXISTS (",
            still_asked!(),
            ") ORDER BY gone.purge_ms, gone.id, c.question"
        ));
        let pair =
            |row: &Row| Ok((row.parsed::<DocumentId>(0)?, row.text_or_null(1)?.map(str::to_owned)));
        let mut purges: Vec<Purge> = Vec::new();
        for (document, question) in self.0.query(&DUE, values![], pair).await? {
            match purges.last_mut() {
                // A question may have had several calls.
                Some(last)
                    if last.document == document && last.questions.last() == question.as_ref() => {}
                Some(last) if last.document == document => last.questions.extend(question),
                _ => purges.push(Purge { document, questions: question.into_iter().collect() }),
            }
        }
        Ok(purges)
    }

    /// The bytes of this document are removed. `again` asks for another purge later, for what a
    /// worker was still writing.
    ///
    /// # Errors
    /// When the database does not answer; it is purged again.
    pub async fn done(self, id: &DocumentId, again: Option<Duration>) -> Result<()> {
        let arguments = (id.clone(), again);
        let done = self
            .0
            .run(Access::Transaction, arguments, |db, (id, again)| Box::pin(done(db, id, *again)));
        done.await
    }
}

/// Another document that is still there has the bytes of `gone`, and so asks the same questions.
macro_rules! still_asked {
    () => {
        "SELECT 1 FROM documents AS other WHERE other.tenant = gone.tenant
           AND other.sha256 = gone.sha256 AND other.id <> gone.id AND other.deleted_ms IS NULL"
    };
}
use still_asked;

/// The questions that only the document `$1` asks.
macro_rules! own_questions {
    () => {
        concat!(
            "SELECT c.question FROM calls AS c JOIN documents AS gone ON gone.id = c.document
             WHERE gone.id = $1 AND NOT EXISTS (",
            still_asked!(),
            ")"
        )
    };
}

async fn done(db: &Db<'_>, id: &DocumentId, again: Option<Duration>) -> Result<(), DbError> {
    static LATER: Sql = Sql::new("UPDATE documents SET purge_ms = {now} + $2 WHERE id = $1");
    static LOCK: Sql = Sql::new(concat!(
        "SELECT key FROM questions WHERE key IN (",
        own_questions!(),
        ") ORDER BY key {lock}"
    ));
    static FORGET: Sql =
        Sql::new(concat!("DELETE FROM questions WHERE key IN (", own_questions!(), ")"));
    db.execute(&LATER, values![id, again]).await?;
    db.query(&LOCK, values![id]).await?;
    // A statement of its own: it must see who began to ask while the one above waited.
    db.execute(&FORGET, values![id]).await.map(drop)
}
