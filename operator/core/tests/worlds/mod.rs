//! Random worlds, small enough that keys, references and matches meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{
    BackendReference, BackendSpec, ClientSettings, Condition, ConditionType, HealthCheck, PathMatch,
    PathType, RouteBackend, RouteFilters, RouteMatch, RouteSpec, ServiceReference, Target, TlsConfig,
    UpstreamProxy,
};
use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{
    CertificateSpec, Endpoint, EndpointConditions, GrantFrom, GrantSpec, GrantTo, ListenerProtocol,
    ListenerSettings, ListenerTls, Observed, ObservedMap, Origin, Owner, Place, PrivateKey, Problem,
    SecretSpec, ServiceSpec, SlicePort, SliceSpec, SourceView, Spec, World, service_of, slice_key,
};
use proptest::prelude::*;
use proptest::{collection, option, sample};

#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Put(Owner, Key, Spec),
    Delete(Owner, Key),
    Relabel(Owner, Key, u8),
    Listeners(Vec<&'static str>),
    /// The sources go on without a change of any object.
    Touch,
}

impl Edit {
    pub(crate) fn key(&self) -> Option<Key> {
        match self {
            Self::Put(_, key, _) | Self::Delete(_, key) | Self::Relabel(_, key, _) => Some(key.clone()),
            Self::Listeners(_) | Self::Touch => None,
        }
    }
}

/// Sources as they are in a leader: an object that doesn't change keeps its `Arc`.
#[derive(Default)]
pub(crate) struct Sources {
    views: BTreeMap<Owner, ObservedMap>,
    listeners: Arc<Vec<ListenerSettings>>,
    revision: u64,
}

impl Sources {
    /// With an API server from the beginning, as in a leader that has one: whether there is one decides for all objects.
    pub(crate) fn with_cluster() -> Self {
        Self { views: [(Owner::Kubernetes, ObservedMap::new())].into(), ..Self::default() }
    }

    pub(crate) fn apply(&mut self, edit: Edit) {
        self.revision += 1;
        let generation = i64::try_from(self.revision).unwrap();
        match edit {
            Edit::Put(owner, key, spec) => {
                let labels = BTreeMap::new();
                let observed = Observed {
                    key: key.clone(),
                    spec,
                    labels,
                    generation,
                    uid: String::new(),
                    origin: origin(owner),
                };
                self.views.entry(owner).or_default().insert(key, Arc::new(observed));
            }
            Edit::Delete(owner, key) => {
                self.views.entry(owner).or_default().remove(&key);
            }
            Edit::Relabel(owner, key, label) => {
                let view = self.views.entry(owner).or_default();
                if let Some(mut observed) = view.get(&key).cloned() {
                    Arc::make_mut(&mut observed).labels = [("a".to_owned(), label.to_string())].into();
                    view.insert(key, observed);
                }
            }
            Edit::Listeners(names) => self.listeners = Arc::new(names.into_iter().map(listener).collect()),
            Edit::Touch => {}
        }
    }

    pub(crate) fn world(&self) -> World {
        World::join(self.listeners.clone(), &self.views())
    }

    /// The same, made from an earlier world.
    pub(crate) fn after(&self, earlier: &World) -> World {
        earlier.follow(self.listeners.clone(), &self.views())
    }

    fn views(&self) -> Vec<SourceView> {
        let as_of = SourceAsOf {
            epoch: Epoch { id: "one".into(), created_at: 1 },
            revisions: [(Kind::Route, self.revision)].into(),
        };
        let view = |(owner, objects): (&Owner, &ObservedMap)| SourceView {
            owner: *owner,
            as_of: as_of.clone(),
            objects: objects.clone(),
        };
        self.views.iter().map(view).collect()
    }
}

/// What decides about `edited` for others: the Service for a slice, and for a grant all of its namespace.
pub(crate) fn decides(edited: &Key) -> Key {
    match edited.kind() {
        Kind::Slice => service_of(edited),
        Kind::Grant => Key::new(Kind::Grant, edited.namespace(), ""),
        _ => edited.clone(),
    }
}

