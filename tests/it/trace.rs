//! One trace from the upload to the result, across the queue: one search finds every line about a
//! document.

use crate::{
    broker::{Broker, Vhost},
    harness::{Place, fast, fixture, id, until},
};
use reqwest::Method;
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Binds a queue of somebody else to the events.
async fn follow(vhost: &Vhost) {
    let (broker, name) = (&vhost.broker, &vhost.name);
    let queue = json!({ "durable": true, "arguments": {} });
    broker.manage(Method::PUT, &format!("queues/{name}/followers"), queue).await;
    let binding = json!({ "routing_key": "document.#", "arguments": {} });
    broker
        .manage(Method::POST, &format!("bindings/{name}/e/sluice.events/q/followers"), binding)
        .await;
}

/// What is in a queue; it stays there.
async fn messages(vhost: &Vhost, queue: &str) -> Vec<Value> {
    let path = format!("queues/{}/{queue}/get", vhost.name);
    let all = json!({ "count": 50, "ackmode": "ack_requeue_true", "encoding": "auto" });
    let got = vhost.broker.manage(Method::POST, &path, all).await;
    let payload =
        |message: &Value| serde_json::from_str(message["payload"].as_str().unwrap()).unwrap();
    got.as_array().unwrap().iter().map(payload).collect()
}

/// The lines of the log that carry a trace and say something.
fn lines(place: &Place, trace: &str, what: &str) -> Vec<Value> {
    let log = place.log();
    let lines = log.lines().filter(|line| line.contains(trace) && line.contains(what));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_upload_to_the_result() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![("SLUICE_QUEUE", vhost.url.clone())];
    let _uploader = place.start("uploader").await;
    until("the exchange is there", async || {
        (place.get("/readyz").await["status"] == "ok").then_some(())
    })
    .await;
    follow(&vhost).await;
    let url = place.url("/v1/documents?schema=invoice&filename=a.pdf");
    let header = format!("00-{TRACE}-b7ad6b7169203331-01");
    let upload = place.http.post(url).header("traceparent", &header);
    let upload = upload.body(fixture("documents/invoice-en-classic.pdf")).send().await.unwrap();
    let document: Value = upload.json().await.unwrap();
    // Whoever sends none, or nonsense, gets a trace of its own.
    let other = place.upload("b.txt", "generic", b"Letter\n\nReference: 1\n".to_vec()).await;
    let rings = until("both are rung for", async || {
        let rings = messages(&vhost, "sluice.documents").await;
        (rings.len() == 2).then_some(rings)
    })
    .await;
    let of = |id: &str| {
        let ring = rings.iter().find(|ring| ring["subject"] == id).unwrap();
        ring["traceparent"].as_str().unwrap().to_owned()
    };
    let (ring, unknown) = (of(id(&document)), of(id(&other)));
    assert!(ring.starts_with(&format!("00-{TRACE}-")) && ring != header, "{ring}");
    assert!(unknown.starts_with("00-") && !unknown.contains(TRACE), "{unknown}");
    let _worker = place.spawn("worker", &[]);
    for document in [&document, &other] {
        place.ended(document).await;
    }
    for (trace, id) in [(TRACE, id(&document)), (&unknown[3..35], id(&other))] {
        let accepted = lines(&place, trace, "accepted");
        assert_eq!(accepted[0]["document"], id, "{}", place.log());
        assert_eq!(accepted[0]["span"]["trace_id"], trace);
        let ended = until("the worker says it", async || {
            lines(&place, trace, "the document has ended").pop()
        })
        .await;
        assert_eq!(ended["document"], id);
        assert_eq!(ended["span"]["trace_id"], trace);
        assert_ne!(ended["span"]["span_id"], accepted[0]["span"]["span_id"]);
    }
    let events = until("all changes are told", async || {
        let mut events = messages(&vhost, "followers").await;
        events.retain(|event| event["subject"] == document["id"]);
        (events.len() >= 3).then_some(events)
    })
    .await;
    let states: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let state = |state: &str| format!("com.sluice.document.{state}");
    assert_eq!(states, ["queued", "processing", "succeeded"].map(state));
    assert!(events.iter().all(|event| event["traceparent"] == ring.as_str()), "{events:?}");
}
