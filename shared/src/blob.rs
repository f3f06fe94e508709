//! Bytes by key, written once: sources, texts, replies, results. A stored object never changes.
//!
//! It must know nothing of what the bytes mean.

pub mod dir;
pub mod s3;

use crate::{document::DocumentId, schema::SchemaRef, trust};
use bytes::Bytes;
use dir::{DirBlobs, DirWriter};
use futures::{
    FutureExt, TryFutureExt,
    future::{self, BoxFuture},
    stream::BoxStream,
};
use jiff::Timestamp;
use s3::{S3Blobs, S3Writer};
use serde::{Deserialize, Serialize};
use std::{fmt, io::ErrorKind, time::Duration};

/// The name of an object. Every kind of key is built here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobKey(String);

impl BlobKey {
    /// The file as it was uploaded.
    pub fn source(document: &DocumentId) -> Self {
        Self(format!("documents/{document}/source"))
    }

    /// A file that `parent` carries, of which the document `child` is made. It belongs to the parent,
    /// whose file holds the same bytes, and goes with it.
    pub fn member(parent: &DocumentId, child: &DocumentId) -> Self {
        Self(format!("documents/{parent}/member-{child}"))
    }

    /// A key that was kept.
    pub(crate) fn kept(text: &str) -> Self {
        Self(text.to_owned())
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

/// What a verb of storage returns. Boxed, because the code of an `async fn` is generated again in
/// each crate that awaits it, here with all of the client library below.
pub type BlobFuture<'a, T> = BoxFuture<'a, Result<T, BlobError>>;

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
    pub fn put_if_absent<'a>(&'a self, key: &'a BlobKey, bytes: Bytes) -> BlobFuture<'a, Put> {
        match self {
            Self::Dir(dir) => dir.put_if_absent(key, bytes).boxed(),
            Self::S3(s3) => s3.put_if_absent(key, bytes).boxed(),
        }
    }

    /// Starts a streamed upload. Nothing is visible before [`BlobWriter::finish`]; a writer that
    /// is dropped leaves nothing.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn writer<'a>(&'a self, key: &'a BlobKey) -> BlobFuture<'a, BlobWriter> {
        match self {
            Self::Dir(dir) => dir.writer(key).map_ok(BlobWriter::Dir).boxed(),
            Self::S3(s3) => future::ok(BlobWriter::S3(s3.writer(key))).boxed(),
        }
    }

    /// The whole object, or `None` when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn get<'a>(&'a self, key: &'a BlobKey) -> BlobFuture<'a, Option<Bytes>> {
        match self {
            Self::Dir(dir) => dir.get(key).boxed(),
            Self::S3(s3) => s3.get(key).boxed(),
        }
    }

    /// The object as a stream, or `None` when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn stream<'a>(
        &'a self,
        key: &'a BlobKey,
    ) -> BlobFuture<'a, Option<BoxStream<'static, std::io::Result<Bytes>>>> {
        match self {
            Self::Dir(dir) => dir.stream(key).boxed(),
            Self::S3(s3) => s3.stream(key).boxed(),
        }
    }

    /// Removes the object; it is no error when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn delete<'a>(&'a self, key: &'a BlobKey) -> BlobFuture<'a, ()> {
        match self {
            Self::Dir(dir) => dir.delete(key).boxed(),
            Self::S3(s3) => s3.delete(key).boxed(),
        }
    }

    /// Removes every object under a folder.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn delete_folder<'a>(&'a self, folder: &'a BlobKey) -> BlobFuture<'a, ()> {
        match self {
            Self::Dir(dir) => dir.delete_folder(folder).boxed(),
            Self::S3(s3) => s3.delete_folder(folder).boxed(),
        }
    }

    /// Whether storage keeps the promises that the program needs. Called once, at start.
    ///
    /// # Errors
    /// When it does not, or does not answer; [`BlobError::is_a_setting`] tells which.
    pub fn probe(&self) -> BlobFuture<'_, ()> {
        match self {
            Self::Dir(dir) => dir.ready().boxed(),
            Self::S3(s3) => s3.probe().boxed(),
        }
    }

    /// A link from which anybody can read the object for a while, where storage can make one.
    /// `disposition` and `content_type` are headers of the answer. It does not look whether there
    /// is such an object.
    ///
    /// # Errors
    /// When there are no keys to sign it with, or `expires` is longer than a week.
    pub fn presigned<'a>(
        &'a self,
        key: &'a BlobKey,
        disposition: &'a str,
        content_type: &'a str,
        expires: Duration,
    ) -> BlobFuture<'a, Option<String>> {
        match self {
            Self::Dir(_) => future::ok(None).boxed(),
            Self::S3(s3) => {
                s3.presigned(key, disposition, content_type, expires).map_ok(Some).boxed()
            }
        }
    }

    /// The objects under a folder (`documents`, `replies`) in the order of their keys, those after
    /// the key `after`, at most `limit`.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn list<'a>(
        &'a self,
        folder: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BlobFuture<'a, Vec<Listed>> {
        match self {
            Self::Dir(dir) => dir.list(folder, after, limit).boxed(),
            Self::S3(s3) => s3.list(folder, after, limit).boxed(),
        }
    }

    /// Removes what unfinished uploads have left that began longer ago than `older_than`, and says
    /// how many there were.
    ///
    /// # Errors
    /// When storage does not answer.
    pub fn abort_stale_uploads(&self, older_than: Duration) -> BlobFuture<'_, u64> {
        match self {
            Self::Dir(dir) => dir.abort_stale_uploads(older_than).boxed(),
            Self::S3(s3) => s3.abort_stale_uploads(older_than).boxed(),
        }
    }

    /// Whether storage can be written to now.
    ///
    /// # Errors
    /// When it cannot, and why.
    pub fn ready(&self) -> BlobFuture<'_, ()> {
        match self {
            Self::Dir(dir) => dir.ready().boxed(),
            Self::S3(s3) => s3.ready().boxed(),
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
    pub fn write(&mut self, bytes: Bytes) -> BlobFuture<'_, ()> {
        match self {
            Self::Dir(dir) => dir.write(bytes).boxed(),
            Self::S3(s3) => s3.write(bytes).boxed(),
        }
    }

    /// Makes the object visible, unless there is one of this name.
    ///
    /// # Errors
    /// When storage does not take it.
    pub fn finish(self) -> BlobFuture<'static, Put> {
        match self {
            Self::Dir(dir) => dir.finish().boxed(),
            Self::S3(s3) => s3.finish().boxed(),
        }
    }
}
