//! A reply that is no answer is kept and is not remembered as one: a new run asks anew, and what is a
//! good answer is still never paid twice.

use crate::broker::backends;
use crate::harness::{Place, Process, fast, faulty, fixture, id};
use serde_json::{Value, json};
use simulator::DeploymentConfig;

/// What a deployment may give in place of an answer, the code of the failure, whether that is
/// retryable, and how many calls one run makes of it.
const KINDS: [(&str, &str, bool, u64); 6] = [
    ("content_filter_output", "content_filtered", false, 1),
    ("refusal", "model_refused", false, 1),
    ("length", "output_truncated", false, 2),
    ("invalid_json", "invalid_reply", true, 2),
    ("empty_choices", "invalid_reply", true, 2),
    ("null_content", "invalid_reply", true, 2),
];

const NAME: &str = "invoice-en-classic.pdf";

fn bytes() -> Vec<u8> {
    fixture(&format!("documents/{NAME}"))
}

async fn start(deployment: DeploymentConfig) -> (Place, Process) {
    start_on(Vec::new(), deployment).await
}

/// On these servers.
async fn start_on(
    backend: Vec<(&'static str, String)>,
    deployment: DeploymentConfig,
) -> (Place, Process) {
    let mut place = Place::new(vec![deployment], "").await;
    place.settings = backend;
    let sluice = place.start("up").await;
    (place, sluice)
}

/// A deployment that has a fault so many times.
async fn with_fault(kind: &str, times: u64) -> (Place, Process) {
    start(faulty("sweden", json!([{ "kind": kind, "times": times }]))).await
}

async fn paid(place: &Place) -> u64 {
    place.paid().await.values().sum()
}

/// Runs a document again in this way.
async fn again(place: &Place, document: &Value, how: &str) -> Value {
    let url = place.url(&format!("/v1/documents/{}/{how}", id(document)));
    let answer = place.http.post(url).json(&json!({})).send().await.unwrap();
    assert!(answer.status().is_success(), "{how}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_retry_asks_anew_after_every_kind_of_useless_reply() {
    for kind in KINDS {
        for backend in backends().await {
            retries(kind, backend).await;
        }
    }
}

async fn retries(
    (kind, code, retryable, calls): (&str, &str, bool, u64),
    backend: Vec<(&'static str, String)>,
) {
    let deployment = faulty("sweden", json!([{ "kind": kind, "times": calls }]));
    let (place, _sluice) = start_on(backend, deployment).await;
    let document = place.upload(NAME, "invoice", bytes()).await;
    let failed = place.ended(&document).await;
    assert_eq!(failed["failure"]["code"], code, "{kind}: {failed}");
    assert_eq!(failed["failure"]["retryable"], retryable, "{kind}: {failed}");
    assert_eq!(paid(&place).await, calls, "{kind}");
    let extraction = place.extraction(&again(&place, &document, "retry").await).await;
    assert_eq!(paid(&place).await, calls + 1, "{kind}");
    let usage = &extraction["usage"];
    assert_eq!((&usage["calls"], &usage["replayed"]), (&json!(1), &json!(0)), "{kind}");
    // All that was said is kept.
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&document))).await;
    let attempts = attempts["data"].as_array().unwrap();
    assert_eq!(attempts.len() as u64, calls + 1, "{kind}: {attempts:?}");
    assert!(attempts.iter().all(|attempt| attempt["outcome"] == "answered"), "{attempts:?}");
    // And why it is no answer, but for one that only the schema shows.
    let (last, useless) = attempts.split_last().unwrap();
    let says_why = |attempt: &Value| attempt["error"].is_string() || kind == "invalid_json";
    assert!(last["error"].is_null() && useless.iter().all(says_why), "{attempts:?}");
}

#[tokio::test]
async fn so_do_another_upload_and_another_run_until_there_is_an_answer() {
    for (kind, code, _, calls) in KINDS {
        let (place, _sluice) = with_fault(kind, calls * 3).await;
        let first = place.upload(NAME, "invoice", bytes()).await;
        assert_eq!(place.ended(&first).await["failure"]["code"], code, "{kind}");
        let second = place.upload(NAME, "invoice", bytes()).await;
        assert_eq!(place.ended(&second).await["failure"]["code"], code, "{kind}");
        assert_eq!(paid(&place).await, calls * 2, "{kind}: another upload");
        again(&place, &first, "reprocess").await;
        assert_eq!(place.ended(&first).await["failure"]["code"], code, "{kind}");
        assert_eq!(paid(&place).await, calls * 3, "{kind}: another run");
        again(&place, &second, "retry").await;
        place.extraction(&second).await;
        assert_eq!(paid(&place).await, calls * 3 + 1, "{kind}: it is mended");
        // From now on there is an answer, and nobody pays for it again.
        again(&place, &first, "retry").await;
        let third = place.upload(NAME, "invoice", bytes()).await;
        for document in [&first, &third] {
            let usage = &place.extraction(document).await["usage"];
            assert_eq!((&usage["calls"], &usage["replayed"]), (&json!(0), &json!(1)), "{kind}");
        }
        again(&place, &second, "reprocess").await;
        assert_eq!(place.extraction(&second).await["usage"]["calls"], 0, "{kind}");
        assert_eq!(paid(&place).await, calls * 3 + 1, "{kind}");
    }
}

