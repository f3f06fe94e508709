//! The servers that tests use, as `tests/services start` names them in the environment.

use shared::{clock, document::DocumentId};
use tokio_postgres::{Client, NoTls};

/// The value of a variable that names a server; says SKIPPED where there is none, and fails in CI.
pub(crate) fn server(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) => Some(value),
        Err(_) => {
            assert!(std::env::var_os("CI").is_none(), "{variable} is missing");
            eprintln!("SKIPPED: {variable} is missing: eval \"$(tests/services start)\"");
            None
        }
    }
}

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
