//! The way to a target through a forward proxy: CONNECT (RFC 9110 section 9.3.6), or SOCKS5 (RFC 1928 and RFC 1929).

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use dataplane_core::ForwardProxy;
use dataplane_snapshot::wire::ProxyProtocol;

use super::{Transport, connect_request, socks};
use crate::Reason;
use crate::http1::response_head::ResponseError;
use crate::tls::{Connector, TlsTrouble};

/// What a connection leads to: a target, or the forward proxy on the way there.
#[derive(Clone, Copy)]
pub(crate) struct Hop<'a> {
    pub(crate) hostname: &'a str,
    /// Where that is known without looking the name up.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: u16,
}

impl<'a> Hop<'a> {
    pub(crate) fn new(hostname: &'a str, ip: Option<IpAddr>, port: u16) -> Self {
        Self { hostname, ip: ip.or_else(|| hostname.parse().ok()), port }
    }
}

/// A target behind a forward proxy. The proxy looks its name up, unless there is an address.
pub(crate) struct Via<'a> {
    pub(super) proxy: &'a ForwardProxy,
    /// How TLS with the proxy begins; `None`: it is spoken to in clear text.
    tls: Option<Rc<Connector>>,
    pub(super) target: Hop<'a>,
    /// The proxy was told where to lead.
    asked: Cell<bool>,
}

/// Why a forward proxy opened no way. Nothing of what it was shown is in here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViaError {
    #[error("connecting to the forward proxy at {0}: {1}")]
    Unreachable(SocketAddr, io::Error),
    #[error("the forward proxy: {0}")]
    Tls(#[from] TlsTrouble),
    #[error("the forward proxy broke off: {0}")]
    Broken(#[from] io::Error),
    #[error("the forward proxy's answer to CONNECT: {0}")]
    Head(#[from] ResponseError),
    #[error("what the forward proxy answers isn't SOCKS5")]
    NotSocks,
    #[error("the forward proxy wants other credentials: it answered CONNECT with status 407")]
    Credentials,
    #[error("the forward proxy refused: it answered CONNECT with status {0}")]
    Status(u16),
    #[error("the forward proxy couldn't connect to the target: it answered CONNECT with status {0}")]
    Failed(u16),
    #[error("the forward proxy refused: {0}")]
    SocksRefused(socks::Refusal),
    #[error("the forward proxy couldn't connect to the target: {0}")]
    SocksFailed(socks::Refusal),
}

impl ViaError {
    /// What a proxy says about the target is said of the target; the rest is between the proxy and us.
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::Unreachable(..) | Self::Tls(_) | Self::Broken(_) | Self::Head(_) | Self::NotSocks => {
                Reason::ProxyUnreachable
            }
            Self::Credentials | Self::Status(_) | Self::SocksRefused(_) => Reason::ProxyRefused,
            Self::Failed(_) | Self::SocksFailed(_) => Reason::ConnectionFailed,
        }
    }
}

impl<'a> Via<'a> {
    pub(crate) const fn new(proxy: &'a ForwardProxy, tls: Option<Rc<Connector>>, target: Hop<'a>) -> Self {
        Self { proxy, tls, target, asked: Cell::new(false) }
    }

    /// The proxy.
    pub(crate) fn hop(&self) -> Hop<'a> {
        Hop::new(&self.proxy.host, None, self.proxy.port)
    }

    /// Whether the proxy was told where to lead: what takes long from then on may be due to the target.
    pub(crate) const fn was_asked(&self) -> bool {
        self.asked.get()
    }

    /// A connection to the proxy begins: whatever was told on an earlier one counts no more.
    pub(super) fn begins(&self) {
        self.asked.set(false);
    }

    pub(super) fn is_being_asked(&self) {
        self.asked.set(true);
    }

    /// Has the proxy at the other end of `io` connect to the target. Nothing is read that comes from the target.
    pub(super) async fn open(&self, io: Transport) -> Result<Transport, ViaError> {
        let mut io = match &self.tls {
            None => io,
            Some(tls) => Transport::Tunnel(Box::new(tls.connect(io).await?)),
        };
        match self.proxy.protocol {
            ProxyProtocol::Socks5 => socks::open(self, &mut io).await?,
            ProxyProtocol::Http | ProxyProtocol::Https => connect_request::open(self, &mut io).await?,
        }
        Ok(io)
    }
}
