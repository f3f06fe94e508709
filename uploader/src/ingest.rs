//! From a stream of bytes to a file in storage: counted, hashed and recognised on the way, refused
//! as soon as that is certain, never whole in memory.
//!
//! It must know nothing of HTTP, schemas or the database.

mod signature;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use shared::{
    blob::{BlobError, BlobKey, BlobWriter, Blobs, Put},
    document::{DocumentId, FileType, Format},
    schema::hexadecimal,
    store::SavedText,
};

/// Why a file was not taken. The messages begin with its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    /// It has no bytes.
    #[error("{filename} has no bytes")]
    Empty { filename: String },
    /// It is over the limit.
    #[error("{filename} is larger than {size_bytes_max} bytes")]
    TooLarge { filename: String, size_bytes_max: u64 },
    /// Its content is of no format that is read.
    #[error("{filename} looks like {looks_like}")]
    UnsupportedFormat { filename: String, looks_like: &'static str },
    /// Storage does not take it.
    #[error(transparent)]
    Storage(#[from] BlobError),
    /// Something that cannot happen.
    #[error("{0}")]
    Internal(String),
}

/// A file that is in storage and belongs to no document yet.
#[derive(Clone, Debug)]
pub(crate) struct StoredFile {
    /// The id under which its bytes are.
    pub(crate) id: DocumentId,
    /// As the client gave it.
    pub(crate) filename: String,
    /// Found from the content.
    pub(crate) file_type: FileType,
    /// How many bytes there are.
    pub(crate) size_bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
    /// Its text, where that is in storage, too.
    pub(crate) text: Option<SavedText>,
}

/// A file on its way into storage. Dropped before [`Intake::finish`] it leaves nothing.
#[derive(Debug)]
pub(crate) struct Intake {
    blobs: Blobs,
    size_bytes_max: u64,
    id: DocumentId,
    filename: String,
    /// What the client says that it is; only its character set counts.
    content_type: Option<String>,
    /// The first bytes, until there are enough to recognise the format.
    head: Vec<u8>,
    hash: Sha256,
    size_bytes: u64,
    open: Option<(FileType, BlobWriter)>,
}

impl Intake {
    /// Starts a file. Nothing is written before its format is known.
    pub(crate) fn new(
        blobs: Blobs,
        size_bytes_max: u64,
        id: DocumentId,
        filename: String,
        content_type: Option<String>,
    ) -> Self {
        Self {
            blobs,
            size_bytes_max,
            id,
            filename,
            content_type,
            head: Vec::new(),
            hash: Sha256::new(),
            size_bytes: 0,
            open: None,
        }
    }

    /// Whether no byte has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.size_bytes == 0
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// When the file is too large, of an unknown format, or storage does not take it.
    pub(crate) async fn write(&mut self, chunk: Bytes) -> Result<(), IngestError> {
        self.size_bytes = self.size_bytes.saturating_add(chunk.len() as u64);
        if self.size_bytes > self.size_bytes_max {
            let (filename, size_bytes_max) = (self.filename.clone(), self.size_bytes_max);
            return Err(IngestError::TooLarge { filename, size_bytes_max });
        }
        self.hash.update(&chunk);
        if let Some((_, writer)) = &mut self.open {
            return Ok(writer.write(chunk).await?);
        }
        let missing = Format::SNIFF_BYTES.saturating_sub(self.head.len());
        if chunk.len() < missing {
            self.head.extend_from_slice(&chunk);
            return Ok(());
        }
        self.head.extend_from_slice(chunk.get(..missing).unwrap_or_default());
        let writer = self.open().await?;
        Ok(writer.write(chunk.slice(missing..)).await?)
    }

    /// Makes the file visible in storage.
    ///
    /// # Errors
    /// When the file is empty, of an unknown format, or storage does not take it.
    pub(crate) async fn finish(mut self) -> Result<StoredFile, IngestError> {
        if self.is_empty() {
            return Err(IngestError::Empty { filename: self.filename });
        }
        if self.open.is_none() {
            self.open().await?;
        }
        let Some((file_type, writer)) = self.open else {
            return Err(IngestError::Internal("a file that was opened is not open".to_owned()));
        };
        if writer.finish().await? == Put::Exists {
            return Err(IngestError::Internal(format!("{} is taken", self.id)));
        }
        metrics::counter!("sluice_upload_bytes_total").increment(self.size_bytes);
        Ok(StoredFile {
            id: self.id,
            filename: self.filename,
            file_type,
            size_bytes: self.size_bytes,
            sha256: hexadecimal(&self.hash.finalize()),
            text: None,
        })
    }

    /// Recognises the format and writes what was held back for that.
    async fn open(&mut self) -> Result<&mut BlobWriter, IngestError> {
        let head = std::mem::take(&mut self.head);
        let declared = self.content_type.as_deref();
        let Some(file_type) = FileType::sniff(&head, &self.filename, declared) else {
            let (filename, looks_like) = (self.filename.clone(), signature::describe(&head));
            return Err(IngestError::UnsupportedFormat { filename, looks_like });
        };
        let mut writer = self.blobs.writer(&BlobKey::source(&self.id)).await?;
        writer.write(head.into()).await?;
        Ok(&mut self.open.insert((file_type, writer)).1)
    }
}

/// Removes files that no document will own. `sluice reconcile` finds those that cannot be removed
/// now.
pub(crate) async fn discard(blobs: &Blobs, files: &[StoredFile]) {
    for file in files {
        if let Err(error) = blobs.delete_folder(&BlobKey::folder(&file.id)).await {
            tracing::warn!(%error, document = %file.id, "a refused upload stays in storage");
        }
    }
}
