-- Documents that are made of a document: what it was made of, what of that (JSON), and how deep. The
-- file of such a document may be kept under another name (source).
ALTER TABLE documents ADD COLUMN parent TEXT;
ALTER TABLE documents ADD COLUMN part TEXT;
ALTER TABLE documents ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN source TEXT;
CREATE INDEX documents_parent ON documents (parent, id) WHERE parent IS NOT NULL;
-- What the upload asks for where a file holds several documents, and what is said of a split one.
ALTER TABLE documents ADD COLUMN split TEXT;
ALTER TABLE documents ADD COLUMN warnings TEXT;
-- The file opens only with a password, which is not kept: its text was saved when it was accepted.
ALTER TABLE documents ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;
-- Pages about which there is an answer.
ALTER TABLE documents ADD COLUMN pages_done INTEGER;
-- Tokens of the question that the provider's cache had.
ALTER TABLE calls ADD COLUMN tokens_cached INTEGER;
