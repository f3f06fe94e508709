//! A streamed upload: one request when it is small, parts when it is not. Two parts at most are in
//! memory, the one that fills and the one that is sent.

use super::{
    S3Blobs, failed, io_error,
    put::{self, CONFLICT_PAUSE, CONFLICTS_MAX, TOKEN, is_conflict, is_taken},
    status,
};
use crate::blob::{BlobError, BlobKey, Put};
use aws_sdk_s3::{
    Client,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use std::io;
use tokio::{runtime::Handle, task::JoinHandle};

/// How large a part is. Some servers want all parts but the last to be of one size.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// How large a part is after the first [`PARTS_SMALL`]: with it 112 GiB fit into one object, and
/// two of them still into 32 MiB of memory.
const PART_BYTES_LATER: usize = 15 * 1024 * 1024;
const PARTS_SMALL: usize = 5_000;

/// The most parts that S3 takes.
const PARTS_MAX: usize = 10_000;

/// How large the part after so many others is.
fn part_bytes(parts: usize) -> usize {
    if parts < PARTS_SMALL { PART_BYTES } else { PART_BYTES_LATER }
}

/// A streamed upload into a bucket.
#[derive(Debug)]
pub struct S3Writer {
    blobs: S3Blobs,
    key: BlobKey,
    token: String,
    part: BytesMut,
    upload: Option<Upload>,
}

impl S3Blobs {
    pub(in crate::blob) fn writer(&self, key: &BlobKey) -> S3Writer {
        let (blobs, key, token) = (self.clone(), key.clone(), put::token());
        S3Writer { blobs, key, token, part: BytesMut::new(), upload: None }
    }
}

impl S3Writer {
    pub(in crate::blob) async fn write(&mut self, mut piece: Bytes) -> Result<(), BlobError> {
        while !piece.is_empty() {
            let size = part_bytes(self.upload.as_ref().map_or(0, |upload| upload.started));
            // Sent only when more follows: a file of exactly one part needs no parts.
            if self.part.len() >= size {
                self.send_part().await?;
                continue;
            }
            let room = size - self.part.len();
            self.part.extend_from_slice(&piece.split_to(room.min(piece.len())));
        }
        Ok(())
    }

    pub(in crate::blob) async fn finish(mut self) -> Result<Put, BlobError> {
        if self.upload.is_none() {
            return self.blobs.put(&self.key, &self.token, self.part.freeze()).await;
        }
        self.send_part().await?;
        let Some(mut upload) = self.upload.take() else { return Ok(Put::Exists) };
        upload.sent().await.map_err(failed("store", &self.key))?;
        if self.blobs.is_taken_already(&self.key).await? {
            return Ok(Put::Exists);
        }
        let mut conflicts = 0;
        loop {
            let conditional = self.blobs.is_conditional().then(|| "*".to_owned());
            let parts = CompletedMultipartUpload::builder().set_parts(Some(upload.parts.clone()));
            let request = upload.client.complete_multipart_upload();
            let request = request.bucket(&upload.bucket).key(&upload.name).upload_id(&upload.id);
            let request = request.multipart_upload(parts.build()).set_if_none_match(conditional);
            match request.send().await {
                Ok(_) => {
                    upload.is_open = false;
                    return Ok(Put::Stored);
                }
                Err(error) if is_taken(&error) || status(&error) == 404 => {
                    // An upload that is gone was completed by a try whose answer was lost.
                    let put = self.blobs.whose(&self.key, &self.token).await?;
                    if put == Put::Exists && !is_taken(&error) {
                        return Err(failed("store", &self.key)(io_error(error)));
                    }
                    upload.is_open = put == Put::Exists;
                    return Ok(put);
                }
                Err(error) if is_conflict(&error) && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    tokio::time::sleep(CONFLICT_PAUSE * conflicts).await;
                }
                Err(error) => return Err(failed("store", &self.key)(io_error(error))),
            }
        }
    }

    async fn send_part(&mut self) -> Result<(), BlobError> {
        let error = failed("store", &self.key);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let upload = Upload::begin(&self.blobs, &self.key, &self.token).await?;
                self.upload.insert(upload)
            }
        };
        // The one before must be through: that is what bounds the memory.
        upload.sent().await.map_err(&error)?;
        let following = part_bytes(upload.started + 1);
        let part = std::mem::replace(&mut self.part, BytesMut::with_capacity(following));
        upload.send(part.freeze(), &self.blobs).map_err(error)
    }
}

/// An upload in parts, which the server keeps until it is completed or aborted.
#[derive(Debug)]
struct Upload {
    client: Client,
    bucket: String,
    name: String,
    id: String,
    parts: Vec<CompletedPart>,
    /// How many parts were handed over to be sent.
    started: usize,
    sending: Option<JoinHandle<io::Result<CompletedPart>>>,
    is_open: bool,
}

impl Upload {
    async fn begin(blobs: &S3Blobs, key: &BlobKey, token: &str) -> Result<Self, BlobError> {
        let (client, bucket) = (blobs.client().await?.clone(), blobs.bucket().to_owned());
        let name = blobs.name(key);
        let request = client.create_multipart_upload().bucket(&bucket).key(&name);
        let request = request.metadata(TOKEN, token).set_checksum_algorithm(blobs.checksum());
        let begun = request.send().await;
        let begun = begun.map_err(|error| failed("store", key)(io_error(error)))?;
        let id = begun.upload_id.ok_or_else(|| {
            failed("store", key)(io::Error::other("the server gave no id to the upload"))
        })?;
        let (parts, sending) = (Vec::new(), None);
        Ok(Self { client, bucket, name, id, parts, started: 0, sending, is_open: true })
    }

    /// Waits until the part that is being sent, if any, is through.
    async fn sent(&mut self) -> io::Result<()> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let sent = sending.await;
        self.sending = None;
        self.parts.push(sent.map_err(io::Error::other)??);
        Ok(())
    }

    fn send(&mut self, part: Bytes, blobs: &S3Blobs) -> io::Result<()> {
        let number = self.started + 1;
        if number > PARTS_MAX {
            return Err(io::Error::other("it is larger than S3 takes in 10,000 parts"));
        }
        let number = i32::try_from(number).map_err(io::Error::other)?;
        let request = self.client.upload_part().bucket(&self.bucket).key(&self.name);
        let request = request.upload_id(&self.id).part_number(number);
        let request = request.set_checksum_algorithm(blobs.checksum()).body(part.into());
        self.started += 1;
        self.sending = Some(tokio::spawn(async move {
            let sent = request.send().await.map_err(io_error)?;
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32(sent.checksum_crc32)
                .build())
        }));
        Ok(())
    }
}

impl Drop for Upload {
    /// Aborts, as well as it can: what a process leaves behind that ends at this moment is found
    /// later, by its age.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.is_open {
            return;
        }
        let request = self.client.abort_multipart_upload();
        let request = request.bucket(&self.bucket).key(&self.name).upload_id(&self.id);
        let sending = self.sending.take();
        runtime.spawn(async move {
            // The server would keep a part that arrives after the abort.
            if let Some(sending) = sending {
                let _ = sending.await;
            }
            if let Err(error) = request.send().await.map_err(io_error) {
                tracing::debug!(%error, "an unfinished upload stays until it is old");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_suffice_for_a_large_file_and_little_memory() {
        let total: usize = (0..PARTS_MAX).map(part_bytes).sum();
        assert!(total > 100 * 1024 * 1024 * 1024);
        assert!(2 * part_bytes(PARTS_MAX) < 32 * 1024 * 1024);
    }
}
