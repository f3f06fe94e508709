//! The services that both programs use, opened as the configuration says.

use crate::{
    blob::{BlobError, BlobKey, Blobs, dir::DirBlobs, s3::S3Blobs},
    config::{self, Config},
    queue::{Queue, embedded::EmbeddedQueue, rabbit::RabbitQueue},
    relay::Relay,
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
    /// The database.
    pub store: Store,
    /// Messages to workers, and events.
    pub queue: Queue,
    /// From the database to the queue.
    pub relay: Relay,
    /// Where workers agree on the quota.
    pub quota: FleetConnection,
}

impl Services {
    /// The database alone, for work that needs nothing else.
    ///
    /// # Errors
    /// When its address cannot be used.
    pub fn store(config: &Config) -> Result<Store, Box<dyn Error + Send + Sync>> {
        Ok(open_store(&config.database)?.0)
    }

    /// Opens what the configuration names. Nothing is sent to them yet.
    ///
    /// # Errors
    /// When a folder cannot be made, an address cannot be read, or settings do not fit together.
    pub fn open(config: &Config) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let blobs = match &config.storage {
            config::StorageAddress::Dir(folder) => Blobs::Dir(DirBlobs::open(folder)?),
            config::StorageAddress::S3(address) => Blobs::S3(S3Blobs::new(address.clone())),
        };
        let (store, file) = open_store(&config.database)?;
        let queue = match (&config.queue, file) {
            (config::QueueAddress::Embedded, Some(file)) => {
                Queue::Embedded(EmbeddedQueue::new(file))
            }
            (config::QueueAddress::Embedded, None) => {
                let remedy = "use queue = \"amqp://USER:PASSWORD@HOST:5672/VHOST\"";
                return Err(format!("queue = embedded needs a sqlite database: {remedy}").into());
            }
            (config::QueueAddress::Rabbit(address), _) => Queue::Rabbit(RabbitQueue::new(address)?),
        };
        let relay = Relay::new(store.clone(), queue.clone());
        let quota = match &config.quota {
            config::QuotaAddress::Local => FleetConnection::Local,
            config::QuotaAddress::Redis(url) => FleetConnection::redis(url.expose())?,
        };
        Ok(Self { blobs, store, queue, relay, quota })
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

/// Opens the database; where it is a file, with the file.
fn open_store(
    address: &config::DatabaseAddress,
) -> Result<(Store, Option<SqliteFile>), Box<dyn Error + Send + Sync>> {
    Ok(match address {
        config::DatabaseAddress::Sqlite(file) => {
            let file = SqliteFile::open(file)?;
            (Store::Sqlite(SqliteStore::new(file.clone())), Some(file))
        }
        config::DatabaseAddress::Postgres(url) => {
            (Store::Postgres(PostgresStore::open(url)?), None)
        }
    })
}
