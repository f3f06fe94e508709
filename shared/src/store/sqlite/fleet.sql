-- What a worker says of itself, for as long as it lives. A table of its own: an older program that
-- still runs writes whole rows of the table of workers.
CREATE TABLE worker_reports (
  worker   TEXT PRIMARY KEY,
  until_ms INTEGER NOT NULL,
  body     TEXT NOT NULL
) STRICT;

-- The order in which documents are served.
CREATE INDEX documents_backlog ON documents (priority, queued_ms, id)
  WHERE state = 'queued' AND deleted_ms IS NULL;
