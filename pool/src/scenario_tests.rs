//! A fleet against models of the providers' limiters, on simulated time: counts, not timings, so
//! every run gives the same. The set-up is that of docs/pool.md: three deployments, one of each
//! kind, an endless backlog, and a count of tokens that differs from the provider's.

use crate::limiter::{Booking, LimiterHints, LimiterKind, Outcome, Size, Terms};
use crate::state::{DeploymentView, ModelState, Settlement, Waiter};
use crate::strategy::Strategy;
use simulator::config::{DeploymentConfig, Kind as ServiceKind};
use simulator::fault::Terms as ServiceTerms;
use simulator::limiter::{Cost, Limiter, Standing, Verdict};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

const OUTPUT_MAX: f64 = 2_000.0;
const OUTPUT_WEIGHT: f64 = 4.0;

/// What is different from the ordinary in a run.
#[derive(Clone, Copy)]
struct Scenario {
    workers: usize,
    scale: f64,
    seconds: f64,
    seed: u64,
    /// How much lower we count questions than the provider does.
    bias: f64,
    /// 503 from the window, in seconds.
    outage: Option<(f64, f64)>,
    /// The window's limit is this part, in seconds.
    limit: Option<(f64, f64, f64)>,
    /// Strangers leave this part of the window, in seconds.
    external_load: Option<(f64, f64, f64)>,
    /// The shared state cannot be asked, in seconds.
    lost: Option<(f64, f64)>,
    /// Interactive calls a second.
    urgent: f64,
    auto: bool,
    /// Each tenant at a worker of its own.
    apart: bool,
    /// Three deployments of this kind, instead of one of each that is known.
    double: Option<ServiceKind>,
    /// The part of the quota that is configured.
    configured: f64,
    /// Whether a double says what is left when an answer is complete, not when a call is let in.
    late: bool,
}

const CENTRAL: Scenario = Scenario {
    workers: 4,
    scale: 1.0,
    seconds: 600.0,
    seed: 1,
    bias: 0.04,
    outage: None,
    limit: None,
    external_load: None,
    lost: None,
    urgent: 0.0,
    auto: false,
    apart: false,
    double: None,
    configured: 1.0,
    late: false,
};

/// How often a worker of a fleet asks the state that all share, unless somebody waits for an answer.
const PAUSE_MS: f64 = 250.0;

/// Measured from here on: windows have filled.
const FROM: f64 = 120.0;

/// SplitMix64, with the distributions that are needed.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.uniform().max(1e-12), self.uniform());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -self.uniform().max(1e-12).ln() * mean
    }
}

#[derive(Clone, Debug)]
struct Call {
    born: f64,
    prompt: f64,
    output: f64,
    counted: f64,
    estimate: f64,
    urgent: bool,
    tenant: usize,
    returned: bool,
}

enum Act {
    Exchange(usize),
    Send(usize, u64),
    Arrive(Sent),
    Complete(Sent, Standing),
    Back(Sent, Outcome),
    Urgent,
}

#[derive(Clone)]
struct Sent {
    worker: usize,
    id: u64,
    view: usize,
    booking: Booking,
    sent: f64,
    call: Call,
}

struct At(f64, u64, Act);

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for At {}
impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.total_cmp(&self.0).then(other.1.cmp(&self.1))
    }
}

#[derive(Default)]
struct Worker {
    waiting: BTreeMap<u64, Call>,
    granted: BTreeMap<u64, (Call, usize, Booking)>,
    settlements: Vec<Settlement>,
    /// When it exchanges next, and when it last did.
    next: Option<f64>,
    last: f64,
    in_flight: [u32; 3],
    log: Vec<(usize, Booking)>,
}

#[derive(Default, Debug, Clone, Copy)]
struct Tally {
    units: f64,
    attempts: f64,
    rejected: f64,
    failed: f64,
}

