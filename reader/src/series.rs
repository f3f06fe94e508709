//! What the metrics of this crate mean.

use metrics::{Unit, describe_counter, describe_histogram};

/// Tells the recorder what each metric of this crate means. Call it once, when there is one.
pub fn describe_metrics() {
    describe_histogram!(
        "sluice_text_seconds",
        Unit::Seconds,
        "Time to read a file, the wait for a child process included, in seconds, by engine"
    );
    describe_histogram!(
        "sluice_ocr_seconds",
        Unit::Seconds,
        "Time to read a page by OCR, in seconds"
    );
    describe_counter!(
        "sluice_text_failures_total",
        Unit::Count,
        "Files that could not be read, by reason"
    );
}
