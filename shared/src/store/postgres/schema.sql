-- Times are milliseconds since 1970 on the database's clock. JSON is text, because the order of its
-- keys counts. Ids and names are compared byte by byte, whatever the language of the database.
CREATE TABLE documents (
  id             TEXT COLLATE "C" PRIMARY KEY,
  tenant         TEXT NOT NULL,
  state          TEXT NOT NULL,
  schema_name    TEXT NOT NULL,
  schema_version BIGINT NOT NULL,
  priority       TEXT NOT NULL,
  filename       TEXT NOT NULL,
  content_type   TEXT NOT NULL,
  size_bytes     BIGINT NOT NULL,
  sha256         TEXT NOT NULL,
  metadata       TEXT NOT NULL,
  pages          BIGINT,
  text_engine    TEXT,
  run            BIGINT NOT NULL DEFAULT 1,
  attempts       BIGINT NOT NULL DEFAULT 0,
  fence          BIGINT NOT NULL DEFAULT 0,
  worker         TEXT,
  lease_until_ms BIGINT,
  due_ms         BIGINT NOT NULL DEFAULT 0,
  rung_ms        BIGINT NOT NULL,
  waiting        TEXT,
  failure        TEXT,
  created_ms     BIGINT NOT NULL,
  queued_ms      BIGINT NOT NULL,
  updated_ms     BIGINT NOT NULL,
  finished_ms    BIGINT,
  deleted_ms     BIGINT,
  purge_ms       BIGINT
);
CREATE INDEX documents_lease ON documents (lease_until_ms) WHERE state = 'processing';
CREATE INDEX documents_rung ON documents (rung_ms) WHERE state IN ('queued', 'processing');
CREATE INDEX documents_state ON documents (state, id);
CREATE INDEX documents_bytes ON documents (tenant, sha256);
CREATE INDEX documents_purge ON documents (purge_ms) WHERE purge_ms IS NOT NULL;

-- A message that the queue has not confirmed yet.
CREATE TABLE outbox (
  id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  document TEXT COLLATE "C" NOT NULL,
  priority TEXT NOT NULL,
  due_ms   BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (due_ms);
CREATE INDEX outbox_document ON outbox (document);

-- One row for each question that a model was or will be asked.
CREATE TABLE questions (
  key         TEXT COLLATE "C" PRIMARY KEY,
  calls       BIGINT NOT NULL DEFAULT 0,
  owner       TEXT COLLATE "C",
  owner_fence BIGINT,
  answered_ms BIGINT
);

-- The ledger: one row for each call of a model, written before it is made.
CREATE TABLE calls (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  question      TEXT COLLATE "C" NOT NULL,
  label         TEXT NOT NULL,
  document      TEXT COLLATE "C" NOT NULL,
  run           BIGINT NOT NULL,
  fence         BIGINT NOT NULL,
  deployment    TEXT NOT NULL,
  outcome       TEXT NOT NULL DEFAULT 'open',
  status        BIGINT,
  error         TEXT,
  tokens_input  BIGINT,
  tokens_output BIGINT,
  started_ms    BIGINT NOT NULL,
  ended_ms      BIGINT,
  duration_ms   BIGINT
);
CREATE INDEX calls_document ON calls (document, run);
CREATE INDEX calls_question ON calls (question);

CREATE TABLE idempotency (
  tenant      TEXT NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  documents   TEXT[] NOT NULL,
  created_ms  BIGINT NOT NULL,
  PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_documents ON idempotency USING gin (documents);

CREATE TABLE schemas (
  name        TEXT COLLATE "C" NOT NULL,
  version     BIGINT NOT NULL,
  body        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  created_ms  BIGINT NOT NULL,
  PRIMARY KEY (name, version)
);

CREATE TABLE workers (
  id      TEXT PRIMARY KEY,
  seen_ms BIGINT NOT NULL
);
