//! From the body of a request to a file in storage: counted, hashed and recognised on the way,
//! refused as soon as that is certain, never whole in memory.
//!
//! It must know nothing of forms, schemas or the database.

mod pieces;
mod seen;

pub(crate) use pieces::{Pieces, unstalled};

use crate::error::{ApiError, Code};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use shared::{
    blob::{BlobKey, BlobWriter, Blobs, Put},
    document::{DocumentId, Format},
    schema::hexadecimal,
};

/// A file that is in storage and belongs to nobody yet.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The id under which its bytes are.
    pub(crate) id: DocumentId,
    /// As the client gave it.
    pub(crate) filename: String,
    /// Found from the content.
    pub(crate) format: Format,
    /// How many bytes there are.
    pub(crate) size_bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

/// A file on its way into storage. Dropped before [`Intake::finish`] it leaves nothing.
#[derive(Debug)]
pub(crate) struct Intake {
    blobs: Blobs,
    size_bytes_max: u64,
    id: DocumentId,
    filename: String,
    /// The first bytes, until there are enough to recognise the format.
    head: Vec<u8>,
    hash: Sha256,
    size_bytes: u64,
    open: Option<(Format, BlobWriter)>,
}

impl Intake {
    /// Starts a file. Nothing is written before its format is known.
    pub(crate) fn new(blobs: Blobs, size_bytes_max: u64, id: DocumentId, filename: String) -> Self {
        Self {
            blobs,
            size_bytes_max,
            id,
            filename,
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

    /// Takes the next piece.
    ///
    /// # Errors
    /// When the file is too large, of an unknown format, or storage does not take it.
    pub(crate) async fn piece(&mut self, piece: Bytes) -> Result<(), ApiError> {
        self.size_bytes = self.size_bytes.saturating_add(piece.len() as u64);
        if self.size_bytes > self.size_bytes_max {
            return Err(too_large(&self.filename, self.size_bytes_max));
        }
        self.hash.update(&piece);
        if let Some((_, writer)) = &mut self.open {
            return Ok(writer.write(piece).await?);
        }
        let missing = Format::SNIFF_BYTES.saturating_sub(self.head.len());
        if piece.len() < missing {
            self.head.extend_from_slice(&piece);
            return Ok(());
        }
        self.head.extend_from_slice(piece.get(..missing).unwrap_or_default());
        let writer = self.open().await?;
        Ok(writer.write(piece.slice(missing..)).await?)
    }

    /// Makes the file visible in storage.
    ///
    /// # Errors
    /// When the file is empty, of an unknown format, or storage does not take it.
    pub(crate) async fn finish(mut self) -> Result<Stored, ApiError> {
        if self.is_empty() {
            let detail = format!("{} has no bytes", self.filename);
            return Err(ApiError::new(Code::EmptyFile, detail));
        }
        if self.open.is_none() {
            self.open().await?;
        }
        let Some((format, writer)) = self.open else {
            return Err(ApiError::internal("a file that was opened is not open"));
        };
        if writer.finish().await? == Put::Exists {
            return Err(ApiError::internal(format!("{} is taken", self.id)));
        }
        metrics::counter!("sluice_upload_bytes_total").increment(self.size_bytes);
        Ok(Stored {
            id: self.id,
            filename: self.filename,
            format,
            size_bytes: self.size_bytes,
            sha256: hexadecimal(&self.hash.finalize()),
        })
    }

    /// Recognises the format and writes what was held back for that.
    async fn open(&mut self) -> Result<&mut BlobWriter, ApiError> {
        let head = std::mem::take(&mut self.head);
        let Some(format) = Format::sniff(&head, &self.filename) else {
            let seen = seen::what(&head);
            let detail = format!("{} looks like {seen}", self.filename);
            let hint = "PDF, HTML, Markdown and plain text (UTF-8) are read; the content decides, \
                        not the name";
            return Err(ApiError::new(Code::UnsupportedFormat, detail).hint(hint));
        };
        let mut writer = self.blobs.writer(&BlobKey::source(&self.id)).await?;
        writer.write(head.into()).await?;
        Ok(&mut self.open.insert((format, writer)).1)
    }
}

/// A file over the limit.
pub(crate) fn too_large(filename: &str, size_bytes_max: u64) -> ApiError {
    let detail = format!("{filename} is larger than {size_bytes_max} bytes");
    ApiError::new(Code::TooLarge, detail).hint("limits.size_bytes_max sets the limit")
}

/// Removes files that nobody will own. What cannot be removed now stays behind unseen, and
/// `sluice reconcile` finds it.
pub(crate) async fn discard(blobs: &Blobs, files: &[Stored]) {
    for file in files {
        if let Err(error) = blobs.delete_folder(&BlobKey::folder(&file.id)).await {
            tracing::warn!(%error, document = %file.id, "a refused upload stays in storage");
        }
    }
}
