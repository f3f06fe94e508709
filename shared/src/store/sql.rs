//! Statements in one text for both databases.
//!
//! Values are `$1`, `$2` and so on. What the dialects write differently is a name in braces:
//!
//! | in the text | is |
//! | --- | --- |
//! | `{now}` | the database's clock, in milliseconds since 1970 |
//! | `{now_once}` | the same where an index is searched with it: read once, not for every row |
//! | `{lock}`, `{skip_locked}` | row locks of Postgres; a transaction of SQLite has the whole file |
//! | `{json}` | the cast from text to JSON |
//! | `{elements}` | the function that gives the elements of a JSON list as rows with a `value` |

use std::{
    borrow::Cow,
    sync::{LazyLock, OnceLock},
};

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// The name in the text, and what it is on SQLite and on Postgres. (SQLite before 3.42 gives NULL
/// for `subsec`, and every worker would claim everything: the library is bundled for that reason.
/// Postgres's `now()` is when the transaction began; it may have waited for a lock since.)
const WORDS: [(&str, &str, &str); 6] = [
    ("{now}", SQLITE_NOW, POSTGRES_NOW),
    ("{now_once}", SQLITE_NOW, "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"),
    ("{lock}", "", "FOR UPDATE"),
    ("{skip_locked}", "", "FOR UPDATE SKIP LOCKED"),
    ("{json}", "", "::json"),
    ("{elements}", "json_each", "json_array_elements_text"),
];

/// The clock of SQLite.
pub(crate) const SQLITE_NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

const POSTGRES_NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

fn translate(text: &str, dialect: Dialect) -> String {
    let translated = WORDS.iter().fold(text.to_owned(), |text, (word, sqlite, postgres)| {
        text.replace(word, if dialect == Dialect::Sqlite { sqlite } else { postgres })
    });
    // SQLite numbers `?1`; it would take `$1` for a name and number it by its first place.
    if dialect == Dialect::Sqlite { translated.replace('$', "?") } else { translated }
}

/// One statement.
pub(super) struct Sql {
    text: Cow<'static, str>,
    is_cached: bool,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Sql {
    /// A statement that is prepared once for each connection.
    pub(super) const fn new(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            is_cached: true,
            sqlite: OnceLock::new(),
            postgres: OnceLock::new(),
        }
    }

    /// A statement of which there are too many to keep them prepared.
    pub(super) fn uncached(text: String) -> Self {
        Self { text: Cow::Owned(text), is_cached: false, ..Self::new("") }
    }

    pub(super) fn is_cached(&self) -> bool {
        self.is_cached
    }

    /// The text for this database.
    pub(super) fn text(&self, dialect: Dialect) -> &str {
        let text = match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        };
        text.get_or_init(|| translate(&self.text, dialect))
    }
}

/// A statement that inserts or updates documents, with what must be written in the same
/// transaction: an event for the new state, an outbox entry for a worker.
///
/// Postgres does all of it in one statement and one round trip. SQLite has no statement that
/// changes two tables, so it runs one after the other.
pub(super) struct Change {
    change: Sql,
    columns: &'static str,
    pub(super) has_event: bool,
    pub(super) has_entry: bool,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Change {
    /// An INSERT or UPDATE of documents, without RETURNING. It gives `columns` of the changed
    /// rows, of which the first must be the id.
    pub(super) const fn new(change: &'static str, columns: &'static str) -> Self {
        Self {
            change: Sql::new(change),
            columns,
            has_event: false,
            has_entry: false,
            sqlite: OnceLock::new(),
            postgres: OnceLock::new(),
        }
    }

    /// Writes an event for each changed document.
    pub(super) const fn with_event(mut self) -> Self {
        self.has_event = true;
        self
    }

    /// Writes an outbox entry for each changed document, due when the document is.
    pub(super) const fn with_entry(mut self) -> Self {
        self.has_entry = true;
        self
    }

    /// On SQLite: the change alone. Event and entry follow.
    pub(super) fn sqlite(&self) -> &str {
        let text = || {
            let change = self.change.text(Dialect::Sqlite);
            format!("{change} RETURNING {}", self.columns)
        };
        self.sqlite.get_or_init(text)
    }

    /// On Postgres: all in one statement.
    pub(super) fn postgres(&self) -> &str {
        let text = || {
            let change = self.change.text(Dialect::Postgres);
            let mut text = format!("WITH changed AS ({change} RETURNING *)");
            if self.has_event {
                text.push_str(&format!(", event AS ({INSERT_EVENT} FROM changed)"));
            }
            if self.has_entry {
                text.push_str(&format!(", entry AS ({INSERT_ENTRY} FROM changed)"));
            }
            format!("{text} SELECT {} FROM changed", self.columns)
        };
        self.postgres.get_or_init(text)
    }
}

const INSERT_EVENT: &str = "INSERT INTO events (document, schema, state, at_ms, due_ms)
    SELECT id, schema_name || '@' || schema_version, state, updated_ms, updated_ms";

const INSERT_ENTRY: &str = "INSERT INTO outbox (document, priority, due_ms)
    SELECT id, priority, CASE WHEN due_ms > updated_ms THEN due_ms ELSE updated_ms END";

/// The event of document `?1` on SQLite.
pub(super) fn event_of_one() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| format!("{INSERT_EVENT} FROM documents WHERE id = ?1"));
    &TEXT
}

/// The outbox entry of document `?1` on SQLite.
pub(super) fn entry_of_one() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| format!("{INSERT_ENTRY} FROM documents WHERE id = ?1"));
    &TEXT
}
