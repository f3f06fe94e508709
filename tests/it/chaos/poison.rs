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

/// What no good document may wait longer than the good ones usually do.
const DELAY: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn poison_harms_nobody_else() {
    mixed(60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn much_poison_harms_nobody_else() {
    mixed(600).await;
}

async fn mixed(good: usize) {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let mut model = slow([20, 60]);
    let stubborn = json!([{ "kind": "invalid_reply", "when_text": "POISON", "times": 1_000_000 }]);
    model.faults = serde_json::from_value(stubborn).unwrap();
    let Some(fleet) = Fleet::new(&vhost.url, model, "attempts_max = 3").await else { return };
    let place = &fleet.place;
    let _uploader = place.start("uploader").await;
    let _workers: Vec<Process> = (0..2).map(|_| place.spawn("worker", &[])).collect();
    let (mut healthy, mut poisoned) = (Vec::new(), Vec::new());
    for number in 0..good {
        healthy.extend(fleet.upload(number..number + 1).await);
        if number % 10 == 9 {
            let bytes = match number / 10 % 3 {
                0 => [b"%PDF-1.7\n".to_vec(), format!("{number} is no PDF").into_bytes()].concat(),
                1 => [letter(number), b"\nPOISON\n".to_vec()].concat(),
                _ => fixture("hostile/flate-bomb.pdf"),
            };
            poisoned.push(place.upload("poison", "invoice", bytes).await);
            nonsense(&vhost, number).await;
        }
    }
    fleet.results(&healthy).await;
    for document in &poisoned {
        let ended = place.ended(document).await;
        assert_eq!(ended["state"], "failed", "{ended}");
    }
    let mut times = Vec::new();
    for document in &healthy {
        let document = place.get(&format!("/v1/documents/{}", id(document))).await;
        assert_eq!(document["attempts"], 1, "{document}");
        times.push(time(&document["finished_at"]) - time(&document["created_at"]));
    }
    times.sort_by(f64::total_cmp);
    let (usual, most) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!(
        "{good} good documents, {} poisoned, as many messages of nonsense: the good ones took \
         {usual:.2} s in the middle and {most:.2} s at most",
        poisoned.len()
    );
    assert!(most - usual <= DELAY.as_secs_f64(), "{most} s, where {usual} s is usual");
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
