//! Request heads and objects for tests.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dataplane_snapshot::{AsOf, Key, Object, Snapshot, wire};

use crate::backend::Targets;
use crate::certificates::{Certificates, Lookup};
use crate::passwords::Passwords;
use crate::served::Served;
use crate::{BackendStates, Choice, CompiledBackend, CompiledTarget, Matched, Moment, RequestHead, Tried};

#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) secured: bool,
    pub(crate) client: IpAddr,
}

impl Head {
    pub(crate) fn get(target: &str) -> Self {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Self {
            method: "GET".to_owned(),
            host: "example.com".to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers: Vec::new(),
            secured: false,
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        }
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub(crate) fn from(mut self, client: [u8; 4]) -> Self {
        self.client = client.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

pub(crate) fn target(id: &str, weight: u32) -> wire::Target {
    wire::Target { id: id.into(), hostname: "a.test".into(), port: 8080, weight, ..Default::default() }
}

pub(crate) fn compiled_backend(
    backend: &wire::Backend,
    targets: Vec<wire::Target>,
) -> Result<CompiledBackend, String> {
    compiled_backend_in(&BackendStates::new(), backend, targets)
}

pub(crate) fn compiled_backend_in(
    states: &BackendStates,
    backend: &wire::Backend,
    targets: Vec<wire::Target>,
) -> Result<CompiledBackend, String> {
    let key: Key = "backend/default/users".parse().unwrap();
    let (certificates, endpoints) = (Certificates::default(), wire::Endpoints { targets });
    let targets = Targets::compile(&key, &endpoints, states, &mut Lookup::new(&certificates))?;
    CompiledBackend::compile(key, backend, Arc::new(targets), states, &mut Passwords::default())
}

/// The target that the backend of `matched` gives a first try.
pub(crate) fn pick<'r>(matched: &Matched<'r>) -> Option<&'r CompiledTarget> {
    let (head, tried) = (&Head::get("/"), &Tried::default());
    matched.pick(&Choice { head, tried, now: Moment::default(), random: 0 })
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn authority(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_slice())
    }

    fn version(&self) -> &str {
        "HTTP/1.1"
    }

    fn secured(&self) -> bool {
        self.secured
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }

    fn listener(&self) -> &str {
        "http"
    }

    fn id(&self) -> impl Display {
        "7"
    }
}

pub(crate) fn object(key: &str, payload: wire::Payload) -> Object {
    Object::encode(key.parse().unwrap(), &payload.into())
}

pub(crate) fn served(objects: impl IntoIterator<Item = Object>) -> Served {
    Served::new(Snapshot::new(objects, AsOf::default()))
}

pub(crate) fn listener(name: &str) -> Object {
    let listener =
        wire::Listener { port: 8080, protocol: wire::ListenerProtocol::Http.into(), ..Default::default() };
    object(&format!("listener/settings/{name}"), wire::Payload::Listener(listener))
}

/// A backend with one target `t`.
pub(crate) fn backend(name: &str) -> [Object; 2] {
    let backend = wire::Backend { root: "/".to_owned(), ..Default::default() };
    [
        object(&format!("backend/default/{name}"), wire::Payload::Backend(backend)),
        endpoints(name, &[("t", 1)]),
    ]
}

/// A certificate of this text with its private key.
pub(crate) fn certificate(name: &str, text: &str) -> [Object; 2] {
    let chain = vec![format!("{text} certificate").into(), format!("{text} issuer").into()];
    let key = wire::SecretKind::PrivateKey(format!("{text} key").into());
    [
        object(
            &format!("certificate/default/{name}"),
            wire::Payload::Certificate(wire::Certificate { chain }),
        ),
        object(&format!("secret/default/{name}"), wire::Payload::Secret(wire::Secret { kind: Some(key) })),
    ]
}

pub(crate) fn https_listener(name: &str, tls: wire::ListenerTls) -> Object {
    let protocol = wire::ListenerProtocol::Https.into();
    let listener = wire::Listener { port: 8443, protocol, tls: Some(tls), ..Default::default() };
    object(&format!("listener/settings/{name}"), wire::Payload::Listener(listener))
}

/// The endpoints of a backend with one target `t` that speaks TLS.
pub(crate) fn tls_endpoints(name: &str, tls: wire::TargetTls) -> Object {
    let target = wire::Target { port: 443, tls: Some(tls), ..target("t", 1) };
    let endpoints = wire::Endpoints { targets: vec![target] };
    object(&format!("endpoints/default/{name}"), wire::Payload::Endpoints(endpoints))
}

pub(crate) fn endpoints(name: &str, targets: &[(&str, u32)]) -> Object {
    let target = |(id, weight): &(&str, u32)| wire::Target {
        id: (*id).to_owned(),
        hostname: format!("{id}.test"),
        port: 80,
        weight: *weight,
        ..Default::default()
    };
    let endpoints = wire::Endpoints { targets: targets.iter().map(target).collect() };
    object(&format!("endpoints/default/{name}"), wire::Payload::Endpoints(endpoints))
}

/// A rule to `backend/default/b`.
pub(crate) fn rule(matches: Vec<wire::Match>) -> wire::Rule {
    let destination =
        wire::Destination { backend: "backend/default/b".to_owned(), weight: 1, filters: vec![] };
    wire::Rule { matches, filters: vec![], destinations: vec![destination] }
}

pub(crate) fn route(name: &str, matches: Vec<wire::Match>) -> Object {
    let route = wire::Route { name: name.to_owned(), rules: vec![rule(matches)], ..Default::default() };
    object(&format!("route/default/{name}"), wire::Payload::Route(route))
}

/// A match of one host (empty: any) and one path, `=/a` being exact.
pub(crate) fn on(host: &str, path: &str) -> wire::Match {
    let (kind, pattern) = match path.strip_prefix('=') {
        Some(exact) => (wire::PathKind::Exact, exact),
        None => (wire::PathKind::Prefix, path),
    };
    wire::Match {
        hostnames: (!host.is_empty()).then(|| host.to_owned()).into_iter().collect(),
        paths: vec![wire::PathMatch { kind: kind.into(), pattern: pattern.to_owned() }],
        ..Default::default()
    }
}

pub(crate) fn with_header(name: &str, value: &str, mut given: wire::Match) -> wire::Match {
    let kind = wire::ConditionKind::Exact.into();
    given.headers.push(wire::Condition { name: name.to_owned(), kind, value: value.to_owned() });
    given
}

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap()
}
