//! Workers are killed one after the other and frozen for longer than their lease, uploaders die
//! between storing, accepting and publishing, a fifth of the messages comes twice: nothing is lost,
//! nothing changes, and nothing is paid that no death explains.

use crate::{
    broker::{Broker, Vhost},
    engines::Fleet,
    harness::{Process, id, letter, slow, until},
};
use rustix::process::Signal;
use serde_json::Value;
use shared::{clock, document::Priority, message::JobMessage};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

/// As high as the interface lets it be: with a low cap a question that is unlucky a few times in a
/// row would rightly be parked.
const CALLS_MAX: u64 = 12;

/// Longer than the lease of the tests and the sweep after it.
const SLEEP: Duration = Duration::from_secs(5);

/// How hard it is.
struct Ordeal {
    documents: usize,
    workers: usize,
    kills: usize,
    /// Documents at once in one worker.
    concurrency: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_deaths_lose_nothing_change_nothing_and_double_nothing() {
    Ordeal { documents: 60, workers: 4, kills: 12, concurrency: 4 }.run().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn a_hundred_deaths_lose_nothing_change_nothing_and_double_nothing() {
    Ordeal { documents: 300, workers: 8, kills: 100, concurrency: 8 }.run().await;
}

impl Ordeal {
    async fn run(&self) {
        let Some(broker) = Broker::shared() else { return };
        let vhost = broker.vhost().await;
        let concurrency = self.concurrency;
        let settings = format!(
            "concurrency = {concurrency}\ncalls_max = {CALLS_MAX}\n\
             call_pauses_seconds = [0, 1, 2]\nattempts_max = 100"
        );
        let fleet = Fleet::new(&vhost.url, slow([300, 1500]), &settings).await;
        let Some(fleet) = fleet else { return };
        let mut front = Front::start(&fleet).await;
        let mut crew = Crew::start(&fleet, self.workers);
        let (mut documents, mut early) = (Vec::new(), BTreeMap::new());
        while crew.kills < self.kills {
            // There is work all the time, and some of it is new.
            let share = self.documents.min(self.documents * (crew.kills + 1) / self.kills);
            while documents.len() < share {
                let document = front.upload(documents.len() + 1).await;
                if documents.len() % 5 == 0 {
                    ring(&vhost, &document).await;
                }
                documents.push(document);
            }
            crew.next().await;
            if crew.kills >= self.kills / 2 && early.is_empty() {
                early = visible(&fleet, &documents).await;
            }
        }
        while documents.len() < self.documents {
            documents.push(front.upload(documents.len() + 1).await);
        }
        while !crew.frozen.is_empty() {
            crew.thaw().await;
        }
        early.append(&mut visible(&fleet, &documents).await);
        front.uploader.kill().await;
        let _uploader = fleet.place.start("uploader").await;
        let begun = Instant::now();
        let results = fleet.results(&documents).await;
        let drained = begun.elapsed();
        for document in documents.iter().step_by(5) {
            ring(&vhost, document).await;
        }
        until("the doubled messages are consumed", async || {
            (vhost.length("sluice.documents").await == Some(0)).then_some(())
        })
        .await;
        for worker in std::mem::take(&mut crew.workers) {
            crew.dismiss(worker).await;
        }
        let deaths = format!(
            "{} documents, {} workers: {} kills ({} at points), {} freezes of {SLEEP:?}, {} deaths \
             of the uploader; {} results before the last kill, drained in {drained:?} after it",
            self.documents,
            self.workers,
            crew.kills,
            crew.at_points,
            crew.freezes,
            front.deaths,
            early.len(),
        );
        assert_eq!(fleet.results(&documents).await, results);
        for (id, result) in &early {
            assert_eq!(&results[id], result, "a visible result has changed");
        }
        for (document, number) in documents.iter().zip(1..) {
            let data = &results[id(document)]["data"];
            assert_eq!(data["invoice_number"], format!("F-{number:04}"), "{data}");
        }
        // Each letter was accepted once, however often its upload had to be repeated.
        assert_eq!(count(&fleet, "SELECT count(*) FROM documents").await, self.documents as u64);
        self.nothing_was_paid_in_vain(&fleet, crew, &deaths).await;
    }

    /// The simulator counts what is paid. What a death within a call is comes from the ledger: a
    /// call of which nobody knows the outcome, or one that a frozen worker held. No such call, no
    /// second payment.
    async fn nothing_was_paid_in_vain(&self, fleet: &Fleet, crew: Crew<'_>, deaths: &str) {
        let (mut held, killed) = (crew.held, crew.kills + crew.freezes);
        let lost = ids(fleet, LOST).await;
        held.extend(&lost);
        let within = held.len() as u64;
        let ledger = count(fleet, "SELECT count(*) FROM calls WHERE outcome <> 'unbilled'").await;
        let paid = fleet.place.paid().await;
        let (most, sum) = (*paid.values().max().unwrap(), paid.values().sum::<u64>());
        eprintln!(
            "{deaths}; {sum} calls paid, at most {most} for one question; {within} calls within a \
             death or a freeze ({} of them answered to a sleeper), {ledger} in the ledger",
            held.len() - lost.len(),
        );
        assert_eq!(paid.len(), self.documents, "every question was asked");
        assert!(sum <= ledger, "{sum} calls, of which the ledger knows {ledger}");
        assert!(sum <= self.documents as u64 + within, "{sum} calls, {within} within a death");
        assert!(within <= (killed * self.concurrency) as u64, "{within} calls, {killed} deaths");
        assert!(most <= CALLS_MAX, "one question was paid {most} times");
    }
}

/// Puts a message for the document into the queue once more.
async fn ring(vhost: &Vhost, document: &Value) {
    let message = JobMessage::new(id(document).parse().unwrap(), 1, clock::now(), None);
    vhost.queue().publish(&[(message, Priority::Bulk)]).await.unwrap();
}

async fn ids(fleet: &Fleet, sql: &str) -> Vec<i64> {
    let rows = fleet.database().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn count(fleet: &Fleet, sql: &str) -> u64 {
    let row = fleet.database().await.query_one(sql, &[]).await.unwrap();
    u64::try_from(row.get::<_, i64>(0)).unwrap()
}

/// The result of every document that has one now, to compare with later.
async fn visible(fleet: &Fleet, documents: &[Value]) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    for document in documents {
        let url = fleet.place.url(&format!("/v1/documents/{}/result", id(document)));
        // The uploader may be dead just now.
        if let Ok(answer) = fleet.place.http.get(url).send().await
            && answer.status() == 200
        {
            results.insert(id(document).to_owned(), answer.json().await.unwrap());
        }
    }
    results
}

/// The uploader, which dies now and then, and a client that does not give up.
struct Front<'a> {
    fleet: &'a Fleet,
    uploader: Process,
    deaths: usize,
}

impl<'a> Front<'a> {
    async fn start(fleet: &'a Fleet) -> Self {
        Self { fleet, uploader: uploader(fleet, 0).await, deaths: 0 }
    }

