//! Documents and messages that can never succeed, one to ten good ones: the good ones are neither
//! given up nor held up.

use crate::{
    broker::{Broker, Vhost},
    engines::Fleet,
    harness::{Process, fixture, id, letter, slow},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Two workers with eight documents at once each.
const WORKERS: usize = 2;
const AT_ONCE: usize = 8;

/// What no good document may take longer than one that came at the same time without poison, where
/// nothing else runs.
const DELAY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn poison_harms_nobody_else() {
    let Some(mixed) = mixed(60, Duration::from_millis(100)).await else { return };
    mixed.nobody_is_held_up();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn much_poison_harms_nobody_else() {
    // Every thirtieth is a bomb that keeps a processor busy for several seconds: faster, and two
    // processors would have no time for the good ones.
    let Some(mixed) = mixed(300, Duration::from_millis(250)).await else { return };
    mixed.nobody_is_held_up();
    let delay = mixed.delay();
    assert!(delay <= DELAY.as_secs_f64(), "a good document was delayed by {delay} s");
}

/// When documents came and ended, in seconds, in the order in which they came.
type Times = Vec<(f64, f64)>;

/// Good documents alone, and as many with poison among them.
struct Mixed {
    pure: Times,
    mixed: Times,
}

impl Mixed {
    /// What one took longer than the one that came at its time without poison, at most.
    fn delay(&self) -> f64 {
        let delays = took(&self.mixed).zip(took(&self.pure)).map(|(mixed, pure)| mixed - pure);
        delays.fold(0.0, f64::max)
    }

    /// However slow the machine is: no good document waits while later ones pass by, and with
    /// poison among them no more are open at once than without, but for those in work.
    fn nobody_is_held_up(&self) {
        let (in_work, passed) = (WORKERS * AT_ONCE, passed(&self.mixed));
        assert!(passed <= in_work, "{passed} later ones ended before a good document");
        let (alone, mixed) = (open(&self.pure), open(&self.mixed));
        assert!(mixed <= alone + in_work, "{mixed} were open at once, {alone} without poison");
    }
}

fn took(times: &Times) -> impl Iterator<Item = f64> {
    times.iter().map(|(came, ended)| ended - came)
}

/// How many later ones ended before one, at most.
fn passed(times: &Times) -> usize {
    let later = |index: usize| times[index..].iter().filter(move |(_, end)| *end < times[index].1);
    (0..times.len()).map(|index| later(index).count()).max().unwrap()
}

/// How many were open at once, at most.
fn open(times: &Times) -> usize {
    let at = |time: f64| times.iter().filter(move |(came, end)| *came <= time && time < *end);
    times.iter().map(|(came, _)| at(*came).count()).max().unwrap()
}

/// So many good ones with so long a pause between two; `None` skips.
async fn mixed(good: usize, pace: Duration) -> Option<Mixed> {
    let broker = Broker::shared()?;
    let vhost = broker.vhost().await;
    let mut model = slow([20, 60]);
    let stubborn = json!([{ "kind": "invalid_json", "when_text": "POISON", "times": 1_000_000 }]);
    model.faults = serde_json::from_value(stubborn).unwrap();
    let settings = format!("concurrency = {AT_ONCE}\nattempts_max = 3");
    let fleet = Fleet::new(&vhost.url, model, &settings).await?;
    let place = &fleet.place;
    let _uploader = place.start("uploader").await;
    let _workers: Vec<Process> = (0..WORKERS).map(|_| place.spawn("worker", &[])).collect();
    // As many good ones alone say how long they take.
    let mut pure = Vec::new();
    for number in 0..good {
        pure.extend(fleet.upload(number..number + 1).await);
        tokio::time::sleep(pace).await;
    }
    fleet.results(&pure).await;
    let (mut healthy, mut poisoned) = (Vec::new(), Vec::new());
    for number in good..2 * good {
        healthy.extend(fleet.upload(number..number + 1).await);
        if number % 10 == 9 {
            poisoned.push(place.upload("poison", "invoice", poison(number)).await);
            nonsense(&vhost, number).await;
        }
        tokio::time::sleep(pace).await;
    }
    fleet.results(&healthy).await;
    for document in &poisoned {
        let ended = place.ended(document).await;
        assert_eq!(ended["state"], "failed", "{ended}");
    }
    let (pure, mixed) = (times(&fleet, &pure).await, times(&fleet, &healthy).await);
    let (bad, mixed) = (times(&fleet, &poisoned).await, Mixed { pure, mixed });
    eprintln!(
        "{good} good documents alone took {}, {} open at once; with {} poisoned ones, which took \
         {}, and as many messages of nonsense among them they took {}, {} open at once: none was \
         delayed by more than {:.1} s, none saw more than {} later ones end before it",
        shown(&mixed.pure),
        open(&mixed.pure),
        bad.len(),
        shown(&bad),
        shown(&mixed.mixed),
        open(&mixed.mixed),
        mixed.delay(),
        passed(&mixed.mixed),
    );
    let dead = format!("queues/{}/sluice.documents.dead", vhost.name);
    let dead = broker.manage(Method::GET, &dead, Value::Null).await;
    assert_eq!(dead["message_stats"]["publish"].as_u64().unwrap_or(0), 0, "{dead}");
    Some(mixed)
}

/// What can never succeed: a file that is none, an answer that never fits, a bomb.
fn poison(number: usize) -> Vec<u8> {
    match number / 10 % 3 {
        0 => [b"%PDF-1.7\n".to_vec(), format!("{number} is no PDF").into_bytes()].concat(),
        1 => [letter(number), b"\nPOISON\n".to_vec()].concat(),
        _ => fixture("hostile/flate-bomb.pdf"),
    }
}

/// When the documents came and ended, each at its first attempt.
async fn times(fleet: &Fleet, documents: &[Value]) -> Times {
    let mut times = Vec::new();
    for document in documents {
        let document = fleet.place.get(&format!("/v1/documents/{}", id(document))).await;
        assert_eq!(document["attempts"], 1, "{document}");
        times.push((time(&document["created_at"]), time(&document["finished_at"])));
    }
    times
}

fn shown(times: &Times) -> String {
    let mut times: Vec<f64> = took(times).collect();
    times.sort_by(f64::total_cmp);
    let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
    format!("{middle:.1} s in the middle and {most:.1} s at most")
}

/// A message that is no envelope.
async fn nonsense(vhost: &Vhost, number: usize) {
    let path = format!("exchanges/{}/amq.default/publish", vhost.name);
    let message = json!({
        "properties": {}, "routing_key": "sluice.documents",
        "payload": format!("nonsense {number}"), "payload_encoding": "string",
    });
    let answer = vhost.broker.manage(Method::POST, &path, message).await;
    assert_eq!(answer["routed"], true, "{answer}");
}

fn time(text: &Value) -> f64 {
    let time: jiff::Timestamp = text.as_str().unwrap().parse().unwrap();
    time.as_millisecond() as f64 / 1_000.0
}
