//! The addresses of the brokers and our credentials. Only lapin gets the password.

use super::topology;
use crate::{config::Secret, queue::QueueError, trust};
use lapin::{types::Heartbeat, uri::AMQPUri};
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// The interval of heartbeats in seconds, unless the address says otherwise. A connection is lost
/// after twice that.
const HEARTBEAT_SECONDS: Heartbeat = 8;

/// The brokers of one address.
pub(super) struct Brokers {
    hosts: Vec<AMQPUri>,
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brokers").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

impl Brokers {
    /// Reads `amqp://USER:PASSWORD@HOST:PORT,HOST:PORT/VHOST`. No part of it is in the error.
    pub(super) fn read(address: &Secret) -> Result<Self, QueueError> {
        let hosts = hosts(address.expose()).ok_or_else(|| {
            QueueError::new(
                "the address cannot be read: use amqp://USER:PASSWORD@HOST:5672/VHOST, hosts \
                 separated by commas, special characters of name and password as %XX"
                    .to_owned(),
            )
        })?;
        Ok(Self { hosts })
    }

    /// All of them, in random order, so that the connections of many processes spread.
    pub(super) fn shuffled(&self) -> Vec<AMQPUri> {
        let chance = RandomState::new();
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        order.sort_by_key(|index| chance.hash_one(index));
        order.into_iter().filter_map(|index| self.hosts.get(index).cloned()).collect()
    }

    /// A text of the client or the broker, without our password.
    pub(super) fn redacted(&self, text: &str) -> String {
        let password = |uri: &AMQPUri| uri.authority.userinfo.password.clone();
        match self.hosts.first().map(password).filter(|password| !password.is_empty()) {
            Some(password) => text.replace(&password, "***"),
            None => text.to_owned(),
        }
    }

    /// What went wrong, for people.
    pub(super) fn error(&self, doing: &str, error: impl fmt::Display) -> QueueError {
        let text = trust::explained(self.redacted(&format!("cannot {doing}: {error}")));
        let is_lasting = trust::is_refused(&text);
        QueueError { text, is_lasting, is_other_kind: false }
    }

    /// Why a broker did not let us in.
    pub(super) fn refusal(&self, doing: &str, error: &lapin::Error) -> QueueError {
        let known =
            topology::code(error).is_some_and(|code| topology::LOGIN_REFUSED.contains(&code));
        let error = self.error(doing, error);
        QueueError { is_lasting: known || error.is_lasting, ..error }
    }
}

fn hosts(address: &str) -> Option<Vec<AMQPUri>> {
    let (scheme, rest) = address.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let at = if user.is_empty() { "" } else { "@" };
    let host = |host: &str| {
        let mut uri: AMQPUri = format!("{scheme}://{user}{at}{host}{path}").parse().ok()?;
        // The parser takes an IPv6 address for a missing host, and that for localhost.
        let literal = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((literal, _)) = literal {
            uri.authority.host = literal.to_owned();
        }
        // No broker has a virtual host without a name; who writes a bare slash means the default.
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        (!host.is_empty()).then_some(uri)
    };
    hosts.split(',').map(str::trim).map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Vec<String> {
        let shown = |uri: &AMQPUri| {
            let (host, user) = (&uri.authority, &uri.authority.userinfo);
            let (name, password) = (&user.username, &user.password);
            format!("{} {name} {password} {} {} {}", uri.scheme, host.host, host.port, uri.vhost)
        };
        hosts(address).unwrap_or_default().iter().map(shown).collect()
    }

    #[test]
    fn an_address_names_several_hosts() {
        assert_eq!(read("amqp://h"), ["amqp guest guest h 5672 /"]);
        assert_eq!(read("amqp://u:p%40w@h:1/"), ["amqp u p@w h 1 /"]);
        assert_eq!(
            read("amqps://u:p@10.0.0.1:1, h2/v%2fw?heartbeat=5"),
            ["amqps u p 10.0.0.1 1 v/w", "amqps u p h2 5671 v/w"]
        );
        assert_eq!(read("amqp://u:p@[::1]:7/v"), ["amqp u p ::1 7 v"]);
        for wrong in ["amqp://", "amqp://h:x/v", "amqp://a,,b", "http://h", "amqp://u:p/w@h/v"] {
            assert!(read(wrong).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let wrong = Secret::new("amqp://u:canary/w@h:x/v");
        let error = Brokers::read(&wrong).expect_err("not an address").to_string();
        assert!(!error.contains("canary"), "{error}");
        let brokers = Brokers::read(&Secret::new("amqp://u:can%41ry@h,i,j/v")).expect("an address");
        let error = brokers.error("log in", "u:canAry was refused").to_string();
        assert_eq!(error, "queue: cannot log in: u:*** was refused");
        assert!(!format!("{brokers:?}").contains("can"), "{brokers:?}");
        assert_eq!(brokers.shuffled().len(), 3);
    }
}