struct World {
    scenario: Scenario,
    now: f64,
    number: u64,
    dice: Dice,
    queue: BinaryHeap<At>,
    state: ModelState,
    /// The states of workers that cannot ask the shared one.
    alone: Vec<ModelState>,
    views: Vec<DeploymentView>,
    services: Vec<Limiter>,
    kinds: [ServiceKind; 3],
    workers: Vec<Worker>,
    tally: [Tally; 3],
    done: f64,
    waits: Vec<f64>,
    tenants: [f64; 4],
    exchanges: u64,
    rejected_ever: u64,
}

/// What is reported.
#[derive(Debug)]
#[allow(dead_code, reason = "the figures are shown")]
struct Report {
    use_percent: f64,
    each_percent: [f64; 3],
    payg_429: f64,
    payg_429_percent: f64,
    ptu_429_percent: f64,
    attempts: f64,
    failed: f64,
    wait_p50_ms: f64,
    wait_p99_ms: f64,
    tenants: [f64; 4],
    exchanges_a_second: f64,
    /// Also while limits were learned.
    rejected_ever: u64,
    /// Attempts in the time that is measured.
    all: f64,
    kinds: [&'static str; 3],
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let known = [
            (LimiterKind::Ptu, ServiceKind::Ptu, 223_500.0, 1e9),
            (LimiterKind::Window, ServiceKind::Window, 300_000.0, 1_800.0),
            (LimiterKind::Bucket, ServiceKind::Bucket, 150_000.0, 150.0),
        ];
        let double = |service| {
            let limits = [(60_000.0, 360.0), (30_000.0, 180.0), (120_000.0, 720.0)];
            limits.map(|(tokens, requests)| (LimiterKind::Auto, service, tokens, requests))
        };
        let kinds = scenario.double.map_or(known, double);
        let (mut views, mut services) = (Vec::new(), Vec::new());
        for (index, (kind, service, tokens, requests)) in kinds.into_iter().enumerate() {
            let (tokens, requests) = (tokens * scenario.scale, requests * scenario.scale);
            let config = DeploymentConfig {
                phase_seconds: [17.0, 41.3, 3.9][index],
                ..DeploymentConfig::new("d", service, tokens as u64, requests as u64)
            };
            services.push(Limiter::new(&config));
            let terms = Terms {
                kind: if scenario.auto { LimiterKind::Auto } else { kind },
                tokens_per_minute: tokens * scenario.configured,
                requests_per_minute: requests * scenario.configured,
                output_weight: OUTPUT_WEIGHT,
                charge: Default::default(),
            };
            let provisioned = kind == LimiterKind::Ptu;
            views.push(DeploymentView {
                address: format!("{index} {kind:?}").into(),
                terms,
                room: 10_000,
                in_flight: 0,
                closed_until: None,
                tier: 0,
                provisioned,
                prices: None,
                latency: None,
                health: 1.0,
                weight: 1.0,
                turn: 0.0,
                answer_ms: 10_000.0,
                sees: false,
            });
        }
        let mut world = Self {
            scenario,
            now: 0.0,
            number: 0,
            dice: Dice(scenario.seed),
            queue: BinaryHeap::new(),
            state: ModelState::new(1, 0.0),
            alone: Vec::new(),
            views,
            services,
            kinds: kinds.map(|(_, service, ..)| service),
            workers: (0..scenario.workers).map(|_| Worker::default()).collect(),
            tally: Default::default(),
            done: 0.0,
            waits: Vec::new(),
            tenants: [0.0; 4],
            exchanges: 0,
            rejected_ever: 0,
        };
        let slots = (48.0 * scenario.scale / scenario.workers as f64).ceil().max(16.0);
        for worker in 0..scenario.workers {
            for slot in 0..slots as usize {
                let call = world.call(if scenario.apart { worker } else { slot } % 4, false);
                let id = world.number;
                world.workers[worker].waiting.insert(id, call);
            }
            let at = world.dice.uniform() * 500.0;
            world.wake(worker, at);
        }
        if scenario.urgent > 0.0 {
            world.at(1_000.0, Act::Urgent);
        }
        world
    }

    fn at(&mut self, at: f64, act: Act) {
        self.number += 1;
        self.queue.push(At(at, self.number, act));
    }

