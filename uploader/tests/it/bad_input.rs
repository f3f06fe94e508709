//! What is refused, how, and that nothing of it stays.

use crate::harness::{Server, pretty, read_answer, status_and_json, until};
use futures::FutureExt;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uploader::Limits;

fn small() -> Limits {
    Limits {
        size_bytes_max: 100_000,
        files_max: 3,
        metadata_bytes_max: 100,
        schema_bytes_max: 1000,
        ..Limits::default()
    }
}

/// Everything there is to say about a request of one line.
async fn check(server: &Server, line: &str, body: &[u8], expected: (u16, &str)) {
    let (method, path) = line.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let request = server.http.request(method, server.url(path)).body(body.to_vec());
    let answer = request.send().await.unwrap();
    assert!(answer.headers().contains_key("x-request-id"), "{line}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{line}");
    let (status, problem) = status_and_json(answer).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), expected, "{line}: {problem}");
    assert_eq!(problem["status"], status, "{line}");
    assert!(problem["type"].is_string() && problem["title"].is_string(), "{line}");
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{line}");
    assert!(problem["retryable"].is_boolean(), "{line}");
}

#[tokio::test]
async fn requests_that_are_refused() {
    let server = Server::with(small()).await;
    let ghost = "/v1/documents/doc_0193a1c2f0b47d3e9a51c0ffee123456";
    let long = vec![b'x'; 100_001];
    let nested = "[".repeat(1000);
    let table: &[(&str, &[u8], u16, &str)] = &[
        ("POST /v1/documents", b"", 400, "no_file"),
        ("POST /v1/documents?filename=a.txt", b"", 400, "empty_file"),
        ("POST /v1/documents?schema=invoce", b"text", 404, "unknown_schema"),
        ("POST /v1/documents?schema=../x", b"text", 404, "unknown_schema"),
        ("POST /v1/documents?schema=invoice@99", b"text", 404, "unknown_schema"),
        ("POST /v1/documents?schema=invoice@x", b"text", 404, "unknown_schema"),
        ("POST /v1/documents?schema=", b"text", 404, "unknown_schema"),
        ("POST /v1/documents?priority=high", b"text", 400, "invalid_parameter"),
        ("POST /v1/documents?color=red", b"text", 400, "invalid_parameter"),
        ("POST /v1/documents?schema=generic&schema=invoice", b"text", 400, "invalid_parameter"),
        ("POST /v1/documents?metadata=[1]", b"text", 400, "invalid_metadata"),
        ("POST /v1/documents?metadata=x", b"text", 400, "invalid_metadata"),
        ("POST /v1/documents?metadata={\"a\":[1]}", b"text", 400, "invalid_metadata"),
        ("POST /v1/documents?metadata={\"a\":1e999}", b"text", 400, "invalid_metadata"),
        ("POST /v1/documents", &long, 413, "too_large"),
        ("POST /v1/documents?filename=a.pdf", b"GIF89a\x01\0\x01\0\x80", 415, "unsupported_format"),
        ("POST /v1/documents", b"PK\x03\x04\0\0", 415, "unsupported_format"),
        ("POST /v1/documents", b"   \n ", 415, "unsupported_format"),
        ("GET /v1/documents?limit=0", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?limit=201", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?limit=x", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?state=done", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?code=oops", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?before=yesterday", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?after=x", b"", 400, "invalid_parameter"),
        ("GET /v1/documents?sort=name", b"", 400, "invalid_parameter"),
        ("GET /v1/documents/x", b"", 404, "unknown_document"),
        ("GET /v1/documents/%ff", b"", 404, "unknown_route"),
        (&format!("GET {ghost}"), b"", 404, "unknown_document"),
        (&format!("GET {ghost}?wait=x"), b"", 400, "invalid_parameter"),
        (&format!("GET {ghost}/result"), b"", 404, "unknown_document"),
        (&format!("GET {ghost}/text"), b"", 404, "unknown_document"),
        (&format!("GET {ghost}/source"), b"", 404, "unknown_document"),
        (&format!("GET {ghost}/attempts"), b"", 404, "unknown_document"),
        (&format!("DELETE {ghost}"), b"", 404, "unknown_document"),
        (&format!("POST {ghost}/cancel"), b"", 404, "unknown_document"),
        (&format!("POST {ghost}/retry"), b"", 404, "unknown_document"),
        (&format!("POST {ghost}/reprocess"), b"", 404, "unknown_document"),
        (&format!("POST {ghost}/reprocess"), b"{", 400, "malformed_json"),
        ("POST /v1/documents/retry", b"", 400, "malformed_json"),
        ("POST /v1/documents/retry", b"{\"code\":\"oops\"}", 400, "malformed_json"),
        ("POST /v1/documents/retry", b"{\"color\":1}", 400, "malformed_json"),
        ("GET /v1/schemas/nope", b"", 404, "unknown_schema"),
        ("GET /v1/schemas/invoice@9", b"", 404, "unknown_schema"),
        ("GET /v1/schemas/nope/versions", b"", 404, "unknown_schema"),
        ("PUT /v1/schemas/No%20Name", b"{}", 400, "invalid_parameter"),
        ("PUT /v1/schemas/mine", b"{\n  x", 400, "malformed_json"),
        ("PUT /v1/schemas/mine", nested.as_bytes(), 400, "malformed_json"),
        ("PUT /v1/schemas/mine", &long, 413, "too_large"),
        ("PUT /v1/schemas/mine", b"[]", 422, "invalid_schema"),
        ("PUT /v1/schemas/mine", b"{\"type\": 7}", 422, "invalid_schema"),
        ("GET /v2/documents", b"", 404, "unknown_route"),
        ("GET /docs/nothing.js", b"", 404, "unknown_route"),
        ("GET /problems/nope", b"", 404, "unknown_route"),
        ("PATCH /v1/documents", b"", 405, "method_not_allowed"),
    ];
    for (line, body, status, code) in table {
        check(&server, line, body, (*status, code)).await;
    }
    assert_eq!(server.stored(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn forms_that_are_refused() {
    let server = Server::with(small()).await;
    let file = |bytes: &'static [u8]| Part::bytes(bytes).file_name("a.txt");
    let good = || Form::new().part("file", file(b"text"));
    let check = async |what: &str, form: Form, expected: (u16, &str)| {
        let answer = server.post("/v1/documents").multipart(form).send().await.unwrap();
        let (status, problem) = status_and_json(answer).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), expected, "{what}: {problem}");
        assert_eq!(server.stored(), Vec::<std::path::PathBuf>::new(), "{what}: something stays");
    };
    let large = Part::bytes(vec![b'x'; 100_001]).file_name("large.txt");
    let chosen_none = Part::bytes(&b""[..]).file_name("");
    let many = (0..4).fold(Form::new(), |form, _| form.part("file", file(b"text")));
    check("no file", Form::new().text("schema", "generic"), (400, "no_file")).await;
    check("nobody chose", Form::new().part("file", chosen_none), (400, "no_file")).await;
    check("empty", good().part("file", file(b"")), (400, "empty_file")).await;
    check("many", many, (400, "too_many_files")).await;
    check("field", good().text("color", "red"), (400, "unknown_field")).await;
    check("schema", good().text("schema", "nope"), (404, "unknown_schema")).await;
    check(
        "twice",
        good().text("schema", "generic").text("schema", "generic"),
        (400, "invalid_parameter"),
    )
    .await;
    check("metadata", good().text("metadata", "7"), (400, "invalid_metadata")).await;
    check("long", good().text("metadata", "x".repeat(101)), (400, "invalid_metadata")).await;
    check("priority", good().text("priority", "x".repeat(5000)), (400, "invalid_parameter")).await;
    check("large", good().part("file", large), (413, "too_large")).await;
    check("format", good().part("file", file(b"GIF89a\0")), (415, "unsupported_format")).await;
}

#[tokio::test]
async fn broken_requests_on_the_wire() {
    let server = Server::with(small()).await;
    let post = "POST /v1/documents HTTP/1.1\r\nHost: x\r\n";
    let form = "Content-Type: multipart/form-data; boundary=b\r\n";
    let part =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\ntext";
    let sized = |body: &str| format!("{post}{form}Content-Length: {}\r\n\r\n{body}", body.len());
    let table = [
        (
            "a length over the limit",
            format!("{post}Content-Length: 100001\r\n\r\nx"),
            413,
            "too_large",
        ),
        (
            "a huge length",
            format!("{post}{form}Content-Length: 999999999999\r\n\r\n--b"),
            413,
            "too_large",
        ),
        (
            "no boundary",
            format!("{post}Content-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx"),
            400,
            "malformed_multipart",
        ),
        (
            "another multipart",
            format!(
                "{post}Content-Type: multipart/mixed; boundary=b\r\nContent-Length: 1\r\n\r\nx"
            ),
            400,
            "malformed_multipart",
        ),
        ("not a form", sized("hello"), 400, "malformed_multipart"),
        ("no last boundary", sized(part), 400, "malformed_multipart"),
        ("no headers", sized("--b\r\n"), 400, "malformed_multipart"),
        ("a part without a name", sized("--b\r\nX: y\r\n\r\nz\r\n--b--\r\n"), 400, "unknown_field"),
        (
            "bad chunks",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n4\r\ntext\r\nzz\r\n"),
            400,
            "incomplete_body",
        ),
        (
            "a bad key",
            format!("{post}Idempotency-Key: a b\r\nContent-Length: 4\r\n\r\ntext"),
            400,
            "invalid_idempotency_key",
        ),
        (
            "two keys",
            format!(
                "{post}Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 4\r\n\r\ntext"
            ),
            400,
            "invalid_idempotency_key",
        ),
        (
            "an empty key",
            format!("{post}Idempotency-Key:\r\nContent-Length: 4\r\n\r\ntext"),
            400,
            "invalid_idempotency_key",
        ),
    ];
    for (what, request, status, code) in table {
        let (answered, body) = server.raw(request.as_bytes()).await;
        let problem: Value =
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{what}: {body}"));
        assert_eq!(
            (answered, problem["code"].as_str().unwrap()),
            (status, code),
            "{what}: {problem}"
        );
    }
    assert_eq!(server.stored(), Vec::<std::path::PathBuf>::new());
}

/// Sends `piece` again and again until there is an answer.
async fn endless(server: &Server, head: &str, piece: &[u8]) -> (u16, Value) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    while !has_answer(&socket) {
        if socket.write_all(&chunk).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (status, body) = read_answer(&mut socket).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Whether there is something to read.
fn has_answer(socket: &TcpStream) -> bool {
    socket.peek(&mut [0]).now_or_never().is_some()
}

#[tokio::test]
async fn bodies_without_end_are_cut_at_the_limit() {
    let server = Server::with(small()).await;
    let head = "POST /v1/documents HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    let (status, problem) = endless(&server, &format!("{head}\r\n"), &[b'x'; 1000]).await;
    assert_eq!((status, &problem["code"]), (413, &"too_large".into()));
    // Headers of a part that never end are not gathered for ever.
    let form = format!("{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n");
    let begun = format!("{form}5\r\n--b\r\n\r\n");
    let header = format!("X-Long: {}\r\n", "y".repeat(990));
    let (status, problem) = endless(&server, &begun, header.as_bytes()).await;
    assert_eq!((status, &problem["code"]), (400, &"malformed_multipart".into()), "{problem}");
    assert_eq!(server.stored(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::start().await;
    // More than is held in memory before it is written.
    let begun = "x".repeat(300_000);
    let first =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\ntext\r\n";
    let second = format!(
        "{first}--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.txt\"\r\n\r\n{begun}"
    );
    let post = "POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n";
    let requests = [
        format!("{post}\r\n{begun}"),
        format!("{post}Content-Type: multipart/form-data; boundary=b\r\n\r\n{second}"),
    ];
    for request in requests {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        until("the file is on its way", async || !server.stored().is_empty()).await;
        drop(socket);
        until("nothing stays", async || server.stored().is_empty()).await;
    }
    let (_, list) = status_and_json(server.get("/v1/documents").send().await.unwrap()).await;
    assert_eq!(list["data"], serde_json::json!([]));
}

#[tokio::test]
async fn problems_in_full() {
    let server = Server::with(small()).await;
    let problem = async |path: &str, body: &'static [u8]| {
        let answer = server.post(path).body(body).send().await.unwrap();
        pretty(&status_and_json(answer).await.1)
    };
    insta::assert_snapshot!("unknown_schema", problem("/v1/documents?schema=invoce", b"x").await);
    insta::assert_snapshot!(
        "unsupported_format",
        problem("/v1/documents?filename=scan.pdf", b"GIF89a\x01\0\x01\0\x80").await
    );
    insta::assert_snapshot!("unknown_parameter", problem("/v1/documents?color=red", b"x").await);
    let answer = server.http.delete(server.url("/v1/schemas/invoice")).send().await.unwrap();
    let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("PUT"), "{allow}");
    insta::assert_snapshot!("method_not_allowed", pretty(&status_and_json(answer).await.1));
    let put = server.http.put(server.url("/v1/schemas/mine")).body("{\n \"type\": oops }");
    insta::assert_snapshot!(
        "malformed_json",
        pretty(&status_and_json(put.send().await.unwrap()).await.1)
    );
    let put = server
        .http
        .put(server.url("/v1/schemas/mine"))
        .body(r#"{"type":"object","x-sluice":{"modle":1,"checks":7}}"#);
    insta::assert_snapshot!(
        "invalid_schema",
        pretty(&status_and_json(put.send().await.unwrap()).await.1)
    );
}
