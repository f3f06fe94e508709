//! One deployment over HTTP: its address, what its headers, errors and answers say, and the call
//! itself.

pub(crate) mod family;
pub(crate) mod image_tokens;
pub(crate) mod address;
pub(crate) mod headers;
pub(crate) mod fault;
pub(crate) mod complaint;
pub(crate) mod classify;
pub(crate) mod tap;
pub(crate) mod entra;
pub(crate) mod transport;
pub(crate) mod typed_client;
