//! How many workers the backlog and the quota keep busy.
//!
//! A worker beyond that only holds leases while it waits for quota, so the length of the queue alone
//! says little. Pure: it must know nothing of databases and clocks.

use super::{DeploymentReport, DeploymentState, Recent, WorkerReport};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// What a document is taken to charge, in tokens, until some have ended.
const TOKENS: f64 = 3_000.0;

/// The calls of a document, until some have ended.
const CALLS: f64 = 1.2;

/// Its time in work without waits, in seconds, until some have ended.
const WORK_SECONDS: f64 = 5.0;

/// The processor time of a document, in seconds, until some have been read.
const CPU_SECONDS: f64 = 0.1;

/// Documents in work beyond what Little's law asks for, so that a slow answer leaves no quota unused.
const SLACK: f64 = 1.3;

/// The same for each deployment: the pool never lacks a call to send.
const CALLS_AHEAD: f64 = 2.0;

/// The part of a processor that documents may keep busy. Beyond it they wait for each other.
const CPU_BUSY_MAX: f64 = 0.7;

/// Work that is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Documents that are due soon or in work, by model. None is the model of schemas that name none.
    pub documents: BTreeMap<Option<String>, u64>,
    /// Whether anything else waits for a worker, such as the removal of deleted bytes.
    pub chores: bool,
}

/// How many workers are of use, and what limits their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WorkersWanted {
    /// How many; 0 where nothing is due.
    pub workers: u32,
    /// What limits it.
    pub limit: WantedLimit,
}

/// What limits how many workers are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WantedLimit {
    /// Nothing is due.
    Idle,
    /// No deployment of the models that documents wait for takes calls, or no worker has said yet
    /// which there are: one worker tries them.
    Deployments,
    /// More workers would have no document.
    Backlog,
    /// More workers would wait for quota.
    Quota,
    /// Fewer workers would have too few processors to read what the quota lets through.
    Processors,
}

/// How many workers are of use now. By Little's law a quota that lets through λ documents a second,
/// each of which is in work for W seconds, keeps λ·W of them in work; more than there are documents is
/// never wanted.
pub fn workers_wanted(reports: &[WorkerReport], demand: &Demand) -> WorkersWanted {
    let is_due = demand.chores || demand.documents.values().any(|documents| *documents > 0);
    if !is_due {
        return WorkersWanted { workers: 0, limit: WantedLimit::Idle };
    }
    let default = reports.iter().map(|report| &*report.model).find(|model| !model.is_empty());
    let mut documents: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for (model, count) in demand.documents.iter().filter(|(_, count)| **count > 0) {
        *documents.entry(model.as_deref().or(default)).or_default() += count;
    }
    let (mut useful, mut cpu_seconds, mut limit) = (0.0, 0.0, WantedLimit::Deployments);
    for (model, count) in documents {
        let Some(quota) = model.and_then(|model| Quota::of(reports, model)) else { continue };
        let count = count as f64;
        let fed =
            (SLACK * quota.per_second * quota.seconds).ceil() + CALLS_AHEAD * quota.deployments;
        limit = limit.max(if fed < count { WantedLimit::Quota } else { WantedLimit::Backlog });
        useful += fed.min(count);
        // Documents that are not there need no processor.
        cpu_seconds += quota.per_second.min(count / quota.seconds) * reading(reports);
    }
    let each = |of: fn(&WorkerReport) -> u32| {
        reports.iter().map(of).filter(|count| *count > 0).min().map_or(1.0, f64::from)
    };
    let room = each(|report| report.concurrency);
    let processors = each(|report| report.processors);
    let by_quota = (useful / room).ceil();
    let by_cpu = (cpu_seconds / (CPU_BUSY_MAX * processors)).ceil();
    if by_cpu > by_quota {
        limit = WantedLimit::Processors;
    }
    // A float becomes the nearest whole number there is.
    WorkersWanted { workers: (by_quota.max(by_cpu) as u32).max(1), limit }
}

/// What the usable deployments of one model let through.
struct Quota {
    /// Documents a second; infinite without a known limit.
    per_second: f64,
    /// The mean time of a document in work, waits excluded.
    seconds: f64,
    /// How many there are.
    deployments: f64,
}

