//! The queue: carries ids from the outbox to the workers. It may lose, double and delay messages;
//! the row in the database decides.

pub mod embedded;
pub mod rabbit;

use crate::{
    document::Priority,
    message::{Event, JobMessage},
};
use embedded::{EmbeddedConsumer, EmbeddedQueue, EmbeddedReceipt};
use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use rabbit::{RabbitConsumer, RabbitQueue, RabbitReceipt};

/// The queue does not answer or refused: hold the work, and try again later.
#[derive(Clone, Debug, thiserror::Error)]
#[error("queue: {text}")]
pub struct QueueError {
    text: String,
    is_lasting: bool,
    is_other_kind: bool,
}

impl QueueError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: false, is_other_kind: false }
    }

    /// Whether a retry is useless: a password, a name or a certificate is wrong.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// Whether the broker has a queue or an exchange of that name which is of another kind: nothing
    /// is published or consumed until somebody has deleted it.
    pub fn is_other_kind(&self) -> bool {
        self.is_other_kind
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
    pub fn publish<'a>(
        &'a self,
        messages: &'a [(JobMessage, Priority)],
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        match self {
            Self::Embedded(queue) => queue.publish(messages).boxed(),
            Self::Rabbit(queue) => queue.publish(messages).boxed(),
        }
    }

    /// Publishes events for other services, and returns when the queue has confirmed all of them.
    /// The embedded queue has no subscribers, so it does nothing.
    ///
    /// # Errors
    /// When it is not certain that all of them arrived; some may have.
    pub fn publish_events<'a>(
        &'a self,
        events: &'a [Event],
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        match self {
            Self::Embedded(_) => future::ok(()).boxed(),
            Self::Rabbit(queue) => queue.publish_events(events).boxed(),
        }
    }

    /// Starts to consume what is of this priority, with at most `prefetch` unacknowledged messages.
    /// Each priority has an order of its own, so none waits behind the other.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub fn consume(
        &self,
        priority: Priority,
        prefetch: u32,
    ) -> BoxFuture<'_, Result<Consumer, QueueError>> {
        match self {
            Self::Embedded(queue) => {
                future::ok(Consumer::Embedded(queue.consume(priority, prefetch))).boxed()
            }
            Self::Rabbit(queue) => {
                future::ok(Consumer::Rabbit(queue.consume(priority, prefetch))).boxed()
            }
        }
    }

    /// Some dead letters: messages that were delivered too often. The row decides what happens to
    /// their documents. The embedded queue has none.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub fn dead_letters(&self) -> BoxFuture<'_, Result<Vec<Delivery>, QueueError>> {
        match self {
            Self::Embedded(_) => future::ok(Vec::new()).boxed(),
            Self::Rabbit(queue) => queue.dead_letters().boxed(),
        }
    }

    /// Whether the queue answers, and takes messages.
    ///
    /// # Errors
    /// When it does not, and why.
    pub fn ready(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        match self {
            Self::Embedded(queue) => queue.ready().boxed(),
            Self::Rabbit(queue) => queue.ready().boxed(),
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
    pub fn next(&mut self, most: u32) -> BoxFuture<'_, Result<Vec<Delivery>, QueueError>> {
        match self {
            Self::Embedded(consumer) => consumer.next(most).boxed(),
            Self::Rabbit(consumer) => consumer.next(most).map(Ok).boxed(),
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
    pub fn ack(self) -> BoxFuture<'static, Result<(), QueueError>> {
        match self.receipt {
            DeliveryReceipt::Embedded(receipt) => receipt.ack().boxed(),
            DeliveryReceipt::Rabbit(receipt) => receipt.ack().boxed(),
        }
    }

    /// Hands it back untouched, for another worker. Only for draining: a broker counts how often a
    /// message comes back, so one that cannot be worked on now is held instead.
    ///
    /// # Errors
    /// When the queue does not answer; the message comes back by itself then.
    pub fn give_back(self) -> BoxFuture<'static, Result<(), QueueError>> {
        match self.receipt {
            DeliveryReceipt::Embedded(receipt) => receipt.give_back().boxed(),
            DeliveryReceipt::Rabbit(receipt) => receipt.give_back().boxed(),
        }
    }
}
