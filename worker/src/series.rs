//! What the metrics of this crate mean.

use metrics::{Unit, describe_counter, describe_histogram};

/// Tells the recorder what each metric of this crate means. Call it once, when there is one.
pub fn describe_metrics() {
    describe_counter!(
        "sluice_documents_total",
        Unit::Count,
        "Documents that ended, by state and schema; of more than 200 schemas the rest is other"
    );
    describe_histogram!(
        "sluice_document_seconds",
        Unit::Seconds,
        "Where the time of a document with a result went, in seconds, by stage (queued, text, quota, \
         model, total) and priority"
    );
    describe_counter!(
        "sluice_fields_total",
        Unit::Count,
        "Values of results by schema and status of their evidence"
    );
    describe_counter!(
        "sluice_checks_failed_total",
        Unit::Count,
        "Rules of schemas that the values of a result break, by schema"
    );
    describe_counter!(
        "sluice_replayed_calls_total",
        Unit::Count,
        "Questions that a saved reply answered: not paid again"
    );
    describe_counter!(
        "sluice_hedged_calls_total",
        Unit::Count,
        "Second calls that were made because the first was late"
    );
    describe_counter!(
        "sluice_lease_expired_total",
        Unit::Count,
        "Documents whose worker let its lease run out: it died, or lost the database"
    );
    describe_counter!(
        "sluice_dead_letters_total",
        Unit::Count,
        "Messages that the broker delivered too often and that were queued again"
    );
}
