//! What a call needs before it may be sent.

use crate::typed::chat::Request;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a call needs before it may be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// The model.
    pub model: String,
    /// What providers count of the question at admission: `floor(characters / 4) + 1` a message.
    pub tokens_input: u64,
    /// The most tokens that the answer may have.
    pub tokens_output_max: u32,
    /// Whether a person waits for the answer: served before bulk calls.
    pub interactive: bool,
    /// The longest wait that makes sense.
    pub wait_max: Duration,
    /// The schema of the answer. Token counts are learned per schema.
    pub schema: String,
    /// Whether it was rejected before for want of quota: served before its equals.
    pub returned: bool,
    /// The tenant. Bulk capacity is divided among tenants.
    pub tenant: Arc<str>,
    /// The tenant's weight in that division.
    pub weight: f64,
    /// The images of the question, their width and height in pixels: only deployments that see are
    /// asked, and each image counts as the dearest of their models says.
    pub images: Vec<(u32, u32)>,
    /// The latest time at which an answer is useful.
    pub deadline: Option<Instant>,
}

impl Need {
    /// What this request needs, for a tenant like any other.
    pub fn of(request: &Request, interactive: bool, wait_max: Duration) -> Self {
        Self {
            model: request.model.clone(),
            tokens_input: request.characters().map(|count| count as u64 / 4 + 1).sum(),
            tokens_output_max: request.tokens_output_max,
            interactive,
            wait_max,
            schema: request.schema_name.clone(),
            returned: false,
            tenant: Arc::from(""),
            weight: 1.0,
            images: request.images.iter().map(|image| (image.width, image.height)).collect(),
            deadline: None,
        }
    }
}
