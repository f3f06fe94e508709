//! What the simulator holds between its start, or a reset, and the next: deployments at work, and who
//! issues their tokens. The network is unknown here.

use crate::config::{Config, DeploymentConfig};
use crate::deployment::Deployment;
use crate::entra::Issuer;
use crate::stats::Stats;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// All that a reset begins anew. Calls under way keep the one they began in.
#[derive(Clone)]
pub(crate) struct RunState {
    pub(crate) started: Instant,
    pub(crate) deployments: Arc<Vec<Arc<Mutex<Deployment>>>>,
    pub(crate) issuer: Arc<Mutex<Issuer>>,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunState {
    pub(crate) fn new(config: &Config) -> Self {
        let deployment =
            |of: &DeploymentConfig| Arc::new(Mutex::new(Deployment::new(of.clone(), config.seed)));
        let deployments = Arc::new(config.deployments.iter().map(deployment).collect());
        let scopes = config.deployments.iter().filter_map(|one| one.entra_scope.clone()).collect();
        let issuer = Arc::new(Mutex::new(Issuer::new(config.entra.clone(), scopes)));
        Self { started: Instant::now(), deployments, issuer }
    }

    /// A deployment by its name, or else the first that serves a model of this name.
    pub(crate) fn find(&self, name: &str, models_too: bool) -> Option<Arc<Mutex<Deployment>>> {
        let by = |test: &dyn Fn(&Deployment) -> bool| {
            self.deployments.iter().find(|deployment| test(&locked(deployment))).cloned()
        };
        let named = by(&|deployment| deployment.config().name == name);
        match named {
            None if models_too => by(&|deployment| deployment.config().model() == name),
            named => named,
        }
    }

    /// What has happened since the start or the last reset.
    pub(crate) fn stats(&self) -> Stats {
        let one = |deployment: &Arc<Mutex<Deployment>>| {
            let deployment = locked(deployment);
            (deployment.config().name.clone(), deployment.stats().clone())
        };
        Stats {
            deployments: self.deployments.iter().map(one).collect(),
            tokens: locked(&self.issuer).stats().clone(),
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }
}