    fn call(&mut self, tenant: usize, urgent: bool) -> Call {
        self.number += 1;
        if self.scenario.double.is_some() {
            return self.plain_call(tenant, urgent);
        }
        let prompt = (1_200_f64.ln() + 0.5 * self.dice.normal()).exp().clamp(300.0, 9_000.0);
        let part = 0.4 + 0.6 * self.dice.uniform();
        let output = (part * (prompt + OUTPUT_MAX) - prompt).clamp(30.0, OUTPUT_MAX);
        let counted = prompt * (1.0 + 0.05 * self.dice.normal());
        let estimate = counted * (1.0 + 0.03 * self.dice.normal()) * (1.0 - self.scenario.bias);
        let (born, returned) = (self.now, false);
        Call { born, prompt, output, counted, estimate, urgent, tenant, returned }
    }

    /// About 1,950 tokens as providers count them, half of which are room.
    fn plain_call(&mut self, tenant: usize, urgent: bool) -> Call {
        let prompt = 950.0 * (1.0 + 0.15 * (2.0 * self.dice.uniform() - 1.0));
        let output = 300.0 + 500.0 * self.dice.uniform();
        let counted = prompt;
        let estimate = counted * (1.0 - self.scenario.bias);
        let (born, returned) = (self.now, false);
        Call { born, prompt, output, counted, estimate, urgent, tenant, returned }
    }

    fn output_max(&self) -> f64 {
        if self.scenario.double.is_some() { 1_000.0 } else { OUTPUT_MAX }
    }

    fn wake(&mut self, worker: usize, at: f64) {
        let one = &mut self.workers[worker];
        if one.next.is_none_or(|next| at < next) {
            one.next = Some(at);
            self.at(at, Act::Exchange(worker));
        }
    }

    /// Something changed: alone, a worker asks at once; a fleet batches, but not for the urgent.
    fn nudge(&mut self, worker: usize, urgent: bool) {
        let at = (self.workers[worker].last + self.pause(urgent)).max(self.now + 1.0);
        self.wake(worker, at);
    }

    fn pause(&self, urgent: bool) -> f64 {
        if self.scenario.workers == 1 || urgent { 1.0 } else { PAUSE_MS }
    }

    /// Whether the shared state can be asked may have changed.
    fn look_for_state(&mut self) {
        let seconds = self.now / 1_000.0;
        let is_lost = self.scenario.lost.is_some_and(|(from, to)| (from..to).contains(&seconds));
        if is_lost && self.alone.is_empty() {
            let share = 0.85 / self.workers.len() as f64;
            for _ in &self.workers {
                let mut state = self.state.clone();
                state.isolate(share, self.dice.uniform(), self.now);
                self.alone.push(state);
            }
        } else if !is_lost && !self.alone.is_empty() {
            self.alone.clear();
            let from = self.scenario.lost.map_or(0.0, |(from, _)| from * 1_000.0);
            for (view, booking) in self.workers.iter().flat_map(|worker| &worker.log) {
                if booking.at >= from {
                    self.state.merge(
                        &self.views[*view],
                        None,
                        std::slice::from_ref(booking),
                        self.now,
                    );
                }
            }
        }
    }

    fn exchange(&mut self, worker: usize) {
        self.exchanges += 1;
        self.look_for_state();
        let output_max = self.output_max();
        let one = &mut self.workers[worker];
        (one.next, one.last) = (None, self.now);
        let settlements = std::mem::take(&mut one.settlements);
        let weights = [4.0, 2.0, 1.0, 1.0];
        let ask = |(id, call): (&u64, &Call)| Waiter {
            id: *id,
            size: Size { input: call.estimate, input_real: call.counted, output_max },
            urgent: call.urgent,
            returned: call.returned,
            tenant: ["a", "b", "c", "d"][call.tenant].into(),
            weight: weights[call.tenant],
            deadline: None,
            has_images: false,
            only: None,
        };
        let waiters: Vec<Waiter> = one.waiting.iter().map(ask).collect();
        for (view, in_flight) in self.views.iter_mut().zip(one.in_flight) {
            view.in_flight = in_flight;
        }
        let answer = self.alone.get_mut(worker).unwrap_or(&mut self.state).exchange(
            &settlements,
            &waiters,
            &self.views,
            Strategy::Balanced,
            self.now,
        );
        assert!(answer.refused.is_empty());
        for grant in answer.grants {
            let one = &mut self.workers[worker];
            let call = one.waiting.remove(&grant.ask).unwrap();
            let at = grant.booking.at.max(self.now + 1.0);
            one.granted.insert(grant.ask, (call.clone(), grant.view, grant.booking));
            one.in_flight[grant.view] += 1;
            one.log.push((grant.view, one.granted[&grant.ask].2.clone()));
            self.at(at, Act::Send(worker, grant.ask));
            // The backlog of every tenant is endless.
            if !call.urgent {
                let call = self.call(call.tenant, false);
                let id = self.number;
                self.workers[worker].waiting.insert(id, call);
            }
        }
        if let Some(again) = answer.again {
            self.wake(worker, again.max(self.now + self.pause(false)));
        }
    }

