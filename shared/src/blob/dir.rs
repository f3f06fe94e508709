//! Objects as files in a folder. A file is written temp, synced, and linked into place, which
//! fails when the name is taken: the file system's form of `If-None-Match: *`.

mod listing;

use super::{BlobError, BlobKey, Put};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

/// The folder of files that are being written.
const INCOMING: &str = "incoming";

/// A streamed file of at most this many bytes is written in one go, when it is complete.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// Files in a folder.
#[derive(Clone, Debug)]
pub struct DirBlobs {
    root: Arc<PathBuf>,
}

impl DirBlobs {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        let temp = root.join(INCOMING);
        std::fs::create_dir_all(&temp).map_err(|source| BlobError {
            action: "make the folder",
            key: temp.display().to_string(),
            source,
        })?;
        Ok(Self { root: Arc::new(root.to_owned()) })
    }

    pub(super) async fn put_if_absent(
        &self,
        key: &BlobKey,
        bytes: Bytes,
    ) -> Result<Put, BlobError> {
        let (temp, path) = (self.temp_path(), self.path(key));
        let write = move || write_new(&temp, &path, &bytes);
        blocking(write).await.map_err(failed("store", key))
    }

    pub(super) async fn writer(&self, key: &BlobKey) -> Result<DirWriter, BlobError> {
        let (temp, path, key) = (TempFile(self.temp_path()), self.path(key), key.clone());
        Ok(DirWriter { held: Vec::new(), file: None, temp, path, key })
    }

    pub(super) async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>, BlobError> {
        let read = tokio::fs::read(self.path(key)).await;
        present(read.map(Bytes::from)).map_err(failed("read", key))
    }

    pub(super) async fn stream(
        &self,
        key: &BlobKey,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, BlobError> {
        let file = present(tokio::fs::File::open(self.path(key)).await);
        let file = file.map_err(failed("read", key))?;
        Ok(file.map(|file| ReaderStream::with_capacity(file, 64 * 1024).boxed()))
    }

    pub(super) async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        let gone = present(tokio::fs::remove_file(self.path(key)).await);
        gone.map(drop).map_err(failed("delete", key))
    }

    pub(super) async fn delete_folder(&self, folder: &BlobKey) -> Result<(), BlobError> {
        /// A worker may write into the folder while it is emptied.
        const TRIES: u32 = 5;
        let path = self.path(folder);
        let mut tries = 0;
        loop {
            tries += 1;
            match present(tokio::fs::remove_dir_all(&path).await) {
                Err(error) if tries < TRIES && error.kind() == ErrorKind::DirectoryNotEmpty => {}
                gone => return gone.map(drop).map_err(failed("delete", folder)),
            }
        }
    }

    pub(super) async fn ready(&self) -> Result<(), BlobError> {
        let temp = self.temp_path();
        let key = BlobKey(INCOMING.to_owned());
        let probe = move || {
            std::fs::File::create_new(&temp)?;
            std::fs::remove_file(&temp)
        };
        blocking(probe).await.map_err(failed("write to", &key))
    }

    fn path(&self, key: &BlobKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn temp_path(&self) -> PathBuf {
        self.root.join(INCOMING).join(Uuid::new_v4().simple().to_string())
    }
}

/// A file that is being written temp; removed when dropped.
#[derive(Debug)]
struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        // A stale file temp does no harm beyond its size.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A streamed upload into a folder.
#[derive(Debug)]
pub struct DirWriter {
    /// The bytes so far, while they are few.
    held: Vec<u8>,
    file: Option<tokio::fs::File>,
    temp: TempFile,
    path: PathBuf,
    key: BlobKey,
}

impl DirWriter {
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.append(&bytes).await.map_err(failed("store", &self.key))
    }

    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.held.len() + bytes.len() <= HELD_BYTES_MAX {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tokio::fs::File::create_new(&self.temp.0).await?),
        };
        file.write_all(&std::mem::take(&mut self.held)).await?;
        file.write_all(bytes).await
    }

    pub(super) async fn finish(self) -> Result<Put, BlobError> {
        let Self { held, file, temp, path, key } = self;
        let put = match file {
            None => blocking(move || write_new(&temp.0, &path, &held)).await,
            Some(file) => link_synced(file, temp, path).await,
        };
        put.map_err(failed("store", &key))
    }
}

