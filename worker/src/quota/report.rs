//! What is said to the script, and how its answer is read: share.lua is the other side.
//!
//! It must know nothing of connections or of when reports are made.

use crate::pool::{Demand, Lease, News, Share};
use deadpool_redis::redis::{Script, ScriptInvocation};
use sha2::{Digest, Sha256};
use shared::schema::hexadecimal;
use std::time::Duration;
use tokio::time::Instant;

/// How long a share lasts without a report.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// For how long after its lease what a dead worker has sent may count at providers.
pub(super) const TAIL: Duration = Duration::from_secs(61);
/// How long nobody's share grows when Redis knows nothing: all report within this time.
pub(super) const SETTLE: Duration = LEASE;

/// The slot of a cluster is chosen by what stands in braces: all keys are in one.
const PREFIX: &str = "sluice:{quota}:";

/// A deployment that is shared.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its name here.
    pub(super) name: String,
    /// Its name in Redis: the same for all who use the same deployment.
    pub(super) key: String,
}

impl Member {
    pub(super) fn new(name: String, address: &str) -> Self {
        let hash = hexadecimal(&Sha256::digest(address));
        let hash = hash.get(..32).unwrap_or(&hash);
        Self { name, key: format!("{PREFIX}{hash}") }
    }
}

/// Share, target, workers, milliseconds of block, tokens, requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant(
    pub(super) u32,
    pub(super) u32,
    pub(super) u32,
    pub(super) u64,
    pub(super) u64,
    pub(super) u64,
);

impl deadpool_redis::redis::FromRedisValue for Grant {
    fn from_redis_value(
        value: deadpool_redis::redis::Value,
    ) -> Result<Self, deadpool_redis::redis::ParsingError> {
        let (share, target, workers, blocked, tokens, requests) =
            deadpool_redis::redis::FromRedisValue::from_redis_value(value)?;
        Ok(Self(share, target, workers, blocked, tokens, requests))
    }
}

/// A report, ready to be made.
pub(super) fn invocation<'a>(
    script: &'a Script,
    worker: &str,
    number: u64,
    members: &[Member],
    demands: &[Demand],
) -> ScriptInvocation<'a> {
    let mut ask = script.prepare_invoke();
    ask.arg(worker).arg(number);
    for duration in [LEASE, TAIL, SETTLE, Duration::ZERO] {
        ask.arg(milliseconds(duration));
    }
    for (member, demand) in members.iter().zip(demands) {
        ask.key(&member.key);
        for share in [demand.share, demand.want, demand.unit, demand.grain] {
            ask.arg(share.millionths());
        }
        let News { blocked, tokens, requests } = demand.news;
        ask.arg(milliseconds(blocked)).arg(tokens).arg(requests);
    }
    ask
}

/// The lease that a grant gives to whom asked at this time, and the news that came with it.
pub(super) fn granted(grant: &Grant, sent: Instant) -> (Lease, News) {
    let &Grant(share, target, workers, blocked, tokens, requests) = grant;
    let (share, target) = (Share::from_millionths(share), Share::from_millionths(target));
    let equal = Share::of(1.0 / f64::from(workers.max(1)));
    let lease = Lease { share, target, prospect: target.max(equal), until: sent + LEASE };
    (lease, News { blocked: Duration::from_millis(blocked), tokens, requests })
}

/// What a worker says that leaves: it wants nothing, and keeps only what still counts.
pub(super) fn leaving(demand: Demand) -> Demand {
    Demand { want: Share::NONE, unit: Share::NONE, share: demand.share.min(demand.held), ..demand }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
