//! Bytes by key, written once: sources, texts, replies, results. Nothing that is stored is ever
//! changed; it is there or not.
//!
//! It must know nothing of what the bytes mean.

pub mod dir;

use crate::document::DocumentId;
use bytes::Bytes;
use dir::{DirBlobs, DirWriter};
use futures::stream::BoxStream;
use std::fmt;

/// The name of an object. Every kind of key is built here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// The file as it was uploaded.
    pub fn source(document: &DocumentId) -> Self {
        Self(format!("documents/{document}/source"))
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

/// Storage could not do what it was asked: try again later.
#[derive(Debug, thiserror::Error)]
#[error("storage: cannot {action} {key}: {source}")]
pub struct BlobError {
    action: &'static str,
    key: String,
    source: std::io::Error,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// These bytes are stored now.
    Stored,
    /// Somebody was first: the object that is there stays.
    Exists,
}

/// Where objects are kept, chosen by the configuration.
#[derive(Clone, Debug)]
pub enum Blobs {
    /// Files in a folder.
    Dir(DirBlobs),
}

impl Blobs {
    /// Stores `bytes` unless there is an object of this name.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn put_if_absent(&self, key: &BlobKey, bytes: Bytes) -> Result<Put, BlobError> {
        match self {
            Self::Dir(dir) => dir.put_if_absent(key, bytes).await,
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
        }
    }

    /// The whole object, or `None` when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>, BlobError> {
        match self {
            Self::Dir(dir) => dir.get(key).await,
        }
    }

    /// The object in pieces, or `None` when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn stream(
        &self,
        key: &BlobKey,
    ) -> Result<Option<BoxStream<'static, std::io::Result<Bytes>>>, BlobError> {
        match self {
            Self::Dir(dir) => dir.stream(key).await,
        }
    }

    /// Removes the object; it is no error when there is none.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.delete(key).await,
        }
    }

    /// Removes every object under a folder.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn delete_folder(&self, folder: &BlobKey) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.delete_folder(folder).await,
        }
    }

    /// Whether storage can be written to now.
    ///
    /// # Errors
    /// When it cannot, and why.
    pub async fn ready(&self) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.ready().await,
        }
    }
}

/// A streamed upload under way.
#[derive(Debug)]
pub enum BlobWriter {
    /// Into a folder.
    Dir(DirWriter),
}

impl BlobWriter {
    /// Appends a piece.
    ///
    /// # Errors
    /// When storage does not take it.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), BlobError> {
        match self {
            Self::Dir(dir) => dir.write(piece).await,
        }
    }

    /// Makes the object visible, unless there is one of this name.
    ///
    /// # Errors
    /// When storage does not take it.
    pub async fn finish(self) -> Result<Put, BlobError> {
        match self {
            Self::Dir(dir) => dir.finish().await,
        }
    }
}
