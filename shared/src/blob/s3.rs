//! Objects in a bucket. `If-None-Match: *` makes sure that an object is written once; a server
//! that ignores it is found at start by the probe.
//!
//! It must know nothing of what the bytes mean.

mod client;
mod put;
mod writer;
mod listing;
mod probe;

pub use writer::S3Writer;

use super::{BlobError, BlobKey};
use crate::{config, error_chain::with_causes, trust};
use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    presigning::PresigningConfig,
    types::{Delete, ObjectIdentifier},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use std::{
    error::Error,
    io,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::OnceCell;

/// The most bytes of memory that are reserved because a server says that an object is that large.
const RESERVED_MAX: i64 = 256 * 1024 * 1024;

/// Objects in a bucket. Neither the server nor the environment is read before first use.
#[derive(Clone, Debug)]
pub struct S3Blobs(Arc<Bucket>);

#[derive(Debug)]
struct Bucket {
    address: config::S3,
    keys: Option<Keys>,
    client: OnceCell<Client>,
    /// Signs links for those who reach the server elsewhere.
    public: OnceCell<Client>,
    /// Set once the probe has seen that the server honours `If-None-Match`; asked only where the
    /// configuration says that it may not.
    honoured: AtomicBool,
}

/// A pair of keys that is given rather than found in the environment.
#[derive(Clone)]
pub struct Keys {
    /// The access key, which is no secret.
    pub id: String,
    /// The secret key.
    pub secret: config::Secret,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

impl S3Blobs {
    /// The bucket that the configuration names, with the keys that the environment has when they
    /// are first needed.
    pub fn new(address: config::S3) -> Self {
        Self::open(address, None)
    }

    /// The bucket, with these keys and no look at the environment's.
    pub fn with_keys(address: config::S3, keys: Keys) -> Self {
        Self::open(address, Some(keys))
    }

    fn open(address: config::S3, keys: Option<Keys>) -> Self {
        let (client, public) = (OnceCell::new(), OnceCell::new());
        let honoured = AtomicBool::new(false);
        Self(Arc::new(Bucket { address, keys, client, public, honoured }))
    }

    async fn client(&self) -> Result<&Client, BlobError> {
        let build = || client::build(&self.0.address, self.0.keys.as_ref());
        self.0.client.get_or_try_init(build).await.map_err(|source| self.bucket_error(source))
    }

    /// The client that signs links; it sends nothing.
    async fn public(&self) -> Result<&Client, BlobError> {
        let client = self.client().await?;
        let Some(endpoint) = &self.0.address.public_endpoint else { return Ok(client) };
        let elsewhere = async || {
            let config = client.config().to_builder().endpoint_url(endpoint);
            Client::from_conf(config.build())
        };
        Ok(self.0.public.get_or_init(elsewhere).await)
    }

    pub(super) async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>, BlobError> {
        let request = self.client().await?.get_object().bucket(self.bucket()).key(self.name(key));
        let Some(object) = present(request.send().await).map_err(failed("read", key))? else {
            return Ok(None);
        };
        let (size, mut body) = (object.content_length.unwrap_or_default(), object.body);
        // Collected here rather than by the library, which would hold everything twice.
        let mut bytes =
            BytesMut::with_capacity(size.clamp(0, RESERVED_MAX).try_into().unwrap_or(0));
        while let Some(piece) = body.try_next().await.transpose() {
            bytes.extend_from_slice(
                &piece.map_err(|error| failed("read", key)(with_reason(&error)))?,
            );
        }
        Ok(Some(bytes.freeze()))
    }

    pub(super) async fn stream(
        &self,
        key: &BlobKey,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, BlobError> {
        let request = self.client().await?.get_object().bucket(self.bucket()).key(self.name(key));
        let object = present(request.send().await).map_err(failed("read", key))?;
        let pieces = |body| {
            futures::stream::try_unfold(
                body,
                |mut body: aws_sdk_s3::primitives::ByteStream| async {
                    let piece = body.try_next().await.map_err(|error| with_reason(&error))?;
                    Ok(piece.map(|piece| (piece, body)))
                },
            )
        };
        Ok(object.map(|object| pieces(object.body).boxed()))
    }

    pub(super) async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        let request = self.client().await?.delete_object();
        let gone = request.bucket(self.bucket()).key(self.name(key)).send().await;
        present(gone).map(drop).map_err(failed("delete", key))
    }

    pub(super) async fn delete_folder(&self, folder: &BlobKey) -> Result<(), BlobError> {
        let client = self.client().await?;
        let list =
            client.list_objects_v2().bucket(self.bucket()).prefix(self.inside(folder.as_str()));
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list", folder)(io_error(error)))?;
            let objects: Result<Vec<_>, _> = (page.contents.into_iter().flatten())
                .filter_map(|object| object.key)
                .map(|name| ObjectIdentifier::builder().key(name).build())
                .collect();
            let objects = objects.map_err(|error| failed("delete", folder)(with_reason(&error)))?;
            if objects.is_empty() {
                continue;
            }
            let batch = Delete::builder().set_objects(Some(objects)).quiet(true).build();
            let batch = batch.map_err(|error| failed("delete", folder)(with_reason(&error)))?;
            let gone = client.delete_objects().bucket(self.bucket()).delete(batch).send().await;
            let gone = gone.map_err(|error| failed("delete", folder)(io_error(error)))?;
            if let Some(left) = gone.errors().first() {
                let why = left.message().or(left.code()).unwrap_or("it did not say why");
                let name = left.key().unwrap_or_default();
                let source = io::Error::other(format!("the server left {name}: {why}"));
                return Err(failed("delete", folder)(source));
            }
        }
        Ok(())
    }

    pub(super) async fn ready(&self) -> Result<(), BlobError> {
        let answer = self.client().await?.head_bucket().bucket(self.bucket()).send().await;
        answer.map(drop).map_err(|error| self.bucket_error(io_error(error)))
    }

    pub(super) async fn presigned(
        &self,
        key: &BlobKey,
        disposition: &str,
        content_type: &str,
        expires: Duration,
    ) -> Result<String, BlobError> {
        let error = failed("sign a link to", key);
        let expires = PresigningConfig::expires_in(expires);
        let expires = expires.map_err(|error_| error(with_reason(&error_)))?;
        let request = self.public().await?.get_object().bucket(self.bucket()).key(self.name(key));
        let request = request
            .response_content_disposition(disposition)
            .response_content_type(content_type)
            .presigned(expires)
            .await;
        request.map(|request| request.uri().to_owned()).map_err(|error_| error(io_error(error_)))
    }

    fn bucket(&self) -> &str {
        &self.0.address.bucket
    }

    /// The name of an object in the bucket.
    fn name(&self, key: &BlobKey) -> String {
        self.within(key.as_str())
    }

    /// What the names of all objects of a folder start with; the empty folder holds everything.
    fn inside(&self, folder: &str) -> String {
        let folder = self.within(folder);
        if folder.is_empty() || folder.ends_with('/') { folder } else { folder + "/" }
    }

    fn within(&self, key: &str) -> String {
        match self.0.address.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    /// An error that concerns the bucket rather than an object.
    fn bucket_error(&self, source: io::Error) -> BlobError {
        let config::S3 { bucket, endpoint, .. } = &self.0.address;
        let at = endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        BlobError { action: "use", key: format!("the bucket {bucket}{at}"), source }
    }
}

/// What the server said, or why it said nothing, in one line.
fn io_error<E>(error: SdkError<E, HttpResponse>) -> io::Error
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = status(&error);
    let Some(said) = error.as_service_error() else { return with_reason(&error) };
    let code = said.code().unwrap_or(match status {
        403 => "access denied",
        404 => "there is none",
        _ => "refused",
    });
    let message = said.message().map(|message| format!(": {message}")).unwrap_or_default();
    let kind = match status {
        401 | 403 => io::ErrorKind::PermissionDenied,
        404 => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("the server answered {status} {code}{message}"))
}

/// An error with its causes: the outer ones of this library only say which step failed.
fn with_reason(error: &dyn Error) -> io::Error {
    io::Error::other(trust::explained(with_causes(error)))
}

/// The status of the answer, 0 when there was none.
fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map(|answer| answer.status().as_u16()).unwrap_or_default()
}

/// Turns "there is no such object" into `None`. A missing bucket stays an error.
fn present<T, E>(answer: Result<T, SdkError<E, HttpResponse>>) -> io::Result<Option<T>>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error) == 404 && error.code() != Some("NoSuchBucket") => Ok(None),
        Err(error) => Err(io_error(error)),
    }
}

fn failed(action: &'static str, key: &BlobKey) -> impl Fn(io::Error) -> BlobError + use<> {
    let key = key.to_string();
    move |source| BlobError { action, key: key.clone(), source }
}