    fn send(&mut self, worker: usize, id: u64) {
        let Some((mut call, view, booking)) = self.workers[worker].granted.remove(&id) else {
            return;
        };
        let address = Arc::clone(&self.views[view].address);
        let state = self.alone.get(worker).unwrap_or(&self.state);
        let limiter = state.limiter(&address).unwrap();
        if limiter.blocked(booking.at).is_some() {
            call.returned = true;
            let (sent, at) = (self.now, self.now);
            let settlement = Settlement { address, booking, sent, at, outcome: Outcome::Returned };
            let one = &mut self.workers[worker];
            one.in_flight[view] -= 1;
            one.settlements.push(settlement);
            one.waiting.insert(id, call);
            self.nudge(worker, false);
            return;
        }
        if call.urgent && self.is_measured() {
            self.waits.push(self.now - call.born);
        }
        let sent = Sent { worker, id, view, booking, sent: self.now, call };
        let net = self.net();
        self.at(self.now + net, Act::Arrive(sent));
    }

    fn net(&mut self) -> f64 {
        15.0 + self.dice.exponential(8.0)
    }

    fn is_measured(&self) -> bool {
        self.now >= FROM * 1_000.0
    }

    fn terms(&self, view: usize) -> ServiceTerms {
        let within = |span: Option<(f64, f64, f64)>| {
            span.filter(|(from, to, _)| (*from..*to).contains(&(self.now / 1_000.0)))
                .filter(|_| view == 1)
                .map_or(1.0, |(_, _, part)| part)
        };
        let (limit, share) = (within(self.scenario.limit), within(self.scenario.external_load));
        ServiceTerms { limit, share }
    }

    fn arrive(&mut self, sent: Sent) {
        let (view, measured) = (sent.view, self.is_measured());
        let tally = &mut self.tally[view];
        tally.attempts += f64::from(measured);
        let outage = self.scenario.outage.filter(|_| view == 1);
        if outage.is_some_and(|(from, to)| (from..to).contains(&(self.now / 1_000.0))) {
            tally.failed += f64::from(measured);
            let jitter = self.dice.uniform();
            let net = 300.0 + self.net();
            let outcome = Outcome::Failed { charged: false, took_ms: 340.0, jitter, wait_ms: None };
            self.at(self.now + net, Act::Back(sent, outcome));
            return;
        }
        let cost = self.estimated(&sent.call, view);
        let now = Duration::from_secs_f64(self.now / 1_000.0);
        let terms = self.terms(view);
        match self.services[view].admit(now, cost, terms) {
            Verdict::Admitted(standing) => {
                if self.is_charged_at_admission(view) && measured {
                    self.tally[view].units += cost.tokens as f64;
                }
                let spread = (0.3 * self.dice.normal()).exp();
                let slow = (0.15 * self.dice.normal()).exp();
                let took = if self.scenario.double.is_some() {
                    3_000.0 * spread
                } else {
                    (800.0 * spread + 7.0 * sent.call.output * slow).max(300.0)
                };
                self.at(self.now + took, Act::Complete(sent, standing));
            }
            Verdict::Rejected(rejection) => {
                self.tally[view].rejected += f64::from(measured);
                self.rejected_ever += 1;
                let wait_ms = rejection.wait.as_secs_f64() * 1_000.0;
                let is_ptu = self.kinds[view] == ServiceKind::Ptu;
                let mut hints = LimiterHints { exact: is_ptu, ..LimiterHints::default() };
                if self.kinds[view] == ServiceKind::Bucket {
                    hints.tokens_limit = Some(rejection.standing.tokens_limit as f64);
                    hints.renews = true;
                }
                let outcome = Outcome::Throttled { wait_ms, no_capacity: false, hints };
                let net = 20.0 + self.net();
                self.at(self.now + net, Act::Back(sent, outcome));
            }
        }
    }

