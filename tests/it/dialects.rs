//! Deployments that take only some of what may be asked are asked in their way, with the usual
//! configuration: nothing but their own refusals tells what that is.

use crate::{
    double::{After, Before, Double, as_it_is, refused},
    harness::{Place, fast, fixture, id, repository, run, until},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use simulator::DeploymentConfig;

type Body = Map<String, Value>;

const LETTER: &str = "documents/invoice-en-classic.pdf";
const THOUGHTS: u64 = 12_000;

/// A check and two documents: all is well with this double, and it refused so many requests before
/// it answered the first document.
async fn works(before: Before, after: After, refusals: usize) -> (Place, Double) {
    let sweden = DeploymentConfig { output_tokens_max: 100_000, ..fast("sweden") };
    let place = Place::new(vec![sweden], "").await;
    let double = Double::start(place.simulation.url(), before, after).await;
    place.reach_at(&double.url);
    let config = place.folder.path().join("sluice.toml");
    let arguments = ["--config", config.to_str().unwrap(), "deployments", "check", "-o", "json"];
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{out}\n{err}");
    let asked = double.seen().len();
    let sluice = place.start("up").await;
    let document = place.upload("a.pdf", "invoice", fixture(LETTER)).await;
    let extraction = place.extraction(&document).await;
    assert!(extraction["data"]["total"].is_number(), "{extraction}");
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&document))).await;
    let answered = attempts["data"].as_array().unwrap().len();
    assert_eq!(double.seen().len() - asked, refusals + answered, "{attempts}\n{}", place.log());
    let asked = double.seen().len();
    let file = "documents/invoice-fr-atelier.pdf";
    place.extraction(&place.upload("b.pdf", "invoice", fixture(file)).await).await;
    assert_eq!(double.seen().len() - asked, 1, "it is learned once");
    let real = repository().join("../shared/documents/zugferd-en16931-miete.pdf");
    if let Ok(real) = std::fs::read(real) {
        place.extraction(&place.upload("c.pdf", "invoice", real).await).await;
    }
    drop(sluice);
    (place, double)
}

fn only_max_tokens(body: Body) -> Result<Body, Box<Response>> {
    match body.contains_key("max_completion_tokens") {
        true => Err(refused(
            "max_completion_tokens",
            "unknown_parameter",
            "Unrecognized request argument supplied: max_completion_tokens",
        )),
        false => Ok(body),
    }
}

fn only_max_completion_tokens(body: Body) -> Result<Body, Box<Response>> {
    if body.contains_key("max_tokens") {
        return Err(refused("max_tokens", "unsupported_parameter", "not with this model"));
    }
    match body.get("temperature").is_some_and(|temperature| *temperature != 1) {
        true => {
            Err(refused("temperature", "unsupported_value", "only 1, the default, is supported"))
        }
        false => Ok(body),
    }
}

/// As servers that check bodies with pydantic.
fn no_unknown_fields(body: Body) -> Result<Body, Box<Response>> {
    let known = ["model", "messages", "response_format", "max_tokens"];
    let unknown = body.keys().filter(|key| !known.contains(&key.as_str()));
    let forbidden = unknown.map(|key| {
        json!({ "type": "extra_forbidden", "loc": ["body", key], "msg": "Extra inputs are not permitted" })
    });
    let detail: Vec<_> = forbidden.collect();
    match detail.is_empty() {
        true => Ok(body),
        false => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(Box::new((status, Json(json!({ "detail": detail }))).into_response()))
        }
    }
}

fn no_response_format(mut body: Body) -> Result<Body, Box<Response>> {
    for key in ["response_format", "tools"] {
        if body.contains_key(key) {
            let refusal = (StatusCode::BAD_REQUEST, format!("unknown field `{key}`"));
            return Err(Box::new(refusal.into_response()));
        }
    }
    // The simulated deployment reads the schema in the prompt only so.
    body.insert("response_format".to_owned(), json!({ "type": "json_object" }));
    Ok(body)
}

fn pass(body: Body) -> Result<Body, Box<Response>> {
    Ok(body)
}

fn thinks(asked: &Value, mut reply: Value) -> Response {
    let room = asked["max_completion_tokens"].as_u64().expect("a room");
    let answer = reply["usage"]["completion_tokens"].as_u64().unwrap_or_default();
    let is_cut = room < THOUGHTS + answer;
    let thoughts = if is_cut { room } else { THOUGHTS };
    if is_cut {
        reply["choices"][0]["message"]["content"] = "".into();
        reply["choices"][0]["finish_reason"] = "length".into();
    }
    reply["usage"]["completion_tokens"] = room.min(THOUGHTS + answer).into();
    reply["usage"]["completion_tokens_details"] = json!({ "reasoning_tokens": thoughts });
    Json(reply).into_response()
}

fn streams(_: &Value, reply: Value) -> Response {
    let content = reply["choices"][0]["message"]["content"].as_str().expect("content");
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let chunk = json!({ "id": reply["id"], "model": reply["model"], "choices": [choice] });
        format!("data: {chunk}\n\n")
    };
    let pieces: Vec<char> = content.chars().collect();
    let pieces = pieces
        .chunks(7)
        .map(|piece| chunk(json!({ "content": piece.iter().collect::<String>() }), Value::Null));
    let mut text: String = pieces.collect();
    text.push_str(&chunk(json!({}), "stop".into()));
    text.push_str(&format!("data: {}\n\n", json!({ "choices": [], "usage": reply["usage"] })));
    text.push_str("data: [DONE]\n\n");
    ([("content-type", "text/event-stream")], text).into_response()
}

