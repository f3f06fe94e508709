//! What every queue must do.

use rusqlite::Connection;
use shared::{
    clock,
    document::{DocumentId, Priority},
    message::JobMessage,
    queue::{Queue, embedded::EmbeddedQueue},
    store::{
        Store,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::time::Duration;

#[tokio::test]
async fn a_message_is_delivered_until_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.db");
    let file = SqliteFile::open(&path).unwrap();
    Store::Sqlite(SqliteStore::new(file.clone())).migrate().await.unwrap();
    let queue = &Queue::Embedded(EmbeddedQueue::new(file));
    let message =
        |number: i64| JobMessage::new(DocumentId::new(clock::now()), number, clock::now(), None);
    let bulk = message(1);
    queue.publish(&[(bulk.clone(), Priority::Bulk)]).await.unwrap();
    let mut consumer = queue.consume(Priority::Bulk, 1).await.unwrap();
    let second = consumer.next(10).await.unwrap().remove(0);
    second.give_back().await.unwrap();
    let second = consumer.next(10).await.unwrap().remove(0);
    assert_eq!(second.message.as_ref().unwrap(), &bulk);
    // A late answer of somebody who lost the message changes nothing.
    let db = Connection::open(&path).unwrap();
    db.execute("UPDATE messages SET visible_ms = 0", []).unwrap();
    let third = queue.consume(Priority::Bulk, 1).await.unwrap().next(10).await.unwrap().remove(0);
    second.ack().await.unwrap();
    let left: i64 = db.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
    third.ack().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), consumer.next(1)).await;
    assert!(waited.is_err(), "the queue is empty");
}
