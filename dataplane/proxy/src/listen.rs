use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use dataplane_core::{CompiledListener, Router};
use socket2::{Domain, Protocol, Socket, Type};

use crate::ProxySettings;
use crate::listening::ListenerName;
use crate::tls::Handover;

/// Connections that the kernel may complete before they are accepted; it lowers this to its own limit.
const BACKLOG: i32 = 4096;

/// A listener that isn't open. The others are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("listener {listener}: {reason}")]
pub struct ListenError {
    pub listener: String,
    pub reason: String,
}

#[derive(Default)]
pub(crate) struct Listeners {
    /// The open ones by name.
    open: BTreeMap<Arc<str>, Open>,
    /// The ones of the last router that aren't open.
    failed: Vec<ListenError>,
    /// Nothing is opened any more.
    draining: bool,
}

struct Open {
    wanted: Wanted,
    bound: SocketAddr,
    tls: Option<Handover>,
}

/// What a listener is opened with.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// `None`: all addresses, IPv6 and IPv4.
    address: Option<IpAddr>,
    port: u16,
    advertised_port: u16,
    proxy_protocol: bool,
    tls: bool,
    http2: bool,
}

/// What a new router changes.
#[derive(Default)]
pub(crate) struct Changes {
    /// With one socket per thread. What has the same name and is open moves there.
    pub(crate) opened: Vec<(Arc<ListenerName>, Vec<TcpListener>)>,
    /// On the sockets that they have.
    pub(crate) changed: Vec<Arc<ListenerName>>,
    pub(crate) closed: Vec<Arc<str>>,
    pub(crate) failed: Vec<ListenError>,
}

/// What becomes of a listener.
enum Placed {
    /// It is open already, and as it should be from now on.
    AsItIs,
    /// What it is changes, its sockets don't.
    Changed(Open),
    Opened(Open, Vec<TcpListener>),
}

impl Listeners {
    /// Opens, changes and closes listeners to match `router`. One that moves is opened at its new place before the old one
    /// closes; if that fails the old one stays. From a drain on nothing changes, whatever the router has.
    pub(crate) fn follow(&mut self, router: &Router, settings: &ProxySettings) -> Changes {
        if self.draining {
            return Changes { failed: self.failed.clone(), ..Changes::default() };
        }
        let mut changes = Changes::default();
        let mut kept = BTreeMap::new();
        for listener in router.listeners() {
            let name: Arc<str> = listener.name.as_ref().into();
            let mut current = self.open.remove(&name);
            match self.place(listener, current.as_mut(), &kept, settings) {
                Ok(Placed::AsItIs) => {
                    if let Some(current) = current {
                        kept.insert(name, current);
                    }
                }
                Ok(Placed::Changed(open)) => {
                    changes.changed.push(listener_name(&name, &open));
                    kept.insert(name, open);
                }
                Ok(Placed::Opened(open, sockets)) => {
                    changes.opened.push((listener_name(&name, &open), sockets));
                    kept.insert(name, open);
                }
                Err(reason) => {
                    changes.failed.push(ListenError { listener: name.to_string(), reason });
                    if let Some(current) = current {
                        kept.insert(name, current);
                    }
                }
            }
        }
        changes.closed.extend(std::mem::replace(&mut self.open, kept).into_keys());
        self.failed.clone_from(&changes.failed);
        changes
    }

