//! What every storage must do, whichever engine it is: a folder, a server within this process that
//! checks signatures and checksums, and an independent server.

pub(crate) mod servers;

use crate::harness::{PATIENCE, until};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use servers::{BUCKET, Engine, Fault, KEY, PREFIX, SECRET, dir, ministack, misbehaving};
use shared::{
    blob::{
        BlobKey, Blobs, Put,
        s3::{Keys, S3Blobs},
    },
    clock,
    config::{S3, Secret},
    document::DocumentId,
};
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// The same contracts on every engine. Those in `atomic` are not asked of the server within this
/// process: it looks first and writes then, so several of many writers at once may win there.
macro_rules! contracts {
    (every: $($every:ident)*; atomic: $($atomic:ident)*;) => {
        mod in_a_folder {
            $(#[tokio::test] async fn $every() { super::$every(&super::dir()).await })*
            $(#[tokio::test] async fn $atomic() { super::$atomic(&super::dir()).await })*
        }
        mod in_a_bucket_that_checks {
            $(#[tokio::test] async fn $every() {
                super::$every(&super::misbehaving(super::Fault::None).await).await
            })*
        }
        mod in_another_bucket {
            $(#[tokio::test] async fn $every() {
                if let Some(engine) = super::ministack().await { super::$every(&engine).await }
            })*
            $(#[tokio::test] async fn $atomic() {
                if let Some(engine) = super::ministack().await { super::$atomic(&engine).await }
            })*
        }
    };
}

contracts! {
    every:
        an_object_is_written_once
        a_streamed_object_is_what_was_written
        a_dropped_writer_leaves_nothing
        keys_may_be_odd
        a_folder_is_removed_and_nothing_else
        objects_are_listed_in_pages
        a_link_is_good_for_a_while
        storage_is_ready_and_probed;
    atomic:
        of_many_writers_one_wins
        what_dead_processes_left_is_removed;
}

fn document() -> DocumentId {
    DocumentId::new(clock::now())
}

/// Bytes that repeat late and are different for every length.
fn content(size: usize) -> Bytes {
    (0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ size as u8).collect()
}

async fn keys(blobs: &Blobs, folder: &str) -> Vec<String> {
    let listed = blobs.list(folder, None, usize::MAX).await.unwrap();
    listed.into_iter().map(|listed| listed.key.to_string()).collect()
}

async fn an_object_is_written_once(engine: &Engine) {
    let blobs = &engine.blobs;
    let key = BlobKey::source(&document());
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
    assert_eq!(blobs.get(&key).await.unwrap(), None);
    assert!(blobs.stream(&key).await.unwrap().is_none());
    assert_eq!(blobs.put_if_absent(&key, one.clone()).await.unwrap(), Put::Stored);
    assert_eq!(blobs.put_if_absent(&key, two.clone()).await.unwrap(), Put::Exists);
    for size in [2, 9 * MIB] {
        let mut writer = blobs.writer(&key).await.unwrap();
        writer.write(content(size)).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), Put::Exists);
    }
    assert_eq!(blobs.get(&key).await.unwrap(), Some(one));
    blobs.delete(&key).await.unwrap();
    blobs.delete(&key).await.unwrap();
    assert_eq!(blobs.get(&key).await.unwrap(), None);
    assert_eq!(blobs.put_if_absent(&key, two.clone()).await.unwrap(), Put::Stored);
    assert_eq!(blobs.get(&key).await.unwrap(), Some(two));
    engine.nothing_unfinished().await;
}

async fn of_many_writers_one_wins(engine: &Engine) {
    let key = BlobKey::reply("contended");
    let put = |n: u8| {
        let key = key.clone();
        async move { engine.blobs.put_if_absent(&key, Bytes::from(vec![n])).await.unwrap() }
    };
    let puts = futures::future::join_all((0..32).map(put)).await;
    let winners: Vec<_> = (0u8..).zip(puts).filter(|(_, put)| *put == Put::Stored).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(engine.blobs.get(&key).await.unwrap().unwrap(), vec![winners[0].0]);
}

async fn a_streamed_object_is_what_was_written(engine: &Engine) {
    for size in [0, 1, 8 * MIB, 8 * MIB + 1, 25 * MIB] {
        let key = BlobKey::source(&document());
        let bytes = content(size);
        let mut writer = engine.blobs.writer(&key).await.unwrap();
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            writer.write(rest.split_to(rest.len().min(777_777))).await.unwrap();
        }
        assert_eq!(engine.blobs.get(&key).await.unwrap(), None, "it is not visible before");
        assert_eq!(writer.finish().await.unwrap(), Put::Stored);
        assert!(engine.blobs.get(&key).await.unwrap().unwrap() == bytes, "{size} bytes differ");
        let stream = engine.blobs.stream(&key).await.unwrap().unwrap();
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert!(pieces.concat() == bytes, "{size} bytes differ when streamed");
    }
    engine.nothing_unfinished().await;
}

