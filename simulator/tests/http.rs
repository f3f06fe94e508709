//! What a client of the simulator sees: limits, headers, error bodies, faults, statistics.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking and reports on standard error"
)]

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use simulator::config::Latency;
use simulator::{Config, DeploymentConfig, Fault, FaultKind, Kind, Mode, Running, Stats};

const AZURE: &str = "/openai/deployments/a/chat/completions?api-version=2024-10-21";
const V1: &str = "/openai/v1/chat/completions";
const OPENAI: &str = "/v1/chat/completions";
const DOCUMENT: &str =
    "<document>\n<page number=\"1\">\nInvoice no.: 4711\nTotal   12.50\n</page>\n</document>";

struct Sim {
    running: Running,
    client: Client,
}

fn deployment(kind: Kind, tpm: u64, rpm: u64) -> DeploymentConfig {
    DeploymentConfig { latency: Latency::NONE, ..DeploymentConfig::new("a", kind, tpm, rpm) }
}

async fn start(deployments: Vec<DeploymentConfig>) -> Sim {
    let config = Config { listen: "127.0.0.1:0".to_owned(), deployments, ..Config::demo() };
    let running = simulator::start(config).await.expect("starts");
    Sim { running, client: Client::new() }
}

async fn with_fault(fault: Fault) -> Sim {
    let mut deployment = deployment(Kind::Bucket, 1_000_000, 1_000);
    deployment.faults = vec![fault];
    start(vec![deployment]).await
}

fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "required": ["invoice_number", "total"],
        "properties": {
            "invoice_number": { "type": ["string", "null"] },
            "total": { "type": ["number", "null"] },
        },
    })
}

fn question() -> Value {
    json!({
        "model": "a",
        "messages": [
            { "role": "system", "content": "Extract." },
            { "role": "user", "content": DOCUMENT },
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": { "name": "invoice", "strict": true, "schema": schema() },
        },
    })
}

fn repair() -> Value {
    let mut body = question();
    let messages = body["messages"].as_array_mut().expect("messages");
    messages.push(json!({ "role": "assistant", "content": "{}" }));
    messages.push(json!({ "role": "user", "content": "That is wrong." }));
    body
}

impl Sim {
    async fn post(&self, path: &str, body: &Value) -> Response {
        let url = format!("{}{path}", self.running.url());
        self.client.post(url).header("api-key", "k").json(body).send().await.expect("answers")
    }

    async fn ask(&self, body: &Value) -> (StatusCode, Value) {
        let response = self.post(AZURE, body).await;
        (response.status(), response.json().await.expect("JSON"))
    }

    fn stats(&self) -> simulator::DeploymentStats {
        self.running.stats().deployments["a"].clone()
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
}

fn content(body: &Value) -> Value {
    let text = body["choices"][0]["message"]["content"].as_str().expect("content");
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn a_question_is_answered_as_azure_does() {
    let mut config = deployment(Kind::Bucket, 1_000, 60);
    config.model = Some("gpt-4o".to_owned());
    let sim = start(vec![config]).await;
    let response = sim.post(AZURE, &question()).await;
    assert_eq!(response.status(), 200);
    for (name, expected) in [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "976"),
        ("x-ratelimit-renewalperiod-requests", "60"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("x-ratelimit-key", "a"),
        ("x-ratelimit-abusepenalty-active", "False"),
        ("x-ms-deployment-name", "a"),
    ] {
        assert_eq!(header(&response, name).as_deref(), Some(expected), "{name}");
    }
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["model"], "gpt-4o-2024-08-06");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["content_filter_results"]["hate"]["filtered"], false);
    assert_eq!(content(&body), json!({ "invoice_number": "4711", "total": 12.5 }));
    let usage = &body["usage"];
    let sum = usage["prompt_tokens"].as_u64().zip(usage["completion_tokens"].as_u64());
    assert_eq!(sum.map(|(a, b)| a + b), usage["total_tokens"].as_u64());
    sim.running.stop().await;
}