/// The Backends, certificates, secrets and Services that an object names, and the grants that it needs.
pub(crate) fn references(world: &World, object: &Key) -> Vec<Key> {
    let key = |kind, name: &str| Key::new(kind, object.namespace(), name);
    let there = |kind, namespace: &Option<String>, name: &str| {
        let namespace = namespace.as_deref().unwrap_or(object.namespace());
        [Key::new(kind, namespace, name), Key::new(Kind::Grant, namespace, "")]
    };
    let of_backend = |spec: &BackendSpec| {
        let services = spec.targets.iter().filter_map(|target| target.service.as_ref());
        let services = services.flat_map(|service| there(Kind::Service, &service.namespace, &service.name));
        let services: Vec<_> = services.collect();
        let tls = spec.targets.iter().map(|target| &target.tls_config);
        let names = tls.flat_map(|tls| tls.certs.iter().chain(&tls.trusted_certs));
        let secret = spec.client.proxy.as_ref().and_then(|proxy| proxy.password_secret.as_ref());
        let secret = secret.map(|entry| key(Kind::Secret, &entry.name));
        names.map(|name| key(Kind::Certificate, name)).chain(secret).chain(services).collect::<Vec<_>>()
    };
    let observed = world.routes.get(object).or_else(|| world.backends.get(object));
    match observed.map(|observed| &observed.spec) {
        Some(Spec::Backend(spec)) => of_backend(spec),
        Some(Spec::Route(spec)) => {
            let references = spec.backends.iter().filter_map(|backend| backend.reference.as_ref());
            let backends = references.flat_map(|to| there(Kind::Backend, &to.namespace, &to.name));
            let inline = spec.backends.iter().filter_map(|backend| backend.inline.as_ref());
            backends.chain(inline.flat_map(of_backend)).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    collection::vec(edit(), 1..most)
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let owner = || sample::select(vec![Owner::Kubernetes, Owner::Files, Owner::Store]);
    prop_oneof![
        6 => (owner(), key(Kind::Backend), backend()).prop_map(|(owner, key, spec)| Edit::Put(owner, key, spec)),
        8 => (owner(), key(Kind::Route), route()).prop_map(|(owner, key, spec)| Edit::Put(owner, key, spec)),
        3 => (owner(), certificate_key(), certificate()).prop_map(|(owner, key, spec)| Edit::Put(owner, key, spec)),
        2 => (owner(), certificate_key()).prop_map(|(owner, key)| Edit::Delete(owner, key)),
        2 => (owner(), secret_key(), secret()).prop_map(|(owner, key, spec)| Edit::Put(owner, key, spec)),
        1 => (owner(), secret_key()).prop_map(|(owner, key)| Edit::Delete(owner, key)),
        3 => (key(Kind::Service), service()).prop_map(|(key, spec)| Edit::Put(Owner::Kubernetes, key, spec)),
        1 => key(Kind::Service).prop_map(|key| Edit::Delete(Owner::Kubernetes, key)),
        4 => (slice_of(), slice()).prop_map(|(key, spec)| Edit::Put(Owner::Kubernetes, key, spec)),
        2 => slice_of().prop_map(|key| Edit::Delete(Owner::Kubernetes, key)),
        3 => (key(Kind::Grant), grant()).prop_map(|(key, spec)| Edit::Put(Owner::Kubernetes, key, spec)),
        2 => key(Kind::Grant).prop_map(|key| Edit::Delete(Owner::Kubernetes, key)),
        3 => (owner(), key(Kind::Backend)).prop_map(|(owner, key)| Edit::Delete(owner, key)),
        2 => (owner(), key(Kind::Route)).prop_map(|(owner, key)| Edit::Delete(owner, key)),
        1 => (owner(), key(Kind::Route), 0..3_u8).prop_map(|(owner, key, label)| Edit::Relabel(owner, key, label)),
        1 => sample::subsequence(vec!["http", "https", "private"], 0..=3).prop_map(Edit::Listeners),
        1 => Just(Edit::Touch),
    ]
}

fn key(kind: Kind) -> impl Strategy<Value = Key> {
    let name = prop_oneof![8 => sample::select(vec!["a", "b", "c"]), 1 => Just("a~0")];
    (sample::select(vec!["x", "y"]), name).prop_map(move |(namespace, name)| Key::new(kind, namespace, name))
}

/// Also in the namespace that listeners take theirs from.
fn certificate_key() -> impl Strategy<Value = Key> {
    let names = (sample::select(vec!["default", "x", "y"]), sample::select(vec!["c", "d"]));
    names.prop_map(|(namespace, name)| Key::new(Kind::Certificate, namespace, name))
}

fn certificate() -> impl Strategy<Value = Spec> {
    let spec = (0..3_u8, any::<bool>(), any::<bool>()).prop_map(|(text, has_key, has_authorities)| {
        CertificateSpec {
            chain: vec![vec![text].into()],
            authorities: has_authorities.then(|| vec![text].into()).into_iter().collect(),
            key: has_key.then(|| PrivateKey(vec![text].into())),
            warnings: Vec::new(),
        }
    });
    prop_oneof![5 => spec.prop_map(|spec| Spec::Certificate(Arc::new(spec))), 1 => invalid()]
}

fn secret_key() -> impl Strategy<Value = Key> {
    let names = (sample::select(vec!["x", "y"]), sample::select(vec!["p", "q"]));
    names.prop_map(|(namespace, name)| Key::new(Kind::Secret, namespace, name))
}

/// With entries that are good and bad passwords.
fn secret() -> impl Strategy<Value = Spec> {
    let entry = (sample::select(vec!["k", "l"]), sample::select(vec!["one", "two", "b\0d"]));
    let entries = collection::btree_map(entry.0, entry.1.prop_map(str::to_owned), 0..3);
    let entries = entries.prop_map(|entries| entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    entries.prop_map(|entries| Spec::Secret(Arc::new(SecretSpec { entries })))
}

/// Good ones and wrong ones, with passwords of their own and from secrets.
fn proxy() -> impl Strategy<Value = Option<UpstreamProxy>> {
    let texts = [
        r#"{"host": "p", "port": 1}"#,
        r#"{"host": "p", "port": 1, "principal": "a", "password": "b"}"#,
        r#"{"host": "p", "port": 1, "protocol": "socks5", "principal": "a"}"#,
        r#"{"host": "p", "port": 1, "principal": "a", "passwordSecret": {"name": "p", "key": "k"}}"#,
        r#"{"host": "p", "port": 1, "principal": "a", "passwordSecret": {"name": "q", "key": "l"}}"#,
    ];
    let parse = |text: &str| serde_json::from_str(text).unwrap();
    option::weighted(0.4, sample::select(texts.to_vec()).prop_map(parse))
}

fn service() -> impl Strategy<Value = Spec> {
    let texts = [
        r#"{"ports": [{"port": 80}]}"#,
        r#"{"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 90}]}"#,
        r#"{"type": "ExternalName", "externalName": "a.test"}"#,
    ];
    let parse = |text: &str| Spec::Service(Arc::new(serde_json::from_str::<ServiceSpec>(text).unwrap()));
    prop_oneof![8 => sample::select(texts.to_vec()).prop_map(parse), 1 => invalid()]
}

fn slice_of() -> impl Strategy<Value = Key> {
    let names = (sample::select(vec!["a", "b", "c"]), sample::select(vec!["1", "2"]));
    (sample::select(vec!["x", "y"]), names)
        .prop_map(|(namespace, (service, name))| slice_key(namespace, service, name))
}

/// A few pods in every state, with and without names of ports.
fn slice() -> impl Strategy<Value = Spec> {
    let address = sample::select(vec!["10.0.0.1", "10.0.0.2", "fd00::1", "no address"]);
    let state = || option::of(any::<bool>());
    let endpoint = (address, state(), state(), state(), any::<bool>()).prop_map(
        |(address, ready, serving, terminating, doubted)| Endpoint {
            addresses: vec![address.to_owned()],
            conditions: EndpointConditions { ready, serving, terminating },
            zone: None,
            doubted,
        },
    );
    let port = (option::of(sample::select(vec!["http", "admin"])), 0..3_u16).prop_map(|(name, port)| {
        SlicePort { name: name.map(str::to_owned), port: Some(port), protocol: None }
    });
    let spec = (collection::vec(endpoint, 0..4), collection::vec(port, 0..3));
    let spec = spec.prop_map(|(endpoints, ports)| Spec::Slice(Arc::new(SliceSpec { endpoints, ports })));
    prop_oneof![8 => spec, 1 => invalid()]
}

fn grant() -> impl Strategy<Value = Spec> {
    let from = (sample::select(vec!["Backend", "Route"]), sample::select(vec!["x", "y"]));
    let to = (
        sample::select(vec![("", "Service"), (crds::GROUP, "Backend")]),
        option::of(sample::select(vec!["a", "b"])),
    );
    (from, to).prop_map(|((from, namespace), ((group, kind), name))| {
        let from = GrantFrom {
            group: crds::GROUP.to_owned(),
            kind: from.to_owned(),
            namespace: namespace.to_owned(),
        };
        let to = GrantTo { group: group.to_owned(), kind: kind.to_owned(), name: name.map(str::to_owned) };
        Spec::Grant(Arc::new(GrantSpec { from: vec![from], to: vec![to] }))
    })
}

/// A port of a Service, often one of the same namespace.
fn service_reference() -> impl Strategy<Value = ServiceReference> {
    let texts = [
        r#"{"name": "a", "port": 80}"#,
        r#"{"name": "a", "port": "http"}"#,
        r#"{"name": "b", "port": 80}"#,
        r#"{"name": "b", "namespace": "y", "port": "admin"}"#,
        r#"{"name": "c", "namespace": "x", "port": 80}"#,
        r#"{"name": "c", "namespace": "X", "port": 80}"#,
    ];
    sample::select(texts.to_vec()).prop_map(|text| serde_json::from_str(text).unwrap())
}

fn backend() -> impl Strategy<Value = Spec> {
    prop_oneof![
        5 => backend_spec().prop_map(|spec| Spec::Backend(Arc::new(spec))),
        1 => invalid(),
    ]
}

fn backend_spec() -> impl Strategy<Value = BackendSpec> {
    let targets = collection::vec((sample::select(vec!["one.test", "two.test"]), 0..3_u16, tls()), 0..3);
    let roots = sample::select(vec!["/", "/v1", "bad", "/${env.X}"]);
    let services = collection::vec(service_reference(), 0..2);
    let allowed = sample::select(vec![&[][..], &["x"], &["*"], &["no name"]]);
    let rest = (health_check(), proxy(), allowed);
    (targets, services, roots, rest).prop_map(|(targets, services, root, (health_check, proxy, allowed))| {
        BackendSpec {
            targets: targets
                .into_iter()
                .map(|(host, port, tls)| target(host, port, tls))
                .chain(
                    services
                        .into_iter()
                        .map(|service| Target { service: Some(service), ..Target::default() }),
                )
                .collect(),
            allowed_namespaces: allowed.iter().map(|name| (*name).to_owned()).collect(),
            root: root.to_owned(),
            health_check,
            client: ClientSettings { proxy, ..ClientSettings::default() },
            ..BackendSpec::default()
        }
    })
}

/// Good ones, and some that are wrong or only wrong with some targets.
fn health_check() -> impl Strategy<Value = Option<HealthCheck>> {
    let texts = [
        r#"{"enabled": true, "url": "/health"}"#,
        r#"{"enabled": false, "url": "/health"}"#,
        r#"{"enabled": true}"#,
        r#"{"enabled": true, "type": "Tcp"}"#,
        r#"{"enabled": true, "url": "http://one.test:1/health", "healthyRegexChecks": ["up|fine"]}"#,
        r#"{"enabled": true, "url": "http://other.test/", "healthyStatuses": [200, 204]}"#,
        r#"{"enabled": true, "url": "/", "unhealthyRegexChecks": ["("]}"#,
        r#"{"enabled": true, "url": "/", "healthyStatuses": [200], "unhealthyStatuses": [200]}"#,
    ];
    let texts = sample::select(texts.to_vec());
    option::weighted(0.4, texts.prop_map(|text| serde_json::from_str(text).unwrap()))
}

/// Clear text more often than not.
fn tls() -> impl Strategy<Value = Option<TlsConfig>> {
    let names = || sample::subsequence(vec!["c", "d", "nowhere"], 0..=2);
    let tls = (names(), names(), any::<bool>()).prop_map(|(certs, trusted, enabled)| TlsConfig {
        enabled,
        certs: certs.into_iter().map(str::to_owned).collect(),
        trusted_certs: trusted.into_iter().map(str::to_owned).collect(),
        ..TlsConfig::default()
    });
    option::weighted(0.3, tls)
}

fn target(hostname: &str, port: u16, tls: Option<TlsConfig>) -> Target {
    let (hostname, port) = (Some(hostname.to_owned()), Some(port));
    Target { hostname, port, tls: tls.is_some(), tls_config: tls.unwrap_or_default(), ..Target::default() }
}

fn route() -> impl Strategy<Value = Spec> {
    let backends = collection::vec(route_backend(), 0..3);
    let listeners = sample::subsequence(vec!["http", "private", "typo"], 0..=2);
    let ways = (backends, filters());
    let spec = (collection::vec(route_match(), 0..3), ways, listeners, any::<bool>(), 0..8_u8);
    let spec = spec.prop_map(|(matches, (backends, filters), listeners, strip_path, disabled)| RouteSpec {
        enabled: disabled != 0,
        listeners: listeners.into_iter().map(str::to_owned).collect(),
        matches,
        strip_path,
        filters,
        backends,
        ..RouteSpec::default()
    });
    prop_oneof![8 => spec.prop_map(|spec| Spec::Route(Arc::new(spec))), 1 => invalid()]
}

/// Good ones, wrong ones, and some that are only wrong together with backends.
fn filters() -> impl Strategy<Value = Option<RouteFilters>> {
    let texts = [
        r#"{"ipAccess": {"deny": ["10.0.0.0/8"]}, "limits": {"maxBodyBytes": 1}}"#,
        r#"{"ipAccess": {"allow": ["nowhere"]}}"#,
        r#"{"cors": {"allowOrigins": ["https://*.a.test"], "allowCredentials": true}}"#,
        r#"{"cors": {"allowOrigins": ["*"], "allowCredentials": true}}"#,
        r#"{"rateLimits": [{"requests": 9, "per": "Second"}, {"requests": 9, "per": "Day", "key": {"type": "Cookie", "name": "c"}}]}"#,
        r#"{"rateLimits": [{"requests": 5, "per": "Minute", "burst": 6, "key": {"type": "Header"}}]}"#,
        r#"{"rateLimits": [{"requests": 1, "per": "Minute"}], "directResponse": {}}"#,
        r#"{"requestRedirect": {"scheme": "https"}}"#,
        r#"{"requestRedirect": {"path": {"replacePrefixMatch": "a"}}}"#,
        r#"{"directResponse": {"body": "x"}}"#,
        r#"{"directResponse": {"status": 204, "body": "x"}}"#,
        r#"{"requestHeaderModifier": {"set": [{"name": "a", "value": "b"}], "remove": ["c"]}}"#,
        r#"{"responseHeaderModifier": {"add": [{"name": "Content-Length", "value": "1"}]}}"#,
        r#"{"requestMirrors": [{"ref": {"name": "a"}}, {"ref": {"name": "b"}, "percent": 5}]}"#,
        r#"{"requestMirrors": [{"ref": {"name": "c"}, "percent": 200}]}"#,
        r#"{"requestMirrors": [{"ref": {"name": "c"}}], "directResponse": {}}"#,
        r#"{"urlRewrite": {"hostname": "a.test:80"}}"#,
        r#"{"urlRewrite": {"hostname": "a/b"}}"#,
    ];
    let texts = sample::select(texts.to_vec());
    option::weighted(0.4, texts.prop_map(|text| serde_json::from_str(text).unwrap()))
}

fn route_backend() -> impl Strategy<Value = RouteBackend> {
    let namespace = option::weighted(0.3, sample::select(vec!["x", "y"]).prop_map(str::to_owned));
    let reference = (sample::select(vec!["a", "b", "c"]), namespace)
        .prop_map(|(name, namespace)| BackendReference { name: name.to_owned(), namespace });
    prop_oneof![
        4 => reference.prop_map(|reference| RouteBackend { reference: Some(reference), inline: None, weight: 1 }),
        2 => backend_spec().prop_map(|spec| RouteBackend { reference: None, inline: Some(spec), weight: 1 }),
        1 => Just(RouteBackend { reference: None, inline: None, weight: 1 }),
    ]
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let host = sample::select(vec!["a.test", "*.test", "bad host"]).prop_map(str::to_owned);
    let path = (sample::select(vec!["/a", "/:id", "/$id<[0-9]+>", "bad"]), any::<bool>()).prop_map(
        |(value, exact)| PathMatch {
            type_: if exact { PathType::Exact } else { PathType::Prefix },
            value: value.to_owned(),
        },
    );
    let header = (sample::select(vec!["X-A", "x b"]), option::of(Just("1"))).prop_map(|(name, value)| {
        Condition { name: name.to_owned(), type_: ConditionType::Exact, value: value.map(str::to_owned) }
    });
    let method = sample::select(vec!["GET", "POST"]).prop_map(str::to_owned);
    (
        collection::vec(host, 0..2),
        collection::vec(path, 0..3),
        collection::vec(header, 0..2),
        collection::vec(method, 0..2),
    )
        .prop_map(|(hostnames, paths, headers, methods)| RouteMatch {
            hostnames,
            paths,
            headers,
            methods,
            ..RouteMatch::default()
        })
}

fn invalid() -> impl Strategy<Value = Spec> {
    (0..3_u8).prop_map(|which| {
        let place = Some(Place { file: "f.yaml".into(), line: u64::from(which), column: 1 });
        Spec::Invalid(vec![Problem {
            field: "spec".into(),
            message: format!("mistake {}", which / 2),
            place,
        }])
    })
}

fn origin(owner: Owner) -> Origin {
    match owner {
        Owner::Kubernetes => Origin::Kubernetes,
        Owner::Files => Origin::File(Place { file: "f.yaml".into(), line: 1, column: 1 }),
        Owner::Store => Origin::Store,
    }
}

fn listener(name: &'static str) -> ListenerSettings {
    let protocol = match name {
        "https" => ListenerProtocol::Https(Arc::new(ListenerTls::default())),
        _ => ListenerProtocol::Http,
    };
    ListenerSettings { protocol, ..ListenerSettings::http(name, 8080) }
}
