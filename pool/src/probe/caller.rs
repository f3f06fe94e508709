//! One call of one deployment beside the pool, with everything that its response says: what the
//! pool learns from many responses, a probe must see in one.
//!
//! It must know nothing of what is asked or why.

use crate::config::{DeploymentConfig, PoolError};
use crate::provider::classify;
use crate::provider::headers::{self, RateLimits};
use crate::provider::transport::{self, NoResponse, Transport};
use crate::typed::usage::Usage;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The way to one deployment.
pub(super) struct Caller {
    transport: Transport,
    patience: Duration,
}

/// A response, whatever its status.
#[derive(Debug)]
pub(super) struct ProbeResponse {
    pub(super) status: u16,
    pub(super) limits: RateLimits,
    /// How long a rejected call is asked to wait.
    pub(super) retry_after: Option<Duration>,
    pub(super) usage: Usage,
    /// Its body; null where it is no JSON.
    pub(super) body: Value,
    /// What it says went wrong, on one line.
    pub(super) message: String,
    /// When it was asked for.
    pub(super) sent: Instant,
    /// How long it took.
    pub(super) took: Duration,
}

impl Caller {
    /// The way to this deployment. No network is used. No call may take longer than `patience`.
    pub(super) fn new(config: &DeploymentConfig, patience: Duration) -> Result<Self, PoolError> {
        Ok(Self { transport: Transport::new(&transport::client()?, config)?, patience })
    }

    /// What a request calls the model.
    pub(super) fn model(&self) -> &str {
        self.transport.model()
    }

    /// The field of a request that limits the answer.
    pub(super) fn limit_field(&self) -> &'static str {
        self.transport.limit_field()
    }

    /// Makes one call with these fields beside the model and the room for the answer.
    pub(super) async fn call(
        &self,
        fields: &Value,
        output_max: u32,
    ) -> Result<ProbeResponse, NoResponse> {
        let mut body = fields.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("model".to_owned(), self.model().into());
            fields.insert(self.limit_field().to_owned(), output_max.into());
        }
        self.ask(&body).await
    }

    /// Makes one call with this body.
    pub(super) async fn ask(&self, body: &Value) -> Result<ProbeResponse, NoResponse> {
        let sent = Instant::now();
        let response = timeout(self.patience, self.transport.chat(body)).await;
        let response = response.map_err(|_| NoResponse::late(self.patience))??;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        Ok(ProbeResponse {
            status: response.status,
            limits: response.rate_limits(),
            retry_after: headers::named_retry_after(&response.headers),
            usage: Usage::of(&body).unwrap_or_default(),
            message: classify::message(response.status, &response.body),
            body,
            sent,
            took: sent.elapsed(),
        })
    }
}

impl ProbeResponse {
    /// The model as the provider names it.
    pub(super) fn model(&self) -> Option<&str> {
        self.body.get("model")?.as_str()
    }
}