async fn a_dropped_writer_leaves_nothing(engine: &Engine) {
    let key = BlobKey::source(&document());
    for size in [3, 20 * MIB] {
        let mut writer = engine.blobs.writer(&key).await.unwrap();
        writer.write(content(size)).await.unwrap();
        drop(writer);
        engine.nothing_unfinished().await;
        assert_eq!(engine.blobs.get(&key).await.unwrap(), None);
    }
    assert_eq!(keys(&engine.blobs, "").await, Vec::<String>::new());
}

async fn keys_may_be_odd(engine: &Engine) {
    let odd = BlobKey::reply("a b+c%20ü&=?#'(){}[]~;:@$,!*^|.");
    let text = BlobKey::text(&document(), "hayro+2/../é");
    for key in [&odd, &text] {
        assert_eq!(engine.blobs.put_if_absent(key, content(9)).await.unwrap(), Put::Stored);
        assert_eq!(engine.blobs.put_if_absent(key, content(8)).await.unwrap(), Put::Exists);
        assert_eq!(engine.blobs.get(key).await.unwrap(), Some(content(9)));
    }
    assert_eq!(keys(&engine.blobs, "replies").await, [odd.as_str()]);
    assert_eq!(keys(&engine.blobs, "documents").await, [text.as_str()]);
    engine.blobs.delete(&odd).await.unwrap();
    assert_eq!(engine.blobs.get(&odd).await.unwrap(), None);
}

async fn a_folder_is_removed_and_nothing_else(engine: &Engine) {
    const OBJECTS: u32 = 1_500;
    let (gone, kept) = (document(), document());
    let kept = BlobKey::source(&kept);
    engine.blobs.put_if_absent(&kept, content(1)).await.unwrap();
    let puts = futures::stream::iter(0..OBJECTS).map(|run| {
        let key = BlobKey::result(&gone, run);
        async move { engine.blobs.put_if_absent(&key, Bytes::new()).await.unwrap() }
    });
    puts.buffer_unordered(16).collect::<Vec<_>>().await;
    let folder = BlobKey::folder(&gone);
    let list = async |limit| engine.blobs.list(folder.as_str(), None, limit).await.unwrap().len();
    assert_eq!((list(1_200).await, list(usize::MAX).await), (1_200, 1_500));
    engine.blobs.delete_folder(&folder).await.unwrap();
    engine.blobs.delete_folder(&folder).await.unwrap();
    assert_eq!(keys(&engine.blobs, "").await, [kept.as_str()]);
}

async fn objects_are_listed_in_pages(engine: &Engine) {
    let blobs = &engine.blobs;
    let before = clock::now();
    let mut expected = Vec::new();
    for _ in 0..3 {
        let id = document();
        for key in [BlobKey::source(&id), BlobKey::text(&id, "e"), BlobKey::result(&id, 1)] {
            blobs.put_if_absent(&key, content(5)).await.unwrap();
            expected.push(key.to_string());
        }
    }
    blobs.put_if_absent(&BlobKey::reply("abc"), content(5)).await.unwrap();
    expected.sort();
    let mut seen: Vec<String> = Vec::new();
    loop {
        let after = seen.last().map(String::as_str);
        let page = blobs.list("documents", after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(first) = page.first() else { break };
        assert_eq!(first.size_bytes, 5);
        // Some servers round to a second.
        assert!((first.modified - before).get_seconds().abs() < 60, "{first:?}");
        seen.extend(page.into_iter().map(|listed| listed.key.to_string()));
    }
    assert_eq!(seen, expected);
    assert_eq!(blobs.list("nothing", None, 5).await.unwrap(), []);
    assert_eq!(keys(blobs, "").await.len(), 10);
}

async fn a_link_is_good_for_a_while(engine: &Engine) {
    let blobs = &engine.blobs;
    let key = BlobKey::source(&document());
    blobs.put_if_absent(&key, content(5)).await.unwrap();
    let disposition = "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%A4.txt";
    let link = async |expires| {
        let link = blobs.presigned(&key, disposition, "text/plain; charset=utf-8", expires);
        link.await.unwrap()
    };
    let Some(good) = link(PATIENCE).await else {
        assert!(matches!(blobs, Blobs::Dir(_)));
        return;
    };
    let answer = reqwest::get(&good).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-disposition"], disposition);
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.bytes().await.unwrap(), content(5));
    let tampered = good.replacen("/source", "/text-x", 1);
    assert_eq!(reqwest::get(&tampered).await.unwrap().status(), 403);
    let short = link(Duration::from_secs(1)).await.unwrap();
    let refused = async || (reqwest::get(&short).await.unwrap().status() == 403).then_some(());
    until("the link expires", refused).await;
}

async fn storage_is_ready_and_probed(engine: &Engine) {
    engine.blobs.ready().await.unwrap();
    engine.blobs.probe().await.unwrap();
    assert_eq!(keys(&engine.blobs, "").await, Vec::<String>::new());
}

