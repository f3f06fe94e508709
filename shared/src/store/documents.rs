//! Documents as the outside sees them: accept, look up, list, and change on request.

mod accept;
mod list;
mod change;

pub use accept::{Accepted, IdempotencyKey, NewDocument};
pub use change::Changed;
pub use list::Filter;

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, values},
};
use crate::{
    document::{Document, DocumentId, DocumentState},
    schema::SchemaRef,
};

/// What exists under an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A document.
    Document(Box<Document>),
    /// A document that was deleted.
    Deleted,
    /// Nothing.
    Nothing,
}

/// Which objects in storage belong to a document.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultLocation {
    /// The run whose result is the visible one.
    pub run: u32,
    /// The engine whose text was used, once there is text.
    pub text_engine: Option<String>,
}

/// Documents as the outside sees them.
#[derive(Clone, Copy, Debug)]
pub struct Documents<'a>(pub(super) &'a Store);

impl Documents<'_> {
    /// What exists under an id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find(self, id: &DocumentId) -> Result<Found> {
        self.0.run(Access::Read, id.clone(), |db, id| Box::pin(find(db, id))).await
    }

    /// How many documents are in each state; deleted ones are not counted.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(self) -> Result<Vec<(DocumentState, u64)>> {
        static COUNT: Sql = Sql::new(
            "SELECT state, count(*) FROM documents WHERE deleted_ms IS NULL GROUP BY state",
        );
        self.0.query(&COUNT, values![], |row| Ok((row.parsed(0)?, row.number(1)?))).await
    }

    /// Where the visible result and the text of a document are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn result_location(self, id: &DocumentId) -> Result<Option<ResultLocation>> {
        static LOCATION: Sql =
            Sql::new("SELECT run, text_engine FROM documents WHERE id = $1 AND deleted_ms IS NULL");
        let location = |row: &Row| {
            let text_engine = row.text_or_null(1)?.map(str::to_owned);
            Ok(ResultLocation { run: row.number(0)?, text_engine })
        };
        Ok(self.0.query(&LOCATION, values![id], location).await?.pop())
    }
}

/// The columns that [`document`] reads, in its order.
macro_rules! document_columns {
    () => {
        "id, state, schema_name, schema_version, priority, filename, content_type, size_bytes, \
         sha256, metadata, pages, attempts, created_ms, updated_ms, finished_ms, waiting, failure"
    };
}
use document_columns;

fn document(row: &Row) -> Result<Document, DbError> {
    Ok(Document {
        id: row.parsed(0)?,
        state: row.parsed(1)?,
        schema: SchemaRef { name: row.parsed(2)?, version: row.number(3)? },
        priority: row.parsed(4)?,
        filename: row.text(5)?.to_owned(),
        content_type: row.text(6)?.to_owned(),
        size_bytes: row.number(7)?,
        sha256: row.text(8)?.to_owned(),
        metadata: row.json(9)?.unwrap_or_default(),
        pages: row.number_or_null(10)?,
        attempts: row.number(11)?,
        created_at: row.time(12)?,
        updated_at: row.time(13)?,
        finished_at: row.time_or_null(14)?,
        waiting: row.json(15)?,
        failure: row.json(16)?,
    })
}

async fn find(db: &Db<'_>, id: &DocumentId) -> Result<Found, DbError> {
    static FIND: Sql = Sql::new(concat!(
        "SELECT ",
        document_columns!(),
        ", deleted_ms IS NOT NULL FROM documents WHERE id = $1"
    ));
    found(db.first(&FIND, values![id]).await?)
}

/// The same, and nobody else changes the row before the transaction ends.
async fn find_locked(db: &Db<'_>, id: &DocumentId) -> Result<Found, DbError> {
    static FIND: Sql = Sql::new(concat!(
        "SELECT ",
        document_columns!(),
        ", deleted_ms IS NOT NULL FROM documents WHERE id = $1 {lock}"
    ));
    found(db.first(&FIND, values![id]).await?)
}

fn found(row: Option<Row>) -> Result<Found, DbError> {
    let Some(row) = row else { return Ok(Found::Nothing) };
    Ok(if row.flag(17)? { Found::Deleted } else { Found::Document(Box::new(document(&row)?)) })
}
