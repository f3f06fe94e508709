//! Reads files that open only with a password, before they are accepted. The password is used here and
//! kept nowhere; what is kept is the text, as of every document.
//!
//! It must know nothing of HTTP.

use crate::ingest::StoredFile;
use bytes::Bytes;
use reader::{FileType, Format, Pages, TextError, TextReader};
use shared::{
    blob::{BlobError, BlobKey, Blobs},
    config::Secret,
    store::SavedText,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many files are read at once. Each is in memory as a whole.
const AT_ONCE: usize = 2;

/// Why a file was not opened. The messages begin with its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnlockError {
    /// It needs another password.
    #[error("{filename} does not open with this password")]
    WrongPassword { filename: String },
    /// It opens, and cannot be read.
    #[error("{filename} opens with its password and cannot be read: {error}")]
    Unreadable { filename: String, error: TextError },
    /// No process could be started to read it.
    #[error("{0}")]
    Unavailable(TextError),
    /// Storage does not answer.
    #[error(transparent)]
    Storage(#[from] BlobError),
}

/// Opens files with passwords.
#[derive(Debug)]
pub(crate) struct Unlocking {
    text: Arc<TextReader>,
    turns: Semaphore,
}

impl Unlocking {
    pub(crate) fn new(text: Arc<TextReader>) -> Self {
        Self { text, turns: Semaphore::new(AT_ONCE) }
    }

    /// Reads and saves the text of each file that opens only with this password.
    ///
    /// # Errors
    /// When one cannot be opened or read.
    pub(crate) async fn unlock(
        &self,
        blobs: &Blobs,
        files: &mut [StoredFile],
        password: &Secret,
    ) -> Result<(), UnlockError> {
        for file in files.iter_mut().filter(|file| file.file_type.format == Format::Pdf) {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            let bytes = blobs.get(&BlobKey::source(&file.id)).await?.unwrap_or_default();
            let Some(pages) = self.read(&file.filename, bytes, file.file_type, password).await?
            else {
                continue;
            };
            // Pages always serialise.
            let json = serde_json::to_vec(&pages).unwrap_or_default();
            blobs.put_if_absent(&BlobKey::text(&file.id, &pages.engine), json.into()).await?;
            let count = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
            file.text = Some(SavedText { engine: pages.engine, pages: count });
        }
        Ok(())
    }

    /// The text of a file that opens only with a password; none of one that opens without.
    async fn read(
        &self,
        filename: &str,
        bytes: Bytes,
        file_type: FileType,
        password: &Secret,
    ) -> Result<Option<Pages>, UnlockError> {
        // What else is wrong with it is for the worker to say.
        if !self.text.is_locked(&bytes, file_type).await.map_err(UnlockError::Unavailable)? {
            return Ok(None);
        }
        let filename = filename.to_owned();
        let read = self.text.read_locked(&bytes, file_type, password.expose()).await;
        read.map(Some).map_err(|error| match error {
            TextError::PasswordRequired => UnlockError::WrongPassword { filename },
            TextError::Unavailable(_) => UnlockError::Unavailable(error),
            error => UnlockError::Unreadable { filename, error },
        })
    }
}