#[tokio::test]
async fn all_addresses_and_keys_work() {
    let mut config = deployment(Kind::Bucket, 100_000, 60);
    config.model = Some("gpt-4o".to_owned());
    config.api_key = Some("k".to_owned());
    let sim = start(vec![config]).await;
    for path in [AZURE, V1, OPENAI] {
        assert_eq!(sim.post(path, &question()).await.status(), 200, "{path}");
    }
    let mut by_model = question();
    by_model["model"] = json!("gpt-4o");
    assert_eq!(sim.post(OPENAI, &by_model).await.status(), 200);
    by_model["model"] = json!("gpt-9");
    assert_eq!(sim.post(OPENAI, &by_model).await.status(), 404);
    let url = format!("{}{OPENAI}", sim.running.url());
    let bearer =
        sim.client.post(&url).bearer_auth("k").json(&question()).send().await.expect("answers");
    assert_eq!(bearer.status(), 200);
    let url = format!("{}{AZURE}", sim.running.url());
    let wrong = sim
        .client
        .post(&url)
        .header("api-key", "x")
        .json(&question())
        .send()
        .await
        .expect("answers");
    assert_eq!(wrong.status(), 401);
    let body: Value = wrong.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "401");
    assert_eq!(sim.stats().accepted, 5);
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let sim = start(vec![deployment(Kind::Bucket, 1_000, 60)]).await;
    for (path, code) in [
        ("/openai/deployments/a/chat/completions", "404"),
        ("/elsewhere", "404"),
        ("/openai/deployments/b/chat/completions?api-version=1", "DeploymentNotFound"),
    ] {
        let response = sim.post(path, &question()).await;
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body["error"]["code"], code, "{path}");
    }
}

#[tokio::test]
async fn a_window_shows_what_remains_and_nothing_else() {
    let sim = start(vec![deployment(Kind::Window, 700, 60)]).await;
    let response = sim.post(AZURE, &question()).await;
    assert_eq!(header(&response, "x-ratelimit-remaining-requests").as_deref(), Some("9"));
    assert_eq!(header(&response, "x-ratelimit-remaining-tokens").as_deref(), Some("36"));
    assert_eq!(header(&response, "x-ratelimit-limit-tokens"), None);
    let rejected = sim.post(AZURE, &question()).await;
    assert_eq!(rejected.status(), 429);
    assert_eq!(header(&rejected, "x-ratelimit-remaining-tokens"), None);
    assert_eq!(header(&rejected, "retry-after"), header(&rejected, "x-ratelimit-reset-tokens"));
    let body: Value = rejected.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "429");
    let message = body["error"]["message"].as_str().expect("text");
    assert!(message.contains("exceeded token rate limit of your current"), "{message}");
    assert_eq!(sim.stats().rejected.tokens, 1);
}

#[tokio::test]
async fn a_bucket_rejects_with_its_own_headers() {
    let sim = start(vec![deployment(Kind::Bucket, 1_000, 1)]).await;
    assert_eq!(sim.post(AZURE, &question()).await.status(), 200);
    let rejected = sim.post(AZURE, &question()).await;
    assert_eq!(rejected.status(), 429);
    assert_eq!(header(&rejected, "x-ratelimit-type").as_deref(), Some("Requests"));
    assert_eq!(header(&rejected, "x-ratelimit-remaining-requests").as_deref(), Some("0"));
    assert_eq!(header(&rejected, "retry-after-ms").as_deref(), Some("0"));
    let seconds: u64 = header(&rejected, "retry-after").expect("there").parse().expect("number");
    assert!((100..=121).contains(&seconds), "{seconds}");
    let text = rejected.text().await.expect("text");
    assert!(text.contains("exceeded call rate limit"), "{text}");
    let v1: Value = sim.post(V1, &question()).await.json().await.expect("JSON");
    assert_eq!(v1["error"]["code"], "too_many_requests");
    let openai: Value = sim.post(OPENAI, &question()).await.json().await.expect("JSON");
    assert_eq!(openai["error"]["code"], "rate_limit_exceeded");
    assert_eq!(sim.stats().rejected.requests, 3);
}

#[tokio::test]
async fn provisioned_throughput_has_no_limit_headers() {
    let sim = start(vec![deployment(Kind::Ptu, 60, 1)]).await;
    let response = sim.post(AZURE, &question()).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().keys().all(|name| !name.as_str().starts_with("x-ratelimit")));
    let rejected = sim.post(AZURE, &question()).await;
    assert_eq!(rejected.status(), 429);
    assert!(
        header(&rejected, "retry-after-ms")
            .is_some_and(|ms| ms.parse::<u64>().is_ok_and(|ms| ms > 0))
    );
    assert!(header(&rejected, "retry-after").is_some());
    assert_eq!(sim.stats().rejected.ptu, 1);
}

