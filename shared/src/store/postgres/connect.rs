//! From the address of a server to a pool of connections: what libpq understands, with time-outs.
//!
//! Its messages say what to do and never repeat a part of the address: that may be a password.

use super::tls::{Roots, Tls};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::time::Duration;
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode},
};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

/// Connections of one process.
const CONNECTIONS_MAX: usize = 10;

/// How long a verb waits for a connection that others use.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long it may take to connect to one host, unless the address says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to get a new connection: every host, TLS and the password.
const CREATE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection that was idle may take to show that it lives. One that does not is
/// replaced, so that a server that went away without a word costs this once.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long data may stay unacknowledged by the other side's system before a connection is dead.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);

/// Limits that the server enforces although this process may be gone; and no notices, which would
/// fill the log. (Not in the connection's start-up options, which connection poolers refuse.)
const SESSION: &str = "SET client_min_messages = 'warning';
    SET statement_timeout = '30s';
    SET lock_timeout = '20s';
    SET idle_in_transaction_session_timeout = '30s'";

const REMEDY: &str = "use postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, and \
    write characters such as @ : / ? # % in the user or the password as %40 %3A %2F %3F %23 %25";

const OPTIONS: [&str; 17] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "user",
];

/// A pool that connects to this address when it is first asked.
pub(super) fn pool(address: &str) -> Result<Pool, String> {
    let (config, tls) = parse(address)?;
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Verified };
    let manager = match tls.client()? {
        Some(client) => Manager::from_config(config, MakeRustlsConnect::new(client), manager),
        None => Manager::from_config(config, NoTls, manager),
    };
    let session = Hook::async_fn(|connection: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { connection.batch_execute(SESSION).await.map_err(HookError::Backend) })
    });
    let builder = Pool::builder(manager)
        .runtime(Runtime::Tokio1)
        .max_size(CONNECTIONS_MAX)
        .wait_timeout(Some(WAIT_TIMEOUT))
        .create_timeout(Some(CREATE_TIMEOUT))
        .recycle_timeout(Some(RECYCLE_TIMEOUT))
        .post_create(session);
    builder.build().map_err(|error| error.to_string())
}

/// The driver knows three of libpq's modes and no file of roots: these two are ours.
fn parse(address: &str) -> Result<(Config, Tls), String> {
    let (base, query) = address.split_once('?').unwrap_or((address, ""));
    if base.matches('@').count() > 1 {
        return Err(format!("the address has more than one @: {REMEDY}"));
    }
    let (mut mode, mut roots, mut rest) = (None, None, String::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sslmode" => mode = Some(value),
            "sslrootcert" => roots = Some(decoded(value)?),
            _ if OPTIONS.contains(&name) => {
                rest.push(if rest.is_empty() { '?' } else { '&' });
                rest.push_str(pair);
            }
            _ => {
                return Err(format!(
                    "an option of the address is not known: use sslmode, sslrootcert, {}; or, if \
                     it is no option: {REMEDY}",
                    OPTIONS.join(", ")
                ));
            }
        }
    }
    let roots = roots.map(|file| match file.as_str() {
        "system" => Roots::System,
        file => Roots::File(file.into()),
    });
    let config = format!("{base}{rest}").parse();
    let mut config: Config =
        config.map_err(|_| format!("the address cannot be understood: {REMEDY}"))?;
    let is_local = |host: &Host| !matches!(host, Host::Tcp(_));
    let tls = match (mode.unwrap_or("prefer"), roots) {
        // A socket in the file system needs no TLS, and libpq does not ask for it either.
        _ if !config.get_hosts().is_empty() && config.get_hosts().iter().all(is_local) => Tls::Off,
        ("disable", _) => Tls::Off,
        ("prefer", _) | ("require", None) => Tls::Unverified,
        // As libpq does: roots that are given are used.
        ("require", Some(roots)) => Tls::Authority(roots),
        ("verify-ca", roots) => Tls::Authority(roots.unwrap_or(Roots::System)),
        ("verify-full", roots) => Tls::AuthorityAndName(roots.unwrap_or(Roots::System)),
        _ => {
            return Err("sslmode is not known: use disable, prefer, require, verify-ca or \
                        verify-full"
                .to_owned());
        }
    };
    config.ssl_mode(match (&tls, mode) {
        (Tls::Off, _) => SslMode::Disable,
        (Tls::Unverified, None | Some("prefer")) => SslMode::Prefer,
        _ => SslMode::Require,
    });
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT).keepalives_idle(UNACKNOWLEDGED_TIMEOUT);
    if config.get_application_name().is_none() {
        config.application_name("sluice");
    }
    Ok((config, tls))
}

/// A value with its %-escapes undone.
fn decoded(value: &str) -> Result<String, String> {
    let wrong = || "sslrootcert has a wrong %-escape: write % as %25".to_owned();
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::{Roots, SslMode, Tls, parse};

    #[test]
    fn the_modes_of_libpq_are_understood() {
        let check = |options: &str, mode: SslMode, tls: Tls| {
            let (config, found) = parse(&format!("postgres://u:p@h:1,i:2/d{options}")).unwrap();
            assert_eq!((config.get_ssl_mode(), found), (mode, tls), "{options}");
            assert_eq!((config.get_hosts().len(), config.get_ports()), (2, &[1, 2][..]));
        };
        let file = || Roots::File("/a b".into());
        check("", SslMode::Prefer, Tls::Unverified);
        check("?sslmode=disable", SslMode::Disable, Tls::Off);
        check("?sslmode=prefer&connect_timeout=2", SslMode::Prefer, Tls::Unverified);
        check("?connect_timeout=2&sslmode=require", SslMode::Require, Tls::Unverified);
        check("?sslmode=require&sslrootcert=/a%20b", SslMode::Require, Tls::Authority(file()));
        check("?sslmode=verify-ca&sslrootcert=/a b", SslMode::Require, Tls::Authority(file()));
        check("?sslmode=verify-full", SslMode::Require, Tls::AuthorityAndName(Roots::System));
        check(
            "?sslrootcert=system&sslmode=verify-full",
            SslMode::Require,
            Tls::AuthorityAndName(Roots::System),
        );
    }

    #[test]
    fn a_socket_in_the_file_system_needs_no_tls() {
        let (config, tls) = parse("postgres:///d?host=/run/postgresql&sslmode=require").unwrap();
        assert_eq!((config.get_ssl_mode(), tls), (SslMode::Disable, Tls::Off));
    }

    #[test]
    fn a_message_names_the_remedy_and_never_a_part_of_the_address() {
        for (address, remedy) in [
            ("postgres://u:canary@canary@h/d", "%40"),
            ("postgres://u:p?canary@h/d", "%3F"),
            ("postgres://u:p@h:canary/d", "postgres://USER:PASSWORD@HOST:5432/DATABASE"),
            ("postgres://u:p@h/d?canary=1", "sslrootcert"),
            ("postgres://u:p@h/d?password", "postgres://USER"),
            ("postgres://u:p@h/d?sslmode=canary", "verify-full"),
            ("postgres://u:p@h/d?sslmode=require&sslrootcert=canary%", "%25"),
            ("postgres://u:p@h/d?port=canary", "postgres://USER"),
        ] {
            let message = parse(address).map(drop).unwrap_err();
            assert!(message.contains(remedy), "{address}: {message}");
            assert!(!message.contains("canary"), "{address}: {message}");
        }
    }
}
