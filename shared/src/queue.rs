//! The queue: carries ids from the outbox to the workers. It may lose, double and delay messages;
//! the row in the database decides.

pub mod embedded;
pub mod rabbit;

use crate::{
    document::Priority,
    message::{Event, JobMessage},
};
use embedded::{EmbeddedConsumer, EmbeddedQueue, EmbeddedReceipt};
use rabbit::{RabbitConsumer, RabbitQueue, RabbitReceipt};

/// The queue does not answer or refused: hold the work, and try again later.
#[derive(Clone, Debug, thiserror::Error)]
#[error("queue: {text}")]
pub struct QueueError {
    text: String,
    is_lasting: bool,
}

impl QueueError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: false }
    }

    /// Whether a retry is useless: a password, a name or a certificate is wrong.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }
}

/// What carries messages, chosen by the configuration.
#[derive(Clone, Debug)]
pub enum Queue {
    /// A table of the database.
    Embedded(EmbeddedQueue),
    /// RabbitMQ.
    Rabbit(RabbitQueue),
}

impl Queue {
    /// Hands messages over, and returns when the queue has confirmed all of them.
    ///
    /// # Errors
    /// When it is not certain that all of them arrived; some may have.
    pub async fn publish(&self, messages: &[(JobMessage, Priority)]) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.publish(messages).await,
            Self::Rabbit(queue) => queue.publish(messages).await,
        }
    }

    /// Publishes events for other services, and returns when the queue has confirmed all of them.
    /// The embedded queue has no subscribers, so it does nothing.
    ///
    /// # Errors
    /// When it is not certain that all of them arrived; some may have.
    pub async fn publish_events(&self, events: &[Event]) -> Result<(), QueueError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Rabbit(queue) => queue.publish_events(events).await,
        }
    }

    /// Starts to consume what is of this priority, with at most `prefetch` unacknowledged messages.
    /// Each priority has an order of its own, so none waits behind the other.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub async fn consume(&self, priority: Priority, prefetch: u32) -> Result<Consumer, QueueError> {
        match self {
            Self::Embedded(queue) => Ok(Consumer::Embedded(queue.consume(priority, prefetch))),
            Self::Rabbit(queue) => Ok(Consumer::Rabbit(queue.consume(priority, prefetch))),
        }
    }

    /// Some dead letters: messages that were delivered too often. The row decides what happens to
    /// their documents. The embedded queue has none.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub async fn dead_letters(&self) -> Result<Vec<Delivery>, QueueError> {
        match self {
            Self::Embedded(_) => Ok(Vec::new()),
            Self::Rabbit(queue) => queue.dead_letters().await,
        }
    }

    /// Whether the queue answers, and takes messages.
    ///
    /// # Errors
    /// When it does not, and why.
    pub async fn ready(&self) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.ready().await,
            Self::Rabbit(queue) => queue.ready().await,
        }
    }
}

/// A stream of messages.
#[derive(Debug)]
pub enum Consumer {
    /// From a table of the database.
    Embedded(EmbeddedConsumer),
    /// From RabbitMQ; it waits through every outage of it.
    Rabbit(RabbitConsumer),
}

impl Consumer {
    /// The next messages, at most `most` and at least one; waits for them. Cancel-safe: a message
    /// that was taken and not returned becomes visible again by itself.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub async fn next(&mut self, most: u32) -> Result<Vec<Delivery>, QueueError> {
        match self {
            Self::Embedded(consumer) => consumer.next(most).await,
            Self::Rabbit(consumer) => Ok(consumer.next(most).await),
        }
    }
}

/// A message that was delivered and not acknowledged yet.
#[derive(Debug)]
pub struct Delivery {
    /// What it says, or why it cannot be read.
    pub message: Result<JobMessage, String>,
    receipt: DeliveryReceipt,
}

#[derive(Debug)]
enum DeliveryReceipt {
    Embedded(EmbeddedReceipt),
    Rabbit(RabbitReceipt),
}

impl Delivery {
    /// Done with it.
    ///
    /// # Errors
    /// When the queue does not answer; the message comes again then.
    pub async fn ack(self) -> Result<(), QueueError> {
        match self.receipt {
            DeliveryReceipt::Embedded(receipt) => receipt.ack().await,
            DeliveryReceipt::Rabbit(receipt) => receipt.ack().await,
        }
    }

    /// Hands it back untouched, for another worker. Only for draining: a broker counts how often a
    /// message comes back, so one that cannot be worked on now is held instead.
    ///
    /// # Errors
    /// When the queue does not answer; the message comes back by itself then.
    pub async fn give_back(self) -> Result<(), QueueError> {
        match self.receipt {
            DeliveryReceipt::Embedded(receipt) => receipt.give_back().await,
            DeliveryReceipt::Rabbit(receipt) => receipt.give_back().await,
        }
    }
}