#[tokio::test]
async fn fields_that_never_fitted_are_asked_for_anew() {
    // The simulator spoils one field, twice in each of two runs, and not again.
    let (place, _sluice) = with_fault("invalid_reply", 4).await;
    let first = place.upload(NAME, "invoice", bytes()).await;
    assert_eq!(place.ended(&first).await["state"], "partial");
    again(&place, &first, "reprocess").await;
    assert_eq!(place.ended(&first).await["state"], "partial");
    assert_eq!(paid(&place).await, 4);
    let second = place.upload(NAME, "invoice", bytes()).await;
    assert_eq!(place.extraction(&second).await["usage"]["calls"], 1);
    again(&place, &first, "reprocess").await;
    assert_eq!(place.extraction(&first).await["usage"]["calls"], 0);
    assert_eq!(paid(&place).await, 5);
}

#[tokio::test]
async fn a_reply_with_nothing_in_it_is_asked_for_again_at_once() {
    for kind in ["empty_choices", "null_content"] {
        let (place, _sluice) = with_fault(kind, 1).await;
        let document = place.upload(NAME, "invoice", bytes()).await;
        let extraction = place.extraction(&document).await;
        assert_eq!(extraction["usage"]["calls"], 2, "{kind}");
        assert_eq!(paid(&place).await, 2, "{kind}");
    }
}

#[tokio::test]
async fn more_room_makes_another_question_of_a_cut_answer() {
    let place = Place::new(vec![fast("sweden")], "tokens_output_max = 20").await;
    let document = {
        let sluice = place.start("up").await;
        let document = place.upload(NAME, "invoice", bytes()).await;
        let failed = place.ended(&document).await;
        assert_eq!(failed["failure"]["code"], "output_truncated", "{failed}");
        assert!(sluice.terminate().await.success());
        document
    };
    let room = [("SLUICE_WORKER__TOKENS_OUTPUT_MAX", "4096")];
    let _sluice = place.start_with("up", &room).await;
    let extraction = place.extraction(&again(&place, &document, "retry").await).await;
    assert_eq!(extraction["usage"]["calls"], 1);
    assert_eq!(paid(&place).await, 3);
}

#[tokio::test]
async fn whoever_takes_over_ends_with_the_reply_that_was_paid() {
    for point in ["answered", "reply-saved", "call-ended"] {
        let place = Place::new(
            vec![faulty("sweden", json!([{ "kind": "refusal", "times": 2 }]))],
            "calls_max = 3",
        )
        .await;
        let mut uploader = place.start_with("up", &[("SLUICE_KILL_AT", point)]).await;
        let document = place.upload(NAME, "invoice", bytes()).await;
        crate::harness::until("it dies", async || uploader.has_ended().then_some(())).await;
        let _sluice = place.start("up").await;
        let failed = place.ended(&document).await;
        assert_eq!(failed["failure"]["code"], "model_refused", "{point}: {failed}");
        // What died before the reply was saved is paid again, and nothing else.
        let calls = if point == "answered" { 2 } else { 1 };
        assert_eq!(paid(&place).await, calls, "{point}");
    }
}

#[tokio::test]
async fn what_a_newer_program_understands_is_not_paid_again() {
    let (place, _sluice) = with_fault("invalid_json", 2).await;
    let document = place.upload(NAME, "invoice", bytes()).await;
    assert_eq!(place.ended(&document).await["failure"]["code"], "invalid_reply");
    // Nobody can wait here for a newer program: the replies are made readable for this one.
    let other = start(fast("sweden")).await;
    let good = other.0.upload(NAME, "invoice", bytes()).await;
    let good = other.0.extraction(&good).await;
    let replies = place.folder.path().join("blobs/replies");
    let mut mended = 0;
    for folder in std::fs::read_dir(replies).unwrap().flatten() {
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let mut reply: Value =
                serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
            reply["body"]["choices"][0]["message"]["content"] = good["data"].to_string().into();
            std::fs::write(file.path(), reply.to_string()).unwrap();
            mended += 1;
        }
    }
    assert_eq!(mended, 2);
    let extraction = place.extraction(&again(&place, &document, "retry").await).await;
    assert_eq!(extraction["data"], good["data"]);
    assert_eq!(extraction["usage"]["calls"], 0);
    assert_eq!(paid(&place).await, 2);
}