    fn complete(&mut self, sent: Sent, standing: Standing) {
        let view = sent.view;
        let (estimate, actual) = (self.estimated(&sent.call, view), actual(&sent.call));
        let now = Duration::from_secs_f64(self.now / 1_000.0);
        let terms = self.terms(view);
        if !matches!(self.kinds[view], ServiceKind::TokenBucket | ServiceKind::BurstBucket) {
            self.services[view].settle(now, estimate, actual, terms);
        }
        if self.is_measured() {
            match self.kinds[view] {
                ServiceKind::Ptu => self.tally[view].units += actual.weighted,
                ServiceKind::Bucket | ServiceKind::AnswerCounter => {
                    self.tally[view].units += actual.tokens as f64;
                }
                _ => {}
            }
        }
        // A call of no tokens tells what is left, and costs nothing but a request.
        let nothing = Cost { tokens: 0, weighted: 0.0 };
        let standing =
            match self.scenario.late.then(|| self.services[view].admit(now, nothing, terms)) {
                Some(Verdict::Admitted(standing)) => standing,
                _ => standing,
            };
        let hints = match self.kinds[view] {
            ServiceKind::Ptu => LimiterHints::default(),
            ServiceKind::Window => LimiterHints {
                tokens_left: Some(standing.tokens_left as f64),
                requests_left: Some(standing.requests_left as f64),
                ..LimiterHints::default()
            },
            _ => LimiterHints {
                tokens_limit: Some(standing.tokens_limit as f64),
                requests_limit: Some(standing.requests_limit as f64),
                tokens_left: Some(standing.tokens_left.max(0) as f64),
                requests_left: Some(standing.requests_left.max(0) as f64),
                renews: self.kinds[view] == ServiceKind::Bucket,
                exact: false,
                wait_ms: None,
            },
        };
        let (tokens_input, tokens_output) = (sent.call.counted, sent.call.output);
        let net = self.net();
        let outcome = Outcome::Answered { tokens_input, tokens_output, hints };
        self.at(self.now + net, Act::Back(sent, outcome));
    }

    fn back(&mut self, sent: Sent, outcome: Outcome) {
        let Sent { worker, id, view, booking, sent, mut call } = sent;
        let address = Arc::clone(&self.views[view].address);
        let throttled = matches!(outcome, Outcome::Throttled { .. });
        let settlement = Settlement { address, booking, sent, at: self.now, outcome };
        let one = &mut self.workers[worker];
        one.settlements.push(settlement);
        one.in_flight[view] -= 1;
        // Of a rejection the others should hear at once.
        let mut urgent = call.urgent || throttled;
        if let Outcome::Answered { .. } = outcome {
            if self.is_measured() {
                self.done += 1.0;
                if !call.urgent {
                    self.tenants[call.tenant] += call.prompt + OUTPUT_MAX;
                }
            }
            urgent = false;
        } else {
            call.returned = throttled;
            one.waiting.insert(id, call);
        }
        self.nudge(worker, urgent);
    }

    fn urgent(&mut self) {
        let worker = (self.dice.uniform() * self.workers.len() as f64) as usize;
        let call = self.call(0, true);
        let id = self.number;
        self.workers[worker].waiting.insert(id, call);
        self.nudge(worker, true);
        let next = self.dice.exponential(1_000.0 / self.scenario.urgent);
        self.at(self.now + next, Act::Urgent);
    }

