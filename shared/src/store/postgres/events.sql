-- The new state of a document, until the queue has confirmed that it was published.
CREATE TABLE events (
  id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  document TEXT COLLATE "C" NOT NULL,
  schema   TEXT NOT NULL,
  state    TEXT NOT NULL,
  at_ms    BIGINT NOT NULL,
  due_ms   BIGINT NOT NULL
);
CREATE INDEX events_due ON events (due_ms);
