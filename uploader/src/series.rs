//! What the metrics of this crate mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Tells the recorder what each metric of this crate means. Call it once, when there is one.
pub fn describe_metrics() {
    describe_counter!(
        "sluice_http_requests_total",
        Unit::Count,
        "Requests that were answered, by route and status"
    );
    describe_histogram!(
        "sluice_http_request_seconds",
        Unit::Seconds,
        "Time from the head of a request to the head of its answer, in seconds, by route; long polls \
         included"
    );
    describe_counter!("sluice_upload_bytes_total", Unit::Bytes, "Bytes of uploaded files");
    describe_gauge!(
        "process_resident_memory_bytes",
        Unit::Bytes,
        "Memory that this process holds, in bytes; its text children not included"
    );
    for (name, help) in FLEET {
        let help =
            format!("{help}; every uploader shows the same: over processes use max, never sum");
        describe_gauge!(name, help);
    }
}

/// What is read from the database when metrics are asked for.
const FLEET: [(&str, &str); 7] = [
    ("sluice_queue_depth", "Documents that wait for a worker"),
    ("sluice_in_flight", "Documents in the hands of workers"),
    ("sluice_waiting", "Documents that wait, in the queue or in work, by reason"),
    ("sluice_workers", "Workers that are alive"),
    (
        "sluice_workers_wanted",
        "Workers that backlog and quota keep busy: 0 where nothing is due, never more than the quota \
         feeds",
    ),
    (
        "sluice_outbox_oldest_seconds",
        "Age of the oldest due message that the queue has not confirmed, in seconds; 0 without any",
    ),
    (
        "sluice_events_oldest_seconds",
        "Age of the oldest change of a state that is not published yet, in seconds; 0 without any",
    ),
];
