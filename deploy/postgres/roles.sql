-- What each role may do in Sluice's database, and nothing more. Run it as the owner of the tables,
-- after `sluice migrate`, and again after every upgrade: it changes nothing that is already so.
--
-- uploader: accepts, shows, changes on request, and publishes outbox entries and events.
GRANT SELECT, INSERT, UPDATE ON documents TO sluice_uploader;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, events, idempotency TO sluice_uploader;
GRANT SELECT, UPDATE, DELETE ON questions TO sluice_uploader;
GRANT SELECT, UPDATE ON calls TO sluice_uploader;
GRANT SELECT, INSERT ON schemas TO sluice_uploader;
GRANT SELECT ON workers, worker_reports TO sluice_uploader;

-- worker: takes documents, keeps the ledger of calls, sweeps, and relays, too.
GRANT SELECT, UPDATE ON documents TO sluice_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, events, questions, workers, worker_reports
  TO sluice_worker;
GRANT SELECT, INSERT, UPDATE ON calls TO sluice_worker;
GRANT SELECT, INSERT ON schemas TO sluice_worker;