async fn link_synced(mut file: tokio::fs::File, temp: TempFile, path: PathBuf) -> io::Result<Put> {
    file.flush().await?;
    file.sync_all().await?;
    blocking(move || link_new(&temp.0, &path)).await
}

/// Writes and syncs `temp`, links it to `path` unless that name is taken, and removes it.
fn write_new(temp: &Path, path: &Path, bytes: &[u8]) -> io::Result<Put> {
    let mut file = std::fs::File::create_new(temp)?;
    let put =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| link_new(temp, path));
    // Nothing depends on the name temp; a crash leaves at most one stale file.
    let _ = std::fs::remove_file(temp);
    put
}

/// Links `temp` to `path` unless that name is taken, and syncs the folder so that the name
/// survives a power cut.
fn link_new(temp: &Path, path: &Path) -> io::Result<Put> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut linked = std::fs::hard_link(temp, path);
    if linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        std::fs::create_dir_all(folder)?;
        linked = std::fs::hard_link(temp, path);
    }
    match linked {
        Ok(()) => {
            std::fs::File::open(folder)?.sync_all()?;
            // The folder itself may be new.
            if let Some(above) = folder.parent() {
                std::fs::File::open(above)?.sync_all()?;
            }
            Ok(Put::Stored)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
        Err(error) => Err(error),
    }
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn failed(action: &'static str, key: &BlobKey) -> impl Fn(io::Error) -> BlobError + use<> {
    let key = key.to_string();
    move |source| BlobError { action, key: key.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> BlobKey {
        BlobKey(format!("things/{name}"))
    }

    #[tokio::test]
    async fn an_object_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DirBlobs::open(folder.path()).unwrap();
        let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
        assert_eq!(blobs.put_if_absent(&key("a"), one.clone()).await.unwrap(), Put::Stored);
        assert_eq!(blobs.put_if_absent(&key("a"), two.clone()).await.unwrap(), Put::Exists);
        assert_eq!(blobs.get(&key("a")).await.unwrap(), Some(one));
        let mut writer = blobs.writer(&key("a")).await.unwrap();
        writer.write(two).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), Put::Exists);
        assert_eq!(blobs.get(&key("b")).await.unwrap(), None);
        blobs.delete(&key("a")).await.unwrap();
        blobs.delete(&key("a")).await.unwrap();
        assert_eq!(blobs.get(&key("a")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn of_many_writers_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DirBlobs::open(folder.path()).unwrap();
        let put = |n: u8| {
            let blobs = blobs.clone();
            async move { blobs.put_if_absent(&key("race"), Bytes::from(vec![n])).await.unwrap() }
        };
        let puts = futures::future::join_all((0..32).map(put)).await;
        assert_eq!(puts.iter().filter(|put| **put == Put::Stored).count(), 1);
    }

    #[tokio::test]
    async fn a_streamed_file_is_whole_whether_it_was_held_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DirBlobs::open(folder.path()).unwrap();
        for (name, pieces) in [("none", 0), ("few", 3), ("many", 40)] {
            let mut writer = blobs.writer(&key(name)).await.unwrap();
            for n in 0..pieces {
                writer.write(Bytes::from(vec![n; 10_000])).await.unwrap();
            }
            assert_eq!(writer.finish().await.unwrap(), Put::Stored);
            let whole: Vec<u8> = (0..pieces).flat_map(|n| vec![n; 10_000]).collect();
            assert_eq!(blobs.get(&key(name)).await.unwrap(), Some(Bytes::from(whole)));
        }
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_writer_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DirBlobs::open(folder.path()).unwrap();
        let mut writer = blobs.writer(&key("gone")).await.unwrap();
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        drop(writer);
        assert_eq!(blobs.get(&key("gone")).await.unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }
}
