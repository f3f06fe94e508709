//! Writing an object once. Every object carries a token of its writer, so that a writer whose
//! answer was lost, and whose second try finds the name taken, recognises its own object.

use super::{S3Blobs, failed, io_error, present, status};
use crate::blob::{BlobError, BlobKey, Put};
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::put_object::PutObjectError,
    types::ChecksumAlgorithm,
};
use bytes::Bytes;
use std::{sync::atomic::Ordering, time::Duration};
use uuid::Uuid;

/// The name of the token among an object's metadata.
pub(super) const TOKEN: &str = "sluice-writer";

/// How often a write is tried that collides with another one of the same name.
pub(super) const CONFLICTS_MAX: u32 = 5;

/// How long to wait after the first collision; each one after it waits longer.
pub(super) const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// A fresh token.
pub(super) fn token() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Whether the name is taken.
pub(super) fn is_taken<E>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == 412
}

/// Whether another writer of the same name is active now.
pub(super) fn is_conflict<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == 409
        && matches!(error.code(), Some("ConditionalRequestConflict" | "OperationAborted"))
}

impl S3Blobs {
    pub(in crate::blob) async fn put_if_absent(
        &self,
        key: &BlobKey,
        bytes: Bytes,
    ) -> Result<Put, BlobError> {
        self.put(key, &token(), bytes).await
    }

    pub(super) async fn put(
        &self,
        key: &BlobKey,
        token: &str,
        bytes: Bytes,
    ) -> Result<Put, BlobError> {
        if self.is_taken_already(key).await? {
            return Ok(Put::Exists);
        }
        let mut conflicts = 0;
        loop {
            let sent = self.send(key, token, bytes.clone(), self.is_conditional()).await?;
            match sent {
                Ok(()) => return Ok(Put::Stored),
                Err(error) if is_taken(&error) => return self.whose(key, token).await,
                Err(error) if is_conflict(&error) && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    tokio::time::sleep(CONFLICT_PAUSE * conflicts).await;
                }
                Err(error) => return Err(failed("store", key)(io_error(error))),
            }
        }
    }

    /// One `PutObject`, and what the server said to it.
    pub(super) async fn send(
        &self,
        key: &BlobKey,
        token: &str,
        bytes: Bytes,
        conditional: bool,
    ) -> Result<Result<(), SdkError<PutObjectError, HttpResponse>>, BlobError> {
        let request = self.client().await?.put_object().bucket(self.bucket()).key(self.name(key));
        let request = request
            .metadata(TOKEN, token)
            .set_if_none_match(conditional.then(|| "*".to_owned()))
            .set_checksum_algorithm(self.checksum())
            .body(bytes.into());
        Ok(request.send().await.map(drop))
    }

    /// Whether writes say `If-None-Match: *`. Where the configuration allows a server that ignores
    /// it, or refuses it, that is so only once the probe has seen it honoured.
    pub(super) fn is_conditional(&self) -> bool {
        !self.0.address.unconditional || self.0.honoured.load(Ordering::Relaxed)
    }

    /// Looks before it writes, where the server cannot be told not to overwrite.
    pub(super) async fn is_taken_already(&self, key: &BlobKey) -> Result<bool, BlobError> {
        Ok(!self.is_conditional() && self.writer_of(key).await?.is_some())
    }

    /// A name is taken: by ourselves, on a try whose answer was lost, or by another.
    pub(super) async fn whose(&self, key: &BlobKey, token: &str) -> Result<Put, BlobError> {
        let ours = self.writer_of(key).await?.is_some_and(|writer| writer == token);
        Ok(if ours { Put::Stored } else { Put::Exists })
    }

    /// The token of the object, empty when it has none, or `None` when there is no object.
    async fn writer_of(&self, key: &BlobKey) -> Result<Option<String>, BlobError> {
        let request = self.client().await?.head_object();
        let answer = request.bucket(self.bucket()).key(self.name(key)).send().await;
        let head = present(answer).map_err(failed("look for", key))?;
        let token = |metadata: std::collections::HashMap<String, String>| {
            metadata.get(TOKEN).cloned().unwrap_or_default()
        };
        Ok(head.map(|head| head.metadata.map(token).unwrap_or_default()))
    }

    pub(super) fn checksum(&self) -> Option<ChecksumAlgorithm> {
        self.0.address.checksums.then_some(ChecksumAlgorithm::Crc32)
    }
}
