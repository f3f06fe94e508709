//! Settings that are written as addresses, and say which backend is used.
//!
//! It must know nothing of the backends. Its messages never contain the address: that may hold a
//! password.

use super::Secret;
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
pub enum StorageAddress {
    /// `dir:PATH`: files in a folder.
    Dir(PathBuf),
    /// `s3://BUCKET/PREFIX?…`: objects in a bucket.
    S3(S3),
}

/// A bucket, and how it is reached. Keys come from the environment, as every S3 client takes them
/// (`AWS_ACCESS_KEY_ID` and the like), never from the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// What every key starts with, without slashes around it; may be empty.
    pub prefix: String,
    /// `endpoint`: where the server is, when it is not AWS.
    pub endpoint: Option<String>,
    /// `public_endpoint`: where those reach it who are given a link, when that is elsewhere.
    pub public_endpoint: Option<String>,
    /// `region`: AWS's own way to find it when it is not given.
    pub region: Option<String>,
    /// `path_style`: the bucket in the path instead of in the host's name.
    pub path_style: bool,
    /// `checksums`: whether to send and expect a checksum with every object; `false` for servers
    /// that do not understand trailers.
    pub checksums: bool,
    /// `unconditional`: go on, with a warning, where the server ignores `If-None-Match`.
    pub unconditional: bool,
}

url!(StorageAddress, storage, show_storage);

const STORAGES: &str = "use dir:PATH or s3://BUCKET/PREFIX?endpoint=http://HOST:9000";

fn storage(url: &str) -> Result<StorageAddress, String> {
    match url.split_once(':') {
        Some(("dir", path)) if !path.is_empty() => Ok(StorageAddress::Dir(path.into())),
        Some(("s3", _)) => s3(url).map(StorageAddress::S3),
        _ => Err(format!("is not a storage: {STORAGES}")),
    }
}

fn s3(url: &str) -> Result<S3, String> {
    let rest = url.strip_prefix("s3://").unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() || bucket.contains('@') {
        return Err(format!(
            "names no bucket: {STORAGES}; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ));
    }
    let mut s3 = S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        checksums: true,
        ..S3::default()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let yes = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{name} must be true or false")),
        };
        match name {
            "endpoint" | "public_endpoint" => {
                if !value.starts_with("http://") && !value.starts_with("https://") {
                    return Err(format!("{name} must start with http:// or https://"));
                }
                let value = Some(value.trim_end_matches('/').to_owned());
                if name == "endpoint" { s3.endpoint = value } else { s3.public_endpoint = value }
            }
            "region" => s3.region = Some(value.to_owned()),
            "path_style" => s3.path_style = yes()?,
            "checksums" => s3.checksums = yes()?,
            "unconditional" => s3.unconditional = yes()?,
            _ => {
                return Err(format!(
                    "{name} is not an option: use endpoint, public_endpoint, region, path_style, \
                     checksums or unconditional"
                ));
            }
        }
    }
    Ok(s3)
}

fn show_storage(storage: &StorageAddress) -> String {
    match storage {
        StorageAddress::Dir(path) => format!("dir:{}", path.display()),
        StorageAddress::S3(s3) => {
            let endpoint = s3.endpoint.as_ref().map(|endpoint| format!("endpoint={endpoint}"));
            let public = s3.public_endpoint.as_ref();
            let public = public.map(|endpoint| format!("public_endpoint={endpoint}"));
            let region = s3.region.as_ref().map(|region| format!("region={region}"));
            let flag = |is_on: bool, text: &str| is_on.then(|| text.to_owned());
            let options = [
                endpoint,
                public,
                region,
                flag(s3.path_style, "path_style=true"),
                flag(!s3.checksums, "checksums=false"),
                flag(s3.unconditional, "unconditional=true"),
            ];
            let options = options.into_iter().flatten().collect::<Vec<_>>().join("&");
            let mark = if options.is_empty() { "" } else { "?" };
            format!("s3://{}/{}{mark}{options}", s3.bucket, s3.prefix)
        }
    }
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// `sqlite:PATH`: one file.
    Sqlite(PathBuf),
    /// `postgres://…`: a server, as libpq takes it.
    Postgres(Secret),
}

url!(DatabaseAddress, database, show_database);

const DATABASES: &str = "use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE";

fn database(url: &str) -> Result<DatabaseAddress, String> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(DatabaseAddress::Sqlite(path.into())),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
            Ok(DatabaseAddress::Postgres(Secret::new(url)))
        }
        _ => Err(format!("is not a database: {DATABASES}")),
    }
}

fn show_database(database: &DatabaseAddress) -> String {
    match database {
        DatabaseAddress::Sqlite(path) => format!("sqlite:{}", path.display()),
        DatabaseAddress::Postgres(url) => without_password(url),
    }
}

/// What carries messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueAddress {
    /// `embedded`: a table of the database.
    Embedded,
    /// `amqp://…` or `amqps://…`: RabbitMQ, the hosts of a cluster separated by commas.
    Rabbit(Secret),
}

url!(QueueAddress, queue, show_queue);

const QUEUES: &str = "use embedded or amqp://USER:PASSWORD@HOST:5672/VHOST";

fn queue(url: &str) -> Result<QueueAddress, String> {
    match url.split_once("://") {
        _ if url == "embedded" => Ok(QueueAddress::Embedded),
        Some(("amqp" | "amqps", rest)) if !rest.is_empty() => {
            Ok(QueueAddress::Rabbit(Secret::new(url)))
        }
        _ => Err(format!("is not a queue: {QUEUES}")),
    }
}

fn show_queue(queue: &QueueAddress) -> String {
    match queue {
        QueueAddress::Embedded => "embedded".to_owned(),
        QueueAddress::Rabbit(url) => without_password(url),
    }
}

/// Who counts the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaAddress {
    /// `local`: each worker, by its share among the workers of the database.
    Local,
    /// `redis://…` or `rediss://…`: all workers together.
    Redis(Secret),
}

url!(QuotaAddress, quota, show_quota);

const QUOTAS: &str = "use local or redis://HOST:6379";

fn quota(url: &str) -> Result<QuotaAddress, String> {
    match url.split_once("://") {
        _ if url == "local" => Ok(QuotaAddress::Local),
        Some(("redis" | "rediss", rest)) if !rest.is_empty() => {
            Ok(QuotaAddress::Redis(Secret::new(url)))
        }
        _ => Err(format!("is not a quota: {QUOTAS}")),
    }
}

fn show_quota(quota: &QuotaAddress) -> String {
    match quota {
        QuotaAddress::Local => "local".to_owned(),
        QuotaAddress::Redis(url) => without_password(url),
    }
}

/// An address without the password in it, nor one in its options.
fn without_password(url: &Secret) -> String {
    let url = url.expose();
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
            None => format!("{scheme}://{user}@{host}"),
        },
        None => format!("{scheme}://{rest}"),
    }
}
