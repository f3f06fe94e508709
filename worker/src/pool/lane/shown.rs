//! What a lane tells of its deployments to whoever looks at them.
//!
//! It must know nothing of how a lane serves: it changes nothing.

use super::super::calendar::Calendar;
use super::super::deployment::{Deployment, DeploymentStatus};
use super::Lane;
use std::time::Duration;
use tokio::time::Instant;

impl Lane {
    /// For how long no deployment could be used; none while one can.
    pub(in crate::pool) fn outage(&self, now: Instant) -> Option<Duration> {
        let out_since = |deployment: &Deployment| {
            let calendar = self.book.calendar(&deployment.address);
            let rests = calendar.and_then(|calendar| calendar.out_since(self.at(now)));
            rests.map(|at| self.instant(at)).or(deployment.denied_since(now))
        };
        let since = self.deployments.iter().map(out_since);
        let last = since.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(now.saturating_duration_since(last))
    }

    /// The largest context, where one is configured.
    pub(in crate::pool) fn context_tokens_max(&self) -> Option<u32> {
        self.deployments.iter().filter_map(|deployment| deployment.config.context_tokens_max).max()
    }

    /// What these tokens cost at the deployment of this name.
    pub(in crate::pool) fn price(
        &self,
        name: &str,
        tokens_input: u64,
        tokens_output: u64,
    ) -> Option<f64> {
        let named = |deployment: &&Deployment| deployment.config.name == name;
        self.deployments.iter().find(named)?.price(tokens_input, tokens_output)
    }

    /// Every deployment at this moment.
    pub(in crate::pool) fn snapshot(&self, now: Instant) -> Vec<DeploymentStatus> {
        let deployments = self.deployments.iter();
        deployments.map(|deployment| self.status(deployment, now)).collect()
    }

    /// A deployment at this moment.
    pub(super) fn status(&self, deployment: &Deployment, now: Instant) -> DeploymentStatus {
        let at = self.at(now);
        let status = match self.book.calendar(&deployment.address) {
            Some(calendar) => deployment.status(calendar, now, at),
            // Nobody has asked anything of it yet.
            None => deployment.status(&Calendar::new(deployment.door(now).terms, at), now, at),
        };
        DeploymentStatus { shared: self.is_leased(), ..status }
    }
}
