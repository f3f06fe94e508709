//! Asks again when a reply does not fit the schema.
//!
//! It must know nothing of what is asked for.

use pool::typed::chat::{Message, Request, Role};
use serde_json::Value;

/// The most of a reply that is shown to the model again, in characters.
const REPLY_CHARACTERS_MAX: usize = 20_000;

/// The most faults that a model is told of.
pub const FAULTS_MAX: usize = 50;

/// The same question with the reply and its faults after it. With a `shape` only the fields of that
/// schema are asked for; the rest of the reply is kept.
pub fn request(asked: &Request, reply: &str, faults: &[String], shape: Option<Value>) -> Request {
    let mut again = asked.clone();
    let reply = reply.chars().take(REPLY_CHARACTERS_MAX).collect();
    let faults = faults.iter().take(FAULTS_MAX).map(|fault| format!("- {fault}"));
    let faults = faults.collect::<Vec<_>>().join("\n");
    let wanted = match shape {
        None => {
            "Give the whole JSON once more, corrected. Change nothing else, and invent nothing."
        }
        Some(shape) => {
            again.schema = shape;
            "Give only these fields once more, corrected, each at its place in JSON of the same form; \
             the rest is kept. A list keeps all of its items in their order. Invent nothing."
        }
    };
    again.messages.push(Message { role: Role::Assistant, content: reply });
    again.messages.push(Message {
        role: Role::User,
        content: format!("This does not fit the schema:\n{faults}\n\n{wanted}"),
    });
    again
}