    async fn upload(&mut self, number: usize) -> Value {
        let place = &self.fleet.place;
        loop {
            let request = place.http.post(place.url("/v1/documents?schema=invoice&filename=a.txt"));
            let request = request.header("Idempotency-Key", format!("letter-{number}"));
            if let Ok(answer) = request.body(letter(number)).send().await
                && answer.status().is_success()
                && let Ok(document) = answer.json().await
            {
                return document;
            }
            until("the uploader is dead", async || self.uploader.has_ended().then_some(())).await;
            self.deaths += 1;
            self.uploader = uploader(self.fleet, self.deaths).await;
        }
    }
}

/// One that dies before it accepts, after it has accepted and before it publishes, or after it has
/// published and before it notes that.
async fn uploader(fleet: &Fleet, deaths: usize) -> Process {
    let point = ["accepted", "published", "stored"][deaths % 3];
    let armed = format!("{point}:{}", 4 + deaths % 5);
    fleet.place.start_with("uploader", &[("SLUICE_KILL_AT", &armed)]).await
}

/// The workers, some of whom die at a named point, the others when their turn comes.
struct Crew<'a> {
    fleet: &'a Fleet,
    workers: Vec<Process>,
    started: usize,
    turn: usize,
    kills: usize,
    at_points: usize,
    freezes: usize,
    frozen: Vec<Frozen>,
    /// Calls that a worker held when it was frozen and still held when its lease was over.
    held: BTreeSet<i64>,
}

