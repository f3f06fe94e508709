//! One deployment over HTTP: its address, what its headers and errors say, and the call itself.

pub mod address;
pub(crate) mod headers;
pub(crate) mod classify;
pub(crate) mod transport;
