//! Settings that are written as addresses, and say which backend is used.
//!
//! It must know nothing of the backends. Its messages never contain the address: that may hold a
//! password.

use serde::{Deserialize, Serialize, Serializer, de::Error as _};
use std::path::PathBuf;

/// Makes an enum that is written as a URL.
macro_rules! url {
    ($name:ident, $parse:ident, $show:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$show(self))
            }
        }
    };
}

/// Where bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `dir:PATH`: files in a folder.
    Dir(PathBuf),
}

url!(Storage, storage, show_storage);

fn storage(url: &str) -> Result<Storage, String> {
    match url.split_once(':') {
        Some(("dir", path)) if !path.is_empty() => Ok(Storage::Dir(path.into())),
        Some(("s3", _)) => Err(later("s3://", "dir:PATH")),
        _ => Err("is not a storage: use dir:PATH".to_owned()),
    }
}

fn show_storage(storage: &Storage) -> String {
    let Storage::Dir(path) = storage;
    format!("dir:{}", path.display())
}

/// Where the truth is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// `sqlite:PATH`: one file.
    Sqlite(PathBuf),
}

url!(Database, database, show_database);

fn database(url: &str) -> Result<Database, String> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(Database::Sqlite(path.into())),
        Some(("postgres" | "postgresql", _)) => Err(later("postgres://", "sqlite:PATH")),
        _ => Err("is not a database: use sqlite:PATH".to_owned()),
    }
}

fn show_database(database: &Database) -> String {
    let Database::Sqlite(path) = database;
    format!("sqlite:{}", path.display())
}

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// `embedded`: a table of the database.
    Embedded,
}

url!(Queue, queue, show_queue);

fn queue(url: &str) -> Result<Queue, String> {
    match url.split(':').next() {
        _ if url == "embedded" => Ok(Queue::Embedded),
        Some("amqp" | "amqps") => Err(later("amqp://", "embedded")),
        _ => Err("is not a queue: use embedded".to_owned()),
    }
}

fn show_queue(_: &Queue) -> String {
    "embedded".to_owned()
}

/// Who counts the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// `local`: each worker, by its share among the workers of the database.
    Local,
}

url!(Quota, quota, show_quota);

fn quota(url: &str) -> Result<Quota, String> {
    match url.split(':').next() {
        _ if url == "local" => Ok(Quota::Local),
        Some("redis" | "rediss") => Err(later("redis://", "local")),
        _ => Err("is not a quota: use local".to_owned()),
    }
}

fn show_quota(_: &Quota) -> String {
    "local".to_owned()
}

fn later(form: &str, instead: &str) -> String {
    format!("{form} is not part of this version yet: use {instead}")
}