#[tokio::test]
async fn bad_requests_are_refused_and_not_counted() {
    let mut config = deployment(Kind::Bucket, 100_000, 60);
    config.context_tokens_max = 100;
    config.output_tokens_max = 50;
    let sim = start(vec![config]).await;
    let mut long = question();
    long["messages"][1]["content"] = json!("x".repeat(1_000));
    let (status, body) = sim.ask(&long).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!("context_length_exceeded")));
    let mut big = question();
    big["max_tokens"] = json!(51);
    let (status, body) = sim.ask(&big).await;
    assert_eq!(status, 400);
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("max_tokens is too large: 51"))
    );
    let mut bad = question();
    bad["response_format"]["json_schema"]["schema"]["properties"]["total"]["minimum"] = json!(0);
    let (status, body) = sim.ask(&bad).await;
    assert_eq!((status.as_u16(), &body["error"]["type"]), (400, &json!("invalid_request_error")));
    assert_eq!(
        body["error"]["message"],
        "Invalid schema for response_format 'invoice': In context=('properties', 'total'), 'minimum' \
         is not permitted."
    );
    let mut stream = question();
    stream["stream"] = json!(true);
    assert_eq!(sim.ask(&stream).await.0, 400);
    assert_eq!(sim.stats().accepted, 0);
}

#[tokio::test]
async fn a_model_without_structured_output_reads_the_schema_in_the_prompt() {
    let mut config = deployment(Kind::Bucket, 100_000, 60);
    config.modes = vec![Mode::JsonObject];
    let sim = start(vec![config]).await;
    assert_eq!(sim.ask(&question()).await.0, 400);
    let mut body = question();
    body["response_format"] = json!({ "type": "json_object" });
    body["messages"][0]["content"] =
        json!(format!("Answer with JSON of this schema: {}", schema()));
    let (status, answer) = sim.ask(&body).await;
    assert_eq!(status, 200);
    assert_eq!(content(&answer)["total"], 12.5);
}

#[tokio::test]
async fn output_above_the_maximum_is_cut() {
    let sim = start(vec![deployment(Kind::Bucket, 100_000, 60)]).await;
    let mut body = question();
    body["max_completion_tokens"] = json!(5);
    let (_, answer) = sim.ask(&body).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 5);
}

#[tokio::test]
async fn faults_before_the_limiter_cost_nothing() {
    for (kind, status, code) in [
        (FaultKind::Unavailable, 503, "ServiceUnavailable"),
        (FaultKind::ServerError, 500, "InternalServerError"),
        (FaultKind::NoCapacity, 429, "NoCapacity"),
        (FaultKind::Unauthorized, 401, "401"),
        (FaultKind::NotFound, 404, "DeploymentNotFound"),
    ] {
        let sim = with_fault(Fault { times: Some(1), ..Fault::always(kind) }).await;
        let (found, body) = sim.ask(&question()).await;
        assert_eq!((found.as_u16(), &body["error"]["code"]), (status, &json!(code)), "{kind:?}");
        assert_eq!(sim.stats().accepted, 0);
        assert_eq!(sim.stats().faults[kind.name()], 1);
        assert_eq!(sim.ask(&question()).await.0, 200, "{kind:?} was triggered twice");
    }
}

#[tokio::test]
async fn answers_are_changed_on_demand() {
    let ask = async |kind: FaultKind| {
        let sim = with_fault(Fault::always(kind)).await;
        let answer = sim.ask(&question()).await;
        assert_eq!(sim.stats().accepted, 1, "{kind:?} is billed");
        answer
    };
    let (status, body) = ask(FaultKind::ContentFilter).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!("content_filter")));
    assert_eq!(body["error"]["innererror"]["code"], "ResponsibleAIPolicyViolation");
    let (_, body) = ask(FaultKind::ContentFilterOutput).await;
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
    let (_, body) = ask(FaultKind::Length).await;
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    let (_, body) = ask(FaultKind::Refusal).await;
    assert!(body["choices"][0]["message"]["refusal"].is_string());
    assert!(body["choices"][0]["message"]["content"].is_null());
    let (_, body) = ask(FaultKind::InvalidJson).await;
    let text = body["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(serde_json::from_str::<Value>(text).is_err());
    let (_, body) = ask(FaultKind::InvalidReply).await;
    assert!(!jsonschema::is_valid(&schema(), &content(&body)));
}

#[tokio::test]
async fn a_repair_gets_a_good_answer() {
    let sim = with_fault(Fault::always(FaultKind::InvalidReply)).await;
    let (_, body) = sim.ask(&repair()).await;
    assert!(jsonschema::is_valid(&schema(), &content(&body)));
}

