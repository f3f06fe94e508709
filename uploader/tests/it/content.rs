//! Result, text and source of a document.

use crate::harness::{Server, id, pretty, status_and_json};
use serde_json::{Value, json};
use shared::document::{Failure, FailureCode, Stage};
use std::time::Duration;

#[tokio::test]
async fn the_result_is_there_when_it_is_there() {
    let server = Server::start().await;
    let document = server.upload("", "text").await;
    let path = format!("/v1/documents/{}/result", id(&document));
    let early = server.get(&path).send().await.unwrap();
    assert_eq!(early.headers()["retry-after"], "1");
    let (status, problem) = status_and_json(early).await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_finished")));
    let worker = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.succeed(&document).await
    };
    let waiting = format!("{path}?wait=30");
    let (answer, _) = tokio::join!(server.get(&waiting).send(), worker);
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let etag = answer.headers()["etag"].clone();
    assert_eq!(answer.json::<Value>().await.unwrap()["data"]["total"], 119.0);
    let known = server.get(&path).header("if-none-match", etag.clone()).send().await.unwrap();
    assert_eq!((known.status().as_u16(), &known.headers()["etag"]), (304, &etag));
    let other = server.get(&path).header("if-none-match", "\"x\"").send().await.unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn a_document_that_failed_says_why() {
    let server = Server::start().await;
    let document = server.upload("", "text").await;
    let mut failure =
        Failure::new(FailureCode::NoText, Stage::Text, "none of the 2 pages has text");
    failure.page = Some(2);
    server.fail(&document, failure).await;
    let path = format!("/v1/documents/{}/result", id(&document));
    let (status, problem) = status_and_json(server.get(&path).send().await.unwrap()).await;
    assert_eq!(status, 409);
    insta::assert_snapshot!("document_failed", pretty(&problem));
    let other = server.upload("", "text").await;
    let cancel = format!("/v1/documents/{}/cancel", id(&other));
    server.post(&cancel).send().await.unwrap();
    let path = format!("/v1/documents/{}/result", id(&other));
    let (status, problem) = status_and_json(server.get(&path).send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("document_cancelled")));
}

#[tokio::test]
async fn text_comes_as_pages_or_plain() {
    let server = Server::start().await;
    let document = server.upload("", "text").await;
    let path = format!("/v1/documents/{}/text", id(&document));
    let (status, problem) = status_and_json(server.get(&path).send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_text_yet")));
    server.succeed(&document).await;
    let pages: Value = server.get(&path).send().await.unwrap().json().await.unwrap();
    assert_eq!(pages["pages"][1], json!({ "number": 2, "text": "Seite 2" }));
    let plain = async |path: &str, accept: &str| {
        let answer = server.get(path).header("accept", accept).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        answer.text().await.unwrap()
    };
    assert_eq!(plain(&path, "text/plain").await, "Seite 1\n\u{c}Seite 2");
    assert_eq!(plain(&format!("{path}?page=2"), "*/*").await, "Seite 2");
    for (page, expected) in [("3", "unknown_page"), ("x", "invalid_parameter")] {
        let answer = server.get(&format!("{path}?page={page}")).send().await.unwrap();
        assert_eq!(status_and_json(answer).await.1["code"], expected);
    }
}

#[tokio::test]
async fn pages_say_where_their_words_stand() {
    let server = Server::start().await;
    let document = server.upload("", "text").await;
    let path = format!("/v1/documents/{}/pages", id(&document));
    let (status, problem) = status_and_json(server.get(&path).send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_text_yet")));
    server.succeed(&document).await;
    let list: Value = server.get(&path).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        list["data"][1],
        json!({
            "number": 2, "width": 0.0, "height": 0.0, "words": 0, "is_picture": false, "error": null
        })
    );
    let one = async |page: &str| {
        let answer = server.get(&format!("{path}/{page}")).send().await.unwrap();
        status_and_json(answer).await.1
    };
    let page = one("1").await;
    assert_eq!((&page["width"], &page["height"]), (&json!(595.0), &json!(842.0)));
    let word = json!({ "text": "Seite", "box": [72.5, 700.0, 99.0, 711.0], "origin": "ocr" });
    assert_eq!(page["words"], json!([word]));
    assert_eq!(page["hidden"], json!([[1.0, 2.0, 3.0, 4.5]]));
    for page in ["3", "0", "x", "-1"] {
        assert_eq!(one(page).await["code"], "unknown_page", "{page}");
    }
    // Whoever wants the text alone is not sent the words again.
    let text = server.get(&path.replace("/pages", "/text")).send().await.unwrap();
    let text: Value = text.json().await.unwrap();
    assert!(text["pages"][0].get("words").is_none(), "{text}");
}

#[tokio::test]
async fn the_source_comes_back_as_it_was() {
    let server = Server::start().await;
    let text = "Größe\n".repeat(10_000);
    let document = server.upload("filename=Gr%C3%B6%C3%9Fe.txt", text.clone()).await;
    let path = format!("/v1/documents/{}/source", id(&document));
    let answer = server.get(&path).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers()["content-length"], text.len().to_string().as_str());
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(
        answer.headers()["content-disposition"],
        "attachment; filename=\"Gr__e.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt"
    );
    assert_eq!(answer.text().await.unwrap(), text);
    let attempts = format!("/v1/documents/{}/attempts", id(&document));
    let (status, attempts) = status_and_json(server.get(&attempts).send().await.unwrap()).await;
    assert_eq!((status, &attempts["data"]), (200, &json!([])));
}