    fn place(
        &self,
        listener: &CompiledListener,
        mut current: Option<&mut Open>,
        kept: &BTreeMap<Arc<str>, Open>,
        settings: &ProxySettings,
    ) -> Result<Placed, String> {
        let wanted = wanted(listener, settings)?;
        if let Some(open) = current.as_deref_mut().filter(|open| open.wanted == wanted) {
            return open.secure(listener).map(|()| Placed::AsItIs);
        }
        let tls = listener.tls.as_deref().map(|tls| Handover::new(tls, listener.http2)).transpose()?;
        if let Some((other, _)) = kept.iter().find(|(_, open)| open.overlaps(wanted)) {
            return Err(format!(
                "port {} is that of listener {other}: give each listener its own",
                wanted.port
            ));
        }
        if let Some(open) = current.as_deref().filter(|open| open.is_at(wanted)) {
            return Ok(Placed::Changed(Open { wanted, bound: open.bound, tls }));
        }
        let own = current
            .as_deref()
            .into_iter()
            .chain(self.open.values())
            .any(|open| open.bound.port() == wanted.port);
        let opened = if own { Ok(()) } else { probe(wanted) }.and_then(|()| open(wanted, settings.threads));
        let (bound, sockets) = opened
            .map_err(|error| format!("can't listen on {}: {error}", Shown(wanted.address, wanted.port)))?;
        Ok(Placed::Opened(Open { wanted, bound, tls }, sockets))
    }

    pub(crate) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.open.iter().map(|(name, open)| (name.to_string(), open.bound)).collect()
    }

    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.open.clear();
    }
}

impl Open {
    /// Goes on with the listener's certificates.
    fn secure(&mut self, listener: &CompiledListener) -> Result<(), String> {
        match (&mut self.tls, &listener.tls) {
            (Some(open), Some(tls)) => open.follow(tls),
            _ => Ok(()),
        }
    }

    /// Its sockets are where `wanted` is to be.
    fn is_at(&self, wanted: Wanted) -> bool {
        self.wanted.address == wanted.address
            && (self.wanted.port == wanted.port || self.bound.port() == wanted.port)
    }

    fn overlaps(&self, wanted: Wanted) -> bool {
        let same = match (self.wanted.address, wanted.address) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same && wanted.port != 0 && self.bound.port() == wanted.port
    }
}

struct Shown(Option<IpAddr>, u16);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => SocketAddr::new(address, self.1).fmt(f),
            None => write!(f, "port {} of all addresses", self.1),
        }
    }
}

fn wanted(listener: &CompiledListener, settings: &ProxySettings) -> Result<Wanted, String> {
    let (address, port) = settings.listener_overrides.get(&*listener.name).cloned().unwrap_or_default();
    let address = match address.as_deref() {
        None => listener.address,
        Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| format!("the address {text:?} is not an IP address"))?),
    };
    let CompiledListener { advertised_port, proxy_protocol, http2, .. } = *listener;
    let (port, tls) = (port.unwrap_or(listener.port), listener.tls.is_some());
    Ok(Wanted { address, port, advertised_port, proxy_protocol, http2, tls })
}

fn listener_name(name: &Arc<str>, open: &Open) -> Arc<ListenerName> {
    let port = match open.wanted.advertised_port {
        0 => open.bound.port(),
        advertised => advertised,
    };
    let Wanted { proxy_protocol, http2, .. } = open.wanted;
    let tls = open.tls.as_ref().map(|tls| tls.current.clone());
    Arc::new(ListenerName { name: name.clone(), port: port.to_string().into(), proxy_protocol, http2, tls })
}

/// One socket per thread on the same port; the kernel spreads connections over them.
fn open(wanted: Wanted, threads: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let first = match wanted.address {
        Some(ip) => socket(SocketAddr::new(ip, wanted.port))?,
        // A host without IPv6 still has all its IPv4 addresses.
        None => socket((Ipv6Addr::UNSPECIFIED, wanted.port).into())
            .or_else(|_| socket((Ipv4Addr::UNSPECIFIED, wanted.port).into()))?,
    };
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(socket(bound)?);
    }
    Ok((bound, sockets))
}

/// Fails if another process has the port. Without this the kernel would let two proxies of one user share it, and each
/// would get a part of the other's connections.
fn probe(wanted: Wanted) -> io::Result<()> {
    if wanted.port == 0 {
        return Ok(());
    }
    let address = SocketAddr::new(wanted.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), wanted.port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Binding alone is allowed beside sockets that aren't listening any more.
    socket.listen(1)
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
