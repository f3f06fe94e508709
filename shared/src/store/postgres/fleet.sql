-- What a worker says of itself, for as long as it lives. A table of its own, as on the other
-- engine.
CREATE TABLE worker_reports (
  worker   TEXT PRIMARY KEY,
  until_ms BIGINT NOT NULL,
  body     TEXT NOT NULL
);

-- The order in which documents are served.
CREATE INDEX documents_backlog ON documents (priority, queued_ms, id)
  WHERE state = 'queued' AND deleted_ms IS NULL;
