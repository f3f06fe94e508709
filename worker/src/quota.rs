//! Agrees with all other workers on shares of the deployments' quotas: one script in Redis, twice a
//! second and when work begins, never on the way of a call.
//!
//! It must know nothing of documents. Why shares, and why they add up: docs/adr/0007.

mod report;
mod standing;
#[cfg(test)]
mod tests;

use crate::pool::{Lease, News, Pool, Share, chance};
use deadpool_redis::redis::Script;
use report::{Grant, Member, invocation};
use shared::quota::{Quota, QuotaError};
use standing::{Standing, alone};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often a worker reports.
const REFRESH: Duration = Duration::from_millis(500);
/// How soon after a report the next one may follow.
const REFRESH_MIN: Duration = Duration::from_millis(50);
/// How long a report may take, with its connection.
const REPORT_MAX: Duration = Duration::from_millis(1500);
/// The longest pause between attempts while Redis does not answer.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A time that no process lives to see.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// One worker's side of the agreement. Cheap to clone; one clone runs.
#[derive(Clone, Debug)]
pub struct Agreement {
    quota: Quota,
    pool: Pool,
    worker: Arc<str>,
    members: Vec<Member>,
    /// How many workers live by the count of the database.
    counted: Arc<AtomicU32>,
}

/// An agreement at work.
struct Running {
    agreement: Agreement,
    redis: deadpool_redis::Pool,
    script: Script,
    standing: Standing,
    /// Of the last report.
    number: u64,
}

impl Agreement {
    /// With these deployments, by their names and addresses. Where the quota is shared, the worker
    /// has none of it until Redis has given it a share.
    pub fn new(
        quota: Quota,
        pool: Pool,
        worker: Arc<str>,
        deployments: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let member = |(name, address): (String, String)| Member::new(name, &address);
        let members: Vec<Member> = deployments.into_iter().map(member).collect();
        if let Quota::Redis(_) = quota {
            // It may hope: a forecast without hope would send documents away for hours.
            let until = Instant::now() + FOREVER;
            let none = lease(Share::NONE, Share::NONE, Share::WHOLE, until);
            members.iter().for_each(|member| pool.set_lease(&member.name, none, &News::default()));
        }
        Self { quota, pool, worker, members, counted: Arc::default() }
    }

    /// Tells how many workers the database counts: without Redis they share equally.
    pub fn set_counted(&self, workers: u32) {
        self.counted.store(workers, Ordering::Relaxed);
        if let Quota::Local = self.quota {
            self.pool.set_share(1.0 / f64::from(workers.max(1)));
        }
    }

    /// Reports and takes what is granted, again and again until `stop`; then gives back all that
    /// does not count any more. Ends at once where the quota is not shared.
    pub async fn run(self, stop: CancellationToken) {
        let Quota::Redis(redis) = self.quota.clone() else { return };
        let script = Script::new(include_str!("quota/share.lua"));
        let standing = Standing::new(Instant::now());
        Running { agreement: self, redis, script, standing, number: 0 }.run(stop).await;
    }
}

impl Running {
    async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            match self.report(false).await {
                Ok(()) => {
                    failures = 0;
                    self.pause(&stop).await;
                }
                Err(error) => {
                    self.go_alone(&error, Instant::now());
                    let pause = (REFRESH / 2 * 2_u32.saturating_pow(failures)).min(RETRY_MAX);
                    failures = failures.saturating_add(1).min(8);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = sleep(pause.mul_f64(0.5 + chance() / 2.0)) => {}
                    }
                }
            }
        }
        if let Err(error) = self.report(true).await {
            tracing::debug!(%error, "the share of the quota was not given back");
        }
    }

    async fn pause(&self, stop: &CancellationToken) {
        let nudged = async {
            self.agreement.pool.waits().await;
            sleep(REFRESH_MIN).await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(REFRESH) => {}
            () = nudged => {}
        }
    }

    /// One report, with its answer.
    async fn report(&mut self, is_last: bool) -> Result<(), QuotaError> {
        self.number += 1;
        let sent = Instant::now();
        let Agreement { pool, members, worker, .. } = &self.agreement;
        let demands = members.iter().map(|member| {
            let demand = pool.demand(&member.name).unwrap_or_default();
            // Whoever leaves keeps only what still counts.
            if is_last { report::leaving(demand) } else { demand }
        });
        let demands: Vec<_> = demands.collect();
        let ask = async {
            let mut connection = self.redis.get().await.map_err(QuotaError::new)?;
            let ask = invocation(&self.script, worker, self.number, members, &demands);
            let grants: Vec<Grant> =
                ask.invoke_async(&mut connection).await.map_err(QuotaError::new)?;
            Ok(grants)
        };
        let late = |_| QuotaError::new("no answer in time");
        let grants = timeout(REPORT_MAX, ask).await.map_err(late)??;
        if grants.len() != members.len() {
            return Err(QuotaError::new("it answered something else"));
        }
        self.take(&grants, sent);
        Ok(())
    }

    fn take(&mut self, grants: &[Grant], sent: Instant) {
        let workers = grants.iter().map(|grant| grant.2).max().unwrap_or(1);
        if self.standing.found(workers, Instant::now()) {
            tracing::info!(workers, "the workers share the quota through Redis");
        }
        metrics::gauge!("sluice_quota_shared").set(1.0);
        for (member, grant) in self.agreement.members.iter().zip(grants) {
            let (lease, news) = report::granted(grant, sent);
            let labels = [("deployment", member.name.clone())];
            metrics::gauge!("sluice_quota_share", &labels).set(lease.share.fraction());
            self.agreement.pool.set_lease(&member.name, lease, &news);
        }
    }

    /// Redis does not answer: an equal part, less a margin for what the others do not know.
    fn go_alone(&mut self, error: &QuotaError, now: Instant) {
        let Agreement { pool, members, counted, .. } = &self.agreement;
        let (seconds, is_new) = self.standing.lost(now);
        let (part, workers) = alone(self.standing.workers(), counted.load(Ordering::Relaxed));
        if is_new {
            let part = part.fraction();
            tracing::warn!(
                %error, workers, part,
                "Redis does not answer: this worker goes on with a fixed part of every quota"
            );
        }
        metrics::gauge!("sluice_quota_shared").set(0.0);
        metrics::counter!("sluice_quota_degraded_seconds_total").increment(seconds);
        if self.standing.may_grow(now) {
            pool.set_share(part.fraction());
            return;
        }
        for member in members {
            let has = pool.demand(&member.name).unwrap_or_default().share;
            let fixed = lease(has, part, part, now + FOREVER);
            pool.set_lease(&member.name, fixed, &News::default());
        }
    }
}

fn lease(share: Share, target: Share, prospect: Share, until: Instant) -> Lease {
    Lease { share, target, prospect, until }
}