impl Quota {
    /// None where no deployment of the model can be used.
    fn of(reports: &[WorkerReport], model: &str) -> Option<Self> {
        let all = reports.iter().flat_map(|report| &report.deployments);
        let all: Vec<&DeploymentReport> = all.filter(|one| one.status.model == model).collect();
        let recent = all.iter().fold(Recent::default(), |sum, one| sum.and(&one.recent));
        let mean = |sum: f64, start: f64| match recent.documents {
            0 => start,
            documents => sum / f64::from(documents),
        };
        let tokens = mean(recent.tokens as f64, TOKENS).max(1.0);
        let calls = mean(recent.calls as f64, CALLS).max(1.0);
        let seconds = mean(recent.seconds, WORK_SECONDS).max(0.001);
        let names: BTreeSet<&str> = all.iter().map(|one| &*one.status.name).collect();
        let of = |name: &str| {
            let mut own = all.iter().filter(|one| one.status.name == name).map(|one| &one.status);
            // Usable is what any worker can use; the quota is one, and all see it.
            let (state, tokens_max, requests_max) = own.try_fold(
                (DeploymentState::Denied, None, None),
                |(state, tokens, requests), status| {
                    let tokens = status.tokens_per_minute.max(tokens);
                    Some((
                        status.state.min(state),
                        tokens,
                        status.requests_per_minute.max(requests),
                    ))
                },
            )?;
            let is_usable = matches!(state, DeploymentState::Ok | DeploymentState::Throttled);
            let rate = |limit: Option<u64>, each: f64| {
                limit.map_or(f64::INFINITY, |limit| limit as f64 / each / 60.0)
            };
            is_usable.then(|| rate(tokens_max, tokens).min(rate(requests_max, calls)))
        };
        let rates: Vec<f64> = names.into_iter().filter_map(of).collect();
        let (per_second, deployments) = (rates.iter().sum(), rates.len() as f64);
        (!rates.is_empty()).then_some(Self { per_second, seconds, deployments })
    }
}

