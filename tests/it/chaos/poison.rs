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

/// What no good document may take longer than one that came at the same time without poison.
const DELAY: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn poison_harms_nobody_else() {
    mixed(60, Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn much_poison_harms_nobody_else() {
    // Every thirtieth is a bomb that keeps a processor busy for several seconds: faster, and two
    // processors would have no time for the good ones.
    mixed(300, Duration::from_millis(250)).await;
}

/// So many good ones with so long a pause between two.
async fn mixed(good: usize, pace: Duration) {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let mut model = slow([20, 60]);
    let stubborn = json!([{ "kind": "invalid_reply", "when_text": "POISON", "times": 1_000_000 }]);
    model.faults = serde_json::from_value(stubborn).unwrap();
    let Some(fleet) = Fleet::new(&vhost.url, model, "attempts_max = 3").await else { return };
    let place = &fleet.place;
    let _uploader = place.start("uploader").await;
    let _workers: Vec<Process> = (0..2).map(|_| place.spawn("worker", &[])).collect();
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
    let (pure, mixed) = (took(&fleet, &pure).await, took(&fleet, &healthy).await);
    let bad = took(&fleet, &poisoned).await;
    let delays = mixed.iter().zip(&pure).map(|(mixed, pure)| mixed - pure);
    let delay = delays.fold(0.0, f64::max);
    eprintln!(
        "{good} good documents alone took {}; with {} poisoned ones, which took {}, and as many \
         messages of nonsense among them they took {}: none was delayed by more than {delay:.1} s",
        shown(&pure),
        bad.len(),
        shown(&bad),
        shown(&mixed),
    );
    let dead = format!("queues/{}/sluice.documents.dead", vhost.name);
    let dead = broker.manage(Method::GET, &dead, Value::Null).await;
    assert_eq!(dead["message_stats"]["publish"].as_u64().unwrap_or(0), 0, "{dead}");
    assert!(delay <= DELAY.as_secs_f64(), "a good document was delayed by {delay} s");
}

/// What can never succeed: a file that is none, an answer that never fits, a bomb.
fn poison(number: usize) -> Vec<u8> {
    match number / 10 % 3 {
        0 => [b"%PDF-1.7\n".to_vec(), format!("{number} is no PDF").into_bytes()].concat(),
        1 => [letter(number), b"\nPOISON\n".to_vec()].concat(),
        _ => fixture("hostile/flate-bomb.pdf"),
    }
}

/// How long the documents took, in seconds, each ended at its first attempt.
async fn took(fleet: &Fleet, documents: &[Value]) -> Vec<f64> {
    let mut times = Vec::new();
    for document in documents {
        let document = fleet.place.get(&format!("/v1/documents/{}", id(document))).await;
        assert_eq!(document["attempts"], 1, "{document}");
        times.push(time(&document["finished_at"]) - time(&document["created_at"]));
    }
    times
}

fn shown(times: &[f64]) -> String {
    let mut times = times.to_vec();
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
