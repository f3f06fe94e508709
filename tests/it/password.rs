//! A PDF that opens only with a password is read with it, and the password is kept nowhere.

use crate::harness::{Place, fast, fixture, id, run};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use std::path::Path;

/// What `hostile/encrypted.pdf` opens with.
const PASSWORD: &str = "open-sesame-4711";

/// The files below a folder in which these bytes stand.
fn files_with(folder: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, needle, found);
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|part| part == needle) {
            found.push(path.display().to_string());
        }
    }
}

async fn upload(place: &Place, password: &'static str) -> (u16, Value) {
    let file = Part::bytes(fixture("hostile/encrypted.pdf")).file_name("locked.pdf");
    let form = Form::new().text("schema", "generic").text("password", password).part("file", file);
    let answer = place.http.post(place.url("/v1/documents")).multipart(form).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_locked_file_is_read_with_its_password_which_is_kept_nowhere() {
    let place = Place::new(vec![fast("sweden")], "[log]\nlevel = \"trace\"").await;
    let sluice = place.start("up").await;
    let (status, refused) = upload(&place, "open-sesame-4712").await;
    assert_eq!((status, &refused["code"]), (422, &"wrong_password".into()), "{refused}");
    assert!(!refused.to_string().contains("4712"), "{refused}");
    let (status, document) = upload(&place, PASSWORD).await;
    assert_eq!(status, 202, "{document}");
    place.extraction(&document).await;
    let text = place.get(&format!("/v1/documents/{}/text", id(&document))).await;
    let words = "Nobody reads this without the password";
    assert!(text["pages"][0]["text"].as_str().unwrap().contains(words), "{text}");
    // Another run needs it no more.
    let path = place.url(&format!("/v1/documents/{}/reprocess", id(&document)));
    let again = place.http.post(path).json(&serde_json::json!({ "schema": "invoice" }));
    assert_eq!(again.send().await.unwrap().status(), 202);
    let again = place.ended(&document).await;
    assert!(matches!(again["state"].as_str(), Some("succeeded" | "partial")), "{again}");
    // Without it the document fails, and says what to do.
    let locked = place.upload("locked.pdf", "generic", fixture("hostile/encrypted.pdf")).await;
    let failure = &place.ended(&locked).await["failure"];
    assert_eq!(failure["code"], "password_required", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("field `password`"), "{failure}");
    // A file that needs none is read as ever.
    let query = [("schema", "invoice"), ("filename", "open.pdf")];
    let request = place.http.post(place.url("/v1/documents")).query(&query);
    let request = request.header("document-password", "what-for-4711");
    let body = fixture("documents/invoice-en-classic.pdf");
    let open: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    place.extraction(&open).await;
    sluice.terminate().await;
    for word in [PASSWORD, "open-sesame-4712", "what-for-4711"] {
        let mut found = Vec::new();
        files_with(place.folder.path(), word.as_bytes(), &mut found);
        assert!(found.is_empty(), "{word}: {found:?}");
    }
    assert!(place.log().contains("/v1/documents"), "the log says what was asked");
}

#[tokio::test]
async fn the_command_line_takes_a_password_from_where_nobody_sees_it() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let folder = place.folder.path();
    let (file, key) = (folder.join("locked.pdf"), folder.join("key"));
    std::fs::write(&file, fixture("hostile/encrypted.pdf")).unwrap();
    std::fs::write(&key, format!("{PASSWORD}\n")).unwrap();
    let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
    let environment = [("WHAT_IT_OPENS_WITH", PASSWORD)];
    let ways: [&[&str]; 3] = [
        &["text", file, "--password-file", key],
        &["text", file, "--password-env", "WHAT_IT_OPENS_WITH"],
        &["text", file, "--password", PASSWORD],
    ];
    for way in ways {
        let (code, text, said) = run(way, folder, &environment).await;
        assert!(code == 0 && text.contains("Nobody reads this"), "{way:?}: {code} {said}");
    }
    let (code, _, said) = run(&["text", file, "--password", "no-4711"], folder, &environment).await;
    assert!(code == 1 && said.contains("password") && !said.contains("no-4711"), "{code} {said}");
    let (code, _, said) =
        run(&["text", file, "--password-env", "NOT_SET"], folder, &environment).await;
    assert!(code == 2 && said.contains("NOT_SET"), "{code} {said}");
    let _sluice = place.start("up").await;
    let url = place.url("");
    // As the failure says: once more, with the password.
    let (code, line, said) = run(&["upload", file, "--wait", "--url", &url], folder, &[]).await;
    assert!(code == 1 && line.contains("password_required"), "{code} {line} {said}");
    let upload = ["upload", file, "--wait", "--url", &url, "--password-file", key];
    let (code, line, said) = run(&upload, folder, &environment).await;
    assert_eq!(code, 0, "{line} {said}");
}
