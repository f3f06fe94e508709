//! What a scheduler tells of its deployments to whoever looks at them.
//!
//! It must know nothing of how a scheduler serves: it changes nothing.

use super::Scheduler;
use crate::deployment::{Deployment, DeploymentStatus};
use crate::limiter::{Knowledge, Limiter};
use crate::state::DeploymentView;
use crate::typed::dialect::Dialect;
use crate::typed::usage::Usage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Scheduler {
    /// For how long no deployment could be used; none while one can.
    pub(crate) fn outage(&self, now: Instant) -> Option<Duration> {
        let out_since = |deployment: &Deployment| {
            let limiter = self.state.limiter(&deployment.address);
            let rests = limiter.and_then(|limiter| limiter.out_since(self.at(now)));
            rests.map(|at| self.instant(at)).or(deployment.denied_since(now))
        };
        let since = self.deployments.iter().map(out_since);
        let last = since.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(now.saturating_duration_since(last))
    }

    /// The most tokens of an answer, thinking included; none where some deployment has not named them.
    pub(crate) fn tokens_output_max(&self) -> Option<u32> {
        let most = |deployment: &Deployment| deployment.dialect.get().tokens_output_max;
        self.deployments.iter().map(most).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// What was last said by a deployment that refuses or fails, where one does.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.deployments.iter().find_map(Deployment::trouble)
    }

    /// Whether calls have failed at this deployment since its last answer.
    pub(crate) fn is_failing(&self, index: usize) -> bool {
        self.deployments.get(index).is_some_and(Deployment::is_failing)
    }

    pub(super) fn known(&self) -> BTreeMap<Arc<str>, Knowledge> {
        let known = |deployment: &Deployment| {
            let limiter = self.state.limiter(&deployment.address)?;
            Some((Arc::clone(&deployment.address), limiter.knowledge()?))
        };
        self.deployments.iter().filter_map(known).collect()
    }

    pub(super) fn dialects(&self) -> Vec<(String, Dialect)> {
        let dialect = |one: &Deployment| (one.dialect_key.clone(), one.dialect.get());
        self.deployments.iter().map(dialect).collect()
    }

    pub(super) fn views(&self, now: Instant) -> Vec<DeploymentView> {
        let at = self.at(now);
        let view = |one: &Deployment| one.view(self.state.limiter(&one.address), now, at);
        self.deployments.iter().map(view).collect()
    }

    /// The largest context, where one is configured.
    pub(crate) fn context_tokens_max(&self) -> Option<u32> {
        self.deployments.iter().filter_map(|deployment| deployment.config.context_tokens_max).max()
    }

    /// What images count as, each at the deployment where it is dearest of those that see.
    pub(crate) fn image_tokens(&self, sizes: &[(u32, u32)]) -> u64 {
        let dearest = |size: &(u32, u32)| {
            let seeing = self.deployments.iter().filter(|deployment| deployment.sees());
            seeing.map(|deployment| deployment.image_tokens(*size)).max().unwrap_or_default()
        };
        sizes.iter().map(dearest).sum()
    }

    /// Whether a deployment takes images.
    pub(crate) fn sees(&self) -> bool {
        self.deployments.iter().any(Deployment::sees)
    }

    /// What these tokens cost at the deployment of this name.
    pub(crate) fn price(&self, name: &str, usage: &Usage) -> Option<f64> {
        let named = |deployment: &&Deployment| deployment.config.name == name;
        self.deployments.iter().find(named)?.price(usage)
    }

    /// Every deployment at this moment.
    pub(crate) fn snapshot(&self, now: Instant) -> Vec<DeploymentStatus> {
        let deployments = self.deployments.iter();
        deployments.map(|deployment| self.status(deployment, now)).collect()
    }

    /// A deployment at this moment.
    pub(super) fn status(&self, deployment: &Deployment, now: Instant) -> DeploymentStatus {
        let at = self.at(now);
        let status = match self.state.limiter(&deployment.address) {
            Some(limiter) => deployment.status(limiter, now, at),
            // Nobody has asked anything of it yet.
            None => deployment.status(&Limiter::new(deployment.terms(), at), now, at),
        };
        DeploymentStatus { shared: self.is_leased(), ..status }
    }
}

/// Like [`milliseconds`], but for times, which may be long after the start.
pub(super) fn milliseconds_of_life(at: f64) -> Duration {
    Duration::from_secs_f64((at / 1_000.0).clamp(0.0, 1e10))
}
