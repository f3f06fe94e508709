-- When the last outbox entry of a document is or was due.
ALTER TABLE documents RENAME COLUMN rung_ms TO enqueued_ms;
ALTER INDEX documents_rung RENAME TO documents_enqueued;
ALTER TABLE workers RENAME COLUMN seen_ms TO heartbeat_ms;

-- The key of the upload, to find it again when its document is deleted.
ALTER TABLE documents ADD COLUMN idempotency_key TEXT;
UPDATE documents SET idempotency_key = idempotency.key FROM idempotency
  WHERE documents.tenant = idempotency.tenant AND documents.id = ANY (idempotency.documents);

-- The list of documents is JSON, as on the other engine.
DROP INDEX idempotency_documents;
ALTER TABLE idempotency ALTER COLUMN documents TYPE TEXT USING array_to_json(documents)::text;
