//! Uploads are streamed: their size does not show in the process's memory.

use crate::harness::{Place, Process, fast, id, until};
use bytes::Bytes;
use futures::stream;

/// The most memory that the process ever had, in KiB.
fn memory_peak_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn body(pieces: usize) -> reqwest::Body {
    let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
    let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_large_upload_is_not_held_in_memory() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let uploader = place.start("uploader").await;
    let url = place.url("/v1/documents?filename=large.txt");
    // A small one first, so that what every upload needs is there.
    assert_eq!(place.http.post(&url).body(body(1)).send().await.unwrap().status(), 202);
    let before = memory_peak_kib(&uploader);
    let answer = place.http.post(&url).body(body(500)).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let document: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(document["size_bytes"], 500 * 1024 * 1024);
    let file = reqwest::multipart::Part::stream(body(500)).file_name("large.txt");
    let form = reqwest::multipart::Form::new().part("file", file).text("schema", "generic");
    let answer = place.http.post(place.url("/v1/documents")).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let grown = memory_peak_kib(&uploader) - before;
    eprintln!("two uploads of 500 MiB: the process grew by {grown} KiB");
    assert!(grown < 32 * 1024, "the process grew by {grown} KiB");
    // And back.
    let source = place.url(&format!("/v1/documents/{}/source", id(&document)));
    let mut source = place.http.get(source).send().await.unwrap();
    let mut length = 0;
    while let Some(piece) = source.chunk().await.unwrap() {
        length += piece.len();
    }
    assert_eq!(length, 500 * 1024 * 1024);
    assert!(memory_peak_kib(&uploader) - before < 32 * 1024);
}

#[tokio::test]
async fn what_a_killed_uploader_left_behind_is_removed_by_a_worker() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let incoming = place.folder.path().join("blobs/incoming");
    std::fs::create_dir_all(&incoming).unwrap();
    for (name, hours) in [("stale", 25), ("young", 23)] {
        let file = std::fs::File::create(incoming.join(name)).unwrap();
        let hours = std::time::Duration::from_secs(hours * 3600);
        file.set_modified(std::time::SystemTime::from(shared::clock::now()) - hours).unwrap();
    }
    let _worker = place.spawn("worker", &[]);
    until("the old one is gone", async || (!incoming.join("stale").exists()).then_some(())).await;
    assert!(incoming.join("young").exists(), "it may be going on");
}
