//! Objects as files in a folder. A file is written aside, synced, and linked into place, which
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

/// A file that is no longer is written in one go.
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
        let aside = root.join(INCOMING);
        std::fs::create_dir_all(&aside).map_err(|source| BlobError {
            action: "make the folder",
            key: aside.display().to_string(),
            source,
        })?;
        Ok(Self { root: Arc::new(root.to_owned()) })
    }

    pub(super) async fn put_if_absent(
        &self,
        key: &BlobKey,
        bytes: Bytes,
    ) -> Result<Put, BlobError> {
        let (aside, place) = (self.aside(), self.place(key));
        let write = move || write_new(&aside, &place, &bytes);
        blocking(write).await.map_err(failed("store", key))
    }

    pub(super) async fn writer(&self, key: &BlobKey) -> Result<DirWriter, BlobError> {
        let (aside, place, key) = (Aside(self.aside()), self.place(key), key.clone());
        Ok(DirWriter { held: Vec::new(), file: None, aside, place, key })
    }

    pub(super) async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>, BlobError> {
        let read = tokio::fs::read(self.place(key)).await;
        present(read.map(Bytes::from)).map_err(failed("read", key))
    }

    pub(super) async fn stream(
        &self,
        key: &BlobKey,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, BlobError> {
        let file = present(tokio::fs::File::open(self.place(key)).await);
        let file = file.map_err(failed("read", key))?;
        Ok(file.map(|file| ReaderStream::with_capacity(file, 64 * 1024).boxed()))
    }

    pub(super) async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        let gone = present(tokio::fs::remove_file(self.place(key)).await);
        gone.map(drop).map_err(failed("delete", key))
    }

    pub(super) async fn delete_folder(&self, folder: &BlobKey) -> Result<(), BlobError> {
        /// A worker may write into the folder while it is emptied.
        const TRIES: u32 = 5;
        let place = self.place(folder);
        let mut tries = 0;
        loop {
            tries += 1;
            match present(tokio::fs::remove_dir_all(&place).await) {
                Err(error) if tries < TRIES && error.kind() == ErrorKind::DirectoryNotEmpty => {}
                gone => return gone.map(drop).map_err(failed("delete", folder)),
            }
        }
    }

    pub(super) async fn ready(&self) -> Result<(), BlobError> {
        let aside = self.aside();
        let key = BlobKey(INCOMING.to_owned());
        let probe = move || {
            std::fs::File::create_new(&aside)?;
            std::fs::remove_file(&aside)
        };
        blocking(probe).await.map_err(failed("write to", &key))
    }

    fn place(&self, key: &BlobKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn aside(&self) -> PathBuf {
        self.root.join(INCOMING).join(Uuid::new_v4().simple().to_string())
    }
}

/// A file that is being written aside; removed when dropped.
#[derive(Debug)]
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // A stale file aside does no harm beyond its size.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A streamed upload into a folder.
#[derive(Debug)]
pub struct DirWriter {
    /// The bytes so far, while they are few.
    held: Vec<u8>,
    file: Option<tokio::fs::File>,
    aside: Aside,
    place: PathBuf,
    key: BlobKey,
}

impl DirWriter {
    pub(super) async fn write(&mut self, piece: Bytes) -> Result<(), BlobError> {
        let written = self.take(&piece).await;
        written.map_err(failed("store", &self.key))
    }

    async fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.held.len() + piece.len() <= HELD_BYTES_MAX {
            self.held.extend_from_slice(piece);
            return Ok(());
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut file = tokio::fs::File::create_new(&self.aside.0).await?;
                file.write_all(&std::mem::take(&mut self.held)).await?;
                file
            }
        };
        file.write_all(piece).await?;
        self.file = Some(file);
        Ok(())
    }

    pub(super) async fn finish(self) -> Result<Put, BlobError> {
        let error = failed("store", &self.key);
        let Self { held, file, aside, place, .. } = self;
        let put = match file {
            None => blocking(move || write_new(&aside.0, &place, &held)).await,
            Some(mut file) => match file.flush().await {
                Ok(()) => match file.sync_all().await {
                    Ok(()) => blocking(move || link_new(&aside.0, &place)).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
        };
        put.map_err(error)
    }
}

/// Writes and syncs `aside`, links it to `place` unless that name is taken, and removes it.
fn write_new(aside: &Path, place: &Path, bytes: &[u8]) -> io::Result<Put> {
    let mut file = std::fs::File::create_new(aside)?;
    let put =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| link_new(aside, place));
    // Nothing depends on the name aside; a crash leaves at most one stale file.
    let _ = std::fs::remove_file(aside);
    put
}

/// Links `aside` to `place` unless that name is taken, and syncs the folder so that the name
/// survives a power cut.
fn link_new(aside: &Path, place: &Path) -> io::Result<Put> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let mut is_new = false;
    let mut linked = std::fs::hard_link(aside, place);
    if linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        std::fs::create_dir_all(folder)?;
        (is_new, linked) = (true, std::fs::hard_link(aside, place));
    }
    match linked {
        Ok(()) => {
            std::fs::File::open(folder)?.sync_all()?;
            if let Some(above) = folder.parent().filter(|_| is_new) {
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
