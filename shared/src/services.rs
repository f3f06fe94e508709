//! The services that both programs use, opened as the configuration says.

use crate::{blob::Blobs, outbox::Outbox, queue::Queue, store::Store};

/// Storage, database, queue, and the relay between the last two. Cheap to clone.
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
}
