//! Postgres as a server: who is trusted with each of libpq's modes, what is said when it cannot be
//! used, and that work goes on by itself after it was away.

use crate::{
    certificates::{self, run},
    harness::{PATIENCE, free_port},
    servers,
};
use shared::{
    config::{Config, DatabaseAddress, Secret, StorageAddress},
    services::Services,
    store::{Store, StoreError, postgres::PostgresStore},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server of its own, with a certificate for `localhost`, that refuses whoever does not encrypt.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        let certificates = tempfile::tempdir().unwrap();
        certificates::make(certificates.path());
        Self::start_with(certificates.path())
    }

    /// With the certificates of a folder.
    pub(crate) fn start_with(certificates: &Path) -> Option<Self> {
        let control = servers::server("SLUICE_TEST_POSTGRES_CTL")?;
        let programs = Path::new(control.split(' ').next().unwrap()).parent().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = Self { folder, programs: programs.to_owned(), port: free_port() };
        for file in ["ca.crt", "stranger.crt", "server.crt", "server.key"] {
            std::fs::copy(certificates.join(file), server.path(file)).unwrap();
        }
        std::fs::write(server.path("password"), "canary").unwrap();
        if rustix::process::getuid().is_root() {
            let mut chown = Command::new("chown");
            run(chown.args(["-R", "postgres:postgres"]).arg(server.folder.path()));
        }
        server.program("initdb", "-D data -U sluice -A trust --pwfile=password --no-sync");
        let only_tls = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(server.path("data/pg_hba.conf"), only_tls).unwrap();
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nssl = on\n\
             ssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'\n",
            server.port
        );
        std::fs::write(server.path("data/postgresql.conf"), settings).unwrap();
        server.program("pg_ctl", "-D data -w -l log start");
        Some(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program of the server, which refuses to be root.
    fn program(&self, name: &str, arguments: &str) {
        let program = self.programs.join(name);
        let mut command = match rustix::process::getuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
                command.arg(program);
                command
            }
            false => Command::new(program),
        };
        run(command.args(arguments.split_whitespace()).current_dir(self.folder.path()));
    }

    fn store(&self, host: &str, options: &str) -> Store {
        let folder = self.folder.path().display().to_string();
        let options = options.replace("FOLDER", &folder);
        let address = format!("postgres://sluice:canary@{host}:{}/postgres?{options}", self.port);
        Store::Postgres(PostgresStore::open(&Secret::new(address)).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.program("pg_ctl", "-D data -m immediate stop");
    }
}

#[tokio::test]
async fn a_server_is_trusted_as_the_address_says() {
    let Some(server) = Server::start() else { return };
    let migrated = async |host, options| -> Result<(), StoreError> {
        server.store(host, options).migrate().await
    };
    for (host, options) in [
        ("localhost", "sslmode=verify-full&sslrootcert=FOLDER/ca.crt"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=FOLDER/ca.crt"),
        ("127.0.0.1", "sslmode=require&sslrootcert=FOLDER/ca.crt"),
        ("127.0.0.1", "sslmode=require"),
        ("127.0.0.1", "sslmode=prefer"),
        ("127.0.0.1", "channel_binding=require"),
        ("127.0.0.1:1,localhost", "sslmode=verify-full&sslrootcert=FOLDER/ca.crt"),
    ] {
        migrated(host, options).await.unwrap_or_else(|error| panic!("{host} {options}: {error}"));
    }
    for (host, options, why) in [
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=FOLDER/ca.crt", "not valid for name"),
        ("localhost", "sslmode=verify-full&sslrootcert=FOLDER/stranger.crt", "certificate"),
        ("localhost", "sslmode=verify-ca&sslrootcert=FOLDER/stranger.crt", "certificate"),
        ("localhost", "sslmode=require&sslrootcert=FOLDER/stranger.crt", "certificate"),
        ("localhost", "sslmode=disable", "no encryption"),
    ] {
        let error = migrated(host, options).await.expect_err(options).to_string();
        assert!(error.contains(why), "{host} {options}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn work_goes_on_by_itself_after_the_server_was_away() {
    let Some(server) = Server::start() else { return };
    let store = server.store("localhost", "sslmode=verify-full&sslrootcert=FOLDER/ca.crt");
    store.migrate().await.unwrap();
    // Several connections, all of which break.
    let ready = futures::future::join_all((0..8).map(|_| store.ready())).await;
    ready.into_iter().for_each(Result::unwrap);
    server.program("pg_ctl", "-D data -m immediate stop");
    store.ready().await.expect_err("the server is away");
    server.program("pg_ctl", "-D data -w -l log start");
    let begun = Instant::now();
    while let Err(error) = store.ready().await {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..20 {
        store.ready().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_without_its_password() {
    let refused = async |address: String| {
        let store = PostgresStore::open(&Secret::new(address)).unwrap();
        let error = Store::Postgres(store).ready().await.unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
        error
    };
    let nobody = format!("postgres://u:canary@127.0.0.1:{}/d", free_port());
    assert_eq!(
        refused(nobody).await,
        "database: error connecting to server: Connection refused (os error 111)"
    );
    let Some(server) = servers::server("SLUICE_TEST_POSTGRES") else { return };
    let (_, place) = server.rsplit_once('@').unwrap();
    let error = refused(format!("postgres://sluice:canary@{place}")).await;
    assert!(error.contains("password authentication failed for user"), "{error}");
}

#[test]
fn the_embedded_queue_needs_the_embedded_database() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        storage: StorageAddress::Dir(folder.path().to_owned()),
        database: DatabaseAddress::Postgres(Secret::new("postgres://u:canary@h/d")),
        ..Config::default()
    };
    let error = Services::open(&config).unwrap_err().to_string();
    assert!(error.starts_with("queue = embedded needs a sqlite database: use queue = "), "{error}");
}
