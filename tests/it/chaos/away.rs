//! The broker is away while documents come in: every upload is accepted all the same, and what has
//! waited is worked off soon after the broker is back.

use crate::{
    broker::{OwnBroker, queue},
    engines::Fleet,
    harness::{Process, slow, until},
};
use std::time::{Duration, Instant};

/// A quorum queue that is younger than about a second when its only node is killed loses what it
/// has confirmed: a fault of the broker that no wait can see.
const SETTLED: Duration = Duration::from_secs(6);

/// The pause between two uploads.
const PACE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_on_while_the_broker_is_away() {
    away(Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn uploads_go_on_while_the_broker_is_away_for_a_minute() {
    let Some(drained) = away(Duration::from_secs(60)).await else { return };
    assert!(drained <= Duration::from_secs(60), "it took {drained:?}");
}

/// The time from the broker's return until all is done.
async fn away(time: Duration) -> Option<Duration> {
    let own = OwnBroker::start().await?;
    let vhost = own.broker.vhost().await;
    let fleet = Fleet::new(&vhost.url, slow([20, 60]), "").await?;
    let _uploader = fleet.place.start("uploader").await;
    let _workers: Vec<Process> = (0..2).map(|_| fleet.place.spawn("worker", &[])).collect();
    let mut documents = fleet.upload(0..20).await;
    fleet.results(&documents).await;
    tokio::time::sleep(SETTLED).await;
    own.kill().await;
    let begun = Instant::now();
    while begun.elapsed() < time {
        // Anything but 202 fails the test here.
        documents.extend(fleet.upload(documents.len()..documents.len() + 1).await);
        tokio::time::sleep(PACE).await;
    }
    own.restart().await;
    let broker = queue(&vhost.url);
    until("the broker is back", async || broker.ready().await.ok()).await;
    let begun = Instant::now();
    fleet.results(&documents).await;
    let drained = begun.elapsed();
    let paid: u64 = fleet.place.paid().await.values().sum();
    let waited = documents.len() - 20;
    eprintln!(
        "the broker was away for {time:?}: {waited} uploads meanwhile, all accepted, all done \
         {drained:?} after it was back; {paid} calls for {} documents",
        documents.len()
    );
    assert_eq!(paid, documents.len() as u64);
    Some(drained)
}