#[tokio::test]
async fn one_that_knows_only_max_tokens_is_asked_with_it() {
    let (_, double) = works(only_max_tokens, as_it_is, 1).await;
    assert!(double.seen().last().unwrap()["max_tokens"].is_number());
}

#[tokio::test]
async fn one_that_takes_no_temperature_is_asked_without() {
    let (_, double) = works(only_max_completion_tokens, as_it_is, 1).await;
    assert!(double.seen().last().unwrap()["max_completion_tokens"].is_number());
}

#[tokio::test]
async fn one_that_forbids_unknown_fields_gets_none_and_shows_which() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let double = Double::start(place.simulation.url(), no_unknown_fields, as_it_is).await;
    place.reach_at(&double.url);
    let _sluice = place.start("up").await;
    place.extraction(&place.upload("a.pdf", "invoice", fixture(LETTER)).await).await;
    // The refusal has named both.
    assert_eq!(double.seen().len(), 2);
    let list = until("the deployments show it", async || {
        let list = place.get("/v1/deployments").await;
        (list["data"][0]["refuses"] != json!([])).then_some(list)
    })
    .await;
    let expected = json!(["max_completion_tokens", "temperature"]);
    assert_eq!(list["data"][0]["refuses"], expected, "{list}");
    works(no_unknown_fields, as_it_is, 1).await;
}

#[tokio::test]
async fn one_that_knows_no_response_format_is_told_the_schema_in_words() {
    works(no_response_format, as_it_is, 4).await;
}

#[tokio::test]
async fn one_that_thinks_gets_room_for_it() {
    let (_, double) = works(pass, thinks, 0).await;
    let rooms = double.seen();
    let rooms: Vec<_> = rooms.iter().map(|body| body["max_completion_tokens"].as_u64()).collect();
    // The check, the first document, and the second one, which knows.
    assert_eq!(rooms[..4], [256, 16_384, 4096, 16_384].map(Some), "{rooms:?}");
    assert!(rooms[4] > Some(THOUGHTS), "{rooms:?}");
}

#[tokio::test]
async fn one_that_only_streams_is_read() {
    works(pass, streams, 0).await;
}

/// The simulated deployment takes 100 properties and 5 levels, as Azure's do.
#[tokio::test]
async fn schemas_too_large_for_strict_output_go_without_and_others_keep_it() {
    let place = Place::new(vec![fast("sweden")], "question_properties_max = 5000").await;
    let double = Double::start(place.simulation.url(), pass, as_it_is).await;
    place.reach_at(&double.url);
    let object = |properties: Map<String, Value>| {
        let required: Vec<&String> = properties.keys().collect();
        json!({ "type": "object", "required": required, "properties": properties })
    };
    let text = json!({ "type": ["string", "null"] });
    let wide = object((0..150).map(|n| (format!("p{n}"), text.clone())).collect());
    let deep = (0..7).fold(text, |inner, n| object(Map::from_iter([(format!("l{n}"), inner)])));
    let sluice = place.start("up").await;
    for (name, schema, refusals) in [("wide", &wide, 1), ("deep", &deep, 1), ("again", &wide, 0)] {
        place.put_schema(name, schema).await;
        let asked = double.seen().len();
        place.extraction(&place.upload("a.pdf", name, fixture(LETTER)).await).await;
        let seen = &double.seen()[asked..];
        let strict = |body: &Value| body.pointer("/response_format/json_schema/strict").cloned();
        let strict: Vec<Option<Value>> = seen.iter().map(strict).collect();
        let expected = [vec![Some(true.into()); refusals], vec![None]].concat();
        assert_eq!(strict, expected, "{name}");
    }
    place.extraction(&place.upload("b.pdf", "invoice", fixture(LETTER)).await).await;
    let strict = double.seen().last().unwrap()["response_format"]["json_schema"]["strict"].clone();
    assert_eq!(strict, true);
    let expected = json!(["schema_properties>100", "schema_levels>5"]);
    until("the deployments show it", async || {
        let list = place.get("/v1/deployments").await;
        (list["data"][0]["refuses"] == expected).then_some(())
    })
    .await;
    drop(sluice);
}

#[tokio::test]
async fn a_schema_with_many_properties_is_asked_in_several_questions_and_comes_back_whole() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let double = Double::start(place.simulation.url(), pass, as_it_is).await;
    place.reach_at(&double.url);
    let text = json!({ "type": ["string", "null"] });
    let names: Vec<String> = (0..369).map(|n| format!("p{n}")).collect();
    let properties: Map<_, _> = names.iter().map(|name| (name.clone(), text.clone())).collect();
    let schema = json!({ "type": "object", "required": names, "properties": properties });
    let _sluice = place.start("up").await;
    place.put_schema("wide", &schema).await;
    let result = place.extraction(&place.upload("a.pdf", "wide", fixture(LETTER)).await).await;
    let asked = double.seen().into_iter().map(|body| {
        let schema = &body["response_format"]["json_schema"];
        assert_eq!(schema["strict"], true);
        schema["schema"]["properties"].as_object().unwrap().keys().cloned().collect()
    });
    let asked: Vec<Vec<String>> = asked.collect();
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 100, 69]);
    assert_eq!(asked.concat(), names);
    let found: Vec<&String> = result["data"].as_object().unwrap().keys().collect();
    assert_eq!(found, names.iter().collect::<Vec<_>>());
    assert_eq!(result["usage"]["calls"], 4);
}