    /// What is charged at admission.
    fn estimated(&self, call: &Call, view: usize) -> Cost {
        let output = if self.is_charged_at_admission(view) { self.output_max() } else { 0.0 };
        Cost {
            tokens: (call.counted + output) as u64,
            weighted: call.counted + OUTPUT_WEIGHT * self.output_max(),
        }
    }

    fn is_charged_at_admission(&self, view: usize) -> bool {
        use ServiceKind::{BurstBucket, FixedWindow, SlidingCounter, TokenBucket, Window};
        let kinds = [BurstBucket, FixedWindow, SlidingCounter, TokenBucket, Window];
        kinds.contains(&self.kinds[view])
    }

    fn run(mut self) -> Report {
        while let Some(At(at, _, act)) = self.queue.pop()
            && at <= self.scenario.seconds * 1_000.0
        {
            self.now = at;
            match act {
                Act::Exchange(worker) => {
                    if self.workers[worker].next == Some(at) {
                        self.exchange(worker);
                    }
                }
                Act::Send(worker, id) => self.send(worker, id),
                Act::Arrive(sent) => self.arrive(sent),
                Act::Complete(sent, standing) => self.complete(sent, standing),
                Act::Back(sent, outcome) => self.back(sent, outcome),
                Act::Urgent => self.urgent(),
            }
        }
        self.report()
    }

    fn report(mut self) -> Report {
        let span =
            |(from, to): (f64, f64)| (to.min(self.scenario.seconds) - from.max(FROM)).max(0.0);
        let seconds = self.scenario.seconds - FROM;
        let outage = self.scenario.outage.map_or(0.0, span);
        let lost = |lower: Option<(f64, f64, f64)>| {
            lower.map_or(0.0, |(from, to, part)| span((from, to)) * (1.0 - part))
        };
        let lost =
            [0.0, outage + lost(self.scenario.limit) + lost(self.scenario.external_load), 0.0];
        let sample: Vec<Call> = {
            let mut other = World { scenario: Scenario { bias: 0.0, ..self.scenario }, ..self };
            let sample = (0..4_000).map(|_| other.call(0, false)).collect();
            self = other;
            sample
        };
        let (mut used, mut whole, mut each) = (0.0, 0.0, [0.0; 3]);
        for view in 0..3 {
            let unit = |call: &Call| match self.kinds[view] {
                ServiceKind::Ptu => actual(call).weighted,
                _ if self.is_charged_at_admission(view) => self.estimated(call, view).tokens as f64,
                _ => actual(call).tokens as f64,
            };
            let mean = sample.iter().map(unit).sum::<f64>() / sample.len() as f64;
            let rate = self.views[view].terms.tokens_per_minute / 60.0;
            let mut capacity = rate * (seconds - lost[view]);
            if self.scenario.double.is_some() && self.is_charged_at_admission(view) {
                // What whole calls can use.
                let minute = rate * 60.0;
                capacity *= (minute / mean).floor() * mean / minute;
            }
            each[view] = 100.0 * self.tally[view].units / capacity;
            used += self.tally[view].units / mean;
            whole += capacity / mean;
        }
        let [ptu, window, bucket] = self.tally;
        let is_double = self.scenario.double.is_some();
        let payg = if is_double { &self.tally[..] } else { &self.tally[1..] };
        let percent = |rejected: f64, attempts: f64| 100.0 * rejected / attempts.max(1.0);
        self.waits.sort_by(f64::total_cmp);
        let p99 = (self.waits.len() as f64 * 0.99) as usize;
        let served: f64 = self.tenants.iter().sum();
        Report {
            use_percent: 100.0 * used / whole,
            each_percent: each,
            payg_429: payg.iter().map(|tally| tally.rejected).sum(),
            payg_429_percent: percent(
                payg.iter().map(|tally| tally.rejected).sum(),
                payg.iter().map(|tally| tally.attempts).sum(),
            ),
            ptu_429_percent: if is_double { 0.0 } else { percent(ptu.rejected, ptu.attempts) },
            attempts: (ptu.attempts + window.attempts + bucket.attempts) / self.done.max(1.0),
            failed: window.failed,
            wait_p50_ms: self.waits.get(self.waits.len() / 2).copied().unwrap_or_default(),
            wait_p99_ms: self.waits.get(p99).copied().unwrap_or_default(),
            tenants: self.tenants.map(|tenant| tenant / served.max(1.0)),
            exchanges_a_second: self.exchanges as f64 / self.scenario.seconds,
            rejected_ever: self.rejected_ever,
            all: ptu.attempts + window.attempts + bucket.attempts,
            kinds: [0, 1, 2].map(|view| {
                let address = &self.views[view].address;
                self.state.limiter(address).map_or("none", |limiter| limiter.kind().name())
            }),
        }
    }
}

