//! A gateway, a raw client and a scripted upstream on real sockets.
#![allow(unreachable_pub, dead_code, unused_imports, reason = "each test binary uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

pub mod client;
pub mod dns;
pub mod forward_proxy;
pub mod frames;
pub mod http2;
pub mod http2_upstream;
pub mod observed;
pub mod tls;
pub mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_proxy::{Proxy, ProxySettings, Stats};
use dataplane_snapshot::{AsOf, Key, Object, Snapshot, wire};
use socket2::{Domain, Socket, Type};

pub use client::Client;
pub use dns::{Dns, Says};
pub use http2_upstream::Http2Upstream;
pub use observed::Observed;
pub use upstream::Upstream;

/// The longest that anything here is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a gateway serves: one listener, one route on everything, one backend. Tests change what they are about.
pub struct Setup {
    pub listeners: Vec<(&'static str, wire::Listener)>,
    pub route: wire::Route,
    pub backend: wire::Backend,
    pub endpoints: wire::Endpoints,
    /// By name, for filters that name them.
    pub others: Vec<(&'static str, wire::Backend, wire::Endpoints)>,
    pub settings: ProxySettings,
    /// By name, for whatever names them by [`tls::Identity::key_of`].
    pub certificates: Vec<(&'static str, tls::Identity)>,
    /// Of the backend, for its forward proxy.
    pub password: Option<&'static str>,
    /// What lives on from one router to the next.
    pub states: BackendStates,
}

pub fn listener() -> wire::Listener {
    wire::Listener { address: "127.0.0.1".into(), protocol: 1, ..Default::default() }
}

pub fn target(address: SocketAddr) -> wire::Target {
    wire::Target {
        id: address.to_string(),
        hostname: address.ip().to_string(),
        port: u32::from(address.port()),
        weight: 1,
        ..Default::default()
    }
}

impl Setup {
    pub fn new(upstream: SocketAddr) -> Self {
        let destination =
            wire::Destination { backend: "backend/default/users".into(), weight: 1, filters: vec![] };
        let rule = wire::Rule {
            matches: vec![wire::Match { precedence: vec![1].into(), ..Default::default() }],
            filters: vec![],
            destinations: vec![destination],
        };
        Self {
            listeners: vec![("http", listener())],
            route: wire::Route { name: "users".into(), rules: vec![rule], ..Default::default() },
            backend: wire::Backend { name: "users".into(), root: "/".into(), ..Default::default() },
            endpoints: wire::Endpoints { targets: vec![target(upstream)] },
            others: Vec::new(),
            settings: ProxySettings { threads: 1, ..ProxySettings::default() },
            certificates: Vec::new(),
            password: None,
            states: BackendStates::new(),
        }
    }

    /// One more target of the backend.
    pub fn target(mut self, address: SocketAddr) -> Self {
        self.endpoints.targets.push(target(address));
        self
    }

    /// The first target has this name, which `dns` knows about. Nothing is known from the system's files, and nothing is
    /// asked for less often than a test likes.
    pub fn named(mut self, name: &str, dns: &Dns) -> Self {
        self.endpoints.targets[0].hostname = name.to_owned();
        let names = &mut self.settings.names;
        names.servers = vec![dns.address()];
        (names.min_ttl, names.follow_every) = (Duration::from_millis(20), Duration::from_millis(20));
        (names.resolv_conf, names.hosts) = ("/nonexistent".into(), "/nonexistent".into());
        self
    }

    /// All targets speak HTTP/2.
    pub fn http2(mut self) -> Self {
        self.endpoints.targets.iter_mut().for_each(|target| target.protocol = wire::Protocol::Http2.into());
        self
    }

    /// Up to `count` retries, with next to no delay, also after answers of 502, 503 and 504.
    pub fn retries(self, count: u32) -> Self {
        let statuses = vec![502, 503, 504];
        self.client(|client| {
            client.retries = Some(wire::Retries { count, initial_delay: 1, statuses, ..Default::default() });
        })
    }

    pub fn client(mut self, change: impl FnOnce(&mut wire::ClientSettings)) -> Self {
        change(self.backend.client.get_or_insert_default());
        self
    }

    pub fn settings(mut self, change: impl FnOnce(&mut ProxySettings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub fn filter(mut self, filter: impl Into<wire::Filter>) -> Self {
        self.route.rules[0].filters.push(filter.into());
        self
    }

    pub fn router(&self) -> Arc<Router> {
        let object = |key: &str, payload| Object::encode(key.parse().unwrap(), &wire::Content::from(payload));
        let mut objects = vec![
            object("route/default/users", wire::Payload::Route(self.route.clone())),
            object("backend/default/users", wire::Payload::Backend(self.backend.clone())),
            object("endpoints/default/users", wire::Payload::Endpoints(self.endpoints.clone())),
        ];
        for (name, backend, endpoints) in &self.others {
            let backend = wire::Payload::Backend(backend.clone());
            objects.push(object(&format!("backend/default/{name}"), backend));
            let endpoints = wire::Payload::Endpoints(endpoints.clone());
            objects.push(object(&format!("endpoints/default/{name}"), endpoints));
        }
        for (name, listener) in &self.listeners {
            let key = Key::new(dataplane_snapshot::Kind::Listener, "settings", *name);
            objects
                .push(Object::encode(key, &wire::Content::from(wire::Payload::Listener(listener.clone()))));
        }
        objects.extend(self.certificates.iter().flat_map(|(name, identity)| identity.objects(name)));
        objects.extend(self.password.map(|password| {
            let kind = Some(wire::SecretKind::Password(password.into()));
            object("secret/default/users~proxy", wire::Payload::Secret(wire::Secret { kind }))
        }));
        let served = Served::new(Snapshot::new(objects, AsOf::default()));
        let compiled = Router::compile(&served, None, &self.states);
        assert_eq!(compiled.rejected, [], "the test's objects are good");
        Arc::new(compiled.router)
    }

    pub fn start(self) -> Gateway {
        let proxy = Proxy::start(self.settings.clone()).unwrap();
        let errors = proxy.swap(self.router());
        assert!(errors.is_empty(), "{errors:?}");
        Gateway { proxy, setup: self }
    }
}

pub struct Gateway {
    pub proxy: Proxy,
    pub setup: Setup,
}

impl Gateway {
    pub fn address(&self) -> SocketAddr {
        self.address_of("http")
    }

    pub fn address_of(&self, listener: &str) -> SocketAddr {
        self.proxy.addresses()[listener]
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    pub fn swap(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        let errors = self.proxy.swap(self.setup.router());
        assert!(errors.is_empty(), "{errors:?}");
    }

    /// Waits until the counters say so.
    pub fn stats(&self, condition: impl Fn(&Stats) -> bool) -> Stats {
        eventually(|| Some(self.proxy.stats()).filter(|stats| condition(stats)))
    }
}

/// An address of this machine that is taken, where nobody listens so far.
pub fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

/// An address where nobody listens, and nobody will while the process runs: a free one may soon be another test's.
pub fn nowhere() -> SocketAddr {
    let socket = bound();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

pub fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "the condition never became true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The end of a chunked message that begins at the front, if it is all there.
pub fn chunked_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?.split(';').next()?.trim().to_owned();
        let size = usize::from_str_radix(&size, 16).ok()?;
        at += line + 2;
        if size == 0 {
            loop {
                let line = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
                at += line + 2;
                if line == 0 {
                    return Some(at);
                }
            }
        }
        at += size + 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// The value of a field in a head, by lower-case name.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Takes one HTTP message off the front of `bytes` if it is all there: its head, and its body as it was framed.
pub fn message(bytes: &mut Vec<u8>, bodiless: bool) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let body = if bodiless {
        0
    } else if field(&head, "transfer-encoding").is_some() {
        chunked_end(&bytes[end..])?
    } else {
        field(&head, "content-length").map_or(0, |length| length.parse().unwrap())
    };
    if bytes.len() < end + body {
        return None;
    }
    let body = bytes[end..end + body].to_vec();
    bytes.drain(..end + body.len());
    Some((head, body))
}

/// The data of a chunked body.
pub fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&bytes[line + 2..line + 2 + size]);
        bytes = &bytes[line + 2 + size + 2..];
    }
}
