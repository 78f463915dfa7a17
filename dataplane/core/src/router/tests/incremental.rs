//! A router made from a previous one is the same as one made from nothing, and shares what stayed the same.

use std::sync::Arc;

use dataplane_snapshot::{Object, wire};
use proptest::prelude::*;

use super::oracle::{self, Given};
use crate::sample::{self, Head, endpoints, listener, object, on, route, rule, served};
use crate::{BackendStates, Compiled, CompiledTarget, Decision, HostPattern, Router};

/// Everything about a router that can be seen, as text.
fn outline(compiled: &Compiled, objects: &[Object]) -> Vec<String> {
    let mut lines = compiled.router.hosts.outline();
    lines.extend(compiled.router.listeners().map(|listener| format!("{listener:?}")));
    lines.extend(compiled.rejected.iter().map(|(key, reason)| format!("rejected {key} {reason}")));
    for (key, entry) in compiled.router.routes.iter() {
        for number in entry.destinations().map(|destination| destination.slot) {
            let backend = compiled.router.backends.get(number);
            let shown = backend.map(|backend| {
                let shown = |target: &CompiledTarget| {
                    format!("{} {} {:?}", target.id, target.host_header, target.tls)
                };
                let targets: Vec<_> = backend.targets().iter().map(shown).collect();
                format!("{:?} {:?} {targets:?}", backend.key, backend.root)
            });
            lines.push(format!("{key} -> {shown:?}"));
        }
    }
    lines.push(format!("{} objects", objects.len()));
    lines
}

#[derive(Clone, Debug)]
struct World {
    routes: Vec<Option<Given>>,
    backends: Vec<Option<u8>>,
    bad: Option<u8>,
    other_listener: bool,
    /// What each says, and whether its private key is there.
    certificates: Vec<Option<(u8, bool)>>,
}

fn world() -> impl Strategy<Value = World> {
    let routes = oracle::routes().prop_flat_map(|routes| {
        routes.into_iter().map(|given| prop::option::weighted(0.8, Just(given))).collect::<Vec<_>>()
    });
    let backends = prop::collection::vec(prop::option::of(0_u8..6), 3);
    let certificates = prop::collection::vec(prop::option::of((0_u8..4, prop::bool::weighted(0.8))), 2);
    (routes, backends, prop::option::of(0_u8..3), any::<bool>(), certificates).prop_map(
        |(routes, backends, bad, other_listener, certificates)| World {
            routes,
            backends,
            bad,
            other_listener,
            certificates,
        },
    )
}

fn objects(world: &World) -> Vec<Object> {
    let mut objects = vec![listener("http")];
    objects.extend(material(world));
    objects.extend(world.other_listener.then(|| listener("other")));
    for (index, given) in world.routes.iter().enumerate() {
        objects.extend(given.as_ref().map(|given| with_backend(oracle::object(index, given), index % 3)));
    }
    for (index, state) in world.backends.iter().enumerate() {
        let Some(state) = state else { continue };
        let root = ["/", "/v1", "/${nope}", "/", "/", "/"][usize::from(*state)].to_owned();
        let backend = wire::Backend { root, ..Default::default() };
        objects.push(object(&format!("backend/default/b{index}"), wire::Payload::Backend(backend)));
        let targets: &[(&str, u32)] =
            [&[("t", 1)][..], &[], &[("t", 1), ("u", 2)], &[("t", 1), ("t", 1)], &[], &[]]
                [usize::from(*state)];
        objects.push(match state {
            4 | 5 => sample::tls_endpoints(&format!("b{index}"), target_tls(*state == 5)),
            _ => endpoints(&format!("b{index}"), targets),
        });
    }
    objects.extend(world.bad.map(|bad| {
        let path = ["bad", "/a/**", "/$x<(>"][usize::from(bad)];
        object(
            "route/default/bad",
            wire::Payload::Route(wire::Route { rules: vec![rule(vec![on("", path)])], ..Default::default() }),
        )
    }));
    objects
}

/// Certificates, and listeners that name them.
fn material(world: &World) -> Vec<Object> {
    let mut objects = Vec::new();
    for (index, state) in world.certificates.iter().enumerate() {
        let Some((text, has_key)) = state else { continue };
        let [certificate, key] = sample::certificate(&format!("c{index}"), &text.to_string());
        objects.push(match text {
            3 => object(&certificate.key().to_string(), wire::Payload::Held(wire::Held::default())),
            _ => certificate,
        });
        objects.extend(has_key.then_some(key));
    }
    let tls = |certificates: &[&str], asked: wire::ClientCertificates| wire::ListenerTls {
        certificates: certificates.iter().map(|name| format!("certificate/default/{name}")).collect(),
        client_certificates: asked.into(),
        ..Default::default()
    };
    objects.push(sample::https_listener("one", tls(&["c0"], wire::ClientCertificates::Ignored)));
    let authorities = vec!["certificate/default/c0".to_owned()];
    let two = tls(&["c1", "c0"], wire::ClientCertificates::Optional);
    objects.push(sample::https_listener("two", wire::ListenerTls { client_authorities: authorities, ..two }));
    objects
}

