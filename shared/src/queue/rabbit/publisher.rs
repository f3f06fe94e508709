//! Publishes to the broker, and counts only what it confirms.

use super::{link::Link, topology};
use crate::{
    document::Priority,
    message::{Event, JobMessage},
    queue::QueueError,
};
use deadpool::managed::{self, Metrics, Object, Pool, RecycleError, RecycleResult};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the broker may take to confirm a batch. What comes later may have arrived: it is
/// published again, and a worker ignores the second message.
const CONFIRM_MAX: Duration = Duration::from_secs(4);

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
        Ok(Self { link, channels: channels.map_err(|error| QueueError::new(error.to_string()))? })
    }

    /// Quorum queues know no `x-max-priority` before RabbitMQ 4, so each priority has a queue. It is
    /// also a header, for people and for consumers of their own.
    pub(super) async fn publish(
        &self,
        messages: &[(JobMessage, Priority)],
    ) -> Result<(), QueueError> {
        let publication = |(message, priority): &(JobMessage, Priority)| {
            let mut headers = FieldTable::default();
            let value = AMQPValue::LongString(priority.as_str().into());
            headers.insert("priority".into(), value);
            Ok(Publication {
                exchange: "",
                key: topology::documents(*priority).to_owned(),
                id: message.id.clone(),
                headers,
                // A message that no queue takes comes back; without this it would be confirmed.
                mandatory: true,
                body: serde_json::to_vec(message)?,
            })
        };
        self.publish_all(messages.iter().map(publication).collect()).await
    }

    pub(super) async fn publish_events(&self, events: &[Event]) -> Result<(), QueueError> {
        let publication = |event: &Event| {
            Ok(Publication {
                exchange: topology::EVENTS,
                key: event.routing_key(),
                id: event.id.clone(),
                headers: FieldTable::default(),
                // An event without subscribers is no fault.
                mandatory: false,
                body: serde_json::to_vec(event)?,
            })
        };
        self.publish_all(events.iter().map(publication).collect()).await
    }

    async fn publish_all(
        &self,
        publications: serde_json::Result<Vec<Publication>>,
    ) -> Result<(), QueueError> {
        let publications = publications.map_err(|error| QueueError::new(error.to_string()))?;
        let channel = self.channel().await?;
        match timeout(CONFIRM_MAX, self.send(&channel, publications)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                // A channel that once met a leader that is gone may be refused for as long as it
                // lives: the next one finds the new leader.
                drop(Object::take(channel));
                Err(error)
            }
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
        let look = timeout(CONFIRM_MAX, topology::queues(&channel, true));
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
            return Err(QueueError::new(
                "the broker takes no messages now: it is short of memory or disk".to_owned(),
            ));
        }
        self.channels.get().await.map_err(|error| match error {
            managed::PoolError::Backend(error) => error,
            other => QueueError::new(other.to_string()),
        })
    }

    /// Publishes all, then waits for each.
    async fn send(
        &self,
        channel: &Channel,
        publications: Vec<Publication>,
    ) -> Result<(), QueueError> {
        let brokers = &self.link.brokers;
        let lost = |error: lapin::Error| {
            // It may have been for something that is gone.
            self.link.undeclared();
            brokers.error("publish", error)
        };
        let mut confirmations = Vec::with_capacity(publications.len());
        for publication in publications {
            let options =
                BasicPublishOptions { mandatory: publication.mandatory, ..Default::default() };
            let properties = BasicProperties::default()
                .with_content_type(CONTENT_TYPE.into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(publication.id.into())
                .with_headers(publication.headers);
            let (exchange, key) = (publication.exchange.into(), publication.key.into());
            let sent = channel.basic_publish(exchange, key, options, &publication.body, properties);
            confirmations.push(sent.await.map_err(lost)?);
        }
        let mut refused = None;
        for confirmation in confirmations {
            match confirmation.await.map_err(lost)? {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                    self.link.undeclared();
                    refused = Some(format!(
                        "{} was returned: {}",
                        returned.routing_key, returned.reply_text
                    ));
                }
                Confirmation::Nack(None) => {
                    refused = Some("a queue is full or has no leader".to_owned());
                }
                Confirmation::NotRequested => refused = Some("nothing is confirmed".to_owned()),
            }
        }
        refused.map_or(Ok(()), |why| Err(brokers.error("publish", why)))
    }
}

/// A message with its destination.
struct Publication {
    exchange: &'static str,
    key: String,
    id: String,
    headers: FieldTable,
    mandatory: bool,
    body: Vec<u8>,
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
