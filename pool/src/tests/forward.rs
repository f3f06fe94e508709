//! Raw requests through the pool.

use super::*;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};

const EVENTS: &str = "text/event-stream";
const BODY: &str = r#"{ "stream":true, "model":"dep", "big": 1.0 }"#;

async fn forward(pool: &Pool) -> Result<Forwarded, CallError> {
    let reservation = pool.reserve(&need(LONG)).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("authorization", HeaderValue::from_static("Bearer of-the-caller"));
    headers.insert("connection", HeaderValue::from_static("close"));
    reservation.forward(Method::POST, "/chat/completions", headers, Bytes::from(BODY)).await
}

async fn text(body: ForwardedBody) -> String {
    let chunks: Vec<Bytes> = body.try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

/// Calls, answered, throttled, failed, and under way.
fn counts(pool: &Pool) -> [u64; 5] {
    let one = pool.snapshot().remove(0);
    [one.calls, one.answered, one.throttled, one.failed, one.in_flight.into()]
}

fn pieces(kind: &'static str, pieces: &[&str], ends: bool) -> Deed {
    Deed::Pieces { kind, pieces: pieces.iter().map(|&piece| piece.to_owned()).collect(), ends }
}

fn usage(tokens_input: u64, tokens_output: u64) -> Usage {
    Usage { tokens_input, tokens_output, ..Usage::default() }
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }))
}

