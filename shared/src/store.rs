//! The database: documents, their leases, the ledger of calls, schemas, the outbox and the fleet.
//!
//! Its verbs are grouped in facets, one file each: `store.work().claim(…)`. A verb is one statement
//! or one transaction on the database's own clock, written once for both databases. The store must
//! know nothing of files, brokers or models.

mod error;
mod value;
mod sql;
pub mod sqlite;
pub mod postgres;
mod db;
mod documents;
mod backlog;
mod purge;
mod work;
mod members;
mod ledger;
mod outbox;
mod events;
mod schemas;
mod fleet;

pub use backlog::{Backlog, Pending, SchemaBacklog, Unfinished};
pub use documents::{
    Accepted, Changed, Documents, Filter, Found, IdempotencyKey, NewDocument, ResultLocation,
    SavedText,
};
pub(crate) use error::DbError;
pub use error::StoreError;
pub use events::{Events, StateChange};
pub use fleet::Fleet;
pub use ledger::{CallEnd, CallLimits, Intent, Ledger, Spent};
pub use members::{Members, NewMember};
pub use outbox::{Outbox, OutboxEntry, Swept};
pub use purge::{Purge, Purges};
pub use schemas::Schemas;
pub(crate) use sql::SQLITE_NOW;
pub use work::Work;

use postgres::PostgresStore;
use sql::Sql;
use sqlite::SqliteStore;
use value::values;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The database, chosen by the configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file.
    Sqlite(SqliteStore),
    /// A server.
    Postgres(PostgresStore),
}

impl Store {
    /// Brings the tables up to date. Safe to run from several processes at once.
    ///
    /// # Errors
    /// When the database does not answer, or a table cannot be made.
    pub async fn migrate(&self) -> Result<()> {
        match self {
            Self::Sqlite(store) => store.migrate().await,
            Self::Postgres(store) => store.migrate().await,
        }
    }

    /// Whether the database answers and has its tables.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> Result<()> {
        static READY: Sql = Sql::new("SELECT id FROM workers LIMIT 1");
        self.query(&READY, values![], |_| Ok(())).await.map(drop)
    }

    /// Documents as the outside sees them: accept, look up, list, change on request.
    pub fn documents(&self) -> Documents<'_> {
        Documents(self)
    }

    /// What waits for a worker, and in which order.
    pub fn backlog(&self) -> Backlog<'_> {
        Backlog(self)
    }

    /// Deleted documents whose bytes are still in storage.
    pub fn purges(&self) -> Purges<'_> {
        Purges(self)
    }

    /// What a worker does with a document: claim, hold, end.
    pub fn work(&self) -> Work<'_> {
        Work(self)
    }

    /// The documents that are made of others.
    pub fn members(&self) -> Members<'_> {
        Members(self)
    }

    /// The calls of models.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger(self)
    }

    /// Messages to workers that the queue has not confirmed yet.
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox(self)
    }

    /// Changes of documents' states that are not published yet.
    pub fn events(&self) -> Events<'_> {
        Events(self)
    }

    /// Schemas by name and version.
    pub fn schemas(&self) -> Schemas<'_> {
        Schemas(self)
    }

    /// The workers that are alive.
    pub fn fleet(&self) -> Fleet<'_> {
        Fleet(self)
    }
}