fn target_tls(trusts: bool) -> wire::TargetTls {
    let named = |name: &str| vec![format!("certificate/default/{name}")];
    let trusted = if trusts { named("c1") } else { Vec::new() };
    wire::TargetTls { client_certificates: named("c0"), trusted, trust_all: !trusts }
}

fn with_backend(route: Object, index: usize) -> Object {
    let Ok(wire::Payload::Route(mut payload)) = route.decode() else { panic!("not a route") };
    for destination in payload.rules.iter_mut().flat_map(|rule| &mut rule.destinations) {
        destination.backend = format!("backend/default/b{index}");
    }
    object(&route.key().to_string(), wire::Payload::Route(payload))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn compiling_with_a_previous_one_changes_nothing(worlds in prop::collection::vec(world(), 1..6)) {
        let states = BackendStates::new();
        let mut previous: Option<Router> = None;
        for world in &worlds {
            let objects = objects(world);
            let served = served(objects.iter().cloned());
            let step = Router::compile(&served, previous.as_ref(), &states);
            let fresh = Router::compile(&served, None, &BackendStates::new());
            prop_assert_eq!(outline(&step, &objects), outline(&fresh, &objects));
            previous = Some(step.router);
        }
    }
}

fn two_hosts(path: &str, targets: &[(&str, u32)]) -> Vec<Object> {
    let [backend, _] = sample::backend("b");
    vec![
        listener("http"),
        backend,
        endpoints("b", targets),
        route("a", vec![on("a.test", "/")]),
        route("b", vec![on("b.test", path)]),
    ]
}

#[test]
fn an_edit_leaves_other_hosts_as_they_are() {
    let states = BackendStates::new();
    let before = Router::compile(&served(two_hosts("/x", &[("t", 1)])), None, &states).router;
    let after = Router::compile(&served(two_hosts("/y", &[("t", 1)])), Some(&before), &states).router;
    let same = |host: &str| {
        let host = HostPattern::parse(host).unwrap();
        std::ptr::eq(before.hosts.tree(&host).unwrap(), after.hosts.tree(&host).unwrap())
    };
    assert!(same("a.test") && !same("b.test"));
    let [before, after] = [&before, &after].map(|router| router.routes.values().next().unwrap());
    assert!(Arc::ptr_eq(before, after));
}

#[test]
fn a_moved_pod_compiles_no_route_and_keeps_the_states() {
    let states = BackendStates::new();
    let before = Router::compile(&served(two_hosts("/x", &[("t", 1)])), None, &states).router;
    let after =
        Router::compile(&served(two_hosts("/x", &[("t", 1), ("u", 1)])), Some(&before), &states).router;
    assert!(Arc::ptr_eq(&before.hosts, &after.hosts));
    let target = |router: &Router| {
        let Decision::Found(matched) =
            router.route(router.listener_id("http").unwrap(), &Head::get("/x").host("b.test"))
        else {
            panic!("not found");
        };
        let target = matched.backend.targets().iter().find(|target| &*target.id == "t").unwrap();
        (Arc::clone(&target.state), sample::pick(&matched).unwrap().id.to_string())
    };
    let (old, first) = target(&before);
    let (new, second) = target(&after);
    assert!(Arc::ptr_eq(&old, &new));
    assert_eq!([first, second], ["t", "u"], "the cursor goes on");
}

/// A leader of a later version has them.
#[test]
fn objects_of_unknown_kinds_are_passed_over() {
    let states = BackendStates::new();
    let later = |bytes: &'static [u8]| {
        let key = dataplane_snapshot::Key::of_any_kind("shoe/default/x").unwrap();
        Object::new(key, bytes::Bytes::from_static(bytes))
    };
    let with = |bytes| two_hosts("/x", &[("t", 1)]).into_iter().chain([later(bytes)]);
    let before = Router::compile(&served(with(b"\xff")), None, &states);
    assert_eq!(before.rejected, []);
    let after = Router::compile(&served(with(b"other")), Some(&before.router), &states);
    assert_eq!(after.rejected, []);
    assert!(Arc::ptr_eq(&before.router.hosts, &after.router.hosts));
}

#[test]
fn numbers_of_vanished_backends_are_used_again() {
    let states = BackendStates::new();
    let mut previous: Option<Router> = None;
    for generation in 0..50 {
        let name = format!("b{generation}");
        let objects = sample::backend(&name).into_iter().chain([listener("http")]);
        previous = Some(Router::compile(&served(objects), previous.as_ref(), &states).router);
    }
    assert!(previous.unwrap().backends.len() <= 2);
    assert!(states.len() <= 2);
}
