use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use operator_core::session::Reach;
use tokio::net::TcpListener;

/// Where a connection begins and ends. Whoever serves the endpoints gives it along, by
/// `into_make_service_with_connect_info::<Ends>()`; without it no private key is sent.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    peer: SocketAddr,
    local: Option<SocketAddr>,
}

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self { peer: *stream.remote_addr(), local: stream.io().local_addr().ok() }
    }
}

/// What may be sent to whoever asks.
pub(super) struct Reached(pub(super) Reach);

/// What a proxy on this machine adds, behind which the client may be anywhere.
const FORWARDING: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

impl Reached {
    fn of(ends: Option<Ends>, headers: &HeaderMap) -> Reach {
        let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        let Some(Ends { peer, local: Some(local) }) = ends else { return Reach::Network };
        let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
        if is_here(peer) && is_here(local) && !is_forwarded { Reach::Machine } else { Reach::Network }
    }
}

impl<S: Sync> FromRequestParts<S> for Reached {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let ends = parts.extensions.get::<ConnectInfo<Ends>>().map(|ConnectInfo(ends)| *ends);
        Ok(Self(Self::of(ends, &parts.headers)))
    }
}

/// Who asks, as far as the connection tells: behind a proxy it is that one.
pub(super) struct Peer(pub(super) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let ends = parts.extensions.get::<ConnectInfo<Ends>>();
        Ok(Self(ends.map(|ConnectInfo(ends)| ends.peer.ip().to_canonical())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(peer: &str, local: &str) -> Option<Ends> {
        Some(Ends { peer: peer.parse().unwrap(), local: Some(local.parse().unwrap()) })
    }

    #[test]
    fn only_loopback_on_both_ends_stays_in_the_machine() {
        let none = HeaderMap::new();
        for (peer, local, reach) in [
            ("127.0.0.1:50000", "127.0.0.1:9000", Reach::Machine),
            ("[::1]:50000", "[::1]:9000", Reach::Machine),
            ("[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:9000", Reach::Machine),
            ("10.0.0.7:50000", "10.0.0.1:9000", Reach::Network),
            ("127.0.0.1:50000", "10.0.0.1:9000", Reach::Network),
            ("10.0.0.7:50000", "127.0.0.1:9000", Reach::Network),
        ] {
            assert_eq!(Reached::of(ends(peer, local), &none), reach, "{peer} {local}");
        }
        assert_eq!(Reached::of(None, &none), Reach::Network, "nobody said");
    }

    #[test]
    fn a_proxy_on_this_machine_gets_no_secrets() {
        for name in FORWARDING {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), "x".parse().unwrap())]);
            let reach = Reached::of(ends("127.0.0.1:5", "127.0.0.1:9000"), &headers);
            assert_eq!(reach, Reach::Network, "{name}");
        }
    }
}
