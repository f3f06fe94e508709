-- The new state of a document, until the queue has confirmed that it was published.
CREATE TABLE events (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  document TEXT NOT NULL,
  schema   TEXT NOT NULL,
  state    TEXT NOT NULL,
  at_ms    INTEGER NOT NULL,
  due_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX events_due ON events (due_ms);
