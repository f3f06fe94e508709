//! What the pool costs a call, beside the network: the count of its tokens, its slot, what the
//! headers of its response say, and what is learned from its end. For `cargo bench` alone.

use super::{Need, Strategy};
use crate::config::{DeploymentConfig, Provider};
use crate::deployment::End;
use crate::limiter::LimiterKind;
use crate::provider::headers::RateLimits;
use crate::scheduler::{Scheduler, Verdict};
use crate::typed::chat::{Message, Request, Role};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

fn config(limiter: LimiterKind) -> DeploymentConfig {
    DeploymentConfig {
        name: format!("{limiter:?}"),
        model: "gpt-4o".into(),
        provider: Provider::Compatible,
        endpoint: format!("http://{limiter:?}/v1"),
        tokens_per_minute: Some(4_000_000_000),
        requests_per_minute: Some(4_000_000),
        limiter,
        ..DeploymentConfig::default()
    }
}

fn response() -> HeaderMap {
    let pairs = [
        ("x-ratelimit-limit-tokens", "4000000000"),
        ("x-ratelimit-limit-requests", "4000000"),
        ("x-ratelimit-remaining-tokens", "3999990000"),
        ("x-ratelimit-remaining-requests", "3999999"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("content-type", "application/json"),
    ];
    let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    pairs.into_iter().map(pair).collect()
}

/// Three deployments with more room than is asked for, one of each kind.
pub struct Overhead {
    scheduler: Scheduler,
    request: Request,
    headers: HeaderMap,
    now: Instant,
}

impl Default for Overhead {
    fn default() -> Self {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(Strategy::Balanced, now);
        for kind in [LimiterKind::Window, LimiterKind::Bucket, LimiterKind::Ptu] {
            scheduler.add(config(kind), now);
        }
        let content = "Rechnung Nr. 4711 über 12,50 €\n".repeat(256);
        let request = Request {
            model: "gpt-4o".into(),
            messages: vec![Message { role: Role::User, content }],
            schema_name: "invoice".into(),
            schema: json!({}),
            tokens_output_max: 2_000,
            reasoning_effort: None,
            images: Vec::new(),
        };
        Self { scheduler, request, headers: response(), now }
    }
}

impl Overhead {
    /// Everything of one call but the call, two milliseconds after the last; whether it had a slot.
    pub fn call(&mut self) -> bool {
        self.now += Duration::from_millis(2);
        let need = Need::of(&self.request, false, Duration::from_secs(60));
        let id = self.scheduler.enter(&need, None, Arc::new(Notify::new()), self.now);
        let Ok(Verdict::Granted(grant)) = self.scheduler.poll(id, self.now) else { return false };
        self.scheduler.sent(grant.index);
        let end = End {
            result: Ok((2_000, 700)),
            hints: RateLimits::read(&self.headers).hints(),
            model: Some("gpt-4o-2024-08-06"),
            started: self.now,
            jitter: 0.5,
        };
        self.scheduler.settle(grant.index, &grant.booking, &end, self.now).is_some()
    }
}
