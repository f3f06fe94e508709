//! Hands messages to the broker and believes nothing but its confirmation.

use super::{link::Link, topology};
use crate::{document::Priority, message::JobMessage, queue::QueueError};
use deadpool::managed::{self, Metrics, Object, Pool, RecycleError, RecycleResult};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the broker may take to confirm a batch. What comes later may have arrived: it is
/// published again, and a worker that is rung for twice looks once in vain.
const CONFIRM_MAX: Duration = Duration::from_secs(5);

/// How many channels publish at once.
const CHANNELS_MAX: usize = 4;

/// The media type of a CloudEvents envelope.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// AMQP's "write it to disk".
const PERSISTENT: u8 = 2;

/// Channels on which everything is confirmed.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    link: Arc<Link>,
    channels: Pool<Channels>,
}

impl Publisher {
    pub(super) fn new(link: Link) -> Result<Self, QueueError> {
        let link = Arc::new(link);
        let channels = Pool::builder(Channels(Arc::clone(&link))).max_size(CHANNELS_MAX).build();
        Ok(Self { link, channels: channels.map_err(|error| QueueError(error.to_string()))? })
    }

    pub(super) async fn publish(
        &self,
        messages: &[(JobMessage, Priority)],
    ) -> Result<(), QueueError> {
        let channel = self.channel().await?;
        match timeout(CONFIRM_MAX, self.send(&channel, messages)).await {
            Ok(sent) => sent,
            Err(_) => {
                // Whatever it still says is not waited for.
                drop(Object::take(channel));
                let late = format!("no confirmation within {} s", CONFIRM_MAX.as_secs());
                Err(self.link.brokers.error("publish", late))
            }
        }
    }

    /// Whether the broker takes messages and the queue is there.
    pub(super) async fn ready(&self) -> Result<(), QueueError> {
        let channel = self.channel().await?;
        let look = timeout(CONFIRM_MAX, topology::queue(&channel, topology::DOCUMENTS, true));
        let Ok(found) = look.await else {
            drop(Object::take(channel));
            return Err(self.link.brokers.error("find its queue", "no answer"));
        };
        found.map_err(|error| {
            self.link.undeclared();
            self.link.brokers.error("find its queue", error)
        })
    }

    async fn channel(&self) -> Result<Object<Channels>, QueueError> {
        let connection = self.link.connection().await?;
        if connection.status().blocked() {
            // Lapin would keep whatever is written now in memory, without a limit.
            return Err(QueueError(
                "the broker takes no messages now: it is short of memory or disk".to_owned(),
            ));
        }
        self.channels.get().await.map_err(|error| match error {
            managed::PoolError::Backend(error) => error,
            other => QueueError(other.to_string()),
        })
    }

    /// Publishes all, then waits for each.
    async fn send(
        &self,
        channel: &Channel,
        messages: &[(JobMessage, Priority)],
    ) -> Result<(), QueueError> {
        let brokers = &self.link.brokers;
        // A returned message is one that no queue took; without this flag it would be confirmed.
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let mut confirmations = Vec::with_capacity(messages.len());
        for (message, priority) in messages {
            let body =
                serde_json::to_vec(message).map_err(|error| QueueError(error.to_string()))?;
            let properties = properties(message, *priority);
            let key = topology::DOCUMENTS.into();
            let sent = channel.basic_publish("".into(), key, options, &body, properties).await;
            confirmations.push(sent.map_err(|error| brokers.error("publish", error))?);
        }
        let mut refused = None;
        for confirmation in confirmations {
            match confirmation.await.map_err(|error| brokers.error("publish", error))? {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                    self.link.undeclared();
                    refused = Some(format!(
                        "{} was returned: {}",
                        topology::DOCUMENTS,
                        returned.reply_text
                    ));
                }
                Confirmation::Nack(None) => {
                    refused = Some(format!("{} is full or has no leader", topology::DOCUMENTS));
                }
                Confirmation::NotRequested => refused = Some("nothing is confirmed".to_owned()),
            }
        }
        refused.map_or(Ok(()), |why| Err(brokers.error("publish", why)))
    }
}

/// The envelope's outside. Quorum queues take no `x-max-priority` before RabbitMQ 4, so there is
/// one order for all: the priority is a header for people and for consumers of their own, and it
/// is the worker's pool of model calls that serves the interactive ones first.
fn properties(message: &JobMessage, priority: Priority) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("priority".into(), AMQPValue::LongString(priority.as_str().into()));
    BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.id.clone().into())
        .with_headers(headers)
}

/// Makes the channels of [`Publisher`].
#[derive(Debug)]
pub(super) struct Channels(Arc<Link>);

impl managed::Manager for Channels {
    type Type = Channel;
    type Error = QueueError;

    async fn create(&self) -> Result<Channel, QueueError> {
        let connection = self.0.connection().await?;
        let open = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(channel)
        };
        match timeout(CONFIRM_MAX, open).await {
            Ok(channel) => channel.map_err(|error| self.0.brokers.error("open a channel", error)),
            Err(_) => Err(self.0.brokers.error("open a channel", "no answer")),
        }
    }

    async fn recycle(&self, channel: &mut Channel, _: &Metrics) -> RecycleResult<QueueError> {
        if channel.status().connected() {
            Ok(())
        } else {
            Err(RecycleError::message("it is closed"))
        }
    }
}
