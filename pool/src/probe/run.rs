//! Finds out what a real deployment's limiter is and what it charges, with a handful of calls one
//! after another, and a burst where that is allowed.

use super::burst::{self, Burst};
use super::fit::{self, Findings};
use super::plan::{self, Sizes, Trial};
use super::problem::Problem;
use super::session::Probe;
use crate::config::DeploymentConfig;
use crate::limiter::LimiterKind;
use serde::Serialize;

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
pub fn cost(deployment: &DeploymentConfig, with_burst: bool) -> Cost {
    let (calls, tokens) = (Trial::ALL.len() as u64, Sizes::of(plan::quota(deployment).0).tokens());
    match with_burst {
        true => {
            Cost { calls: calls + u64::from(burst::CALLS_MAX), tokens: tokens + burst::tokens() }
        }
        false => Cost { calls, tokens },
    }
}

impl Probe<'_> {
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
}

fn named(trial: Trial) -> &'static str {
    match trial {
        Trial::Schema => "a schema",
        Trial::Tool => "tools",
        _ => "this question",
    }
}
