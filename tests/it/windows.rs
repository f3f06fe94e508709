//! What takes as long as a provider's windows of ten seconds and more: `just t tests` leaves it out,
//! and `./tests/run windows::` runs nothing else.

mod quota;

use crate::{
    harness::Place,
    pacing::{letters, narrow},
};
use serde_json::Value;

#[tokio::test]
async fn work_waits_for_quota_and_no_call_is_rejected() {
    // 60 requests a minute are 10 in any 10 seconds: 26 letters need a wait or two.
    let place = Place::new(vec![narrow("window", "window", 60)], "concurrency = 32").await;
    let _sluice = place.start("up").await;
    let documents = letters(&place, 26).await;
    for document in &documents {
        place.extraction(document).await;
    }
    let stats = place.stats("window").await;
    assert_eq!(stats["accepted"], 26, "{stats}");
    let rejected = stats["rejected"].as_object().unwrap().values();
    assert_eq!(rejected.filter_map(Value::as_u64).sum::<u64>(), 0, "{stats}");
}
