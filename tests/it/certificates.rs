//! Certificates of an authority that only one test knows.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Makes in a folder `ca.crt`, an authority; `server.crt` and `server.key`, its certificate for
/// `localhost`; and `stranger.crt`, an authority that has signed nothing.
pub(crate) fn make(folder: &Path) {
    for authority in ["ca", "stranger"] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.crt"
            ),
        );
    }
    std::fs::write(folder.join("name"), "subjectAltName=DNS:localhost").unwrap();
    openssl(
        folder,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
         -extfile name -out server.crt",
    );
}

fn openssl(folder: &Path, arguments: &str) {
    let mut openssl = Command::new("openssl");
    run(openssl.args(arguments.split_whitespace()).current_dir(folder));
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) {
    // Not piped: a server that is started keeps these open.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
