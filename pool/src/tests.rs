//! The whole pool against a real HTTP server on this machine, which answers what it is told.

mod addresses;
mod forward;

use super::*;
use crate::typed::chat::{CallError, Message, Refusal, Reply, Request, Role};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// What the server does with one request.
#[derive(Clone)]
enum Deed {
    Answer {
        status: u16,
        headers: &'static str,
        body: String,
    },
    /// A body in pieces; then it ends, or stays open.
    Pieces {
        kind: &'static str,
        pieces: Vec<String>,
        ends: bool,
    },
    Hang,
    Reset,
}

/// A server that does its deeds in order, then answers well.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

fn answer(status: u16, headers: &'static str, body: &str) -> Deed {
    Deed::Answer { status, headers, body: body.to_owned() }
}

fn well() -> Deed {
    let body = json!({
        "model": "gpt-4o",
        "choices": [{"finish_reason": "stop", "message": {"content": "{}"}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3},
    });
    answer(200, "x-ratelimit-limit-tokens: 50000\r\n", &body.to_string())
}

impl Server {
    async fn start(deeds: impl IntoIterator<Item = Deed>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let deeds = Arc::new(Mutex::new(deeds.into_iter().collect::<VecDeque<_>>()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (deeds, log) = (Arc::clone(&deeds), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, &deeds, &log).await });
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The request line, and the body, of the first request.
    fn first(&self) -> (String, Value) {
        let seen = self.seen();
        let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }
}

async fn serve(mut stream: TcpStream, deeds: &Mutex<VecDeque<Deed>>, log: &Mutex<Vec<String>>) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = text.split_once("\r\n\r\n").and_then(|(head, body)| {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
            (body.len() >= length).then_some(())
        });
        if length.is_some() {
            break;
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            _ => return,
        }
    }
    log.lock().unwrap().push(text);
    let deed = deeds.lock().unwrap().pop_front().unwrap_or_else(well);
    match deed {
        Deed::Answer { status, headers, body } => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
        Deed::Pieces { kind, pieces, ends } => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
            for piece in pieces {
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                let _ = stream.write_all(chunk.as_bytes()).await;
            }
            match ends {
                true => drop(stream.write_all(b"0\r\n\r\n").await),
                // Until the reader goes away.
                false => drop(stream.read(&mut buffer).await),
            }
        }
        Deed::Hang => std::future::pending().await,
        Deed::Reset => {
            let _ = stream.set_zero_linger();
        }
    }
}

fn deployment(name: &str, url: &str) -> DeploymentConfig {
    DeploymentConfig {
        name: name.into(),
        model: "gpt-4o".into(),
        provider: Provider::Azure,
        deployment: Some("dep".into()),
        endpoint: url.into(),
        api_key: Some(Secret::new("secret-key")),
        tokens_per_minute: Some(100_000),
        requests_per_minute: Some(600),
        concurrency_max: Some(8),
        context_tokens_max: Some(128_000),
        ..DeploymentConfig::default()
    }
}

fn pool(deployments: Vec<DeploymentConfig>) -> Pool {
    Pool::new(PoolConfig {
        deployments,
        strategies: BTreeMap::new(),
        call_timeout: Duration::from_millis(400),
    })
    .unwrap()
}

fn request() -> Request {
    let message = |role, content: &str| Message { role, content: content.into() };
    Request {
        model: "gpt-4o".into(),
        messages: vec![message(Role::System, "Read."), message(Role::User, "Äpfel: 3")],
        schema_name: "fruit".into(),
        schema: json!({"type": "object", "properties": {"b": {}, "a": {}}}),
        tokens_output_max: 500,
        reasoning_effort: None,
        images: Vec::new(),
    }
}

fn need(wait_max: Duration) -> Need {
    Need::of(&request(), false, wait_max)
}

const LONG: Duration = Duration::from_secs(20);

async fn call(pool: &Pool) -> Result<Reply, CallError> {
    pool.reserve(&need(LONG)).await.unwrap().send(&request()).await
}

#[test]
fn a_need_counts_characters_not_bytes() {
    let need = need(LONG);
    assert_eq!((need.tokens_input, need.tokens_output_max), (2 + 3, 500));
}

