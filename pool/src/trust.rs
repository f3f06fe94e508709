//! The message for a server whose certificate is not accepted.
//!
//! It must know nothing of the services: all connections use one library for TLS, and this is how
//! that library says it.

use std::fmt;

/// How the library begins whenever it does not accept a certificate.
const REFUSED: &str = "invalid peer certificate";

const REMEDY: &str = "put the authority that signed it into a PEM file and its path into \
                      SSL_CERT_FILE, and use a host name that the certificate is for";

/// Whether a certificate was not accepted: a retry is useless.
pub fn is_refused(error: &str) -> bool {
    error.contains(REFUSED)
}

/// The error, with the remedy where a certificate was not accepted.
pub fn explained(error: impl fmt::Display) -> String {
    let error = error.to_string();
    if is_refused(&error) && !error.contains(REMEDY) { format!("{error}: {REMEDY}") } else { error }
}
