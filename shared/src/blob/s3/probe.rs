//! Whether the server keeps the promise on which "written once" rests.

use super::{S3Blobs, io_error, put, status};
use crate::blob::{BlobError, BlobKey};
use bytes::Bytes;
use std::{io, sync::atomic::Ordering};
use uuid::Uuid;

const IGNORED: &str = "the server does not honour If-None-Match, so two workers could overwrite \
    each other's results: use a server that does (AWS S3 and current MinIO do), or add \
    unconditional=true to the storage's URL and live with that";

impl S3Blobs {
    /// Writes an object twice: the second time must be refused.
    pub(in crate::blob) async fn probe(&self) -> Result<(), BlobError> {
        let key = BlobKey(format!("probe/{}", Uuid::new_v4().simple()));
        let honoured = self.refuses_second(&key).await;
        let removed = self.delete(&key).await;
        let honoured = honoured?;
        removed?;
        self.0.honoured.store(honoured, Ordering::Relaxed);
        match (honoured, self.0.address.unconditional) {
            (true, false) => {}
            (true, true) => tracing::info!(
                "the storage honours If-None-Match: unconditional=true is not needed"
            ),
            (false, true) => tracing::warn!(
                "the storage does not honour If-None-Match: an object may be overwritten where \
                 two write it at once"
            ),
            (false, false) => {
                return Err(self.bucket_error(io::Error::new(io::ErrorKind::Unsupported, IGNORED)));
            }
        }
        Ok(())
    }

    async fn refuses_second(&self, key: &BlobKey) -> Result<bool, BlobError> {
        for bytes in [&b"one"[..], b"two"] {
            match self.send(key, &put::token(), Bytes::from_static(bytes), true).await? {
                Ok(()) => {}
                Err(error) if put::is_taken(&error) => return Ok(true),
                // Servers that do not know the header may say so.
                Err(error) if status(&error) == 501 => return Ok(false),
                Err(error) => return Err(self.bucket_error(io_error(error))),
            }
        }
        Ok(false)
    }
}
