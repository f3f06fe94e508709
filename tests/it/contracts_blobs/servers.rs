//! The engines under contract, and an S3 server within this process that can misbehave.

use crate::{harness::until, servers::server};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{S3, S3Request, S3Response, S3Result, auth::SimpleAuth, dto, s3_error};
use s3s_fs::FileSystem;
use shared::{
    blob::{
        Blobs,
        dir::DirBlobs,
        s3::{Keys, S3Blobs},
    },
    config::{self, Secret},
};
use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(super) const BUCKET: &str = "sluice";
pub(super) const KEY: &str = "test";
pub(super) const SECRET: &str = "test";

/// A prefix that has to be escaped wherever it is written.
pub(super) const PREFIX: &str = "a folder/ä+%41&=";

/// A storage under contract.
pub(super) struct Engine {
    pub(super) blobs: Blobs,
    /// Where it is, when it is a bucket.
    pub(super) place: Option<config::S3>,
    /// Where its files are, when we can see them.
    folder: Option<TempDir>,
    client: Option<Client>,
}

/// A folder.
pub(super) fn dir() -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::Dir(DirBlobs::open(folder.path()).unwrap());
    Engine { blobs, place: None, folder: Some(folder), client: None }
}

/// A bucket of its own on the server that the environment names.
pub(super) async fn ministack() -> Option<Engine> {
    let endpoint = server("SLUICE_TEST_S3")?;
    let bucket = bucket(&endpoint).await;
    let place = place(&bucket, endpoint);
    let client = Some(client(place.endpoint.as_deref().unwrap()));
    Some(Engine { blobs: with_keys(place.clone()), place: Some(place), folder: None, client })
}

/// A new bucket.
pub(crate) async fn bucket(endpoint: &str) -> String {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = shared::clock::now().as_microsecond();
    let bucket = format!("sluice-{}-{now}-{number}", std::process::id());
    client(endpoint).create_bucket().bucket(&bucket).send().await.unwrap();
    bucket
}

/// What the bucket holds, seen by another client than ours.
pub(crate) async fn objects(endpoint: &str, bucket: &str) -> Vec<String> {
    let listed = client(endpoint).list_objects_v2().bucket(bucket).send().await.unwrap();
    let contents = listed.contents.unwrap_or_default();
    contents.into_iter().filter_map(|object| object.key).collect()
}

/// Removes an object, behind the program's back.
pub(crate) async fn remove(endpoint: &str, bucket: &str, key: &str) {
    client(endpoint).delete_object().bucket(bucket).key(key).send().await.unwrap();
}

/// The bytes of an object.
pub(crate) async fn bytes(endpoint: &str, bucket: &str, key: &str) -> Vec<u8> {
    let object = client(endpoint).get_object().bucket(bucket).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

fn place(bucket: &str, endpoint: String) -> config::S3 {
    config::S3 {
        bucket: bucket.to_owned(),
        prefix: PREFIX.to_owned(),
        endpoint: Some(endpoint),
        path_style: true,
        checksums: true,
        ..config::S3::default()
    }
}

pub(super) fn with_keys(place: config::S3) -> Blobs {
    let keys = Keys { id: KEY.to_owned(), secret: Secret::new(SECRET) };
    Blobs::S3(S3Blobs::with_keys(place, keys))
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(KEY, SECRET, None, None, "test"))
        .force_path_style(true);
    Client::from_conf(config.build())
}

impl Engine {
    /// Waits until nothing is left of uploads that were not finished.
    pub(super) async fn nothing_unfinished(&self) {
        let nothing = async || match (&self.folder, &self.client) {
            (Some(folder), _) => {
                let name = |entry: std::io::Result<std::fs::DirEntry>| {
                    entry.unwrap().file_name().into_string().unwrap()
                };
                // Where the server keeps what is not an object, and the folder keeps what it writes.
                let root = std::fs::read_dir(folder.path()).unwrap().map(name);
                let parts = root.filter(|name| name.contains("upload") || name.contains(".tmp"));
                let incoming = std::fs::read_dir(folder.path().join("incoming"));
                let incoming = incoming.map(Iterator::count).unwrap_or(0);
                (parts.count() + incoming == 0).then_some(())
            }
            (None, Some(client)) => {
                let bucket = &self.place.as_ref().unwrap().bucket;
                let listed = client.list_multipart_uploads().bucket(bucket).send().await.unwrap();
                listed.uploads().is_empty().then_some(())
            }
            (None, None) => Some(()),
        };
        until("nothing unfinished is left", nothing).await;
    }
}

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    /// It ignores `If-None-Match`.
    Overwrites,
    /// It does what it was asked the first time, and says that it could not.
    LosesAnswers,
}

/// A server within this process, with one bucket.
pub(super) async fn misbehaving(fault: Fault) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let inner = FileSystem::new(folder.path()).unwrap();
    let faulty = Faulty { inner, fault, lost: AtomicBool::new(false) };
    let mut service = s3s::service::S3ServiceBuilder::new(faulty);
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = place(BUCKET, format!("http://{}", listener.local_addr().unwrap()));
    // It ends with the runtime of the test.
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    let blobs = with_keys(place.clone());
    Engine { blobs, place: Some(place), folder: Some(folder), client: None }
}

struct Faulty {
    inner: FileSystem,
    fault: Fault,
    lost: AtomicBool,
}

impl Faulty {
    fn answer<T>(&self, answer: S3Result<T>) -> S3Result<T> {
        let loses = self.fault == Fault::LosesAnswers && answer.is_ok();
        if loses && !self.lost.swap(true, Ordering::SeqCst) {
            return Err(s3_error!(ServiceUnavailable, "the answer is lost"));
        }
        answer
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

/// Hands requests on as they are.
macro_rules! same {
    ($($name:ident($input:ident) -> $output:ident;)*) => {$(
        fn $name<'a, 'b>(&'a self, request: S3Request<dto::$input>) -> Answer<'b, dto::$output>
        where
            'a: 'b,
            Self: 'b,
        {
            self.inner.$name(request)
        }
    )*};
}

impl S3 for Faulty {
    same! {
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
        upload_part(UploadPartInput) -> UploadPartOutput;
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
        get_object(GetObjectInput) -> GetObjectOutput;
        head_object(HeadObjectInput) -> HeadObjectOutput;
        head_bucket(HeadBucketInput) -> HeadBucketOutput;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    }

    fn put_object<'a, 'b>(
        &'a self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> Answer<'b, dto::PutObjectOutput>
    where
        'a: 'b,
        Self: 'b,
    {
        if self.fault == Fault::Overwrites {
            request.input.if_none_match = None;
        }
        Box::pin(async { self.answer(self.inner.put_object(request).await) })
    }

    fn complete_multipart_upload<'a, 'b>(
        &'a self,
        mut request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> Answer<'b, dto::CompleteMultipartUploadOutput>
    where
        'a: 'b,
        Self: 'b,
    {
        if self.fault == Fault::Overwrites {
            request.input.if_none_match = None;
        }
        // S3 says so where this server says that access is denied.
        if self.lost.load(Ordering::SeqCst) {
            return Box::pin(async { Err(s3_error!(NoSuchUpload)) });
        }
        Box::pin(async { self.answer(self.inner.complete_multipart_upload(request).await) })
    }
}