async fn what_dead_processes_left_is_removed(engine: &Engine) {
    let blobs = &engine.blobs;
    let key = BlobKey::source(&document());
    let mut writer = blobs.writer(&key).await.unwrap();
    writer.write(content(20 * MIB)).await.unwrap();
    assert_eq!(blobs.abort_stale_uploads(Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(blobs.abort_stale_uploads(Duration::ZERO).await.unwrap(), 1);
    writer.finish().await.unwrap_err();
    assert_eq!(blobs.get(&key).await.unwrap(), None);
    engine.nothing_unfinished().await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_the_bucket_named() {
    let engine = misbehaving(Fault::None).await;
    let keys = Keys { id: KEY.to_owned(), secret: Secret::new("another") };
    let blobs = Blobs::S3(S3Blobs::with_keys(engine.place.clone().unwrap(), keys));
    let key = BlobKey::source(&document());
    let error = blobs.put_if_absent(&key, content(1)).await.unwrap_err();
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    assert!(!error.is_a_setting(), "keys may be rotated while the program runs");
    let error = blobs.ready().await.unwrap_err().to_string();
    assert!(error.contains(&format!("the bucket {BUCKET} at http://")), "{error}");
    assert!(error.contains("403"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_an_error_and_not_an_empty_one() {
    let Some(engine) = ministack().await else { return };
    let place = S3 { bucket: "not-there".to_owned(), ..engine.place.clone().unwrap() };
    let blobs = servers::with_keys(place);
    let key = BlobKey::reply("a");
    assert!(blobs.ready().await.unwrap_err().to_string().contains("not-there"));
    for error in [
        blobs.put_if_absent(&key, content(1)).await.unwrap_err(),
        blobs.get(&key).await.unwrap_err(),
        blobs.delete_folder(&key).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_condition_is_refused() {
    let engine = misbehaving(Fault::Overwrites).await;
    let error = engine.blobs.probe().await.unwrap_err();
    assert!(error.is_a_setting());
    assert!(error.to_string().contains("unconditional=true"), "{error}");
    assert_eq!(keys(&engine.blobs, "").await, Vec::<String>::new(), "the probe is removed");
    // Who insists is obeyed, and one writer after another still finds what is there.
    let blobs = servers::with_keys(S3 { unconditional: true, ..engine.place.clone().unwrap() });
    blobs.probe().await.unwrap();
    let key = BlobKey::source(&document());
    for size in [1, 9 * MIB] {
        let mut writer = blobs.writer(&key).await.unwrap();
        writer.write(content(size)).await.unwrap();
        let expected = if size == 1 { Put::Stored } else { Put::Exists };
        assert_eq!(writer.finish().await.unwrap(), expected);
    }
    assert_eq!(blobs.put_if_absent(&key, content(2)).await.unwrap(), Put::Exists);
    assert_eq!(blobs.get(&key).await.unwrap(), Some(content(1)));
}

#[tokio::test]
async fn who_insists_on_a_server_that_is_good_loses_nothing() {
    let engine = misbehaving(Fault::None).await;
    let blobs = servers::with_keys(S3 { unconditional: true, ..engine.place.clone().unwrap() });
    blobs.probe().await.unwrap();
    assert_eq!(blobs.put_if_absent(&BlobKey::reply("a"), content(1)).await.unwrap(), Put::Stored);
    assert_eq!(blobs.put_if_absent(&BlobKey::reply("a"), content(1)).await.unwrap(), Put::Exists);
}

/// The server writes, the answer is lost, the client asks again and is told that the name is taken.
#[tokio::test]
async fn a_writer_whose_answer_was_lost_recognises_itself() {
    for size in [5, 9 * MIB] {
        let engine = misbehaving(Fault::LosesAnswers).await;
        let key = BlobKey::source(&document());
        let mut writer = engine.blobs.writer(&key).await.unwrap();
        writer.write(content(size)).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), Put::Stored, "{size}");
        assert_eq!(engine.blobs.put_if_absent(&key, content(1)).await.unwrap(), Put::Exists);
        assert!(engine.blobs.get(&key).await.unwrap().unwrap() == content(size));
        engine.nothing_unfinished().await;
    }
}

#[tokio::test]
async fn checksums_can_be_left_away() {
    let engine = misbehaving(Fault::None).await;
    let blobs = servers::with_keys(S3 { checksums: false, ..engine.place.clone().unwrap() });
    let id = document();
    let key = BlobKey::source(&id);
    let mut writer = blobs.writer(&key).await.unwrap();
    writer.write(content(9 * MIB)).await.unwrap();
    assert_eq!(writer.finish().await.unwrap(), Put::Stored);
    assert!(blobs.get(&key).await.unwrap().unwrap() == content(9 * MIB));
    blobs.delete_folder(&BlobKey::folder(&id)).await.unwrap();
    assert_eq!(keys(&blobs, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_so() {
    let place = S3 {
        bucket: BUCKET.to_owned(),
        prefix: PREFIX.to_owned(),
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        ..S3::default()
    };
    let keys = Keys { id: KEY.to_owned(), secret: Secret::new(SECRET) };
    let error = S3Blobs::with_keys(place, keys);
    let error = Blobs::S3(error).ready().await.unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
}
