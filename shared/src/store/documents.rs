//! Documents as the outside sees them: accept, look up, list, and change on request.

mod family;
mod accept;
mod list;
mod change;

pub(super) use accept::insert;
pub use accept::{Accepted, IdempotencyKey, NewDocument, SavedText};
pub use change::Changed;
pub use list::Filter;

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, values},
};
use crate::{
    blob::BlobKey,
    document::{Document, DocumentId, DocumentState, Parent, Progress},
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
    /// Its file.
    pub source: BlobKey,
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

    /// Where the file, the visible result and the text of a document are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn result_location(self, id: &DocumentId) -> Result<Option<ResultLocation>> {
        static LOCATION: Sql = Sql::new(
            "SELECT run, text_engine, id, source FROM documents
             WHERE id = $1 AND deleted_ms IS NULL",
        );
        let location = |row: &Row| {
            let text_engine = row.text_or_null(1)?.map(str::to_owned);
            Ok(ResultLocation { run: row.number(0)?, text_engine, source: source(row, 2, 3)? })
        };
        Ok(self.0.query(&LOCATION, values![id], location).await?.pop())
    }
}

/// The columns that [`document`] reads, in its order.
macro_rules! document_columns {
    () => {
        "id, state, schema_name, schema_version, priority, filename, content_type, size_bytes, \
         sha256, metadata, pages, attempts, created_ms, updated_ms, finished_ms, waiting, failure, \
         parent, part, warnings, pages_done"
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
        parent: parent(row, 17, 18)?,
        // They have rows of their own.
        children: Vec::new(),
        warnings: row.json(19)?.unwrap_or_default(),
        progress: progress(row)?,
    })
}

/// What a document was made of, from the columns `parent` and `part`.
pub(super) fn parent(row: &Row, id: usize, part: usize) -> Result<Option<Parent>, DbError> {
    let (id, part) = (row.parsed_or_null(id)?, row.json(part)?);
    Ok(id.zip(part).map(|(id, part)| Parent { id, part }))
}

/// Where the file of a document is, from the columns `id` and `source`.
pub(super) fn source(row: &Row, id: usize, source: usize) -> Result<BlobKey, DbError> {
    let id: DocumentId = row.parsed(id)?;
    Ok(row.text_or_null(source)?.map_or_else(|| BlobKey::source(&id), BlobKey::kept))
}

fn progress(row: &Row) -> Result<Option<Progress>, DbError> {
    let (done, total) = (row.number_or_null(20)?, row.number_or_null(10)?);
    Ok(done.zip(total).map(|(pages_done, pages_total)| Progress { pages_done, pages_total }))
}

async fn find(db: &Db<'_>, id: &DocumentId) -> Result<Found, DbError> {
    static FIND: Sql = Sql::new(concat!(
        "SELECT ",
        document_columns!(),
        ", deleted_ms IS NOT NULL FROM documents WHERE id = $1"
    ));
    found(db, db.first(&FIND, values![id]).await?).await
}

/// The same, and nobody else changes the row before the transaction ends.
async fn find_locked(db: &Db<'_>, id: &DocumentId) -> Result<Found, DbError> {
    static FIND: Sql = Sql::new(concat!(
        "SELECT ",
        document_columns!(),
        ", deleted_ms IS NOT NULL FROM documents WHERE id = $1 {lock}"
    ));
    found(db, db.first(&FIND, values![id]).await?).await
}

async fn found(db: &Db<'_>, row: Option<Row>) -> Result<Found, DbError> {
    let Some(row) = row else { return Ok(Found::Nothing) };
    if row.flag(21)? {
        return Ok(Found::Deleted);
    }
    let mut found = [document(&row)?];
    family::add_children(db, &mut found).await?;
    let [document] = found;
    Ok(Found::Document(Box::new(document)))
}