/// The mean processor time of a document, in seconds.
fn reading(reports: &[WorkerReport]) -> f64 {
    let known: Vec<f64> = reports.iter().filter_map(|report| report.reading_seconds).collect();
    if known.is_empty() { CPU_SECONDS } else { known.iter().sum::<f64>() / known.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeploymentState::{Cooling, Denied, Ok, Throttled};
    use WantedLimit::{Backlog, Deployments, Idle, Processors, Quota};
    use pool::DeploymentStatus;

    /// A fleet of one worker that takes 32 documents at once.
    struct Scene {
        deployments: Vec<(DeploymentState, u64)>,
        tokens: u64,
        seconds: f64,
        waiting: u64,
    }

    impl Scene {
        fn report(&self) -> WorkerReport {
            let one =
                |(index, (state, quota)): (usize, &(DeploymentState, u64))| DeploymentReport {
                    status: DeploymentStatus {
                        name: format!("d{index}"),
                        model: "m".into(),
                        state: *state,
                        tokens_per_minute: Some(*quota),
                        requests_per_minute: Some(quota * 6 / 1000),
                        ..DeploymentStatus::default()
                    },
                    recent: Recent {
                        documents: 10,
                        tokens: self.tokens * 10,
                        calls: 10,
                        seconds: self.seconds * 10.0,
                    },
                    ..DeploymentReport::default()
                };
            WorkerReport {
                model: "m".into(),
                concurrency: 32,
                processors: 2,
                reading_seconds: Some(0.05),
                deployments: self.deployments.iter().enumerate().map(one).collect(),
                ..WorkerReport::default()
            }
        }

        fn demand(&self) -> Demand {
            Demand { documents: BTreeMap::from([(None, self.waiting)]), chores: false }
        }

        fn wanted(&self) -> (u32, WantedLimit) {
            let wanted = workers_wanted(&[self.report()], &self.demand());
            (wanted.workers, wanted.limit)
        }
    }

    fn scene(count: usize, quota: u64, tokens: u64, seconds: f64, waiting: u64) -> Scene {
        Scene { deployments: vec![(Ok, quota); count], tokens, seconds, waiting }
    }

    #[test]
    fn no_more_workers_are_wanted_than_the_quota_feeds() {
        // A million tokens a minute are 6,000 requests: the tokens bind, by the queue's length it
        // would be 157, 1,563 and 625 workers.
        assert_eq!(scene(2, 60_000, 2_000, 3.0, 5_000).wanted(), (1, Quota));
        assert_eq!(scene(20, 1_000_000, 2_000, 4.0, 50_000).wanted(), (29, Quota));
        assert_eq!(scene(4, 500_000, 6_000, 60.0, 20_000).wanted(), (14, Quota));
        assert_eq!(scene(2, 60_000, 2_000, 3.0, 0).wanted(), (0, Idle));
        let denied =
            Scene { deployments: vec![(Denied, 60_000); 2], ..scene(0, 0, 2_000, 3.0, 5_000) };
        assert_eq!(denied.wanted(), (1, Deployments));
    }

    #[test]
    fn no_more_workers_are_wanted_than_there_are_documents() {
        for waiting in 1..2_000 {
            let (workers, _) = scene(20, 1_000_000, 2_000, 4.0, waiting).wanted();
            let by_length = u32::try_from(waiting.div_ceil(32)).unwrap();
            assert!((1..=by_length).contains(&workers), "{waiting} documents, {workers} workers");
        }
        assert_eq!(scene(20, 1_000_000, 2_000, 4.0, 10).wanted(), (1, Backlog));
    }

    #[test]
    fn a_deployment_that_rests_feeds_nobody() {
        let all = |states: [DeploymentState; 4]| Scene {
            deployments: states.map(|state| (state, 500_000)).to_vec(),
            ..scene(0, 0, 6_000, 60.0, 20_000)
        };
        assert_eq!(all([Ok, Throttled, Ok, Ok]).wanted(), (14, Quota));
        assert_eq!(all([Ok, Ok, Cooling, Denied]).wanted(), (7, Quota));
    }

    #[test]
    fn workers_that_see_one_deployment_count_its_quota_once() {
        let scene = scene(4, 500_000, 6_000, 60.0, 20_000);
        let alone = workers_wanted(&[scene.report()], &scene.demand());
        let mut reports = vec![scene.report(); 9];
        // One of them cannot reach it, and the others can.
        reports[0].deployments.iter_mut().for_each(|one| one.status.state = Cooling);
        assert_eq!(workers_wanted(&reports, &scene.demand()), alone);
    }

    #[test]
    fn each_model_has_its_own_quota() {
        let mut report = scene(4, 500_000, 6_000, 60.0, 0).report();
        for one in &mut report.deployments[2..] {
            one.status.model = "other".into();
        }
        let wanted = |main: u64, other: u64, unknown: u64| {
            let other = [(Some("other".to_owned()), other), (Some("gone".to_owned()), unknown)];
            let documents = other.into_iter().chain([(None, main)]).collect();
            workers_wanted(std::slice::from_ref(&report), &Demand { documents, chores: false })
        };
        assert_eq!(wanted(20_000, 0, 0), WorkersWanted { workers: 7, limit: Quota });
        assert_eq!(wanted(20_000, 20_000, 0), WorkersWanted { workers: 14, limit: Quota });
        assert_eq!(wanted(20_000, 20_000, 999), WorkersWanted { workers: 14, limit: Quota });
        assert_eq!(wanted(0, 0, 999), WorkersWanted { workers: 1, limit: Deployments });
    }

    #[test]
    fn where_reading_takes_longer_than_asking_processors_decide() {
        let scene = scene(20, 1_000_000, 2_000, 0.5, 50_000);
        let mut report = scene.report();
        assert_eq!(scene.wanted(), (6, Processors));
        report.reading_seconds = Some(0.5);
        let wanted = workers_wanted(&[report], &scene.demand());
        assert_eq!(wanted, WorkersWanted { workers: 60, limit: Processors });
    }

    #[test]
    fn before_any_worker_reports_one_is_wanted_while_anything_is_due() {
        let due = Demand { documents: BTreeMap::from([(None, 5_000)]), chores: false };
        assert_eq!(workers_wanted(&[], &due), WorkersWanted { workers: 1, limit: Deployments });
        let chores = Demand { chores: true, ..Demand::default() };
        assert_eq!(workers_wanted(&[], &chores).workers, 1);
        assert_eq!(workers_wanted(&[], &Demand::default()).workers, 0);
    }

    #[test]
    fn without_a_known_limit_the_documents_decide() {
        let scene = scene(1, 0, 2_000, 3.0, 320);
        let mut report = scene.report();
        report.deployments[0].status.tokens_per_minute = None;
        report.deployments[0].status.requests_per_minute = None;
        let wanted = workers_wanted(&[report], &scene.demand());
        assert_eq!(wanted, WorkersWanted { workers: 10, limit: Backlog });
    }
}