#[tokio::test]
async fn json_passes_and_its_usage_settles_the_reservation() {
    let server = Server::start([]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let forwarded = forward(&pool).await.unwrap();
    assert_eq!((forwarded.status.as_u16(), forwarded.error), (200, None));
    assert_eq!(forwarded.headers["x-ratelimit-limit-tokens"], "50000");
    assert!(!forwarded.headers.contains_key("connection"));
    let Deed::Answer { body, .. } = well() else { panic!() };
    assert_eq!(text(forwarded.body).await, body);
    let outcome = forwarded.outcome.await.unwrap();
    let expected = ForwardOutcome { usage: usage(12, 3), is_estimated: false, is_complete: true };
    assert_eq!((outcome, counts(&pool)), (expected, [1, 1, 0, 0, 0]));
    // The limit that its headers name is in force.
    assert_eq!(pool.snapshot()[0].tokens_per_minute, Some(50_000));
    let seen = server.seen();
    let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
    let line = "POST /openai/v1/chat/completions HTTP/1.1";
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with(&line.to_ascii_lowercase()), "{head}");
    assert!(head.contains("api-key: secret-key") && !head.contains("of-the-caller"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, BODY);
}

#[tokio::test]
async fn events_pass_and_settle_at_their_end() {
    let told = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n";
    let done = "data: [DONE]\n\n";
    let (one, two) = (delta("Zwei"), delta(" Wörter"));
    let deeds = [
        pieces(EVENTS, &[&one, &two, told, done], true),
        pieces(EVENTS, &[&one, &two, done], true),
        // It says that it is done, and leaves the connection open.
        pieces(EVENTS, &[&one, told, done], false),
    ];
    let server = Server::start(deeds).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let forwarded = forward(&pool).await.unwrap();
    assert_eq!(text(forwarded.body).await, format!("{one}{two}{told}{done}"));
    let expected = ForwardOutcome { usage: usage(9, 4), is_estimated: false, is_complete: true };
    assert_eq!(forwarded.outcome.await.unwrap(), expected);
    // Without usage the answer of 11 characters is counted.
    let forwarded = forward(&pool).await.unwrap();
    assert_eq!(text(forwarded.body).await, format!("{one}{two}{done}"));
    let expected = ForwardOutcome { usage: usage(0, 3), is_estimated: true, is_complete: true };
    assert_eq!(forwarded.outcome.await.unwrap(), expected);
    let forwarded = forward(&pool).await.unwrap();
    let mut body = forwarded.body;
    let outcome = forwarded.outcome;
    let read = tokio::spawn(async move { while body.next().await.is_some() {} });
    assert_eq!(outcome.await.unwrap().usage, usage(9, 4));
    assert_eq!(counts(&pool), [3, 3, 0, 0, 0]);
    read.abort();
}

#[tokio::test]
async fn a_rejection_passes_with_what_it_means() {
    let body = r#"{"error":{"code":"429","message":"slow"}}"#;
    let server = Server::start([answer(429, "retry-after-ms: 300\r\n", body)]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let forwarded = forward(&pool).await.unwrap();
    assert_eq!(forwarded.status.as_u16(), 429);
    let Some(CallError::Throttled { retry_after, .. }) = forwarded.error else { panic!() };
    assert_eq!(retry_after, Duration::from_millis(300));
    let status = pool.snapshot().remove(0);
    assert_eq!((status.state, counts(&pool)), (DeploymentState::Throttled, [1, 0, 1, 0, 0]));
    assert_eq!(text(forwarded.body).await, body);
    assert!(forwarded.outcome.await.is_err());
    let early = pool.reserve(&need(Duration::from_millis(50))).await.unwrap_err();
    assert!(matches!(early, ReserveError::Later { .. }), "{early:?}");
}

#[tokio::test]
async fn a_long_rejection_passes_whole() {
    let body = "x".repeat(500_000);
    let server = Server::start([answer(400, "", &body)]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let forwarded = forward(&pool).await.unwrap();
    assert!(matches!(forwarded.error, Some(CallError::Refused { .. })), "{forwarded:?}");
    assert_eq!(text(forwarded.body).await.len(), body.len());
}

#[tokio::test]
async fn a_reader_that_leaves_leaves_the_call_charged() {
    let one = delta("12345");
    let server = Server::start([pieces(EVENTS, &[&one], false)]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let mut forwarded = forward(&pool).await.unwrap();
    let first = forwarded.body.next().await.unwrap().unwrap();
    assert_eq!((first.as_ref(), counts(&pool)), (one.as_bytes(), [1, 0, 0, 0, 1]));
    drop(forwarded.body);
    let expected = ForwardOutcome { usage: usage(0, 2), is_estimated: true, is_complete: false };
    assert_eq!(forwarded.outcome.await.unwrap(), expected);
    let status = pool.snapshot().remove(0);
    assert_eq!((status.in_flight, status.answered), (0, 0));
    // As for a call that is dropped: 505 tokens stay charged.
    assert_eq!(status.tokens_available, Some(100_000 - 505));
    // A body of which nothing was read is no other.
    let server = Server::start([pieces(EVENTS, &[&one], false)]).await;
    let pool = super::pool(vec![deployment("d", &server.url)]);
    drop(forward(&pool).await.unwrap());
    assert_eq!(
        (counts(&pool), pool.snapshot()[0].tokens_available),
        ([1, 0, 0, 0, 0], Some(99_495))
    );
}

#[tokio::test]
async fn a_body_longer_than_what_is_kept_of_it_passes_whole() {
    let vector = "0.125,".repeat(700_000);
    let body = format!(
        r#"{{"data":[{{"embedding":[{vector}1]}}],"usage":{{"prompt_tokens":7,"total_tokens":7}}}}"#
    );
    let server =
        Server::start([pieces("application/json", &[&body[..99], &body[99..]], true)]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let forwarded = forward(&pool).await.unwrap();
    assert_eq!(text(forwarded.body).await.len(), body.len());
    let expected = ForwardOutcome { usage: usage(7, 0), is_estimated: false, is_complete: true };
    assert_eq!(forwarded.outcome.await.unwrap(), expected);
    assert_eq!(counts(&pool), [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_broken_or_hanging_response_is_a_failure() {
    let cases = [
        (pieces("application/json", &["{\"choices\":"], true), [1, 0, 0, 1, 0]),
        (pieces(EVENTS, &[&delta("a")], false), [1, 0, 0, 1, 0]),
        (pieces(EVENTS, &["data: {\"error\":{\"code\":\"429\"}}\n\n"], true), [1, 0, 1, 0, 0]),
    ];
    for (deed, expected) in cases {
        let server = Server::start([deed]).await;
        let config = PoolConfig {
            deployments: vec![deployment("d", &server.url)],
            strategies: BTreeMap::new(),
            call_timeout: Duration::from_millis(300),
        };
        let pool = Pool::new(config).unwrap();
        let forwarded = forward(&pool).await.unwrap();
        let _: Vec<_> = forwarded.body.collect().await;
        assert!(!forwarded.outcome.await.unwrap().is_complete);
        assert_eq!(counts(&pool), expected);
    }
    let server = Server::start([Deed::Reset]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let error = forward(&pool).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error:?}");
    assert_eq!(counts(&pool), [1, 0, 0, 1, 0]);
}

#[tokio::test]
async fn what_leads_out_of_the_api_is_not_sent() {
    let server = Server::start([]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let reservation = pool.reserve(&need(LONG)).await.unwrap();
    assert_eq!(reservation.provider_model(), "dep");
    let sent = reservation.forward(Method::GET, "/../x", HeaderMap::new(), Bytes::new()).await;
    assert!(matches!(sent, Err(CallError::Refused { status: 404, .. })), "{sent:?}");
    assert_eq!((server.seen().len(), counts(&pool)), (0, [0, 0, 0, 0, 0]));
    assert_eq!(pool.snapshot()[0].tokens_available, Some(100_000));
}