/// A worker that sleeps.
struct Frozen {
    worker: Process,
    since: Instant,
    /// Calls of all workers that were open when it fell asleep.
    open: Vec<i64>,
}

/// Calls that somebody began and nobody has ended.
const LOST: &str = "SELECT id FROM calls WHERE outcome IN ('open', 'unknown')";

const POINTS: [&str; 8] = [
    "claimed",
    "text-saved",
    "intended",
    "answered",
    "reply-saved",
    "call-ended",
    "result-saved",
    "finished",
];

impl<'a> Crew<'a> {
    fn start(fleet: &'a Fleet, count: usize) -> Self {
        let (workers, frozen, held) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (started, turn, kills, at_points, freezes) = (0, 0, 0, 0, 0);
        let mut crew =
            Self { fleet, workers, started, turn, kills, at_points, freezes, frozen, held };
        crew.workers = (0..count).map(|_| crew.spawn()).collect();
        crew
    }

    /// Every other one dies by itself if it comes to its point.
    fn spawn(&mut self) -> Process {
        self.started += 1;
        let number = self.started / 2;
        let point = match self.started % 2 {
            0 => format!("{}:{}", POINTS[number % POINTS.len()], 1 + number % 4),
            _ => String::new(),
        };
        self.fleet.place.spawn("worker", &[("SLUICE_KILL_AT", &point)])
    }

    /// After a moment of work one worker dies or falls asleep, and those that are dead have heirs.
    async fn next(&mut self) {
        self.turn += 1;
        // A fixed sequence that looks like chance.
        let chance = self.turn * 7919;
        tokio::time::sleep(Duration::from_millis(150 + chance as u64 % 450)).await;
        let heir = self.spawn();
        let index = chance % self.workers.len();
        let victim = std::mem::replace(&mut self.workers[index], heir);
        if self.turn % 10 == 5 {
            self.freeze(victim).await;
        } else {
            self.kills += 1;
            victim.kill().await;
        }
        for index in 0..self.workers.len() {
            if self.workers[index].has_ended() {
                self.kills += 1;
                self.at_points += 1;
                self.workers[index] = self.spawn();
            }
        }
        while self.frozen.first().is_some_and(|frozen| frozen.since.elapsed() > SLEEP) {
            self.thaw().await;
        }
    }

    async fn freeze(&mut self, mut worker: Process) {
        if worker.has_ended() {
            return;
        }
        worker.signal(Signal::STOP);
        let open = ids(self.fleet, "SELECT id FROM calls WHERE outcome = 'open'").await;
        self.frozen.push(Frozen { worker, since: Instant::now(), open });
        self.freezes += 1;
    }

    /// Wakes the one that has slept longest, at its time. It finds that others have gone on, and
    /// drains.
    async fn thaw(&mut self) {
        let Frozen { worker, since, open } = self.frozen.remove(0);
        tokio::time::sleep(SLEEP.saturating_sub(since.elapsed())).await;
        let lost = ids(self.fleet, LOST).await;
        self.held.extend(lost.into_iter().filter(|call| open.contains(call)));
        worker.signal(Signal::CONT);
        self.dismiss(worker).await;
    }

    /// Lets a worker drain, unless it dies at its point before.
    async fn dismiss(&mut self, mut worker: Process) {
        if !worker.has_ended() {
            let status = worker.terminate().await;
            if status.signal() != Some(Signal::KILL.as_raw()) {
                assert!(status.success(), "{status}\n{}", self.fleet.place.log());
                return;
            }
        }
        self.kills += 1;
        self.at_points += 1;
    }
}
