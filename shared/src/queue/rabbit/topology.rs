//! The queues and exchanges of Sluice on a broker, and how they come to be there.
//!
//! A queue is declared with its type and nothing else: an argument of a queue can never be changed.
//! Policies in `deploy/rabbitmq/definitions.json` set the rest.

use crate::document::Priority;
use lapin::{
    Channel, Connection, Error, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

/// The queues of documents to look at, published to through the default exchange.
const DOCUMENTS: &str = "sluice.documents";
const INTERACTIVE: &str = "sluice.documents.interactive";

/// Where the broker puts a message that was delivered too often.
const DEAD_EXCHANGE: &str = "sluice.dead";

/// The queue of those messages.
pub(super) const DEAD: &str = "sluice.documents.dead";

/// What has become of documents, for other services to bind their queues to.
pub(super) const EVENTS: &str = "sluice.events";

/// Replies of a broker to a declaration, by AMQP 0-9-1.
const ACCESS_REFUSED: u16 = 403;
/// Replies to a wrong password, and to a virtual host that is missing or forbidden.
pub(super) const LOGIN_REFUSED: [u16; 2] = [ACCESS_REFUSED, 530];
/// There is no such thing.
pub(super) const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

/// The queue of the documents of this priority.
pub(super) fn documents(priority: Priority) -> &'static str {
    match priority {
        Priority::Interactive => INTERACTIVE,
        Priority::Bulk => DOCUMENTS,
    }
}

/// Makes sure that everything is there.
pub(super) async fn declare(connection: &Connection) -> Result<(), NotDeclared> {
    let error = match all(connection, false).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    match code(&error) {
        // A user that may not declare them checks that they exist.
        Some(ACCESS_REFUSED) => all(connection, true).await.map_err(|looked| {
            let text = if code(&looked) == Some(NOT_FOUND) {
                format!(
                    "{looked}; this user may not make it ({error}): import \
                     deploy/rabbitmq/definitions.json"
                )
            } else {
                looked.to_string()
            };
            NotDeclared { text, is_other_kind: false }
        }),
        Some(PRECONDITION_FAILED) => Err(NotDeclared {
            text: format!(
                "{error}: something of that name exists and is not what Sluice declares (a durable \
                 queue whose only argument is x-queue-type=quorum): delete it, or give Sluice a \
                 virtual host of its own"
            ),
            is_other_kind: true,
        }),
        _ => Err(NotDeclared { text: error.to_string(), is_other_kind: false }),
    }
}

/// Why queues and exchanges are not in place.
#[derive(Debug)]
pub(super) struct NotDeclared {
    pub(super) text: String,
    /// Whether something of another kind has one of their names.
    pub(super) is_other_kind: bool,
}

/// The reply code of a broker that refused.
pub(super) fn code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// Declares all, or with `passive` only asks whether they are there. A refusal closes the channel,
/// so it has one of its own.
async fn all(connection: &Connection, passive: bool) -> Result<(), Error> {
    let channel = connection.create_channel().await?;
    exchange(&channel, DEAD_EXCHANGE, ExchangeKind::Fanout, passive).await?;
    exchange(&channel, EVENTS, ExchangeKind::Topic, passive).await?;
    queue(&channel, DEAD, passive).await?;
    queues(&channel, passive).await?;
    if !passive {
        let options = QueueBindOptions::default();
        let (queue, exchange) = (DEAD.into(), DEAD_EXCHANGE.into());
        channel.queue_bind(queue, exchange, "".into(), options, FieldTable::default()).await?;
    }
    Ok(())
}

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    passive: bool,
) -> Result<(), Error> {
    let options = ExchangeDeclareOptions { passive, durable: true, ..Default::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
}

/// Declares the queues of documents, or asks whether they are there.
pub(super) async fn queues(channel: &Channel, passive: bool) -> Result<(), Error> {
    queue(channel, DOCUMENTS, passive).await?;
    queue(channel, INTERACTIVE, passive).await
}

/// Declares a quorum queue, or asks whether it is there.
async fn queue(channel: &Channel, name: &str, passive: bool) -> Result<(), Error> {
    let options = QueueDeclareOptions { passive, durable: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(name.into(), options, arguments).await.map(drop)
}
