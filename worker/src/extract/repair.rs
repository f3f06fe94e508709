//! Asks again when a reply does not fit the schema.
//!
//! It must know nothing of what is asked for.

use pool::typed::chat::{Message, Request, Role};

/// The most of a reply that is shown to the model again, in characters.
const REPLY_CHARACTERS_MAX: usize = 20_000;

/// The same question with the reply and its faults after it.
pub fn request(asked: &Request, reply: &str, faults: &[String]) -> Request {
    let mut again = asked.clone();
    let reply = reply.chars().take(REPLY_CHARACTERS_MAX).collect();
    let faults = faults.iter().map(|fault| format!("- {fault}")).collect::<Vec<_>>().join("\n");
    again.messages.push(Message { role: Role::Assistant, content: reply });
    again.messages.push(Message {
        role: Role::User,
        content: format!(
            "This does not fit the schema:\n{faults}\n\nGive the whole JSON once more, corrected. \
             Change nothing else, and invent nothing."
        ),
    });
    again
}