/// What was used in the end.
fn actual(call: &Call) -> Cost {
    let tokens = (call.counted + call.output) as u64;
    Cost { tokens, weighted: call.counted + OUTPUT_WEIGHT * call.output }
}

/// Runs a scenario, shows its figures, and holds it to what is promised.
fn check(name: &str, scenario: Scenario) -> Report {
    let report = World::new(scenario).run();
    println!("{name}, {} workers, scale {}: {report:.2?}", scenario.workers, scenario.scale);
    report
}

fn promised(name: &str, scenario: Scenario) -> Report {
    let report = check(name, scenario);
    let attempts = if scenario.outage.is_some() { 1.05 } else { 1.02 };
    assert!(report.use_percent >= 98.0, "{name}");
    // That a limit has fallen is found out by a rejection; at scale 1 one is 0.1 % of all.
    let is_unsaid = scenario.limit.or(scenario.external_load).is_some();
    assert!(report.payg_429_percent < 0.1 || (is_unsaid && report.payg_429 <= 1.0), "{name}");
    assert!(report.ptu_429_percent < 0.5, "{name}");
    assert!(report.attempts <= attempts, "{name}");
    report
}

#[test]
fn all_of_the_quota_is_used_and_nothing_is_rejected() {
    for workers in [1, 4, 16] {
        promised("central", Scenario { workers, ..CENTRAL });
    }
}

#[test]
fn an_outage_costs_little() {
    for workers in [1, 16] {
        let outage = Some((300.0, 330.0));
        promised("outage", Scenario { workers, outage, ..CENTRAL });
    }
}

#[test]
fn a_limit_that_falls_and_external_load_are_found_out() {
    let limit = Some((240.0, 480.0, 0.7));
    promised("limit cut by 30 %", Scenario { limit, ..CENTRAL });
    let external_load = Some((240.0, 480.0, 0.75));
    promised("external_load take 25 %", Scenario { external_load, ..CENTRAL });
}

#[test]
fn workers_go_on_without_the_shared_state() {
    let lost = Some((300.0, 360.0));
    let report = check("state lost for 60 s", Scenario { scale: 4.0, lost, ..CENTRAL });
    assert!(report.use_percent >= 96.0 && report.attempts <= 1.05);
    assert!(report.payg_429_percent < 2.0);
}

#[test]
fn a_wrong_count_of_tokens_is_corrected() {
    for bias in [-0.1, 0.1] {
        promised("bias", Scenario { bias, ..CENTRAL });
    }
}

#[test]
fn an_unknown_kind_is_found_out() {
    let report = promised("auto", Scenario { auto: true, ..CENTRAL });
    assert!(report.rejected_ever <= 3, "{report:?}");
}

#[test]
fn whoever_waits_for_an_answer_does_not_wait_for_bulk() {
    for workers in [1, 4] {
        let report = check("interactive", Scenario { workers, urgent: 0.5, ..CENTRAL });
        assert!(report.wait_p99_ms < 50.0);
        assert!(report.use_percent >= 98.0 && report.payg_429_percent < 0.1);
        for (share, expected) in report.tenants.into_iter().zip([0.5, 0.25, 0.125, 0.125]) {
            assert!((share / expected - 1.0).abs() < 0.05, "{share} {expected}");
        }
    }
}

#[test]
fn tenants_at_workers_of_their_own_share_all_the_same() {
    for workers in [4, 16] {
        let report = check("tenants apart", Scenario { workers, apart: true, ..CENTRAL });
        for (share, expected) in report.tenants.into_iter().zip([0.5, 0.25, 0.125, 0.125]) {
            assert!((share / expected - 1.0).abs() < 0.05, "{share} {expected}");
        }
    }
}

