//! Documents wait through outages of all deployments, whatever the status says, and all succeed.
//! `just outages` makes each last for 150 s.

use crate::{
    double::{Double, as_it_is},
    harness::{Place, fast, letter},
};
use axum::{Json, http::StatusCode, response::IntoResponse};
use serde_json::json;
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How long an outage lasts from its first request on.
fn length() -> Duration {
    let seconds = std::env::var("SLUICE_TEST_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(6))
}

/// Refuses with this status while an outage lasts.
macro_rules! outage {
    ($name:ident, $status:literal) => {
        #[tokio::test]
        async fn $name() {
            static BEGUN: OnceLock<Instant> = OnceLock::new();
            let place = Place::new(vec![fast("sweden")], "").await;
            let before = |body| {
                let status = StatusCode::from_u16($status).expect("a status");
                let error = Json(json!({ "error": { "message": "not now", "code": null } }));
                match BEGUN.get_or_init(Instant::now).elapsed() < length() {
                    true => Err(Box::new((status, error).into_response())),
                    false => Ok(body),
                }
            };
            let double = Double::start(place.simulation.url(), before, as_it_is).await;
            place.reach_at(&double.url);
            let _sluice = place.start("up").await;
            let mut documents = Vec::new();
            for number in 0..40 {
                documents.push(place.upload("a.txt", "generic", letter(number)).await);
            }
            for document in &documents {
                place.ended_after(document, length()).await;
                place.extraction(document).await;
            }
            let calls = double.seen().len();
            let (status, seconds) = ($status, length().as_secs());
            eprintln!("{seconds} s of {status}: 40 of 40 documents succeed, with {calls} requests");
            assert_eq!(place.paid().await.into_values().max(), Some(1), "none is paid twice");
        }
    };
}

outage!(a_gateway_without_a_service_is_waited_for, 502);
outage!(an_overloaded_service_is_waited_for, 529);
outage!(a_refused_key_is_waited_for, 401);
outage!(a_gateway_that_gives_up_is_waited_for, 504);
