//! A server on a port of its own, with its database and its files in a temporary folder. There is
//! no worker: tests play it by calling the store.

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use shared::{
    blob::{BlobKey, Blobs, dir::DirBlobs},
    document::{DocumentId, DocumentState, Failure},
    extraction::{Extraction, Origin, Page, Pages, Word},
    job::Claim,
    queue::{Queue, embedded::EmbeddedQueue},
    relay::Relay,
    schema::builtin,
    services::Services,
    store::{
        Store,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use uploader::Limits;

/// The longest that anything in a test may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The engine whose text the tests pretend to have read.
pub(crate) const ENGINE: &str = "test-1";

/// A running server.
pub(crate) struct Server {
    pub address: SocketAddr,
    pub services: Services,
    pub http: Client,
    pub stop: CancellationToken,
    pub task: JoinHandle<std::io::Result<()>>,
    pub folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = SqliteFile::open(&folder.path().join("sluice.db")).unwrap();
        let blobs = Blobs::Dir(DirBlobs::open(&folder.path().join("blobs")).unwrap());
        let queue = Queue::Embedded(EmbeddedQueue::new(file.clone()));
        let store = Store::Sqlite(SqliteStore::new(file));
        store.migrate().await.unwrap();
        for (name, body) in builtin::all() {
            store.schemas().seed(&name.parse().unwrap(), body).await.unwrap();
        }
        let relay = Relay::new(store.clone(), queue.clone());
        let services = Services { blobs, store, queue, relay, quota: pool::FleetConnection::Local };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = uploader::router(services.clone(), limits, Some(recorder()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(uploader::serve(router, listener, stop.clone()));
        let http = Client::builder()
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { address, services, http, stop, task, folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// Uploads text and gives the document.
    pub(crate) async fn upload(&self, query: &str, body: impl Into<reqwest::Body>) -> Value {
        let answer = self.post(&format!("/v1/documents?{query}")).body(body).send().await.unwrap();
        let (status, document) = status_and_json(answer).await;
        assert_eq!(status, 202, "{document}");
        document
    }

    /// Takes a document as a worker does.
    pub(crate) async fn claim(&self, document: &Value) -> Claim {
        let id = id(document);
        let claim =
            self.services.store.work().claim(&id, "test", Duration::from_secs(60)).await.unwrap();
        claim.expect("it can be claimed")
    }

    /// Ends a document well, as a worker does: text, result, row.
    pub(crate) async fn succeed(&self, document: &Value) -> Claim {
        let claim = self.claim(document).await;
        let page =
            |number: u32| Page { number, text: format!("Seite {number}"), ..Page::default() };
        let bounds = [72.5, 700.0, 99.0, 711.0];
        let word = Word { start: 0, end: 5, bounds, origin: Origin::Ocr };
        let hidden = vec![[1.0, 2.0, 3.0, 4.5]];
        let (words, width, height) = (vec![word], 595.0, 842.0);
        let first = Page { width, height, words, hidden, ..page(1) };
        let pages =
            Pages { engine: ENGINE.into(), pages: vec![first, page(2)], ..Pages::default() };
        let (store, blobs) = (&self.services.store, &self.services.blobs);
        let text = serde_json::to_vec(&pages).unwrap();
        blobs.put_if_absent(&BlobKey::text(&claim.document, ENGINE), text.into()).await.unwrap();
        store.work().text_read(&claim, ENGINE, 2).await.unwrap();
        let extraction = Extraction {
            document: claim.document.clone(),
            schema: claim.schema.clone(),
            state: DocumentState::Succeeded,
            data: serde_json::json!({ "total": 119.0 }),
            fields: Default::default(),
            checks: vec![],
            usage: Default::default(),
            model: Default::default(),
            text: Default::default(),
            timings_ms: Default::default(),
            warnings: vec![],
        };
        let result = serde_json::to_vec(&extraction).unwrap();
        let key = BlobKey::result(&claim.document, claim.run);
        blobs.put_if_absent(&key, result.into()).await.unwrap();
        assert!(store.work().finish(&claim, DocumentState::Succeeded).await.unwrap());
        claim
    }

    /// Ends a document badly.
    pub(crate) async fn fail(&self, document: &Value, failure: Failure) {
        let claim = self.claim(document).await;
        assert!(self.services.store.work().fail(&claim, failure).await.unwrap());
    }

    /// Every file in storage, those on their way included: of a document its bytes and what the
    /// database says of it.
    pub(crate) fn stored(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().join("blobs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// Writes bytes to a connection and reads the answer; the connection stays open meanwhile.
    pub(crate) async fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = socket.write_all(request).await;
        read_answer(&mut socket).await
    }
}

/// The status and the body of an HTTP/1.1 answer with a length.
pub(crate) async fn read_answer(socket: &mut TcpStream) -> (u16, String) {
    let read = async {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse::<usize>()
                        .ok()
                });
                if body.len() >= length.unwrap_or(0) {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return (status, body.to_owned());
                }
            }
            let mut buffer = [0; 4096];
            let n = socket.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the connection ended: {text}");
            bytes.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
}

pub(crate) fn id(document: &Value) -> DocumentId {
    document["id"].as_str().expect("a document has an id").parse().unwrap()
}

/// JSON for a snapshot: insta's own form of a number is not that of one that keeps its digits.
pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

pub(crate) async fn status_and_json(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The recorder of this process.
fn recorder() -> metrics_exporter_prometheus::PrometheusHandle {
    static RECORDER: OnceLock<metrics_exporter_prometheus::PrometheusHandle> = OnceLock::new();
    let install = || metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder();
    RECORDER.get_or_init(|| install().unwrap()).clone()
}
