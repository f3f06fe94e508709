//! Lists the folder, for those who look for files without an owner.

use super::{DirBlobs, INCOMING, blocking, failed, present};
use crate::{
    blob::{BlobError, BlobKey, Listed},
    clock,
};
use jiff::Timestamp;
use std::{io, path::Path, time::Duration};

impl DirBlobs {
    pub(in crate::blob) async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        let error = failed("list", &BlobKey(folder.to_owned()));
        let (root, after) = (self.root.clone(), after.unwrap_or_default().to_owned());
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let list = move || {
            let mut listed = Vec::new();
            walk(&root, &folder, &after, limit, &mut listed)?;
            Ok(listed)
        };
        blocking(list).await.map_err(error)
    }

    pub(in crate::blob) async fn abort_stale_uploads(
        &self,
        older_than: Duration,
    ) -> Result<u64, BlobError> {
        let incoming = self.root.join(INCOMING);
        let begun_before = clock::now() - older_than;
        let remove = move || {
            let mut removed = 0;
            for entry in std::fs::read_dir(incoming)? {
                let entry = entry?;
                // One that is finished meanwhile is gone.
                let Some(about) = present(entry.metadata())? else { continue };
                if modified(&about)? <= begun_before
                    && present(std::fs::remove_file(entry.path()))?.is_some()
                {
                    removed += 1;
                }
            }
            Ok(removed)
        };
        let key = BlobKey(INCOMING.to_owned());
        blocking(remove).await.map_err(failed("remove stale files from", &key))
    }
}

/// Adds the files of `folder`, which ends with a slash, in the order of their whole keys; folders
/// that lie before `after` are not opened.
fn walk(
    root: &Path,
    folder: &str,
    after: &str,
    limit: usize,
    listed: &mut Vec<Listed>,
) -> io::Result<()> {
    let Some(entries) = present(std::fs::read_dir(root.join(folder)))? else { return Ok(()) };
    let mut keys = Vec::new();
    for entry in entries {
        let entry = entry?;
        if folder.is_empty() && entry.file_name() == INCOMING {
            continue;
        }
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        keys.push(format!("{folder}{}{slash}", entry.file_name().to_string_lossy()));
    }
    keys.sort();
    for key in keys {
        if listed.len() >= limit {
            break;
        }
        if key.ends_with('/') {
            if key.as_str() > after || after.starts_with(&key) {
                walk(root, &key, after, limit, listed)?;
            }
        } else if key.as_str() > after {
            let Some(about) = present(std::fs::metadata(root.join(&key)))? else { continue };
            let (size_bytes, modified) = (about.len(), modified(&about)?);
            listed.push(Listed { key: BlobKey(key), size_bytes, modified });
        }
    }
    Ok(())
}

fn modified(about: &std::fs::Metadata) -> io::Result<Timestamp> {
    Timestamp::try_from(about.modified()?).map_err(io::Error::other)
}
