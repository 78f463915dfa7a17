use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use operator_core::session::Reach;

/// Where a connection begins and ends, and how it is guarded. [`crate::port::serve`] gives it along with each request; without it no
/// private key is sent.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    peer: SocketAddr,
    local: Option<SocketAddr>,
    /// Inside TLS that ends here.
    is_tls: bool,
    /// There the client showed a certificate that is signed by one of the authorities.
    is_certified: bool,
}

impl Ends {
    pub(crate) const fn in_clear_text(peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        Self { peer, local, is_tls: false, is_certified: false }
    }

    pub(crate) const fn inside_tls(peer: SocketAddr, local: Option<SocketAddr>, is_certified: bool) -> Self {
        Self { peer, local, is_tls: true, is_certified }
    }

    /// Those that the server of a request gave along.
    fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<ConnectInfo<Self>>().map(|ConnectInfo(ends)| *ends)
    }

    /// Whether the client showed a good certificate.
    pub(super) fn are_certified(extensions: &Extensions) -> bool {
        Self::of(extensions).is_some_and(|ends| ends.is_certified)
    }
}

/// What may be sent to whoever asks.
pub(super) struct Reached(pub(super) Reach);

/// The header of a worker that calls by a URL of this machine. What arrives by loopback without it may come from a proxy here
/// that adds nothing to requests, which a worker anywhere calls.
pub(super) const CALL: &str = "komainu-worker-call";

/// Its value.
const LOOPBACK: &str = "loopback";

/// What a proxy adds, behind which the client may be anywhere, and be called in clear text.
const FORWARDING: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

impl Reached {
    fn of(ends: Option<Ends>, headers: &HeaderMap) -> Reach {
        let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
        let is_call_here = headers.get(CALL).is_some_and(|value| value == LOOPBACK);
        let is_private = ends.is_some_and(|Ends { peer, local, is_tls, .. }| {
            is_tls || (is_call_here && is_here(peer) && local.is_some_and(is_here))
        });
        if is_private && !is_forwarded { Reach::Machine } else { Reach::Network }
    }
}

impl<S: Sync> FromRequestParts<S> for Reached {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Self::of(Ends::of(&parts.extensions), &parts.headers)))
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
        let (peer, local) = (peer.parse().unwrap(), Some(local.parse().unwrap()));
        Some(Ends { peer, local, is_tls: false, is_certified: false })
    }

    fn call_here() -> HeaderMap {
        HeaderMap::from_iter([(CALL.parse().unwrap(), LOOPBACK.parse().unwrap())])
    }

    #[test]
    fn only_loopback_on_both_ends_stays_in_the_machine() {
        let here = call_here();
        for (peer, local, reach) in [
            ("127.0.0.1:50000", "127.0.0.1:9000", Reach::Machine),
            ("[::1]:50000", "[::1]:9000", Reach::Machine),
            ("[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:9000", Reach::Machine),
            ("10.0.0.7:50000", "10.0.0.1:9000", Reach::Network),
            ("127.0.0.1:50000", "10.0.0.1:9000", Reach::Network),
            ("10.0.0.7:50000", "127.0.0.1:9000", Reach::Network),
        ] {
            assert_eq!(Reached::of(ends(peer, local), &here), reach, "{peer} {local}");
        }
        assert_eq!(Reached::of(None, &here), Reach::Network, "nobody said");
    }

    #[test]
    fn a_worker_that_doesnt_call_this_machine_is_behind_a_proxy() {
        for value in [None, Some(""), Some("network")] {
            let headers = value.map(|value| (CALL.parse().unwrap(), value.parse().unwrap()));
            let headers = HeaderMap::from_iter(headers);
            let reach = Reached::of(ends("127.0.0.1:5", "127.0.0.1:9000"), &headers);
            assert_eq!(reach, Reach::Network, "{value:?}");
        }
    }

    #[test]
    fn tls_that_ends_here_is_read_by_nobody_else_wherever_the_worker_is() {
        let (peer, local) = ("10.0.0.7:50000".parse().unwrap(), Some("10.0.0.1:9000".parse().unwrap()));
        let ends = Some(Ends::inside_tls(peer, local, false));
        assert_eq!(Reached::of(ends, &HeaderMap::new()), Reach::Machine);
        let headers = HeaderMap::from_iter([("via".parse().unwrap(), "1.1 proxy".parse().unwrap())]);
        assert_eq!(Reached::of(ends, &headers), Reach::Network, "nobody knows how the proxy was called");
    }

    #[test]
    fn a_proxy_on_this_machine_gets_no_secrets() {
        for name in FORWARDING {
            let mut headers = call_here();
            headers.insert(name, "x".parse().unwrap());
            let reach = Reached::of(ends("127.0.0.1:5", "127.0.0.1:9000"), &headers);
            assert_eq!(reach, Reach::Network, "{name}");
        }
    }
}
