//! The only reader of the system's time of day. Decisions take the time as an
//! argument; leases and due times are kept on the database's clock alone.

use jiff::Timestamp;

/// The time of day, for ids and for what people read.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else must use")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
