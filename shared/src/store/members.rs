//! Documents that are made of a document in the hands of a worker.

use super::{
    DbError, NewDocument, Result, Store,
    db::{Access, Db},
    documents::insert,
    sql::Sql,
    value::values,
    work::claim_is_live,
};
use crate::{
    blob::BlobKey,
    document::{DocumentId, FileType, Parent, Part},
    job::Claim,
    schema::SchemaRef,
};

/// A document to be made of another. It takes over what was asked of that: schema, priority,
/// metadata, tenant and trace.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Its id: see [`DocumentId::of_part`].
    pub id: DocumentId,
    /// What of the other document it is made of.
    pub part: Part,
    /// Where its file is.
    pub source: BlobKey,
    /// The name of its file.
    pub filename: String,
    /// Found from the content.
    pub file_type: FileType,
    /// The size of its file.
    pub size_bytes: u64,
    /// SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
}

/// Documents that are made of others.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a>(pub(super) &'a Store);

impl Members<'_> {
    /// Inserts the documents that are made of the claimed one, with their outbox entries, in one
    /// transaction. Those that are there already stay as they are, deleted ones too. Gives those that
    /// are there now and not deleted; `None` when the claim is lost, or the document was cancelled or
    /// deleted: then none is inserted.
    ///
    /// # Errors
    /// When the database does not answer; trying again does no harm.
    pub async fn insert(
        self,
        claim: &Claim,
        members: Vec<NewMember>,
    ) -> Result<Option<Vec<NewDocument>>> {
        let arguments = (claim.clone(), members);
        let inserted = self.0.run(Access::Transaction, arguments, |db, (claim, members)| {
            Box::pin(insert_all(db, claim, members))
        });
        inserted.await
    }
}

async fn insert_all(
    db: &Db<'_>,
    claim: &Claim,
    members: &[NewMember],
) -> Result<Option<Vec<NewDocument>>, DbError> {
    // With the lock: whoever cancels or deletes the document waits, and then sees its members.
    static PARENT: Sql = Sql::new(concat!(
        "SELECT tenant, schema_name, schema_version, priority, metadata, traceparent, depth, split
         FROM documents WHERE ",
        claim_is_live!(),
        " {lock}"
    ));
    static IS_THERE: Sql =
        Sql::new("SELECT id FROM documents WHERE id = $1 AND deleted_ms IS NULL");
    let parent = db.first(&PARENT, values![&claim.document, claim.fence]).await?;
    let Some(row) = parent else { return Ok(None) };
    let mut all = Vec::with_capacity(members.len());
    for member in members {
        let depth: u32 = row.number(6)?;
        let document = NewDocument {
            id: member.id.clone(),
            tenant: row.text(0)?.to_owned(),
            schema: SchemaRef { name: row.parsed(1)?, version: row.number(2)? },
            priority: row.parsed(3)?,
            filename: member.filename.clone(),
            file_type: member.file_type,
            size_bytes: member.size_bytes,
            sha256: member.sha256.clone(),
            metadata: row.json(4)?.unwrap_or_default(),
            traceparent: row.parsed_or_null(5)?,
            parent: Some(Parent { id: claim.document.clone(), part: member.part.clone() }),
            depth: depth.saturating_add(1),
            source: Some(member.source.clone()),
            split: row.parsed_or_null(7)?,
            text: None,
        };
        let is_new = insert(db, &document, None).await?.is_some();
        if is_new || db.first(&IS_THERE, values![&document.id]).await?.is_some() {
            all.push(document);
        }
    }
    Ok(Some(all))
}
