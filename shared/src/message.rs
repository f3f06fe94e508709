//! What the queue carries: CloudEvents 1.0 envelopes with ids only. A message to a worker is a
//! doorbell, an event tells others what has become of a document; the row in the database is the
//! truth.

use crate::{
    document::{DocumentId, DocumentState},
    schema::SchemaRef,
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The type of the envelope.
pub const TYPE: &str = "com.sluice.document.accepted";

/// "Look at this document": a CloudEvents 1.0 envelope in JSON (structured mode).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique for each ring.
    pub id: String,
    /// Who sends it.
    pub source: String,
    /// Always [`TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was written.
    pub time: Timestamp,
    /// The document to look at.
    pub subject: DocumentId,
    /// Which trace this belongs to: the CloudEvents extension for distributed tracing. One that
    /// cannot be read is none, as W3C demands.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub traceparent: Option<Traceparent>,
}

impl JobMessage {
    /// The `ring`-th message (an id of the outbox) that asks to look at `document`.
    pub fn new(document: DocumentId, ring: i64, time: Timestamp) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{document}-{ring}"),
            source: "/sluice/outbox".to_owned(),
            kind: TYPE.to_owned(),
            time,
            subject: document,
            traceparent: Some(Traceparent::random()),
        }
    }
}

/// "This has become of a document": a CloudEvents 1.0 envelope in JSON, for other services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique for each event; one that is told twice has the same.
    pub id: String,
    /// Who sends it.
    pub source: String,
    /// `com.sluice.document.` and the state.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the document came to this state.
    pub time: Timestamp,
    /// The document.
    pub subject: DocumentId,
    /// The media type of `data`.
    pub datacontenttype: String,
    /// What others may want to choose by.
    pub data: EventData,
}

/// What others may want to choose events by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventData {
    /// How the document is now.
    pub state: DocumentState,
    /// What was asked of it.
    pub schema: SchemaRef,
}

impl Event {
    /// The `number`-th event (an id of the outbox): what became of `document` at `time`.
    pub fn new(document: DocumentId, number: i64, data: EventData, time: Timestamp) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{document}-event-{number}"),
            source: "/sluice/outbox".to_owned(),
            kind: format!("com.sluice.document.{}", data.state),
            time,
            subject: document,
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }

    /// What others bind their queues by: `document.STATE.SCHEMA`.
    pub fn routing_key(&self) -> String {
        format!("document.{}.{}", self.data.state, self.data.schema.name)
    }
}

/// A W3C trace context of version 00: `00-TRACE-PARENT-FLAGS` in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Traceparent(String);

impl Traceparent {
    /// The beginning of a trace, sampled.
    pub fn random() -> Self {
        let (trace, parent) = (Uuid::new_v4().simple(), Uuid::new_v4().as_u64_pair().0);
        Self(format!("00-{trace}-{parent:016x}-01"))
    }

    /// The trace, as 32 digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text was not a trace context of version 00.
#[derive(Debug, thiserror::Error)]
#[error("this is not a traceparent of version 00")]
pub struct NotATraceparent;

impl FromStr for Traceparent {
    type Err = NotATraceparent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hexadecimal = |part: &str, length: usize| {
            let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            part.len() == length && part.bytes().all(digit)
        };
        let zero = |part: &str| part.bytes().all(|c| c == b'0');
        match text.split('-').collect::<Vec<_>>()[..] {
            ["00", trace, parent, flags]
                if hexadecimal(trace, 32)
                    && hexadecimal(parent, 16)
                    && hexadecimal(flags, 2)
                    && !zero(trace)
                    && !zero(parent) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NotATraceparent),
        }
    }
}

fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Traceparent>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(traceparent: serde_json::Value) -> Option<Traceparent> {
        let message = json!({
            "specversion": "1.0", "id": "1", "source": "/test", "type": TYPE,
            "time": "2024-03-05T00:00:00Z", "subject": "doc_0193a1c2f0b47d3e9a51c0ffee123456",
            "traceparent": traceparent,
        });
        serde_json::from_value::<JobMessage>(message).expect("a message").traceparent
    }

    #[test]
    fn a_traceparent_that_cannot_be_read_is_none() {
        let random = Traceparent::random();
        assert_eq!(read(json!(random.to_string())), Some(random.clone()));
        assert_eq!(random.trace_id().len(), 32);
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(read(json!(good)).map(|read| read.to_string()).as_deref(), Some(good));
        for wrong in [
            json!(null),
            json!(7),
            json!("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
            json!("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
            json!("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            json!("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra"),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
