//! The calls of one probe, counted, and what was seen so far.

use super::caller::{Caller, ProbeResponse};
use super::fit::{self, Seen};
use super::plan::{self, Sizes, Trial};
use super::problem::{self, Problem};
use crate::config::{DeploymentConfig, PoolError};
use crate::provider::family;
use crate::typed::usage::Usage;
use std::time::Duration;
use tokio::time::Instant;

/// How often a call that finds no room is made again.
const TRIES_MAX: u32 = 3;

/// The longest pause in which a bucket may fill.
const REFILL_MAX: Duration = Duration::from_secs(20);

/// A probe at work.
pub struct Probe<'a> {
    pub(super) deployment: &'a DeploymentConfig,
    pub(super) caller: Caller,
    key: &'a str,
    progress: &'a (dyn Fn(&str) + Send + Sync),
    begun: Instant,
    pub(super) sizes: Sizes,
    pub(super) seen: Vec<Seen>,
    /// The model as the provider names it.
    model: Option<String>,
    pub(super) calls: u32,
    pub(super) usage: Usage,
    pub(super) notes: Vec<String>,
}

impl<'a> Probe<'a> {
    /// A probe of this deployment. `key` says in words where its key comes from, `progress` is told
    /// what is done, and no call may take longer than `patience`. No network is used.
    ///
    /// # Errors
    /// When the deployment has no address.
    pub fn new(
        deployment: &'a DeploymentConfig,
        key: &'a str,
        patience: Duration,
        progress: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, PoolError> {
        Ok(Self {
            deployment,
            caller: Caller::new(deployment, patience)?,
            key,
            progress,
            begun: Instant::now(),
            sizes: Sizes::of(plan::quota(deployment).0),
            seen: Vec::new(),
            model: None,
            calls: 0,
            usage: Usage::default(),
            notes: Vec::new(),
        })
    }

    /// One answered call; none where the deployment does not take such a question.
    pub(super) async fn ask(&mut self, trial: Trial) -> Result<Option<ProbeResponse>, Problem> {
        let (fields, room) = self.sizes.question(trial);
        for _ in 0..TRIES_MAX {
            let answer = self.call(&fields, room).await?;
            let optional = matches!(trial, Trial::Schema | Trial::Tool);
            match answer.status {
                200 => return Ok(Some(answer)),
                429 => {
                    let wait = answer.retry_after.unwrap_or(Duration::from_secs(1));
                    self.progress(&format!("it has no room for {} s", wait.as_secs().max(1)));
                    tokio::time::sleep(wait).await;
                }
                400 | 422 | 500 | 501 if optional => return Ok(None),
                status => return Err(self.refused(status, &answer.message)),
            }
        }
        let said = format!("no room {TRIES_MAX} times, each after the wait that it had asked for");
        Err(self.refused(429, &said))
    }

    /// What a status that is not 200 means here.
    pub(super) fn refused(&self, status: u16, said: &str) -> Problem {
        problem::refused(self.deployment, status, said, self.key)
    }

    /// How many input tokens one output token weighs here.
    pub(super) fn output_weight(&self) -> f64 {
        family::output_weight(self.deployment, self.model.as_deref())
    }

    /// One call, counted.
    pub(super) async fn call(
        &mut self,
        fields: &serde_json::Value,
        room: u32,
    ) -> Result<ProbeResponse, Problem> {
        self.calls += 1;
        let answer = self.caller.call(fields, room).await;
        let answer = answer.map_err(problem::silent)?;
        self.count(&answer);
        Ok(answer)
    }

    /// Counts what an answer has cost.
    pub(super) fn count(&mut self, answer: &ProbeResponse) {
        self.usage.tokens_input += answer.usage.tokens_input;
        self.usage.tokens_output += answer.usage.tokens_output;
        if let Some(model) = answer.model() {
            self.model = Some(model.to_owned());
        }
    }

    pub(super) fn note(&mut self, trial: Trial, answer: &ProbeResponse) {
        let at = answer.sent.saturating_duration_since(self.begun).as_secs_f64();
        self.seen.push(Seen { trial, at, limits: answer.limits, usage: answer.usage });
    }

    pub(super) fn shows(&self) -> bool {
        self.seen.iter().all(|seen| seen.limits.tokens_left.is_some())
    }

    /// Waits as long as a bucket would take to be full again.
    pub(super) async fn let_it_fill(&self) {
        let Some(last) = self.seen.last() else { return };
        let seconds = fit::refill(last, plan::quota(self.deployment).0) * 1.1 + 0.1;
        tokio::time::sleep(Duration::from_secs_f64(seconds.min(3600.0)).min(REFILL_MAX)).await;
    }

    pub(super) fn progress(&self, what: &str) {
        (self.progress)(what);
    }
}
