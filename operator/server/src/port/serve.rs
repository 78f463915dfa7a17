use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use operator_core::session::MAX_MEMBERS;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use crate::cluster::Ends;

/// How often it is said that there are too many connections.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What clients may take of a port that anybody may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most connections at one time; the newest beyond them are closed.
    pub connections: usize,
    /// The longest from the beginning of a connection, or the end of an answer, to the end of the next request's head.
    pub head: Duration,
}

impl Bounds {
    /// Of a process that may have so many file descriptors open: three quarters of them, as files and clients of listeners need
    /// some, and no more than two for each worker that a leader may have. 10 s for a head.
    pub fn of(descriptors: Option<usize>) -> Self {
        let most = 2 * MAX_MEMBERS;
        let share = descriptors.map_or(most, |descriptors| descriptors / 4 * 3);
        Self { connections: share.clamp(1, most), head: Duration::from_secs(10) }
    }
}

/// A connection that knows where it begins and how it is guarded.
pub trait HasEnds {
    fn ends(&self, peer: SocketAddr) -> Ends;
}

impl HasEnds for TcpStream {
    fn ends(&self, peer: SocketAddr) -> Ends {
        Ends::in_clear_text(peer, self.local_addr().ok())
    }
}

impl HasEnds for TlsStream<TcpStream> {
    fn ends(&self, peer: SocketAddr) -> Ends {
        let (tcp, session) = self.get_ref();
        let is_certified = session.peer_certificates().is_some_and(|chain| !chain.is_empty());
        Ends::inside_tls(peer, tcp.local_addr().ok(), is_certified)
    }
}

/// Serves by HTTP/1 until `stop` is done, and then until open requests have ended.
pub async fn serve<L>(mut listener: L, router: Router, bounds: Bounds, stop: impl Future<Output = ()>)
where
    L: Listener<Addr = SocketAddr>,
    L::Io: HasEnds,
{
    let (stopping, stopped) = watch::channel(false);
    let (mut connections, mut warning, mut stop) = (JoinSet::new(), Warning::default(), pin!(stop));
    loop {
        tokio::select! {
            (stream, peer) = listener.accept() => {
                while connections.try_join_next().is_some() {}
                if connections.len() < bounds.connections {
                    let ends = stream.ends(peer);
                    connections.spawn(connection(stream, ends, router.clone(), bounds.head, stopped.clone()));
                } else if warning.is_due(Instant::now()) {
                    let most = bounds.connections;
                    tracing::warn!(most, %peer, "a connection to the admin port is closed: there are too many");
                }
            }
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    stopping.send_replace(true);
    while connections.join_next().await.is_some() {}
}

async fn connection<S>(
    stream: S,
    ends: Ends,
    router: Router,
    head: Duration,
    mut stopped: watch::Receiver<bool>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(ends));
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await.map_err(|never: Infallible| never) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Whatever ends a connection early is the client's affair.
        _ = serving.as_mut() => return,
        _ = stopped.wait_for(|is_stopping| *is_stopping) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

/// Says the same not too often.
#[derive(Default)]
struct Warning {
    said: Option<Instant>,
}

impl Warning {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_EVERY);
        if is_due {
            self.said = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_part_of_the_descriptors() {
        let most = |descriptors| Bounds::of(descriptors).connections;
        assert_eq!(most(Some(1024)), 768);
        assert_eq!((most(Some(1 << 20)), most(None)), (32_768, 32_768));
        assert_eq!(most(Some(0)), 1);
    }

    #[test]
    fn the_same_is_said_once_a_minute() {
        let (mut warning, start) = (Warning::default(), Instant::now());
        let said =
            [0, 1, 59, 60, 61, 119, 120].map(|second| warning.is_due(start + Duration::from_secs(second)));
        assert_eq!(said, [true, false, false, true, false, false, true]);
    }
}
