//! The queue on RabbitMQ: a quorum queue of ids for each priority, whose dead letters are read back,
//! and one exchange of events for others.
//!
//! Publishing and consuming have a connection each. A broker that is short of memory stops
//! reading from the one that publishes; acknowledgements must go on, because they are what frees
//! its memory.

mod topology;
mod address;
mod link;
mod publisher;
mod consumer;

use super::{Delivery, QueueError};
use crate::{
    config::Secret,
    document::Priority,
    message::{Event, JobMessage},
};
use address::Brokers;
pub use consumer::RabbitConsumer;
pub(super) use consumer::RabbitReceipt;
use link::Link;
use publisher::Publisher;
use std::sync::Arc;

/// The queue on RabbitMQ. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RabbitQueue {
    publisher: Publisher,
    consuming: Arc<Link>,
}

impl RabbitQueue {
    /// The queue at `amqp://USER:PASSWORD@HOST:5672/VHOST`, `amqps` for TLS, with the hosts of a
    /// cluster separated by commas. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn new(address: &Secret) -> Result<Self, QueueError> {
        let brokers = Arc::new(Brokers::read(address)?);
        let publisher = Publisher::new(Link::new(Arc::clone(&brokers), "sluice publish"))?;
        Ok(Self { publisher, consuming: Arc::new(Link::new(brokers, "sluice consume")) })
    }

    pub(super) async fn publish(
        &self,
        messages: &[(JobMessage, Priority)],
    ) -> Result<(), QueueError> {
        self.publisher.publish(messages).await
    }

    pub(super) async fn publish_events(&self, events: &[Event]) -> Result<(), QueueError> {
        self.publisher.publish_events(events).await
    }

    pub(super) fn consume(&self, priority: Priority, prefetch: u32) -> RabbitConsumer {
        let queue = topology::documents(priority);
        RabbitConsumer::new(Arc::clone(&self.consuming), queue, prefetch)
    }

    pub(super) async fn dead_letters(&self) -> Result<Vec<Delivery>, QueueError> {
        consumer::dead_letters(&self.consuming).await
    }

    pub(super) async fn ready(&self) -> Result<(), QueueError> {
        self.publisher.ready().await
    }
}
