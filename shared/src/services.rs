//! The services that both programs use, opened as the configuration says.

use crate::{
    blob::{Blobs, dir::DirBlobs},
    config::{self, Config},
    outbox::Outbox,
    queue::{Queue, embedded::EmbeddedQueue},
    quota::Quota,
    store::{
        Store,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::error::Error;

/// Storage, database, queue, the relay between the last two, and the quota. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    /// Bytes.
    pub blobs: Blobs,
    /// The truth.
    pub store: Store,
    /// The doorbell.
    pub queue: Queue,
    /// From the truth to the doorbell.
    pub outbox: Outbox,
    /// Where workers agree on the quota.
    pub quota: Quota,
}

impl Services {
    /// Opens what the configuration names. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(config: &Config) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let blobs = match &config.storage {
            config::Storage::Dir(folder) => Blobs::Dir(DirBlobs::open(folder)?),
            config::Storage::S3(_) => return Err("s3:// is not part of this version yet".into()),
        };
        let config::Database::Sqlite(file) = &config.database else {
            return Err("postgres:// is not part of this version yet".into());
        };
        let file = SqliteFile::open(file)?;
        let queue = match &config.queue {
            config::Queue::Embedded => Queue::Embedded(EmbeddedQueue::new(file.clone())),
            config::Queue::Rabbit(_) => {
                return Err("amqp:// is not part of this version yet".into());
            }
        };
        let store = Store::Sqlite(SqliteStore::new(file));
        let outbox = Outbox::new(store.clone(), queue.clone());
        let quota = Quota::open(&config.quota)?;
        Ok(Self { blobs, store, queue, outbox, quota })
    }
}
