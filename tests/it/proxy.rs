//! A TCP proxy that misbehaves when it is told to: the wire between Sluice and a service.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How the wire behaves, for connections that are open as well as for new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As it should.
    Pass,
    /// Connections are closed at once.
    Cut,
    /// Nothing arrives any more, and nothing says so.
    Hang,
    /// What the client sends arrives; what the service sends is kept back until the wire changes.
    HoldAnswers,
    /// HTTP: every connection is answered with 503 and closed.
    Unavailable,
    /// What the service sends is cut off after so many bytes of each connection.
    CutAfter(usize),
}

/// A running proxy; it ends with the test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: watch::Sender<Wire>,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// In front of a service at `target`, for example `127.0.0.1:5432`.
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, follow) = watch::channel(Wire::Pass);
        let target = target.to_owned();
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let record = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), follow.clone(), Arc::clone(&record)));
            }
        });
        Self { address, wire, sent }
    }

    /// All that clients have sent so far.
    pub(crate) fn sent(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned()
    }

    /// Changes how the wire behaves.
    pub(crate) fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn carry(
    mut client: TcpStream,
    target: String,
    mut wire: watch::Receiver<Wire>,
    record: Arc<Mutex<Vec<u8>>>,
) {
    let first = *wire.borrow_and_update();
    match first {
        Wire::Cut => return,
        Wire::Unavailable => return refuse(&mut client).await,
        _ => {}
    }
    let Ok(mut server) = TcpStream::connect(&target).await else { return };
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    let mut sent = 0;
    loop {
        let now = *wire.borrow_and_update();
        let flows = now != Wire::Hang;
        tokio::select! {
            changed = wire.changed() => {
                let now = *wire.borrow_and_update();
                match now {
                    _ if changed.is_err() => return,
                    Wire::Cut => return,
                    Wire::Unavailable => return refuse(&mut client).await,
                    _ => {}
                }
            }
            read = client.read(&mut from_client), if flows => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    record.lock().unwrap().extend_from_slice(&from_client[..n]);
                    if server.write_all(&from_client[..n]).await.is_err() { return }
                }
            },
            read = server.read(&mut from_server), if flows && now != Wire::HoldAnswers => match read {
                Ok(0) | Err(_) => return,
                Ok(mut n) => {
                    let is_last = matches!(now, Wire::CutAfter(most) if sent + n > most);
                    if let Wire::CutAfter(most) = now {
                        n = n.min(most.saturating_sub(sent));
                    }
                    sent += n;
                    if client.write_all(&from_server[..n]).await.is_err() || is_last { return }
                }
            },
        }
    }
}

async fn refuse(client: &mut TcpStream) {
    let mut request = [0; 4096];
    let _ = client.read(&mut request).await;
    let answer =
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
    // Closed with the rest of the request unread, the connection would be reset, and the answer lost.
    while client.read(&mut request).await.is_ok_and(|length| length > 0) {}
}
