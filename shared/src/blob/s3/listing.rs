//! Lists the bucket, for those who look for objects and uploads without an owner.

use super::{S3Blobs, failed, io_error};
use crate::{
    blob::{BlobError, BlobKey, Listed},
    clock,
};
use aws_sdk_s3::primitives::DateTime;
use jiff::Timestamp;
use std::time::Duration;

/// The most objects that a server lists in one answer.
const PAGE_MAX: usize = 1_000;

impl S3Blobs {
    pub(in crate::blob) async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        let error = failed("list", &BlobKey(folder.to_owned()));
        // The names have the prefix and a slash in front of the key.
        let outside = self.within("").len();
        let mut listed: Vec<Listed> = Vec::new();
        while listed.len() < limit {
            let page = PAGE_MAX.min(limit - listed.len());
            let last = listed.last().map(|listed| listed.key.as_str()).or(after);
            let request = self.client().await?.list_objects_v2().bucket(self.bucket());
            let request = request
                .prefix(self.inside(folder))
                .set_start_after(last.map(|last| self.within(last)))
                .max_keys(i32::try_from(page).unwrap_or(1));
            let page = request.send().await.map_err(|source| error(io_error(source)))?;
            let is_last = page.is_truncated != Some(true) || page.contents().is_empty();
            for object in page.contents.into_iter().flatten() {
                let name = object.key.unwrap_or_default();
                listed.push(Listed {
                    key: BlobKey(name.get(outside..).unwrap_or_default().to_owned()),
                    size_bytes: object.size.and_then(|size| size.try_into().ok()).unwrap_or(0),
                    modified: timestamp(object.last_modified),
                });
            }
            if is_last {
                break;
            }
        }
        Ok(listed)
    }

    pub(in crate::blob) async fn abort_stale_uploads(
        &self,
        older_than: Duration,
    ) -> Result<u64, BlobError> {
        let error = failed("list", &BlobKey("unfinished uploads".to_owned()));
        let client = self.client().await?;
        let begun_before = clock::now() - older_than;
        let (mut key_marker, mut id_marker, mut aborted) = (None, None, 0);
        loop {
            let request = client.list_multipart_uploads().bucket(self.bucket());
            // The bucket may have other users; only sources are ever written in parts.
            let request = request.prefix(self.inside("documents"));
            let request = request.set_key_marker(key_marker).set_upload_id_marker(id_marker);
            let page = request.send().await.map_err(|source| error(io_error(source)))?;
            for upload in page.uploads() {
                // One of unknown age is left alone.
                let is_old = upload.initiated().is_some()
                    && timestamp(upload.initiated().copied()) <= begun_before;
                if !is_old {
                    continue;
                }
                let request = client.abort_multipart_upload().bucket(self.bucket());
                let request = request
                    .set_key(upload.key().map(str::to_owned))
                    .set_upload_id(upload.upload_id().map(str::to_owned));
                let gone = super::present(request.send().await).map_err(&error)?;
                aborted += u64::from(gone.is_some());
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || key_marker.is_none() {
                return Ok(aborted);
            }
        }
    }
}

fn timestamp(time: Option<DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::from_second(time.secs()).ok()).unwrap_or_default()
}
