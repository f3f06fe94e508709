-- The trace that began with the upload of a document.
ALTER TABLE documents ADD COLUMN traceparent TEXT;
-- Whether an earlier change of the same document is still being published.
CREATE INDEX events_document ON events (document, id);
