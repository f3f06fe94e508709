-- Times are milliseconds since 1970 on the database's clock.
CREATE TABLE documents (
  id             TEXT PRIMARY KEY,
  tenant         TEXT NOT NULL,
  state          TEXT NOT NULL,
  schema_name    TEXT NOT NULL,
  schema_version INTEGER NOT NULL,
  priority       TEXT NOT NULL,
  filename       TEXT NOT NULL,
  content_type   TEXT NOT NULL,
  size_bytes     INTEGER NOT NULL,
  sha256         TEXT NOT NULL,
  metadata       TEXT NOT NULL,
  pages          INTEGER,
  text_engine    TEXT,
  run            INTEGER NOT NULL DEFAULT 1,
  attempts       INTEGER NOT NULL DEFAULT 0,
  fence          INTEGER NOT NULL DEFAULT 0,
  worker         TEXT,
  lease_until_ms INTEGER,
  due_ms         INTEGER NOT NULL DEFAULT 0,
  rung_ms        INTEGER NOT NULL,
  waiting        TEXT,
  failure        TEXT,
  created_ms     INTEGER NOT NULL,
  queued_ms      INTEGER NOT NULL,
  updated_ms     INTEGER NOT NULL,
  finished_ms    INTEGER,
  deleted_ms     INTEGER,
  purge_ms       INTEGER
) STRICT;
CREATE INDEX documents_open ON documents (state, lease_until_ms) WHERE state IN ('queued', 'processing');
CREATE INDEX documents_state ON documents (state, id);
CREATE INDEX documents_bytes ON documents (tenant, sha256);
CREATE INDEX documents_purge ON documents (purge_ms) WHERE purge_ms IS NOT NULL;

-- A message that the queue has not confirmed yet.
CREATE TABLE outbox (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  document TEXT NOT NULL,
  priority TEXT NOT NULL,
  due_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (due_ms);

-- One row for each question that a model was or will be asked.
CREATE TABLE questions (
  key            TEXT PRIMARY KEY,
  calls          INTEGER NOT NULL DEFAULT 0,
  owner          TEXT,
  owner_fence    INTEGER,
  answered_ms    INTEGER
) STRICT;

-- The ledger: one row for each call of a model, written before it is made.
CREATE TABLE calls (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  question      TEXT NOT NULL,
  label         TEXT NOT NULL,
  document      TEXT NOT NULL,
  run           INTEGER NOT NULL,
  fence         INTEGER NOT NULL,
  deployment    TEXT NOT NULL,
  outcome       TEXT NOT NULL DEFAULT 'open',
  status        INTEGER,
  error         TEXT,
  tokens_input  INTEGER,
  tokens_output INTEGER,
  started_ms    INTEGER NOT NULL,
  ended_ms      INTEGER,
  duration_ms   INTEGER
) STRICT;
CREATE INDEX calls_document ON calls (document, run);
CREATE INDEX calls_question ON calls (question);

CREATE TABLE idempotency (
  tenant      TEXT NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  documents   TEXT NOT NULL,
  created_ms  INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT;

CREATE TABLE schemas (
  name        TEXT NOT NULL,
  version     INTEGER NOT NULL,
  body        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  created_ms  INTEGER NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE workers (
  id      TEXT PRIMARY KEY,
  seen_ms INTEGER NOT NULL
) STRICT;

-- The embedded queue.
CREATE TABLE messages (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  body       TEXT NOT NULL,
  rank       INTEGER NOT NULL,
  visible_ms INTEGER NOT NULL,
  token      TEXT,
  deliveries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX messages_visible ON messages (rank, id);
