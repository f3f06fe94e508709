//! What a file carries, and what a stack holds, are documents of their own: each once, whoever dies
//! when.

use crate::harness::{Place, Process, fast, fixture, id, letter, slow, until};
use serde_json::Value;

/// A mail that says this and carries these files.
fn mail(body: &str, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut mail = format!(
        "From: ann@example.com\r\nTo: bills@example.org\r\nSubject: Our bills\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=part\r\n\r\n--part\r\nContent-Type: text/plain\r\n\r\n\
         {body}\r\n"
    );
    for (name, bytes) in files {
        let kind =
            if name.ends_with(".eml") { "message/rfc822" } else { "application/octet-stream" };
        mail.push_str(&format!(
            "--part\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Disposition: attachment; \
             filename=\"{name}\"\r\n\r\n{}\r\n",
            String::from_utf8_lossy(bytes)
        ));
    }
    mail.push_str("--part--\r\n");
    mail.into_bytes()
}

/// The documents that were made of one that has ended, when they have.
async fn children(place: &Place, document: &Value) -> Vec<Value> {
    let mut children = Vec::new();
    for child in document["children"].as_array().into_iter().flatten() {
        children.push(place.ended(&serde_json::json!({ "id": child })).await);
    }
    children
}

fn has(list: &Value, words: &str) -> bool {
    list.as_array().into_iter().flatten().any(|said| said.as_str().unwrap().contains(words))
}

#[tokio::test]
async fn what_a_mail_carries_becomes_documents_of_their_own() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let inner = mail(
        "Read this",
        &[("deep.txt", letter(3)), ("deeper.eml", mail("x", &[("no.txt", letter(4))]))],
    );
    let files = [("one.txt", letter(1)), ("inner.eml", inner), ("logo.bin", vec![0, 1, 2])];
    let outer = mail("Invoice No.: F-0900, Total 3.00", &files);
    let document = place.upload("bills.eml", "generic", outer).await;
    let ended = place.ended(&document).await;
    let extraction = place.extraction(&document).await;
    assert!(has(&extraction["warnings"], "one.txt is a document of its own"), "{extraction}");
    assert!(has(&extraction["warnings"], "logo.bin was not read"), "{extraction}");
    let made = children(&place, &ended).await;
    assert_eq!(made.len(), 2, "{made:?}");
    let (one, inner) = (&made[0], &made[1]);
    assert_eq!(one["parent"]["id"], document["id"]);
    assert_eq!(
        (&one["parent"]["attachment"], &one["filename"]),
        (&"one.txt".into(), &"one.txt".into())
    );
    let result = place.extraction(one).await;
    assert!(result["data"].to_string().contains("F-0001"), "{result}");
    let source = place.http.get(place.url(&format!("/v1/documents/{}/source", id(one))));
    let source = source.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(source.trim_ascii_end(), letter(1).trim_ascii_end());
    // A mail within carries more, and what that carries is too deep.
    let deep = children(&place, inner).await;
    assert_eq!(deep.len(), 2, "{deep:?}");
    assert_eq!(deep[0]["filename"], "deep.txt");
    assert!(deep[1]["children"].is_null(), "{deep:?}");
    let last = place.extraction(&deep[1]).await;
    assert!(has(&last["warnings"], "members.depth_max"), "{last}");
    let listed = place.get(&format!("/v1/documents?parent={}", id(&document))).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    // With the document go all of them, and nothing of them is left in storage.
    let deleted = place.http.delete(place.url(&format!("/v1/documents/{}", id(&document))));
    assert_eq!(deleted.send().await.unwrap().status(), 204);
    for gone in made.iter().chain(&deep) {
        assert_eq!(place.get(&format!("/v1/documents/{}", id(gone))).await["code"], "deleted");
        let folder = place.folder.path().join("blobs/documents").join(id(gone));
        assert!(!folder.exists(), "{}", folder.display());
    }
}

