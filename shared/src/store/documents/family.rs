//! Which documents were made of which.

use super::Documents;
use crate::{
    document::{Document, DocumentId},
    store::{
        DbError, Result,
        db::{Access, Db},
        sql::Sql,
        value::{to_json, values},
    },
};

impl Documents<'_> {
    /// The document and all that were made of it, of those that were made of these, and so on, in
    /// that order, deleted ones included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn family(self, id: &DocumentId) -> Result<Vec<DocumentId>> {
        let family = self.0.run(Access::Read, id.clone(), |db, id| {
            Box::pin(async move { family(db, id, &MADE_OF).await })
        });
        family.await
    }
}

static MADE_OF: Sql = Sql::new(
    "SELECT id FROM documents WHERE parent IN
       (SELECT value FROM {elements}(CAST($1 AS TEXT){json})) ORDER BY id",
);

/// The family of a document whose row is locked; from here on nobody changes it. Who adds to it locks
/// the parent first, so level by level none is missed.
pub(super) async fn family_locked(
    db: &Db<'_>,
    id: &DocumentId,
) -> Result<Vec<DocumentId>, DbError> {
    static LOCKED: Sql = Sql::new(
        "SELECT id FROM documents WHERE deleted_ms IS NULL AND parent IN
           (SELECT value FROM {elements}(CAST($1 AS TEXT){json}))
         ORDER BY id {lock}",
    );
    family(db, id, &LOCKED).await
}

async fn family(db: &Db<'_>, id: &DocumentId, made_of: &Sql) -> Result<Vec<DocumentId>, DbError> {
    let (mut all, mut level) = (vec![id.clone()], vec![id.clone()]);
    while !level.is_empty() {
        let rows = db.query(made_of, values![to_json(&level)?]).await?;
        level = rows.iter().map(|row| row.parsed(0)).collect::<Result<_, _>>()?;
        all.extend(level.iter().cloned());
    }
    Ok(all)
}

/// Adds to each document the ids of those that were made of it.
pub(super) async fn add_children(db: &Db<'_>, documents: &mut [Document]) -> Result<(), DbError> {
    static CHILDREN: Sql = Sql::new(
        "SELECT parent, id FROM documents WHERE deleted_ms IS NULL AND parent IN
           (SELECT value FROM {elements}(CAST($1 AS TEXT){json})) ORDER BY id",
    );
    let ids: Vec<_> = documents.iter().map(|document| &document.id).collect();
    for row in db.query(&CHILDREN, values![to_json(&ids)?]).await? {
        let parent: DocumentId = row.parsed(0)?;
        let of = documents.iter_mut().find(|document| document.id == parent);
        if let Some(document) = of {
            document.children.push(row.parsed(1)?);
        }
    }
    Ok(())
}
