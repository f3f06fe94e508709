//! What the queue carries: CloudEvents 1.0 envelopes with ids only. A message
//! makes a worker look at a document, an event tells other services its new state. The row in the
//! database decides.

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
    /// Unique for each outbox entry.
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
    /// The message of an outbox entry, as a part of this trace.
    pub fn new(
        document: DocumentId,
        entry: i64,
        time: Timestamp,
        traceparent: Option<Traceparent>,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{document}-{entry}"),
            source: "/sluice/outbox".to_owned(),
            kind: TYPE.to_owned(),
            time,
            subject: document,
            traceparent,
        }
    }
}

/// "A document has come to this state": a CloudEvents 1.0 envelope in JSON, for other services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique for each event; one that is published twice has the same.
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
    /// For subscribers to filter by.
    pub data: EventData,
    /// Which trace this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub traceparent: Option<Traceparent>,
}

/// The fields that subscribers filter events by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventData {
    /// The new state of the document.
    pub state: DocumentState,
    /// What was asked of it.
    pub schema: SchemaRef,
}

impl Event {
    /// The event of row `number` of the table of events: `document` came to this state at `time`.
    pub fn new(
        document: DocumentId,
        number: i64,
        data: EventData,
        time: Timestamp,
        traceparent: Option<Traceparent>,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{document}-event-{number}"),
            source: "/sluice/outbox".to_owned(),
            kind: format!("com.sluice.document.{}", data.state),
            time,
            subject: document,
            datacontenttype: "application/json".to_owned(),
            data,
            traceparent,
        }
    }

    /// The routing key: `document.STATE.SCHEMA`.
    pub fn routing_key(&self) -> String {
        format!("document.{}.{}", self.data.state, self.data.schema.name)
    }
}

/// How long a trace context of version 00 is.
const LENGTH: usize = 55;

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

    /// What a caller sent as the header of that name: the same trace. A later version than 00 is
    /// read as far as 00 goes, as W3C demands.
    pub fn received(header: &str) -> Option<Self> {
        let (version, rest) = header.split_once('-')?;
        if version == "00" {
            return header.parse().ok();
        }
        let is_version = version.len() == 2 && version != "ff" && is_hexadecimal(version);
        let (known, more) = rest.split_at_checked(LENGTH - 3)?;
        let is_whole = more.is_empty() || more.starts_with('-');
        if is_version && is_whole { format!("00-{known}").parse().ok() } else { None }
    }

    /// The next step of the same trace.
    pub fn child(&self) -> Self {
        let span = Uuid::new_v4().as_u64_pair().0;
        let flags = self.0.rsplit('-').next().unwrap_or("01");
        Self(format!("00-{}-{span:016x}-{flags}", self.trace_id()))
    }

    /// The trace, as 32 digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }

    /// The step of the trace, as 16 digits.
    pub fn span_id(&self) -> &str {
        self.0.split('-').nth(2).unwrap_or_default()
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
        let hexadecimal = |part: &str, length: usize| part.len() == length && is_hexadecimal(part);
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

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// Reads a trace context; one that cannot be read is none.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Traceparent>, D::Error> {
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
        assert_eq!((random.trace_id().len(), random.span_id().len()), (32, 16));
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

    #[test]
    fn a_caller_s_trace_goes_on() {
        let trace = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let read = |header: &str| Traceparent::received(header).map(|read| read.to_string());
        let same = Some(format!("00-{trace}"));
        assert_eq!(read(&format!("00-{trace}")), same);
        assert_eq!(read(&format!("cc-{trace}")), same);
        assert_eq!(read(&format!("cc-{trace}-what-comes-later")), same);
        for wrong in [
            String::new(),
            format!("00-{trace}-more"),
            format!("ff-{trace}"),
            format!("cc-{trace}.what"),
            format!("c-{trace}"),
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331".to_owned(),
            "cc-ä".to_owned(),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
        let received = Traceparent::received(&format!("00-{trace}")).expect("a trace");
        let child = received.child();
        assert_eq!(child.trace_id(), received.trace_id());
        assert_ne!(child.span_id(), received.span_id());
        assert!(child.to_string().ends_with("-00"), "{child}");
        assert!(child.to_string().parse::<Traceparent>().is_ok(), "{child}");
    }
}
