use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ipnet::IpNet;

/// What a proxy is started with. Nothing here changes while it runs; listeners and routes come with each router.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// OS threads that serve traffic, at least 1. Each has its own listening sockets, connections and upstream pools.
    pub threads: usize,
    /// Peers whose `X-Forwarded-*` and `Forwarded` fields are believed. From all others these fields are dropped.
    pub trusted_proxies: Vec<IpNet>,
    pub limits: Limits,
    pub timeouts: ClientTimeouts,
    pub pool: PoolSettings,
    pub names: NameSettings,
    /// Listener name → address and port to bind instead of those of the snapshot.
    pub listener_overrides: BTreeMap<String, (Option<String>, Option<u16>)>,
    /// Whether it is ready, as it says at `/.well-known/komainu/ready` on each listener, in front of all routes; none: it
    /// says nothing there.
    pub readiness: Option<Arc<AtomicBool>>,
}

/// Bounds on what one client, or one response of a target, can make the proxy hold. The statuses are those for requests;
/// a response beyond a bound is answered with 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, its first line included. More: 431.
    pub head_bytes: usize,
    /// Bytes of the request line. More: 414.
    pub request_line_bytes: usize,
    /// Header fields of a head. More: 431.
    pub headers: usize,
    /// Bytes of the extensions of one chunk. They are read and dropped. More: 400.
    pub chunk_extension_bytes: usize,
    /// Bytes of the trailer section. More: 431.
    pub trailer_bytes: usize,
    /// Client connections over all threads. More are closed as soon as they are accepted.
    pub connections: usize,
}

/// How long a client may take. Timeouts towards targets belong to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a request, or from the accept, to the end of its head.
    pub head: Duration,
    /// Between two requests on one connection.
    pub keep_alive: Duration,
    /// Without a byte of a body that is being read from or written to the client.
    pub body_progress: Duration,
    /// How long a connection that ends with an unread request body is still read, so that the client sees the answer.
    pub linger: Duration,
}

/// Idle upstream connections. Each thread has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Connections open to a target at a time, without those that became tunnels. All threads together, of which each has an
    /// equal share, at least one.
    pub connections_per_target: usize,
    /// Idle connections kept per target and thread.
    pub idle_per_target: usize,
    /// Longest life of an idle connection. A backend's own idle timeout shortens it.
    pub idle_timeout: Duration,
}

/// How host names of targets are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSettings {
    /// DNS servers. Empty: those of `resolv_conf`.
    pub servers: Vec<SocketAddr>,
    /// Addresses with a shorter time to live are looked up again after this one.
    pub min_ttl: Duration,
    /// Addresses with a longer time to live are looked up again after this one.
    pub max_ttl: Duration,
    /// How long the addresses are kept of a name that has none any more, as a server says that knows.
    pub hold: Duration,
    /// A name that nobody wanted for this long, and to which nothing is connected, isn't looked up any more.
    pub forget_after: Duration,
    /// Servers, search list and options (resolv.conf(5)).
    pub resolv_conf: PathBuf,
    /// Names that need no server (hosts(5)).
    pub hosts: PathBuf,
    /// How often it is looked whether these two files have changed, while there are names.
    pub follow_every: Duration,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            timeouts: ClientTimeouts::default(),
            pool: PoolSettings::default(),
            names: NameSettings::default(),
            listener_overrides: BTreeMap::new(),
            readiness: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            request_line_bytes: 16 * 1024,
            headers: 100,
            chunk_extension_bytes: 1024,
            trailer_bytes: 8 * 1024,
            connections: 100_000,
        }
    }
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            body_progress: Duration::from_secs(60),
            linger: Duration::from_secs(2),
        }
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { connections_per_target: 1024, idle_per_target: 64, idle_timeout: Duration::from_secs(60) }
    }
}

impl Default for NameSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
            hold: Duration::from_secs(30),
            forget_after: Duration::from_secs(60),
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            follow_every: Duration::from_secs(5),
        }
    }
}
