//! Bytes by key, written once: sources, texts, replies, results. A stored object never changes.
//!
//! It must know nothing of what the bytes mean.

pub mod dir;
pub mod s3;

use crate::{document::DocumentId, schema::SchemaRef, trust};
use bytes::Bytes;
use dir::{DirBlobs, DirWriter};
use futures::stream::BoxStream;
use jiff::Timestamp;
use s3::{S3Blobs, S3Writer};
use std::{fmt, io::ErrorKind, time::Duration};

/// The name of an object. Every kind of key is built here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// The file as it was uploaded.
    pub fn source(document: &DocumentId) -> Self {
        Self(format!("documents/{document}/source"))
    }

    /// A copy of the document's row, from which a lost database can be rebuilt.
    pub fn about(document: &DocumentId) -> Self {
        Self(format!("documents/{document}/about"))
    }

    /// A schema, for the same purpose.
    pub fn schema(schema: &SchemaRef) -> Self {
        Self(format!("schemas/{schema}"))
    }

    /// The text that `engine` read from the file.
    pub fn text(document: &DocumentId, engine: &str) -> Self {
        let legal = |c: char| if c.is_ascii_alphanumeric() || ".+-_".contains(c) { c } else { '_' };
        Self(format!("documents/{document}/text-{}", engine.chars().map(legal).collect::<String>()))
    }

    /// The extraction of a run.
    pub fn result(document: &DocumentId, run: u32) -> Self {
        Self(format!("documents/{document}/result-{run}"))
    }

    /// The folder of everything that belongs to one document alone.
    pub fn folder(document: &DocumentId) -> Self {
        Self(format!("documents/{document}"))
    }

    /// The raw reply to a question; `question` is its key in hexadecimal digits.
    pub fn reply(question: &str) -> Self {
        Self(format!("replies/{}/{question}", question.get(..2).unwrap_or("00")))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Storage does not answer or refused: try again later.
#[derive(Debug, thiserror::Error)]
#[error("storage: cannot {action} {key}: {source}")]
pub struct BlobError {
    action: &'static str,
    key: String,
    source: std::io::Error,
}

impl BlobError {
    /// Whether a retry is useless: a setting has to be changed first.
    pub fn is_a_setting(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
    }

    /// Whether storage will answer the same again: a key, a name, a right or a certificate is
    /// wrong.
    pub fn is_lasting(&self) -> bool {
        let kind = self.source.kind();
        let refuses = matches!(kind, ErrorKind::PermissionDenied | ErrorKind::NotFound);
        self.is_a_setting() || refuses || trust::is_refused(&self.source.to_string())
    }
}

/// An upload in parts that began longer ago than this does not go on.
pub const STALE: Duration = Duration::from_secs(24 * 3600);

/// An object, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: BlobKey,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// When it was stored.
    pub modified: Timestamp,
}

/// The outcome of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// These bytes are stored now.
    Stored,
    /// The name was taken: the object that is there stays.
    Exists,
}

/// Where objects are kept, chosen by the configuration.
#[derive(Clone, Debug)]
pub enum Blobs {
    /// Files in a folder.
    Dir(DirBlobs),
    /// Objects in a bucket.
    S3(S3Blobs),
}

impl Blobs {
    /// Stores `bytes` unless there is an object of this name.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn put_if_absent(&self, key: &BlobKey, bytes: Bytes) -> Result<Put, BlobError> {
        match self {
            Self::Dir(dir) => dir.put_if_absent(key, bytes).await,
            Self::S3(s3) => s3.put_if_absent(key, bytes).await,
        }
    }

    /// Starts a streamed upload. Nothing is visible before [`BlobWriter::finish`]; a writer that
    /// is dropped leaves nothing.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn writer(&self, key: &BlobKey) -> Result<BlobWriter, BlobError> {
        match self {
            Self::Dir(dir) => Ok(BlobWriter::Dir(dir.writer(key).await?)),
            Self::S3(s3) => Ok(BlobWriter::S3(s3.writer(key))),
        }
    }

    /// The whole object, or `None` when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>, BlobError> {
        match self {
            Self::Dir(dir) => dir.get(key).await,
            Self::S3(s3) => s3.get(key).await,
        }
    }

    /// The object as a stream, or `None` when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn stream(
        &self,
        key: &BlobKey,
    ) -> Result<Option<BoxStream<'static, std::io::Result<Bytes>>>, BlobError> {
        match self {
            Self::Dir(dir) => dir.stream(key).await,
            Self::S3(s3) => s3.stream(key).await,
        }
    }

    /// Removes the object; it is no error when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.delete(key).await,
            Self::S3(s3) => s3.delete(key).await,
        }
    }

    /// Removes every object under a folder.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn delete_folder(&self, folder: &BlobKey) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.delete_folder(folder).await,
            Self::S3(s3) => s3.delete_folder(folder).await,
        }
    }

    /// Whether storage keeps the promises that the program needs. Called once, at start.
    ///
    /// # Errors
    /// When it does not, or does not answer; [`BlobError::is_a_setting`] tells which.
    pub async fn probe(&self) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.ready().await,
            Self::S3(s3) => s3.probe().await,
        }
    }

    /// A link from which anybody can read the object for a while, where storage can make one.
    /// `disposition` and `content_type` are headers of the answer. It does not look whether there
    /// is such an object.
    ///
    /// # Errors
    /// When there are no keys to sign it with, or `expires` is longer than a week.
    pub async fn presigned(
        &self,
        key: &BlobKey,
        disposition: &str,
        content_type: &str,
        expires: Duration,
    ) -> Result<Option<String>, BlobError> {
        match self {
            Self::Dir(_) => Ok(None),
            Self::S3(s3) => s3.presigned(key, disposition, content_type, expires).await.map(Some),
        }
    }

    /// The objects under a folder (`documents`, `replies`) in the order of their keys, those after
    /// the key `after`, at most `limit`.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        match self {
            Self::Dir(dir) => dir.list(folder, after, limit).await,
            Self::S3(s3) => s3.list(folder, after, limit).await,
        }
    }

    /// Removes what unfinished uploads have left that began longer ago than `older_than`, and says
    /// how many there were.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn abort_stale_uploads(&self, older_than: Duration) -> Result<u64, BlobError> {
        match self {
            Self::Dir(dir) => dir.abort_stale_uploads(older_than).await,
            Self::S3(s3) => s3.abort_stale_uploads(older_than).await,
        }
    }

    /// Whether storage can be written to now.
    ///
    /// # Errors
    /// When it cannot, and why.
    pub async fn ready(&self) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.ready().await,
            Self::S3(s3) => s3.ready().await,
        }
    }
}

/// A streamed upload under way.
#[derive(Debug)]
pub enum BlobWriter {
    /// Into a folder.
    Dir(DirWriter),
    /// Into a bucket.
    S3(S3Writer),
}

impl BlobWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// When storage does not take it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.write(bytes).await,
            Self::S3(s3) => s3.write(bytes).await,
        }
    }

    /// Makes the object visible, unless there is one of this name.
    ///
    /// # Errors
    /// When storage does not take it.
    pub async fn finish(self) -> Result<Put, BlobError> {
        match self {
            Self::Dir(dir) => dir.finish().await,
            Self::S3(s3) => s3.finish().await,
        }
    }
}
