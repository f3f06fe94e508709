//! Sluice keeps everything in a bucket: what is uploaded, what is found in it, and nothing of what
//! is deleted.

use crate::{
    contracts_blobs::servers::{bucket, objects},
    harness::{Place, fast, fixture, id, run, until},
    proxy::Proxy,
    servers::server,
};
use reqwest::redirect::Policy;

const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

async fn place(storage: &str) -> Place {
    let place = Place::new(vec![fast("sweden")], "").await;
    place.store_in(storage);
    place
}

#[tokio::test]
async fn a_document_lives_and_dies_in_a_bucket() {
    let Some(endpoint) = server("SLUICE_TEST_S3") else { return };
    let bucket = bucket(&endpoint).await;
    let storage = format!("s3://{bucket}/some/where?endpoint={endpoint}&path_style=true");
    let place = place(&storage).await;
    let _process = place.start_with("up", &KEYS).await;
    let file = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("Rechnung ä.pdf", "invoice", file.clone()).await;
    place.extraction(&document).await;
    let path = format!("/v1/documents/{}", id(&document));
    assert!(place.get(&format!("{path}/text")).await["pages"].is_array());
    let stored = objects(&endpoint, &bucket).await;
    assert!(stored.iter().all(|key| key.starts_with("some/where/")), "{stored:?}");
    let source = format!("some/where/documents/{}/source", id(&document));
    assert!(stored.contains(&source), "{stored:?}");

    // A browser follows the link, and needs no key of ours.
    let url = place.url(&format!("{path}/source"));
    let answer = place.http.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.url().as_str().starts_with(&endpoint), "{}", answer.url());
    assert_eq!(answer.headers()["content-type"], "application/pdf");
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.contains("UTF-8''Rechnung%20%C3%A4.pdf"), "{disposition}");
    assert!(answer.bytes().await.unwrap() == file, "it is the file");
    let cautious = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = cautious.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["cache-control"], "private, no-store");
    // The link would not be good for HEAD.
    let answer = cautious.head(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], file.len().to_string().as_str());

    let answer = place.http.delete(place.url(&path)).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let empty = async || documents(&endpoint, &bucket).await.is_empty().then_some(());
    until("nothing of it is in the bucket", empty).await;
    assert_eq!(place.http.get(&url).send().await.unwrap().status(), 410);
}

#[tokio::test]
async fn a_link_leads_to_where_the_public_reaches_the_bucket() {
    let Some(endpoint) = server("SLUICE_TEST_S3") else { return };
    let bucket = bucket(&endpoint).await;
    let public = Proxy::start(endpoint.strip_prefix("http://").unwrap()).await;
    let public = format!("http://{}", public.address);
    let storage =
        format!("s3://{bucket}?endpoint={endpoint}&public_endpoint={public}/&path_style=true");
    let place = place(&storage).await;
    let _process = place.start_with("uploader", &KEYS).await;
    let file = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("a.pdf", "invoice", file.clone()).await;
    let url = place.url(&format!("/v1/documents/{}/source", id(&document)));
    let answer = place.http.get(url).send().await.unwrap();
    assert!(answer.url().as_str().starts_with(&public), "{}", answer.url());
    assert!(answer.bytes().await.unwrap() == file, "it is the file");
}

#[tokio::test]
async fn a_large_file_goes_through_in_parts_and_a_refused_one_leaves_nothing() {
    let Some(endpoint) = server("SLUICE_TEST_S3") else { return };
    let bucket = bucket(&endpoint).await;
    let place = place(&format!("s3://{bucket}?endpoint={endpoint}&path_style=true")).await;
    let _process = place.start_with("uploader", &KEYS).await;
    let file = "All work and no play.\n".repeat(1_000_000).into_bytes();
    let document = place.upload("a.txt", "generic", file.clone()).await;
    let url = place.url(&format!("/v1/documents/{}/source", id(&document)));
    let answer = place.http.get(url).send().await.unwrap();
    assert!(answer.bytes().await.unwrap() == file, "it is the file");
    let answer = place.try_upload("a.txt", "unknown", file).await;
    answer.unwrap_err();
    // The file, and what the database says of it.
    let left = async || (documents(&endpoint, &bucket).await.len() == 2).then_some(());
    until("only the accepted file is there", left).await;
}

/// All objects but the schemas, which belong to no document.
async fn documents(endpoint: &str, bucket: &str) -> Vec<String> {
    let mut all = objects(endpoint, bucket).await;
    all.retain(|key| !key.contains("schemas/"));
    all
}

#[tokio::test]
async fn without_keys_it_does_not_start_and_says_what_is_missing() {
    let check = async |storage: &str, environment: &[(&str, &str)], expected: &[&str]| {
        let place = place(storage).await;
        let folder = place.folder.path();
        let home = folder.to_str().unwrap();
        let mut environment = environment.to_vec();
        environment.extend([("HOME", home), ("AWS_EC2_METADATA_DISABLED", "true")]);
        let (code, _, stderr) = run(&["uploader"], folder, &environment).await;
        assert_eq!(code, 2, "{stderr}");
        for expected in expected {
            assert!(stderr.contains(expected), "{stderr}");
        }
    };
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "the bucket papers"];
    check("s3://papers?endpoint=http://127.0.0.1:9", &[], &keys).await;
    check("s3://papers?region=eu-west-1", &[], &keys).await;
    check("s3://papers", &KEYS, &["AWS_REGION", "region="]).await;
}
