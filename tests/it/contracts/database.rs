//! A fresh database on one of the engines, and short words for what the contracts do with it.

use crate::servers;
use rusqlite::Connection;
use serde_json::{Map, json};
use shared::{
    clock,
    config::Secret,
    document::{DocumentId, DocumentState, Failure, FailureCode, Format, Priority, Stage},
    job::Claim,
    store::{
        Accepted, CallEnd, CallLimits, Found, Intent, NewDocument, Store,
        postgres::PostgresStore,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

pub(super) const LEASE: Duration = Duration::from_secs(60);
pub(super) const NOW: Duration = Duration::ZERO;

/// A question may be paid for twice, at once.
pub(super) static TWICE: CallLimits = CallLimits { calls_max: 2, pauses: Vec::new() };

enum Place {
    Sqlite { _folder: TempDir, path: PathBuf },
    Postgres { address: String },
}

pub(super) struct Engine {
    pub store: Store,
    place: Place,
}

impl Engine {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sluice.db");
        Self::migrated(Place::Sqlite { _folder: folder, path }).await
    }

    pub(super) async fn postgres() -> Option<Self> {
        let address = servers::fresh_database().await?;
        Some(Self::migrated(Place::Postgres { address }).await)
    }

    /// Several programs bring the database up to date at the same time, as they do when they start.
    async fn migrated(place: Place) -> Self {
        let engine = Self { store: open(&place), place };
        let others: Vec<_> = (0..8).map(|_| engine.another()).collect();
        for migrated in futures::future::join_all(others.iter().map(Store::migrate)).await {
            migrated.unwrap();
        }
        engine.store.ready().await.unwrap();
        engine
    }

    /// The same database with connections of its own, as another process has it.
    pub(super) fn another(&self) -> Store {
        open(&self.place)
    }

    /// Changes rows behind the program's back.
    pub(super) async fn sql(&self, sql: &str) {
        match &self.place {
            Place::Sqlite { path, .. } => {
                Connection::open(path).unwrap().execute(sql, []).unwrap();
            }
            Place::Postgres { address } => {
                servers::postgres(address).await.batch_execute(sql).await.unwrap();
            }
        }
    }

    /// Says that a newer program was here.
    pub(super) async fn is_from_the_future(&self) {
        match &self.place {
            Place::Sqlite { .. } => self.sql("PRAGMA user_version = 99").await,
            Place::Postgres { .. } => {
                self.sql("INSERT INTO sluice_migrations VALUES (99, 0)").await
            }
        }
    }

    /// Lets every lease run out.
    pub(super) async fn expire(&self) {
        self.sql("UPDATE documents SET lease_until_ms = 1 WHERE lease_until_ms > 1").await;
    }

    pub(super) async fn accept(&self, content: &str) -> DocumentId {
        match self.store.documents().accept(vec![document(content)], None).await.unwrap() {
            Accepted::New(documents) => documents[0].id.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn claim(&self, id: &DocumentId) -> Claim {
        self.store.work().claim(id, "one", LEASE).await.unwrap().expect("a claim")
    }

    pub(super) async fn intent(&self, claim: &Claim, question: &str) -> Intent {
        self.store.ledger().intent(claim, question, "all", "sweden", &TWICE).await.unwrap()
    }

    pub(super) async fn state(&self, id: &DocumentId) -> DocumentState {
        match self.store.documents().find(id).await.unwrap() {
            Found::Document(document) => document.state,
            other => panic!("{other:?}"),
        }
    }
}

fn open(place: &Place) -> Store {
    match place {
        Place::Sqlite { path, .. } => {
            Store::Sqlite(SqliteStore::new(SqliteFile::open(path).unwrap()))
        }
        Place::Postgres { address } => {
            Store::Postgres(PostgresStore::open(&Secret::new(address)).unwrap())
        }
    }
}

pub(super) fn document(content: &str) -> NewDocument {
    NewDocument {
        id: DocumentId::new(clock::now()),
        tenant: "default".to_owned(),
        schema: "invoice@1".parse().unwrap(),
        priority: Priority::Bulk,
        filename: "a.pdf".to_owned(),
        file_type: Format::Pdf.into(),
        size_bytes: 1,
        sha256: content.to_owned(),
        metadata: Map::from_iter([("order".to_owned(), json!("17"))]),
        traceparent: None,
        parent: None,
        depth: 0,
        source: None,
        split: None,
        text: None,
    }
}

pub(super) fn answered() -> CallEnd {
    CallEnd::Answered { tokens_input: 10, tokens_cached: 6, tokens_output: 2, error: None }
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureCode::NoText, Stage::Text, "none")
}
