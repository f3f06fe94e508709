//! The servers that tests use, as `tests/services start` names them in the environment.

use crate::harness::until;
use shared::{clock, document::DocumentId};
use std::process::{Child, Command, Stdio};
pub(crate) use tests::{has_server, server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_postgres::{Client, NoTls};

/// A word that nobody else uses, for the names of things on a server.
pub(crate) fn unique() -> String {
    DocumentId::new(clock::now()).to_string()
}

/// The address of a new database on the Postgres server, and of a connection to it.
pub(crate) async fn fresh_database() -> Option<String> {
    let server = server("SLUICE_TEST_POSTGRES")?;
    let name = format!("test_{}", unique());
    // A template that nobody can be connected to, or creating fails now and then.
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    postgres(&server).await.batch_execute(&create).await.unwrap();
    let (place, _) = server.rsplit_once('/').unwrap();
    Some(format!("{place}/{name}"))
}

/// A connection to Postgres beside those of the program.
pub(crate) async fn postgres(address: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A Redis that dies with the test at the latest.
pub(crate) struct OwnRedis {
    child: Child,
}

impl OwnRedis {
    /// On this port, with these arguments beside what keeps it private.
    pub(crate) async fn start(port: u16, arguments: &[&str]) -> Self {
        let mut command = Command::new("redis-server");
        let at = if arguments.contains(&"--tls-auth-clients") { "--tls-port" } else { "--port" };
        command.args(["--port", "0", at, &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--dir", "/tmp", "--appendonly", "no"]).args(arguments);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server starts");
        let server = Self { child };
        let answers = async || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        until("Redis answers", answers).await;
        server
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives Redis a command, and wants `+OK`.
pub(crate) async fn redis(address: &str, command: &str) {
    let place = address.strip_prefix("redis://").unwrap();
    let mut redis = TcpStream::connect(place).await.unwrap();
    redis.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 256];
    let length = redis.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("+OK"), "{command}: {answer}");
}
