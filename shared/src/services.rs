//! The services that both programs use, opened as the configuration says.

use crate::{
    blob::{BlobError, BlobKey, Blobs, dir::DirBlobs, s3::S3Blobs},
    config::{self, Config},
    outbox::Outbox,
    queue::{Queue, embedded::EmbeddedQueue, rabbit::RabbitQueue},
    schema::ExtractionSchema,
    store::{
        Store,
        postgres::PostgresStore,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use pool::FleetConnection;
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
    pub quota: FleetConnection,
}

impl Services {
    /// Opens what the configuration names. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When a folder cannot be made, an address cannot be read, or settings do not fit together.
    pub fn open(config: &Config) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let blobs = match &config.storage {
            config::Storage::Dir(folder) => Blobs::Dir(DirBlobs::open(folder)?),
            config::Storage::S3(place) => Blobs::S3(S3Blobs::new(place.clone())),
        };
        let (store, file) = match &config.database {
            config::Database::Sqlite(file) => {
                let file = SqliteFile::open(file)?;
                (Store::Sqlite(SqliteStore::new(file.clone())), Some(file))
            }
            config::Database::Postgres(url) => (Store::Postgres(PostgresStore::open(url)?), None),
        };
        let queue = match (&config.queue, file) {
            (config::Queue::Embedded, Some(file)) => Queue::Embedded(EmbeddedQueue::new(file)),
            (config::Queue::Embedded, None) => {
                let remedy = "use queue = \"amqp://USER:PASSWORD@HOST:5672/VHOST\"";
                return Err(format!("queue = embedded needs a sqlite database: {remedy}").into());
            }
            (config::Queue::Rabbit(address), _) => Queue::Rabbit(RabbitQueue::new(address)?),
        };
        let outbox = Outbox::new(store.clone(), queue.clone());
        let quota = match &config.quota {
            config::Quota::Local => FleetConnection::Local,
            config::Quota::Redis(url) => FleetConnection::redis(url.expose())?,
        };
        Ok(Self { blobs, store, queue, outbox, quota })
    }

    /// Copies a schema of the database to storage, for the day on which the database is lost.
    ///
    /// # Errors
    /// When storage does not answer.
    pub async fn copy_schema(&self, schema: &ExtractionSchema) -> Result<(), BlobError> {
        // Strings and JSON values always serialise.
        let bytes = serde_json::to_vec(schema).unwrap_or_default();
        self.blobs.put_if_absent(&BlobKey::schema(&schema.reference), bytes.into()).await.map(drop)
    }
}
