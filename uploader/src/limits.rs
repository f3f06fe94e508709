//! What an upload may weigh. It must know nothing of how the limits are kept.

use shared::config::Config;

/// The limits of what is taken in. Each is the most that is still accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub size_bytes_max: u64,
    /// The most files of one request.
    pub files_max: u32,
    /// The most metadata of a document, in bytes of JSON.
    pub metadata_bytes_max: u64,
    /// The longest schema, in bytes of JSON.
    pub schema_bytes_max: u64,
    /// The most documents that wait before uploads are refused for now.
    pub queue_length_max: u64,
}

impl Default for Limits {
    /// 100 MiB a file, 100 files, 16 KiB of metadata, 256 KiB of schema, a million in the queue.
    fn default() -> Self {
        Self {
            size_bytes_max: 104_857_600,
            files_max: 100,
            metadata_bytes_max: 16_384,
            schema_bytes_max: 262_144,
            queue_length_max: 1_000_000,
        }
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            size_bytes_max: limits.size_bytes_max,
            files_max: limits.files_max,
            metadata_bytes_max: limits.metadata_bytes_max,
            schema_bytes_max: limits.schema_bytes_max,
            queue_length_max: limits.queue_length_max,
        }
    }
}