#[tokio::test]
async fn azure_with_a_version_is_addressed_by_deployment() {
    let server = Server::start([]).await;
    let dated = DeploymentConfig {
        api_version: Some("2024-10-21".into()),
        ..deployment("d", &format!("{}/", server.url))
    };
    let pool = pool(vec![dated]);
    let reply = call(&pool).await.unwrap();
    assert_eq!((reply.deployment.as_str(), reply.tokens()), ("d", (12, 3)));
    let (head, body) = server.first();
    let line = "POST /openai/deployments/dep/chat/completions?api-version=2024-10-21 HTTP/1.1";
    assert!(head.starts_with(line), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("api-key: secret-key") && !head.contains("authorization"), "{head}");
    let expected = json!({
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Read."},
            {"role": "user", "content": "Äpfel: 3"},
        ],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "fruit", "strict": true,
            "schema": {"type": "object", "properties": {"b": {}, "a": {}}},
        }},
        "max_tokens": 500,
        "temperature": 0,
    });
    assert_eq!(body.to_string(), expected.to_string());
}

#[tokio::test]
async fn other_addresses_follow_their_provider() {
    let server = Server::start([]).await;
    let bearer = "authorization: bearer secret-key";
    let (azure, v1) = (server.url.clone(), format!("{}/v1", server.url));
    let (of_azure, of_v1) = ("/openai/v1/chat/completions", "/v1/chat/completions");
    let table = [
        (Provider::Azure, azure, of_azure, Some("dep"), "api-key: secret-key"),
        (Provider::OpenAi, v1.clone(), of_v1, None, bearer),
        (Provider::Compatible, format!("{v1}/"), of_v1, None, bearer),
        (Provider::Compatible, v1, of_v1, Some("upstream"), bearer),
    ];
    for (provider, endpoint, path, named, key) in table {
        server.seen.lock().unwrap().clear();
        let one = DeploymentConfig {
            provider,
            endpoint,
            model: "gpt-5-mini".into(),
            deployment: named.map(str::to_owned),
            ..deployment("d", "")
        };
        let request = Request { model: "gpt-5-mini".into(), ..request() };
        let need = Need::of(&request, true, LONG);
        let slot = pool(vec![one]).reserve(&need).await.unwrap();
        slot.send(&request).await.unwrap();
        let (head, body) = server.first();
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1")), "{head}");
        assert!(head.to_ascii_lowercase().contains(key), "{head}");
        let model = json!(named.unwrap_or("gpt-5-mini"));
        assert_eq!((&body["model"], &body["max_completion_tokens"]), (&model, &json!(500)));
        assert!(body.get("temperature").is_none() && body.get("max_tokens").is_none());
    }
}

