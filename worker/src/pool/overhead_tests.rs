//! What the pool costs a call, beside the network: the count of its tokens, its slot, what the
//! headers of its response say, and what is learned from its end.

use super::config::{DeploymentConfig, LimiterKind, Provider};
use super::deployment::End;
use super::headers;
use super::lane::{Lane, Verdict};
use super::transport::Answered;
use super::{Need, Strategy};
use crate::chat::{Message, Request, Role};
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
        api_key: None,
        tokens_per_minute: 4_000_000_000,
        requests_per_minute: 4_000_000,
        tier: 0,
        weight: 1.0,
        concurrency_max: 64,
        limiter,
        charge: Default::default(),
        mode: None,
        context_tokens_max: None,
        input_price_per_million: None,
        output_price_per_million: None,
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

#[test]
#[ignore = "a measurement: `just overhead` shows it"]
fn what_a_call_costs() {
    let start = Instant::now();
    let mut lane = Lane::new(Strategy::Balanced, start);
    for kind in [LimiterKind::Window, LimiterKind::Bucket, LimiterKind::Ptu] {
        lane.add(config(kind), start);
    }
    let content = "Rechnung Nr. 4711 über 12,50 €\n".repeat(256);
    let request = Request {
        model: "gpt-4o".into(),
        messages: vec![Message { role: Role::User, content }],
        schema_name: "invoice".into(),
        schema: json!({}),
        tokens_output_max: 2_000,
    };
    let headers = response();
    let (mut costs, mut now) = (Vec::new(), start);
    for _ in 0..100_000 {
        now += Duration::from_millis(2);
        let began = std::time::Instant::now();
        let need = Need::of(&request, false, Duration::from_secs(60));
        let id = lane.enter(&need, Arc::new(Notify::new()), now);
        let Ok(Verdict::Granted(grant)) = lane.poll(id, now) else { panic!("there is room") };
        lane.sent(grant.index);
        let (limits, standing) = (headers::limits(&headers), headers::standing(&headers));
        let answered = Answered { limits, standing, result: Ok(json!(null)) };
        let end =
            End { result: Ok((2_000, 700)), heard: answered.heard(), started: now, jitter: 0.5 };
        lane.settle(grant.index, &grant.booking, &end, now);
        costs.push(began.elapsed());
    }
    costs.sort();
    let at = |part: f64| costs[(costs.len() as f64 * part) as usize];
    println!("p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
}