#[test]
fn limiters_that_nobody_described_are_identified_and_met() {
    use ServiceKind::{BurstBucket, FixedWindow, TokenBucket, Window};
    let runs = [(1, 0.0), (1, 0.04), (4, 0.04), (16, -0.1), (1, 0.0)];
    let (mut rejected, mut attempts) = (0.0, 0.0);
    for service in [FixedWindow, TokenBucket, BurstBucket, Window] {
        for seed in 1..=5 {
            let (double, urgent) = (Some(service), 0.5);
            let (workers, bias) = runs[seed as usize % runs.len()];
            let scenario = Scenario { double, seed, urgent, workers, bias, auto: true, ..CENTRAL };
            let report = check(&format!("{service:?}"), scenario);
            let wait_max = if service == Window { 5_000.0 } else { 50.0 };
            assert!(report.use_percent >= 97.0 && report.wait_p99_ms <= wait_max, "{report:?}");
            rejected += report.payg_429;
            attempts += report.all;
        }
    }
    assert!(rejected <= 0.0005 * attempts, "{rejected} of {attempts}");
}

#[test]
fn it_is_found_out_when_what_is_left_is_told() {
    use ServiceKind::{BurstBucket, FixedWindow, TokenBucket, Window};
    let (mut rejected, mut attempts) = (0.0, 0.0);
    for service in [FixedWindow, TokenBucket, BurstBucket, Window] {
        for seed in 1..=5 {
            let double = Some(service);
            let scenario = Scenario {
                double,
                seed,
                urgent: 0.5,
                workers: 1,
                auto: true,
                late: true,
                ..CENTRAL
            };
            let report = check(&format!("late {service:?}"), scenario);
            assert!(report.use_percent >= 90.0, "{report:?}");
            rejected += report.payg_429;
            attempts += report.all;
        }
    }
    // Read as of admission, it was 1.2 % of the calls to the first of them.
    assert!(rejected <= 0.001 * attempts, "{rejected} of {attempts}");
}

#[test]
fn no_more_is_used_than_is_configured() {
    use ServiceKind::{FixedWindow, TokenBucket, Window};
    for service in [FixedWindow, TokenBucket, Window] {
        let (double, configured) = (Some(service), 0.5);
        let scenario = Scenario { double, configured, workers: 1, auto: true, ..CENTRAL };
        let report = check(&format!("half of {service:?}"), scenario);
        assert!((90.0..103.0).contains(&report.use_percent), "{report:?}");
        assert!(report.payg_429 == 0.0, "{report:?}");
    }
}

#[test]
#[ignore = "it shows what docs/limiters.md says is not met"]
fn limiters_that_are_not_met() {
    for service in [ServiceKind::AnswerCounter, ServiceKind::SlidingCounter] {
        for seed in 1..=5 {
            let double = Some(service);
            let scenario =
                Scenario { double, seed, urgent: 0.5, workers: 1, auto: true, ..CENTRAL };
            check(&format!("{service:?}"), scenario);
        }
    }
}

#[test]
fn other_seeds_give_the_same() {
    for seed in 101..106 {
        promised("seed", Scenario { seed, ..CENTRAL });
    }
}

#[test]
#[ignore = "ten times the calls: minutes without optimisation; `just scenarios` runs it"]
fn the_same_holds_at_ten_times_the_scale() {
    for workers in [1, 4, 16] {
        promised("central", Scenario { workers, scale: 10.0, ..CENTRAL });
        let outage = Some((300.0, 330.0));
        promised("outage", Scenario { workers, scale: 10.0, outage, ..CENTRAL });
        let limit = Some((240.0, 480.0, 0.7));
        promised("limit cut by 30 %", Scenario { workers, scale: 10.0, limit, ..CENTRAL });
        let external_load = Some((240.0, 480.0, 0.75));
        promised(
            "external_load take 25 %",
            Scenario { workers, scale: 10.0, external_load, ..CENTRAL },
        );
    }
}