#[tokio::test]
async fn a_rejection_is_one_request_and_blocks_until_its_time() {
    let rejection = answer(429, "retry-after-ms: 300\r\n", r#"{"statusCode":429}"#);
    let server = Server::start([rejection]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let error = call(&pool).await.unwrap_err();
    let CallError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!((retry_after, server.seen().len()), (Duration::from_millis(300), 1));
    assert_eq!(pool.snapshot()[0].state, DeploymentState::Throttled);
    let start = Instant::now();
    let early = pool.reserve(&need(Duration::from_millis(50))).await.unwrap_err();
    assert!(matches!(early, ReserveError::Later { .. }), "{early:?}");
    call(&pool).await.unwrap();
    assert!(start.elapsed() > Duration::from_millis(200), "{:?}", start.elapsed());
    let status = pool.snapshot().remove(0);
    assert_eq!((status.calls, status.answered, status.throttled, status.failed), (2, 1, 1, 0));
    assert_eq!((status.tokens_per_minute, status.in_flight), (Some(50_000), 0));
}

#[tokio::test]
async fn each_failure_is_classified_once_and_never_repeated() {
    let html = "<html><body>Bad Gateway</body></html>";
    let table = [
        (answer(503, "", html), "Unavailable", DeploymentState::Ok),
        (answer(529, "", html), "Unavailable", DeploymentState::Ok),
        (answer(502, "retry-after: 9\r\n", html), "Unavailable", DeploymentState::Cooling),
        (answer(504, "", html), "Unknown { status: Some(504) }", DeploymentState::Ok),
        (
            Deed::Pieces {
                kind: "text/event-stream",
                pieces: vec!["data: {\"choices\":[{\"delta\":{\"content\":\"{\"}}]}\n\n".into()],
                ends: true,
            },
            "Unknown { status: Some(200) }",
            DeploymentState::Ok,
        ),
        (answer(200, "", html), "Unknown { status: Some(200) }", DeploymentState::Ok),
        (answer(200, "", ""), "Unknown { status: Some(200) }", DeploymentState::Ok),
        (Deed::Hang, "Unknown { status: None }", DeploymentState::Ok),
        (Deed::Reset, "Unknown { status: None }", DeploymentState::Ok),
        (answer(401, "", ""), "Denied { status: 401 }", DeploymentState::Denied),
        (answer(404, "", html), "Denied { status: 404 }", DeploymentState::Denied),
        (answer(302, "location: /x\r\n", ""), "Denied { status: 302 }", DeploymentState::Denied),
        (
            answer(400, "", r#"{"error":{"code":"content_filter","message":"m"}}"#),
            "Refused { why: ContentFiltered }",
            DeploymentState::Ok,
        ),
    ];
    for (deed, expected, state) in table {
        let server = Server::start([deed]).await;
        let pool = pool(vec![deployment("d", &server.url)]);
        let found = match call(&pool).await.unwrap_err() {
            CallError::Unknown { status, .. } => format!("Unknown {{ status: {status:?} }}"),
            CallError::Unavailable { .. } => "Unavailable".to_owned(),
            CallError::Denied { status, .. } => format!("Denied {{ status: {status} }}"),
            CallError::Refused { why, .. } => {
                assert_eq!(why, Refusal::ContentFiltered);
                format!("Refused {{ why: {why:?} }}")
            }
            other => format!("{other:?}"),
        };
        let status = pool.snapshot().remove(0);
        assert_eq!((found.as_str(), status.state, status.in_flight), (expected, state, 0));
        assert_eq!(server.seen().len(), 1, "{expected}");
    }
}

fn refusal(param: &str, code: &str, message: &str) -> Deed {
    let error = json!({ "message": message, "param": param, "code": code });
    answer(400, "", &json!({ "error": error }).to_string())
}

#[tokio::test]
async fn what_is_refused_is_asked_without_at_once_and_remembered() {
    let server = Server::start([
        refusal("max_completion_tokens", "unsupported_parameter", "not supported"),
        refusal("temperature", "unsupported_value", "Only the default (1) value is supported."),
        refusal("max_tokens", "invalid_value", "max_tokens is too large: 500. At most 400."),
    ])
    .await;
    let pool = pool(vec![deployment("d", &server.url)]);
    call(&pool).await.unwrap();
    let sent = |number: usize| {
        let seen = server.seen();
        let (_, body) = seen[number].split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let names = ["max_completion_tokens", "max_tokens", "temperature"];
        names.map(|name| body[name].as_u64())
    };
    assert_eq!(sent(0), [Some(500), None, Some(0)]);
    assert_eq!(sent(1), [None, Some(500), Some(0)]);
    assert_eq!(sent(2), [None, Some(500), None]);
    assert_eq!(sent(3), [None, Some(400), None]);
    // To the caller it was one call, and the next one knows.
    let status = pool.snapshot().remove(0);
    assert_eq!((status.calls, status.answered, status.failed), (1, 1, 0));
    assert_eq!(status.dialect.names(), ["max_completion_tokens", "temperature"]);
    assert_eq!(pool.tokens_output_max("gpt-4o"), Some(400));
    call(&pool).await.unwrap();
    assert_eq!((sent(4), server.seen().len()), ([None, Some(400), None], 5));
}

#[tokio::test]
async fn what_one_member_is_refused_no_other_sends() {
    let Some(redis) = ::tests::server("SLUICE_TEST_REDIS") else { return };
    let refused = refusal("max_completion_tokens", "unsupported_parameter", "not supported");
    let server = Server::start([refused]).await;
    // The state of this test alone.
    let name = format!("{:032x}", fastrand::u128(..));
    let config = || DeploymentConfig { model: name.clone(), ..deployment("d", &server.url) };
    let stop = tokio_util::sync::CancellationToken::new();
    let member = |number: &str| {
        let pool = pool(vec![config()]);
        let connection = crate::FleetConnection::redis(&redis).unwrap();
        tokio::spawn(Fleet::join(pool.clone(), connection, number.into()).run(stop.clone()));
        pool
    };
    let need = Need { model: name.clone(), ..need(Duration::from_secs(10)) };
    let ask = async |pool: &Pool| pool.reserve(&need).await.unwrap().send(&request()).await;
    let (first, second) = (member("1"), member("2"));
    ask(&first).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    // It hears of it with the room for one of its calls.
    let is_told = || !server.seen().last().unwrap().contains("max_completion_tokens");
    for _ in 0..100 {
        ask(&second).await.unwrap();
        if is_told() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_told() && !second.snapshot()[0].dialect.takes(Part::MaxCompletionTokens));
    stop.cancel();
}

#[tokio::test]
async fn a_refusal_that_teaches_nothing_is_the_end() {
    let both = || {
        [
            refusal("max_completion_tokens", "unsupported_parameter", "no"),
            refusal("max_tokens", "unsupported_parameter", "no"),
        ]
    };
    let deeds = (0..20).flat_map(|_| both());
    let server = Server::start(deeds).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let error = call(&pool).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { why: Refusal::Other, .. }), "{error:?}");
    // Neither name is sent any more, so what it says of them is about nothing that was sent.
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn the_room_is_cut_to_what_the_context_leaves_for_this_question_only() {
    let message = "This model's maximum context length is 600 tokens. However, you requested 700 \
                   tokens (200 in the messages, 500 in the completion).";
    let server = Server::start([refusal("messages", "context_length_exceeded", message)]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    call(&pool).await.unwrap();
    call(&pool).await.unwrap();
    let rooms: Vec<_> = server.seen().iter().map(|text| text.contains("_tokens\":400")).collect();
    assert_eq!(rooms, [false, true, false]);
}

#[tokio::test]
async fn a_stream_that_nobody_asked_for_is_an_answer() {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        format!("data: {}\n\n", json!({ "model": "gpt-4o", "choices": [choice] }))
    };
    let pieces = vec![
        chunk(json!({ "role": "assistant", "content": "{" }), Value::Null),
        chunk(json!({ "content": "}" }), "stop".into()),
        "data: [DONE]\n\n".to_owned(),
    ];
    // The connection stays open.
    let deed = Deed::Pieces { kind: "text/event-stream", pieces, ends: false };
    let server = Server::start([deed]).await;
    let reply = call(&pool(vec![deployment("d", &server.url)])).await.unwrap();
    assert_eq!(reply.answer().unwrap().content, "{}");
}

#[tokio::test]
async fn a_gateway_that_gives_up_is_an_outage_until_somebody_is_answered() {
    let up = || answer(504, "", "upstream request timeout");
    let server = Server::start([up(), up(), well(), up()]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(call(&pool).await.map(drop).map_err(|error| error.is_unbilled()));
    }
    assert_eq!(found, [Err(false), Err(true), Ok(()), Err(false)]);
    assert!(pool.trouble("gpt-4o").unwrap().contains("upstream request timeout"));
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_free() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let pool = pool(vec![deployment("d", &url)]);
    let error = call(&pool).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert!(!error.to_string().contains("chat/completions"), "{error}");
    let status = pool.snapshot().remove(0);
    assert_eq!((status.state, status.tokens_available), (DeploymentState::Ok, Some(100_000)));
}

#[tokio::test]
async fn the_other_deployment_takes_over() {
    let bad = Server::start([answer(500, "", "")]).await;
    let good = Server::start([]).await;
    let second = DeploymentConfig { tier: 1, ..deployment("good", &good.url) };
    let pool = pool(vec![deployment("bad", &bad.url), second]);
    assert!(call(&pool).await.is_err());
    assert_eq!(pool.forecast(&need(LONG)).unwrap().deployment, "good");
    assert_eq!(call(&pool).await.unwrap().deployment, "good");
}

#[tokio::test]
async fn a_dropped_slot_gives_back_and_a_dropped_call_does_not() {
    let server = Server::start([Deed::Hang]).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let slot = pool.reserve(&need(LONG)).await.unwrap();
    assert_eq!((slot.deployment(), pool.snapshot()[0].in_flight), ("d", 1));
    drop(slot);
    assert_eq!(
        (pool.snapshot()[0].tokens_available, pool.snapshot()[0].in_flight),
        (Some(100_000), 0)
    );
    let slot = pool.reserve(&need(LONG)).await.unwrap();
    let request = request();
    let dropped = tokio::time::timeout(Duration::from_millis(50), slot.send(&request)).await;
    assert!(dropped.is_err());
    let status = pool.snapshot().remove(0);
    // 5 tokens of question with 8 % on top, and 500 of answer, in whole tokens.
    assert_eq!((status.tokens_available, status.in_flight), (Some(100_000 - 505), 0));
}

#[tokio::test]
async fn waiting_ends_when_a_slot_is_given_back_and_leaves_nothing_when_dropped() {
    let pool = pool(vec![DeploymentConfig {
        concurrency_max: Some(1),
        ..deployment("d", "http://127.0.0.1:9")
    }]);
    let slot = pool.reserve(&need(LONG)).await.unwrap();
    let given_up = pool.clone();
    let given_up = tokio::spawn(async move { given_up.reserve(&need(LONG)).await.map(drop) });
    let waiting = pool.clone();
    let waiting = tokio::spawn(async move { waiting.reserve(&need(LONG)).await.map(drop) });
    tokio::task::yield_now().await;
    given_up.abort();
    assert!(given_up.await.is_err());
    drop(slot);
    tokio::time::timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(
        (pool.snapshot()[0].tokens_available, pool.snapshot()[0].in_flight),
        (Some(100_000), 0)
    );
}

#[tokio::test]
async fn what_cannot_be_is_said_at_once() {
    let pool = pool(vec![deployment("d", "http://127.0.0.1:9")]);
    let other = Need { model: "other".into(), ..need(LONG) };
    let error = pool.reserve(&other).await.unwrap_err();
    assert_eq!(error, ReserveError::NoDeployment { model: "other".into() });
    let large = Need { tokens_output_max: 200_000, ..need(LONG) };
    let error = pool.reserve(&large).await.unwrap_err();
    assert_eq!(error, ReserveError::TooLong { tokens: 200_006, tokens_max: 100_000 });
    assert_eq!((pool.models(), pool.serves("gpt-4o")), (vec!["gpt-4o".to_owned()], true));
    assert_eq!(pool.context_tokens_max("gpt-4o"), Some(128_000));
}

#[test]
fn a_configuration_that_cannot_work_makes_no_pool() {
    let error = |change: fn(&mut DeploymentConfig)| {
        let mut one = deployment("d", "http://x");
        change(&mut one);
        let config =
            PoolConfig { deployments: vec![one], strategies: BTreeMap::new(), call_timeout: LONG };
        Pool::new(config).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let messages = [
        error(|one| one.endpoint = "x".into()),
        error(|one| one.endpoint = "http://h:x".into()),
        error(|one| one.api_key = Some(Secret::new("a\nb"))),
        error(|one| one.concurrency_max = Some(0)),
        error(|one| one.weight = 0.0),
        error(|one| one.output_weight = Some(f64::NAN)),
        error(|one| one.deployment = Some(String::new())),
    ];
    let expected = [
        r#"deployment "d": endpoint must be a URL that starts with https:// or http://"#,
        r#"deployment "d": endpoint must be a URL that starts with https:// or http://"#,
        r#"deployment "d": api_key has characters that a header cannot carry"#,
        r#"deployment "d": concurrency_max must be at least 1"#,
        r#"deployment "d": weight must be a number above 0"#,
        r#"deployment "d": output_weight must be a number above 0"#,
        r#"deployment "d": deployment is empty"#,
    ];
    assert_eq!(messages, expected);
    let twice = vec![deployment("d", "http://x"), deployment("d", "http://x")];
    let twice = Pool::new(PoolConfig {
        deployments: twice,
        strategies: BTreeMap::new(),
        call_timeout: LONG,
    })
    .err();
    assert_eq!(twice, Some(PoolError::DuplicateName("d".into())));
    assert_eq!(format!("{:?}", Secret::new("secret")), "***");
}

#[tokio::test]
async fn a_wrong_schema_is_no_reason_to_ask_in_another_way() {
    let wrong = r#"{"error":{"message":"Invalid schema for response_format 'x': ...","param":"response_format"}}"#;
    let unknown =
        r#"{"error":{"message":"'response_format' is not supported","param":"response_format"}}"#;
    let deeds =
        [answer(400, "", wrong), answer(400, "", unknown), well(), answer(400, "", unknown)];
    let server = Server::start(deeds).await;
    let pool = pool(vec![deployment("d", &server.url)]);
    let mut found = Vec::new();
    for _ in 0..3 {
        let ended = match call(&pool).await {
            Ok(_) => "answered".to_owned(),
            Err(CallError::Refused { why, .. }) => format!("{why:?}"),
            Err(error) => format!("{error:?}"),
        };
        found.push((ended, pool.snapshot()[0].mode.unwrap().name()));
    }
    // The answer to a call of a tool is no call of one here: it is read, and the prompt is next.
    let expected = [("Schema", "json_schema"), ("answered", "json_object"), ("answered", "prompt")];
    assert_eq!(found, expected.map(|(ended, mode)| (ended.to_owned(), mode)));
    assert_eq!(server.seen().len(), 5);
}
