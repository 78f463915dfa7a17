use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use super::PortTls;
use super::greet::greet;

/// The most handshakes at one time, which are not yet counted as connections. Further clients wait in the kernel's queue.
const HANDSHAKES: usize = 128;

/// Gives connections when their handshake is done. A slow client keeps nobody waiting.
pub struct TlsListener {
    tcp: TcpListener,
    tls: watch::Receiver<PortTls>,
    handshakes: JoinSet<Option<TlsStream<TcpStream>>>,
}

impl TlsListener {
    /// Connections begin with what `tls` has at that time.
    pub fn new(tcp: TcpListener, tls: watch::Receiver<PortTls>) -> Self {
        Self { tcp, tls, handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let is_free = self.handshakes.len() < HANDSHAKES;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(stream)) = done
                        && let Ok(peer) = stream.get_ref().0.peer_addr()
                    {
                        return (stream, peer);
                    }
                }
                (stream, _) = Listener::accept(&mut self.tcp), if is_free => {
                    let tls = self.tls.borrow().clone();
                    self.handshakes.spawn(greet(stream, tls));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
