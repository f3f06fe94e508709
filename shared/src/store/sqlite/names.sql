-- When the last outbox entry of a document is or was due.
ALTER TABLE documents RENAME COLUMN rung_ms TO enqueued_ms;
ALTER TABLE workers RENAME COLUMN seen_ms TO heartbeat_ms;

-- The key of the upload, to find it again when its document is deleted.
ALTER TABLE documents ADD COLUMN idempotency_key TEXT;
UPDATE documents SET idempotency_key = (
  SELECT idempotency.key FROM idempotency, json_each(idempotency.documents) AS listed
  WHERE listed.value = documents.id AND idempotency.tenant = documents.tenant);
