//! One call of one deployment beside the pool, with everything that its response says: what the
//! pool learns from many responses, a probe must see in one.
//!
//! It must know nothing of what is asked or why.

use crate::config::{DeploymentConfig, PoolError};
use crate::provider::classify;
use crate::provider::complaint::{self, Complaint};
use crate::provider::headers::{self, RateLimits};
use crate::provider::transport::{Connections, NoResponse, Transport};
use crate::provider::typed_client::limits;
use crate::typed::dialect::{Lesson, Part, SharedDialect};
use crate::typed::usage::Usage;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// So often one question is put in another way at most: it has two parts that may be refused.
const TRIES_MAX: u32 = 3;

/// The way to one deployment.
pub(super) struct Caller {
    transport: Transport,
    limits: [Part; 2],
    dialect: SharedDialect,
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
}

impl Caller {
    /// The way to this deployment. No network is used. No call may take longer than `patience`.
    pub(super) fn new(config: &DeploymentConfig, patience: Duration) -> Result<Self, PoolError> {
        let transport = Transport::new(&mut Connections::new(patience)?, config)?;
        let (limits, dialect) = (limits(config, &transport), SharedDialect::default());
        Ok(Self { transport, limits, dialect, patience })
    }

    /// Makes one call with these fields beside the model and the room for the answer.
    pub(super) async fn call(
        &self,
        fields: &Value,
        output_max: u32,
    ) -> Result<ProbeResponse, NoResponse> {
        let mut tries = 0;
        loop {
            let mut body = fields.as_object().cloned().unwrap_or_default();
            body.insert("model".to_owned(), self.transport.model().into());
            let dialect = self.dialect.get();
            let limit = self.limits.into_iter().find(|limit| dialect.takes(*limit));
            if let Some(limit) = limit {
                body.insert(limit.name().to_owned(), output_max.into());
            }
            let (answer, complaints) = self.ask(&body).await?;
            tries += 1;
            let is_limit = |complaint: &Complaint| match complaint {
                Complaint::Lesson(lesson @ Lesson::Refused(part)) => {
                    Some(*part) == limit && self.dialect.learn(*lesson)
                }
                _ => false,
            };
            if tries >= TRIES_MAX || !complaints.iter().any(is_limit) {
                return Ok(answer);
            }
        }
    }

    /// Makes one call with this body. Also gives what it complains about.
    async fn ask(
        &self,
        body: &Map<String, Value>,
    ) -> Result<(ProbeResponse, Vec<Complaint>), NoResponse> {
        let sent = Instant::now();
        let response = timeout(self.patience, self.transport.chat(body)).await;
        let response = response.map_err(|_| NoResponse::late(self.patience))??;
        let complaints = match response.status {
            400 | 422 => complaint::read(&String::from_utf8_lossy(&response.body), body),
            _ => Vec::new(),
        };
        let body = classify::read("", &response.headers, &response.body).unwrap_or_default();
        let answer = ProbeResponse {
            status: response.status,
            limits: response.rate_limits(),
            retry_after: headers::named_retry_after(&response.headers),
            usage: Usage::of(&body).unwrap_or_default(),
            message: classify::message(response.status, &response.body),
            body,
            sent,
        };
        Ok((answer, complaints))
    }
}

impl ProbeResponse {
    /// The model as the provider names it.
    pub(super) fn model(&self) -> Option<&str> {
        self.body.get("model")?.as_str()
    }
}
