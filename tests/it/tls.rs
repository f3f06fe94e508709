//! Every service over TLS with an authority of one's own: it works with the right one, and with a
//! wrong one or a wrong name it is refused, with the remedy and without the password.

use crate::{
    broker::OwnBroker,
    certificates,
    contracts_blobs::servers::bucket,
    harness::{Place, fast, fixture, free_port, run, until},
    postgres,
    servers::{OwnRedis, server},
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Takes TLS off in front of a service that has none; gives its port. It ends with the test.
async fn terminator(certificates: &Path, target: &str) -> u16 {
    let chain = CertificateDer::pem_file_iter(certificates.join("server.crt")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = target.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut server) = TcpStream::connect(&target).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

/// All four services with one authority; their addresses say `HOST` where the host is.
struct Scene {
    /// With the certificates.
    folder: TempDir,
    database: String,
    storage: String,
    queue: String,
    quota: String,
    _servers: (postgres::Server, OwnBroker, OwnRedis),
}

impl Scene {
    async fn new() -> Option<Self> {
        let (endpoint, _) = (server("SLUICE_TEST_S3")?, server("SLUICE_TEST_REDIS")?);
        let folder = tempfile::tempdir().unwrap();
        certificates::make(folder.path());
        let postgres = postgres::Server::start_with(folder.path())?;
        let (redis, port) = redis(folder.path()).await;
        let (broker, amqps) = OwnBroker::with_tls(folder.path()).await?;
        let bucket = bucket(&endpoint).await;
        let s3 = terminator(folder.path(), endpoint.strip_prefix("http://").unwrap()).await;
        let options = "region=us-east-1&path_style=true";
        Some(Self {
            database: format!(
                "postgres://sluice:canary@HOST:{}/postgres?sslmode=verify-full",
                postgres.port
            ),
            storage: format!("s3://{bucket}?endpoint=https://HOST:{s3}&{options}"),
            queue: broker.let_in(&amqps.replace("localhost", "HOST"), "canary").await,
            quota: format!("rediss://:canary@HOST:{port}"),
            folder,
            _servers: (postgres, broker, redis),
        })
    }

    fn authority(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

async fn redis(certificates: &Path) -> (OwnRedis, u16) {
    let path = |file: &str| certificates.join(file).display().to_string();
    let (port, [ca, crt, key]) = (free_port(), ["ca.crt", "server.crt", "server.key"].map(path));
    let arguments = [
        ["--tls-ca-cert-file", &ca],
        ["--tls-cert-file", &crt],
        ["--tls-key-file", &key],
        ["--tls-auth-clients", "no"],
        ["--requirepass", "canary"],
    ];
    (OwnRedis::start(port, arguments.as_flattened()).await, port)
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_trusted_by_its_certificate_alone() {
    let Some(scene) = Scene::new().await else { return };
    works(&scene).await;
    for (setting, address) in [
        ("SLUICE_DATABASE", &scene.database),
        ("SLUICE_STORAGE", &scene.storage),
        ("SLUICE_QUEUE", &scene.queue),
    ] {
        for (authority, host) in [("stranger.crt", "localhost"), ("ca.crt", "127.0.0.1")] {
            refused(&scene, authority, setting, &address.replace("HOST", host)).await;
        }
    }
    for (authority, host) in [("stranger.crt", "localhost"), ("ca.crt", "127.0.0.1")] {
        goes_on_alone(&scene, authority, host).await;
    }
}

async fn works(scene: &Scene) {
    let mut place = Place::new(vec![fast("sweden")], "").await;
    let at = |address: &str| address.replace("HOST", "localhost");
    place.settings = vec![
        ("SLUICE_DATABASE", at(&scene.database)),
        ("SLUICE_STORAGE", at(&scene.storage)),
        ("SLUICE_QUEUE", at(&scene.queue)),
        ("SLUICE_QUOTA", at(&scene.quota)),
        ("SSL_CERT_FILE", scene.authority("ca.crt")),
    ];
    place.settings.extend(KEYS.map(|(name, value)| (name, value.to_owned())));
    // The deployments, too.
    let model = place.simulation.url();
    let port = terminator(scene.folder.path(), model.strip_prefix("http://").unwrap()).await;
    let file = place.folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&model, &format!("https://localhost:{port}"))).unwrap();
    let _uploader = place.start("uploader").await;
    let _worker = place.spawn("worker", &[]);
    let document =
        place.upload("a.pdf", "invoice", fixture("documents/invoice-en-classic.pdf")).await;
    place.extraction(&document).await;
    until("the quota is shared", async || {
        place.log().contains("share the quota through Redis").then_some(())
    })
    .await;
    assert!(!place.log().contains("canary"), "a password stands in the log");
}

/// A worker with this one service over TLS ends at once, and says why.
async fn refused(scene: &Scene, authority: &str, setting: &str, address: &str) {
    let place = Place::new(vec![fast("sweden")], "").await;
    let file = place.folder.path().join("sluice.toml").display().to_string();
    let authority = scene.authority(authority);
    let mut environment = vec![(setting, address), ("SSL_CERT_FILE", &authority)];
    environment.extend(KEYS);
    // The embedded queue would need the embedded database.
    if setting == "SLUICE_DATABASE" {
        environment.push(("SLUICE_QUEUE", "amqp://127.0.0.1:9"));
    }
    let arguments = ["--config", &file, "worker"];
    let (code, _, said) = run(&arguments, place.folder.path(), &environment).await;
    assert_eq!(code, 3, "{address}: {said}");
    assert!(said.contains("invalid peer certificate"), "{address}: {said}");
    assert!(said.contains("SSL_CERT_FILE"), "{address}: {said}");
    assert!(!said.contains("canary"), "{said}");
}

/// Without Redis work goes on, and it is said why it is without.
async fn goes_on_alone(scene: &Scene, authority: &str, host: &str) {
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![
        ("SLUICE_QUOTA", scene.quota.replace("HOST", host)),
        ("SSL_CERT_FILE", scene.authority(authority)),
    ];
    let _up = place.start("up").await;
    let said = until("it is said", async || {
        place.log().lines().find(|line| line.contains("Redis does not answer")).map(str::to_owned)
    })
    .await;
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
    let health = place.get("/readyz").await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(!format!("{health}{}", place.log()).contains("canary"), "{health}\n{}", place.log());
}
