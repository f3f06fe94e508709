//! Finds out what a real deployment's limiter is and what it charges, with a handful of calls one
//! after another, and a burst where that is allowed.

use super::burst::{self, Burst};
use super::caller::{Caller, ProbeResponse};
use super::fit::{self, Findings, Seen};
use super::plan::{Sizes, Trial};
use super::problem::{self, Problem};
use crate::config::{DeploymentConfig, PoolError};
use crate::limiter::LimiterKind;
use crate::provider::family;
use crate::typed::usage::Usage;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// How often a call that finds no room is made again.
const TRIES_MAX: u32 = 3;

/// The longest pause in which a bucket may fill.
const REFILL_MAX: Duration = Duration::from_secs(20);

/// What a probe has found and what it cost.
#[derive(Debug, Serialize)]
pub struct Probed {
    /// The deployment.
    pub deployment: String,
    /// What was found.
    #[serde(flatten)]
    pub found: Findings,
    /// What a burst has shown, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Burst>,
    /// The calls that it made.
    pub calls: u32,
    /// The tokens of its questions.
    pub tokens_input: u64,
    /// The tokens of the answers.
    pub tokens_output: u64,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// The most that a probe uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Calls.
    pub calls: u64,
    /// Tokens of the quota, about.
    pub tokens: u64,
}

/// The most that a probe of a deployment with this quota uses.
pub fn cost(tokens_per_minute: u64, with_burst: bool) -> Cost {
    let (calls, tokens) = (Trial::ALL.len() as u64, Sizes::of(tokens_per_minute).tokens());
    match with_burst {
        true => {
            Cost { calls: calls + u64::from(burst::CALLS_MAX), tokens: tokens + burst::tokens() }
        }
        false => Cost { calls, tokens },
    }
}

/// A probe at work.
pub struct Probe<'a> {
    pub(super) deployment: &'a DeploymentConfig,
    pub(super) caller: Caller,
    key: &'a str,
    progress: &'a (dyn Fn(&str) + Send + Sync),
    begun: Instant,
    sizes: Sizes,
    seen: Vec<Seen>,
    /// The model as the provider names it.
    model: Option<String>,
    pub(super) calls: u32,
    usage: Usage,
    notes: Vec<String>,
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
            sizes: Sizes::of(deployment.tokens_per_minute),
            seen: Vec::new(),
            model: None,
            calls: 0,
            usage: Usage::default(),
            notes: Vec::new(),
        })
    }

    /// Makes the calls and says what they show. Where a burst is allowed, also several at once.
    ///
    /// # Errors
    /// When the deployment does not answer as it should.
    pub async fn run(mut self, with_burst: bool) -> Result<Probed, Problem> {
        let all = Trial::ALL.len();
        for (index, trial) in Trial::ALL.into_iter().enumerate() {
            self.progress(&format!("call {} of {all}", index + 1));
            if trial != Trial::After {
                self.let_it_fill().await;
            }
            match self.ask(trial).await? {
                Some(answer) => self.note(trial, &answer),
                None => self.notes.push(format!("it does not take {}", named(trial))),
            }
            // Without figures in the headers no further call shows anything.
            if trial == Trial::Again && !self.shows() {
                let told = "its responses name no limits: what it charges cannot be seen in them";
                self.notes.push(told.to_owned());
                break;
            }
        }
        let mut found = fit::fit(&self.seen, &self.sizes, self.deployment);
        if found.is_disturbed {
            // What somebody else has used would be taken for a charge.
            let kind = found.limiter;
            found = Findings { limiter: kind, is_disturbed: true, ..Findings::default() };
            let told = "something else calls this deployment: its charge is not to be seen so; \
                        run the probe again when it is idle";
            self.notes.push(told.to_owned());
        }
        let burst = match (with_burst, self.seen.first().cloned()) {
            (true, Some(first)) => burst::burst(&mut self, &first, &mut found).await?,
            _ => None,
        };
        self.notes.extend(burst.iter().filter_map(|burst| burst.note.clone()));
        if found.limiter == Some(LimiterKind::Ptu) && burst.is_none() {
            let told = "provisioned throughput shows its charge only in a burst";
            self.notes.push(told.to_owned());
        }
        Ok(Probed {
            deployment: self.deployment.name.clone(),
            found,
            burst,
            calls: self.calls,
            tokens_input: self.usage.tokens_input,
            tokens_output: self.usage.tokens_output,
            notes: self.notes,
        })
    }

    /// One answered call; none where the deployment does not take such a question.
    async fn ask(&mut self, trial: Trial) -> Result<Option<ProbeResponse>, Problem> {
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

    fn note(&mut self, trial: Trial, answer: &ProbeResponse) {
        let at = answer.sent.saturating_duration_since(self.begun).as_secs_f64();
        self.seen.push(Seen { trial, at, limits: answer.limits, usage: answer.usage });
    }

    fn shows(&self) -> bool {
        self.seen.iter().all(|seen| seen.limits.tokens_left.is_some())
    }

    /// Waits as long as a bucket would take to be full again.
    async fn let_it_fill(&self) {
        let Some(last) = self.seen.last() else { return };
        let seconds = fit::refill(last, self.deployment.tokens_per_minute) * 1.1 + 0.1;
        tokio::time::sleep(Duration::from_secs_f64(seconds.min(3600.0)).min(REFILL_MAX)).await;
    }

    pub(super) fn progress(&self, what: &str) {
        (self.progress)(what);
    }
}

fn named(trial: Trial) -> &'static str {
    match trial {
        Trial::Schema => "a schema",
        Trial::Tool => "tools",
        _ => "this question",
    }
}