#[tokio::test]
async fn a_cover_gives_its_documents_and_is_never_paid_for() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let document = place.upload("a.pdf", "generic", fixture("hostile/portfolio.pdf")).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["state"], "split", "{ended}");
    let made = children(&place, &ended).await;
    assert_eq!((made.len(), &made[0]["filename"]), (1, &"order.pdf".into()));
    place.extraction(&made[0]).await;
    // Where nothing that it carries can be read, that ends it.
    let useless = mail(" ", &[("a.bin", vec![0, 1, 2])]);
    let document = place.upload("a.eml", "generic", useless).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "unsupported_document", "{ended}");
    assert_eq!(ended["failure"]["retryable"], false);
    let message = ended["failure"]["message"].as_str().unwrap();
    assert!(message.contains("a.bin") && message.contains("upload"), "{message}");
    // A mail without words only carries what is attached.
    let empty = mail(" ", &[("one.txt", letter(1))]);
    let document = place.upload("a.eml", "invoice", empty).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["state"], "split", "{ended}");
    assert!(has(&ended["warnings"], "one.txt is a document of its own"), "{ended}");
    let made = children(&place, &ended).await;
    assert_eq!(place.extraction(&made[0]).await["data"]["invoice_number"], "F-0001");
    let refused = place.get(&format!("/v1/documents/{}/result", id(&document))).await;
    assert_eq!(refused["code"], "document_split", "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains(id(&made[0])), "{refused}");
    assert_eq!(place.paid().await.values().sum::<u64>(), 2);
}

#[tokio::test]
async fn a_stack_is_split_where_that_is_asked_for() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let stack = [letter(1), letter(2), b"Terms of delivery".to_vec(), letter(3)].join(&0x0c);
    let upload = async |split: &str| {
        let query = [("schema", "invoice"), ("filename", "stack.txt"), ("split", split)];
        let request = place.http.post(place.url("/v1/documents")).query(&query);
        let answer = request.body(stack.clone()).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let refused = upload("maybe").await;
    assert_eq!(refused["code"], "invalid_parameter", "{refused}");
    let whole = place.upload("stack.txt", "invoice", stack.clone()).await;
    assert!(has(&place.extraction(&whole).await["warnings"], "another document"));
    let off = place.extraction(&upload("off").await).await;
    assert!(!has(&off["warnings"], "another document"), "{off}");
    let document = upload("auto").await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["state"], "split", "{ended}");
    let made = children(&place, &ended).await;
    let pages: Vec<_> = made.iter().map(|child| child["parent"]["pages"].to_string()).collect();
    let expected =
        ["{\"first\":1,\"last\":1}", "{\"first\":2,\"last\":3}", "{\"first\":4,\"last\":4}"];
    assert_eq!(pages, expected);
    for (child, number) in made.iter().zip(["F-0001", "F-0002", "F-0003"]) {
        let extraction = place.extraction(child).await;
        assert_eq!(extraction["data"]["invoice_number"], number, "{extraction}");
        let evidence = &extraction["fields"]["/invoice_number"]["evidence"][0];
        // Pages are those of the file.
        assert_eq!(evidence["page"], child["parent"]["pages"]["first"], "{extraction}");
    }
    // Another schema reaches all of them.
    let path = place.url(&format!("/v1/documents/{}/reprocess", id(&document)));
    let again = place.http.post(path).json(&serde_json::json!({ "schema": "receipt" }));
    assert_eq!(again.send().await.unwrap().status(), 202);
    let again = children(&place, &place.ended(&document).await).await;
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|child| child["schema"].as_str().unwrap().starts_with("receipt@")));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_made_once_whenever_a_worker_dies() {
    let settings = "concurrency = 4\ncalls_max = 12\ncall_pauses_seconds = [0]\nattempts_max = 50";
    let place = Place::new(vec![slow([20, 60])], settings).await;
    let _uploader = place.start("uploader").await;
    let points =
        ["member-saved", "member-saved:2", "members-saved", "members-accepted", "members-inserted"];
    for (number, point) in points.iter().enumerate() {
        let files = [1, 2, 3].map(|file| ("bill.txt", letter(number * 10 + file)));
        // Without words, so that it ends as split; the others are asked about.
        let words = format!("See what is attached ({point})");
        let body = if *point == "members-inserted" { " " } else { &words };
        let document = place.upload("bills.eml", "generic", mail(body, &files)).await;
        let mut victim = place.spawn("worker", &[("SLUICE_KILL_AT", point)]);
        until("the worker is dead", async || victim.has_ended().then_some(())).await;
        let survivor: Process = place.spawn("worker", &[]);
        let ended = place.ended(&document).await;
        let made = children(&place, &ended).await;
        assert_eq!(made.len(), 3, "{point}: {ended}");
        for (child, file) in made.iter().zip(1..) {
            let result = place.extraction(child).await;
            let expected = format!("F-{:04}", number * 10 + file);
            assert!(result["data"].to_string().contains(&expected), "{point}: {result}");
            let about = format!("blobs/documents/{}/about", id(child));
            assert!(place.folder.path().join(about).exists(), "{point}");
        }
        survivor.kill().await;
    }
    let paid = place.paid().await;
    // A member may have been asked about when its worker died.
    let sum: u64 = paid.values().sum();
    assert!(sum <= (paid.len() + points.len()) as u64, "{paid:?}");
}