#[tokio::test]
async fn a_scripted_answer_is_sent_as_it_stands() {
    let folder = std::env::temp_dir().join(format!("simulator-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = |answers: &str| {
        let file = folder.join("simulator.toml");
        let deployment = "[[deployments]]\nname = \"a\"\ntokens_per_minute = 1000000\n\
                          latency = { ttft_ms = [0, 0], tokens_per_second = [0, 0] }";
        let text = format!("listen = \"127.0.0.1:0\"\nanswers = [{answers}]\n{deployment}");
        std::fs::write(&file, text).expect("written");
        Config::load(&file).expect("valid")
    };
    std::fs::write(folder.join("reply.json"), "{\"total\": 7} ").expect("written");
    let answers = "{ when_text = \"nowhere\", file = \"reply.toml\" }";
    let error = simulator::start(config(answers)).await.err().expect("the file is missing");
    let error = format!("{error:#}");
    assert!(error.contains("`answers[0]`") && error.contains("reply.toml"), "{error}");
    let answers = "{ when_text = \"4711\", file = \"reply.json\" }";
    let running = simulator::start(config(answers)).await.expect("starts");
    let sim = Sim { running, client: Client::new() };
    let (_, body) = sim.ask(&question()).await;
    assert_eq!(body["choices"][0]["message"]["content"], "{\"total\": 7} ");
    let mut other = question();
    other["messages"][1]["content"] = json!("Total   8.50");
    let (_, body) = sim.ask(&other).await;
    assert_eq!(content(&body)["total"], 8.5);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[tokio::test]
async fn a_connection_breaks_in_the_middle() {
    let sim = with_fault(Fault::always(FaultKind::Reset)).await;
    let response = sim.post(AZURE, &question()).await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    assert_eq!(sim.stats().accepted, 1);
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_simulator_does() {
    let sim = with_fault(Fault::always(FaultKind::Hang)).await;
    let url = format!("{}{AZURE}", sim.running.url());
    let call = tokio::spawn(sim.client.post(url).json(&question()).send());
    while sim.stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    sim.running.stop().await;
    let response = call.await.expect("joins").expect("answers");
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn a_client_that_gives_up_has_paid() {
    let sim = with_fault(Fault::always(FaultKind::Hang)).await;
    let url = format!("{}{AZURE}", sim.running.url());
    let call = tokio::spawn(sim.client.post(url).json(&question()).send());
    while sim.stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    call.abort();
    while sim.stats().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((sim.stats().accepted, sim.stats().answered), (1, 0));
}

#[tokio::test]
async fn retry_after_can_be_missing_or_absurd() {
    for (kind, expected) in
        [(FaultKind::RetryAfterMissing, None), (FaultKind::RetryAfterDay, Some("86400"))]
    {
        let mut config = deployment(Kind::Bucket, 1_000, 1);
        config.faults = vec![Fault::always(kind)];
        let sim = start(vec![config]).await;
        sim.post(AZURE, &question()).await;
        let rejected = sim.post(AZURE, &question()).await;
        assert_eq!(rejected.status(), 429);
        assert_eq!(header(&rejected, "retry-after").as_deref(), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_lowered_limit_shows_in_the_headers() {
    let sim =
        with_fault(Fault { percent: Some(40.0), ..Fault::always(FaultKind::LimitLowered) }).await;
    let response = sim.post(AZURE, &question()).await;
    assert_eq!(header(&response, "x-ratelimit-limit-tokens").as_deref(), Some("600000"));
}

#[tokio::test]
async fn the_first_call_with_a_schema_is_counted_as_slow() {
    let fault = Fault { seconds: Some(0.0), ..Fault::always(FaultKind::FirstSchemaLatency) };
    let sim = with_fault(fault).await;
    sim.ask(&question()).await;
    sim.ask(&question()).await;
    assert_eq!(sim.stats().faults["first_schema_latency"], 1);
}

#[tokio::test]
async fn statistics_are_kept_and_forgotten() {
    let sim = start(vec![deployment(Kind::Bucket, 100_000, 60)]).await;
    sim.ask(&question()).await;
    sim.ask(&question()).await;
    sim.ask(&repair()).await;
    let url = format!("{}/simulator/stats", sim.running.url());
    let stats: Stats =
        sim.client.get(&url).send().await.expect("answers").json().await.expect("JSON");
    let own = &stats.deployments["a"];
    assert_eq!((own.accepted, own.answered, own.in_flight, own.in_flight_max), (3, 3, 0, 1));
    let mut counts: Vec<u64> = own.calls_by_prompt.values().copied().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
    assert!(own.tokens_charged > 0 && own.tokens_input > 0 && own.tokens_output > 0);
    assert_eq!(*own, sim.stats());
    let reset = sim.post("/simulator/reset", &Value::Null).await;
    assert_eq!(reset.status(), 204);
    assert_eq!(sim.stats(), simulator::DeploymentStats::default());
    let models: Value = sim
        .client
        .get(format!("{}/v1/models", sim.running.url()))
        .send()
        .await
        .expect("answers")
        .json()
        .await
        .expect("JSON");
    assert_eq!(models["data"][0]["id"], "a");
}
