//! A deployment at one moment, as it is shown: also in the reports that workers store.

use crate::limiter::LimiterKind;
use crate::typed::dialect::Dialect;
use crate::typed::mode::Mode;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;
use utoipa::ToSchema;

/// How a deployment fares, from the best to the worst.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It takes calls.
    #[default]
    Ok,
    /// Its provider rejected for want of room; nothing is sent for a while.
    Throttled,
    /// It rests after failures.
    Cooling,
    /// It refuses calls until its configuration, or its key, changes.
    Denied,
}

/// A deployment at one moment. Members that an older program leaves out have their defaults, and
/// what a newer one says beyond them is passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentStatus {
    /// Its name.
    pub name: String,
    /// The model that it serves.
    pub model: String,
    /// Its tier.
    pub tier: u32,
    /// How it fares.
    pub state: DeploymentState,
    /// Until when nothing is sent, unless that is now.
    #[serde(skip)]
    pub resumes_in: Option<Duration>,
    /// What it said when it last refused or failed; none since it answered.
    pub message: Option<String>,
    /// How it is asked for JSON, once that is known; filled in by [`crate::Pool::snapshot`].
    #[serde(deserialize_with = "known_mode")]
    pub mode: Option<Mode>,
    /// What it does not take of requests, as far as its refusals have shown.
    #[serde(deserialize_with = "known_dialect")]
    pub dialect: Dialect,
    /// How its quota is enforced, as far as is known.
    #[serde(serialize_with = "limiter_name", deserialize_with = "known_limiter")]
    pub limiter: LimiterKind,
    /// Whether all members of the fleet see one quota; otherwise each sees its part.
    pub shared: bool,
    /// The calls that have a reservation, sent or about to be.
    pub in_flight: u32,
    /// The most calls at the same time.
    pub concurrency_max: u32,
    /// The tokens that could be sent now; none where no limit is known.
    pub tokens_available: Option<u64>,
    /// The requests that could be sent now; none where no limit is known.
    pub requests_available: Option<u64>,
    /// The quota in force: tokens a minute, by configuration or by what the provider says or does.
    pub tokens_per_minute: Option<u64>,
    /// The quota in force: requests a minute.
    pub requests_per_minute: Option<u64>,
    /// The part of the last minute's quota that was used.
    #[serde(skip)]
    pub utilisation: f64,
    /// What the provider counts for a token that we count.
    #[serde(skip)]
    pub ratio: f64,
    /// Tokens a minute that others use, or by which the limit has fallen without a word.
    #[serde(skip)]
    pub external_load: u64,
    /// The part of the quota that is used since the last rejections.
    #[serde(skip)]
    pub trim: f64,
    /// The part of a bucket that is left, as responses say.
    #[serde(skip)]
    pub level: f64,
    /// What provisioned throughput is taken to let through at once, in time at its rate.
    #[serde(skip)]
    pub ceiling: Duration,
    /// The mean time of an answer, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The calls sent since the start.
    pub calls: u64,
    /// Those that brought an answer.
    pub answered: u64,
    /// Those that found no room.
    pub throttled: u64,
    /// Those that failed in any other way.
    pub failed: u64,
}

fn known_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mode>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| Mode::named(&name)))
}

fn known_dialect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dialect, D::Error> {
    let dialect = serde_json::Value::deserialize(deserializer)?;
    // A newer program may know of more.
    Ok(serde_json::from_value(dialect).unwrap_or_default())
}

fn limiter_name<S: Serializer>(kind: &LimiterKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn known_limiter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LimiterKind, D::Error> {
    let name = String::deserialize(deserializer)?;
    let kind = LimiterKind::deserialize(IntoDeserializer::<Error>::into_deserializer(name));
    Ok(kind.unwrap_or_default())
}
