//! Takes documents in over HTTP and shows their results. The database decides: nothing here
//! waits for a worker except long-polls, which look at the rows. A module uses only modules
//! listed above it.

mod series;
mod limits;
mod ingest;
mod unlock;
mod accept;
mod error;
mod http;

pub use http::{operations, router, serve};
pub use limits::Limits;
pub use series::describe_metrics;
