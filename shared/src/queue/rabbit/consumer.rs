//! Takes messages from the broker, through every loss of it.

use super::{
    link::{Link, pause},
    topology,
};
use crate::queue::{Delivery, DeliveryReceipt, QueueError};
use futures::{FutureExt, StreamExt};
use lapin::{
    Acker, Channel,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions,
    },
    types::FieldTable,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a broker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// How many dead letters are read at once.
const DEAD_MAX: usize = 100;

/// A consumer of one of the documents' queues.
pub struct RabbitConsumer {
    link: Arc<Link>,
    queue: &'static str,
    prefetch: u16,
    live: Option<Box<Live>>,
    /// How often in a row it could not be started, and the last error that was logged.
    failures: u32,
    last_error: Option<String>,
}

/// Exists while the broker is connected.
struct Live {
    deliveries: lapin::Consumer,
    channel: Channel,
}

impl fmt::Debug for RabbitConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitConsumer").field("prefetch", &self.prefetch).finish_non_exhaustive()
    }
}

impl RabbitConsumer {
    pub(super) fn new(link: Arc<Link>, queue: &'static str, prefetch: u32) -> Self {
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX).max(1);
        Self { link, queue, prefetch, live: None, failures: 0, last_error: None }
    }

    /// Waits for messages, through outages; they are logged once each.
    pub(in crate::queue) async fn next(&mut self, most: u32) -> Vec<Delivery> {
        loop {
            let Some(live) = &mut self.live else {
                self.start().await;
                continue;
            };
            match live.deliveries.next().await {
                Some(Ok(first)) => {
                    let mut taken = vec![delivery(first, &live.channel)];
                    while taken.len() < most as usize
                        && let Some(Some(Ok(more))) = live.deliveries.next().now_or_never()
                    {
                        taken.push(delivery(more, &live.channel));
                    }
                    return taken;
                }
                // Its connection, its channel or its queue is gone. What was taken comes again.
                Some(Err(_)) | None => {
                    self.live = None;
                    self.link.undeclared();
                }
            }
        }
    }

    async fn start(&mut self) {
        match self.try_start().await {
            Ok(live) => {
                self.live = Some(live);
                self.failures = 0;
                if self.last_error.take().is_some() {
                    tracing::info!("the queue is back");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if self.last_error.as_ref() != Some(&text) {
                    tracing::warn!(%error, "the queue does not answer: nothing new is begun");
                    self.last_error = Some(text);
                }
                let rest = pause(self.failures);
                self.failures = self.failures.saturating_add(1);
                tokio::time::sleep(rest).await;
            }
        }
    }

    async fn try_start(&self) -> Result<Box<Live>, QueueError> {
        let connection = self.link.connection().await?;
        let start = async {
            let channel = connection.create_channel().await?;
            // Of each consumer: a quorum queue knows no limit of a channel.
            channel.basic_qos(self.prefetch, BasicQosOptions { global: false }).await?;
            let options = BasicConsumeOptions::default();
            let (queue, none) = (self.queue.into(), FieldTable::default());
            let deliveries = channel.basic_consume(queue, "".into(), options, none).await?;
            Ok(Box::new(Live { deliveries, channel }))
        };
        let started = answer(&self.link, "consume", start).await;
        started.inspect_err(|_| self.link.undeclared())
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        // Receipts keep the channel open, so what was not taken must be requeued.
        let Some(live) = &mut self.live else { return };
        while let Some(Some(Ok(untaken))) = live.deliveries.next().now_or_never() {
            drop(delivery(untaken, &live.channel));
        }
    }
}

/// Messages that were delivered too often, at most [`DEAD_MAX`].
pub(super) async fn dead_letters(link: &Link) -> Result<Vec<Delivery>, QueueError> {
    let connection = link.connection().await?;
    let read = async {
        let channel = connection.create_channel().await?;
        let mut dead = Vec::new();
        while dead.len() < DEAD_MAX {
            let next = channel.basic_get(topology::DEAD.into(), BasicGetOptions::default());
            let Some(next) = next.await? else { break };
            dead.push(delivery(next.delivery, &channel));
        }
        Ok(dead)
    };
    answer(link, "read dead letters", read).await
}

async fn answer<T>(
    link: &Link,
    doing: &str,
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, QueueError> {
    match timeout(ANSWER_MAX, request).await {
        Ok(answer) => answer.map_err(|error| link.brokers.error(doing, error)),
        Err(_) => {
            let late = format!("no answer within {} s", ANSWER_MAX.as_secs());
            Err(link.brokers.error(doing, late))
        }
    }
}

fn delivery(delivery: lapin::message::Delivery, channel: &Channel) -> Delivery {
    Delivery {
        message: serde_json::from_slice(&delivery.data).map_err(|error| error.to_string()),
        receipt: DeliveryReceipt::Rabbit(RabbitReceipt {
            acker: delivery.acker,
            _channel: channel.clone(),
        }),
    }
}

/// The right to acknowledge one message. Dropped unused, it requeues the message, so that it does
/// not count against the prefetch for ever.
pub(in crate::queue) struct RabbitReceipt {
    acker: Acker,
    /// Lapin closes a channel that nobody holds.
    _channel: Channel,
}

impl fmt::Debug for RabbitReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitReceipt").finish_non_exhaustive()
    }
}

const REQUEUE: BasicNackOptions = BasicNackOptions { multiple: false, requeue: true };

impl RabbitReceipt {
    pub(in crate::queue) async fn ack(self) -> Result<(), QueueError> {
        answered(self.acker.ack(BasicAckOptions::default()).await)
    }

    /// Counts as a delivery on the broker: for draining only, never for an outage.
    pub(in crate::queue) async fn give_back(self) -> Result<(), QueueError> {
        answered(self.acker.nack(REQUEUE).await)
    }
}

impl Drop for RabbitReceipt {
    fn drop(&mut self) {
        if self.acker.usable() {
            // The first poll hands it to the connection; nothing waits for it to be written.
            let _ = self.acker.nack(REQUEUE).now_or_never();
        }
    }
}

fn answered(answer: lapin::Result<bool>) -> Result<(), QueueError> {
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => {
            tracing::debug!("an answer came after the channel was lost: the message comes again");
            Ok(())
        }
        Err(error) => Err(QueueError::new(format!("cannot answer: {error}"))),
    }
}
