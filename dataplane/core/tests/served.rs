//! What a worker serves while objects are held, rejected, changed and removed.

#![expect(clippy::unwrap_used, reason = "a test's own keys are good")]

use std::collections::BTreeMap;

use dataplane_core::served::Served;
use dataplane_snapshot::{AsOf, Key, Kind, Object, Snapshot, wire};
use proptest::prelude::*;
use wire::{Backend, Destination, Endpoints, Held, Payload, Route, Rule};

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn object(key: &Key, payload: Payload) -> Object {
    Object::encode(key.clone(), &payload.into())
}

fn route(name: &str, text: &str, backends: &[&str]) -> Object {
    let destinations = backends
        .iter()
        .map(|backend| Destination { backend: (*backend).into(), ..Default::default() })
        .collect();
    let rules = vec![Rule { destinations, ..Default::default() }];
    let payload = Payload::Route(Route { name: text.into(), rules, ..Default::default() });
    object(&key(&format!("route/default/{name}")), payload)
}

fn backend(name: &str) -> [Object; 2] {
    let backend = key(&format!("backend/default/{name}"));
    [
        object(&backend, Payload::Backend(Backend { name: name.into(), ..Default::default() })),
        object(&backend.with_kind(Kind::Endpoints), Payload::Endpoints(Endpoints::default())),
    ]
}

fn held(text: &str) -> Object {
    object(&key(text), Payload::Held(Held { reason: "broken".into(), route: None }))
}

fn snapshot(objects: impl IntoIterator<Item = Object>) -> Snapshot {
    Snapshot::new(objects, AsOf::default())
}

fn keys(served: &Served) -> Vec<String> {
    served.iter().map(|(key, _)| key.to_string()).collect()
}

#[test]
fn a_held_object_is_replaced_by_its_last_good_version() {
    let good = route("a", "v1", &[]);
    let served = Served::new(snapshot([good.clone()]));
    let served = served.advance(snapshot([held("route/default/a")]));
    assert_eq!(served.object(good.key()), Some(&good));
    assert_eq!(served.iter().collect::<Vec<_>>(), [(good.key(), &good)]);
    let served = served.advance(snapshot([held("route/default/a"), route("b", "v1", &[])]));
    assert_eq!(served.object(good.key()), Some(&good), "also when others change");
    let better = route("a", "v2", &[]);
    let served = served.advance(snapshot([better.clone()]));
    assert_eq!(served.object(good.key()), Some(&better));
    assert_eq!(served.retained().count(), 0);
}

#[test]
fn an_object_that_never_was_good_stays_held() {
    let served = Served::default().advance(snapshot([held("route/default/a")]));
    assert!(matches!(served.payload(&key("route/default/a")), Some(Ok(Payload::Held(_)))));
}

#[test]
fn removal_ends_what_was_retained() {
    let served = Served::new(snapshot([route("a", "v1", &[])]));
    let served = served.advance(snapshot([held("route/default/a")])).advance(snapshot([]));
    assert_eq!(served.iter().count(), 0);
    let served = served.advance(snapshot([held("route/default/a")]));
    assert!(matches!(served.payload(&key("route/default/a")), Some(Ok(Payload::Held(_)))));
}

#[test]
fn a_held_route_keeps_its_inline_backends() {
    let inline = backend("a~0");
    let shared = backend("shared");
    let good = route("a", "v1", &["backend/default/a~0", "backend/default/shared"]);
    let all = inline.clone().into_iter().chain(shared.clone()).chain([good.clone()]);
    let served = Served::new(snapshot(all));
    let served = served.advance(snapshot([held("route/default/a")]));
    let expected = ["route/default/a", "backend/default/a~0", "endpoints/default/a~0"];
    assert_eq!(keys(&served), expected, "what another object defines goes with that object");
    let served = served.advance(snapshot([]));
    assert_eq!(keys(&served), [] as [&str; 0]);
}

#[test]
fn a_held_backend_keeps_its_endpoints_unless_there_are_newer_ones() {
    let [good, endpoints] = backend("b");
    let served = Served::new(snapshot([good.clone(), endpoints.clone()]));
    let without = served.advance(snapshot([held("backend/default/b")]));
    assert_eq!(without.object(endpoints.key()), Some(&endpoints));
    let target = wire::Target { hostname: "moved".into(), ..Default::default() };
    let moved = Endpoints { targets: vec![target] };
    let moved = object(endpoints.key(), Payload::Endpoints(moved));
    let with = without.advance(snapshot([held("backend/default/b"), moved.clone()]));
    assert_eq!(with.object(good.key()), Some(&good));
    assert_eq!(with.object(endpoints.key()), Some(&moved));
    assert_eq!(with.iter().count(), 2);
}

#[test]
fn a_rejected_object_falls_back_and_is_tried_again() {
    let (good, bad) = (route("a", "v1", &[]), route("a", "bad", &[]));
    let rejection = [(good.key().clone(), "why".to_owned())];
    let mut served = Served::new(snapshot([good.clone()])).advance(snapshot([bad.clone()]));
    assert_eq!(served.object(good.key()), Some(&bad));
    assert!(served.reject(&rejection));
    assert_eq!(served.object(good.key()), Some(&good));
    let mut served = served.advance(snapshot([bad.clone(), route("b", "v1", &[])]));
    assert_eq!(served.object(good.key()), Some(&bad), "what else changed may have made it good");
    assert!(served.reject(&rejection));
    assert_eq!(served.object(good.key()), Some(&good));
    assert!(served.reject(&rejection), "the stand-in isn't good any more either");
    assert!(!served.reject(&rejection), "and now nothing else can be tried");
}

#[test]
fn what_was_retained_survives_a_restart() {
    let good = route("a", "v1", &["backend/default/a~0"]);
    let all = backend("a~0").into_iter().chain([good.clone()]);
    let before = Served::new(snapshot(all)).advance(snapshot([held("route/default/a")]));
    let after = Served::restore(before.snapshot().clone(), before.retained().cloned());
    assert_eq!(keys(&after), keys(&before));
    assert_eq!(after.object(good.key()), Some(&good));
}

#[test]
fn what_was_rejected_is_tried_first_after_a_restart() {
    let (good, bad) = (route("a", "v1", &[]), route("a", "bad", &[]));
    let mut before = Served::new(snapshot([good.clone()])).advance(snapshot([bad.clone()]));
    before.reject(&[(good.key().clone(), "why".to_owned())]);
    let mut after = Served::restore(before.snapshot().clone(), before.retained().cloned());
    assert_eq!(after.object(good.key()), Some(&bad), "this program may be newer");
    after.reject(&[(good.key().clone(), "why".to_owned())]);
    assert_eq!(after.object(good.key()), Some(&good));
}

/// What a snapshot has under one key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Absent,
    Good(u8),
    Held,
    /// Rejected by the compile step of this worker.
    Bad(u8),
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Absent),
        (0..3u8).prop_map(State::Good),
        Just(State::Held),
        (0..3u8).prop_map(State::Bad)
    ]
}

fn make(name: &str, state: State) -> Option<Object> {
    match state {
        State::Absent => None,
        State::Good(version) => Some(route(name, &format!("good {version}"), &[])),
        State::Held => Some(held(&format!("route/default/{name}"))),
        State::Bad(version) => Some(route(name, &format!("bad {version}"), &[])),
    }
}

fn rejected(served: &Served) -> Vec<(Key, String)> {
    let is_bad = |object: &Object| matches!(object.decode(), Ok(Payload::Route(route)) if route.name.starts_with("bad"));
    served
        .iter()
        .filter(|(_, object)| is_bad(object))
        .map(|(key, _)| (key.clone(), "bad".to_owned()))
        .collect()
}

proptest! {
    /// Against a model that remembers, per name, the last good version since the key was last absent.
    #[test]
    fn serves_the_snapshot_or_the_last_good_version(
        steps in prop::collection::vec(prop::collection::vec(state(), 3), 1..8),
        restart_after in 0..8usize,
    ) {
        let names = ["a", "b", "c"];
        let mut served = Served::default();
        let mut last_good: BTreeMap<&str, Object> = BTreeMap::new();
        for (number, states) in steps.iter().enumerate() {
            let objects = names.iter().zip(states).filter_map(|(name, state)| make(name, *state));
            served = served.advance(snapshot(objects));
            let mut rounds = 0;
            while served.reject(&rejected(&served)) {
                rounds += 1;
                prop_assert!(rounds < 10);
            }
            if number == restart_after {
                served = Served::restore(served.snapshot().clone(), served.retained().cloned());
                while served.reject(&rejected(&served)) {}
            }
            for (name, state) in names.iter().zip(states) {
                match state {
                    State::Absent => { last_good.remove(name); }
                    State::Good(_) => { last_good.extend(make(name, *state).map(|object| (*name, object))); }
                    State::Held | State::Bad(_) => {}
                }
                let expected = last_good.get(name).cloned().or_else(|| make(name, *state));
                prop_assert_eq!(served.object(&key(&format!("route/default/{name}"))), expected.as_ref());
            }
            let listed: Vec<_> = served.iter().map(|(key, _)| key.clone()).collect();
            prop_assert!(listed.is_sorted());
            prop_assert_eq!(listed.len(), states.iter().filter(|state| **state != State::Absent).count());
        }
    }
}

fn certificate(name: &str, text: &'static str) -> [Object; 2] {
    let chain = vec![text.into()];
    let certificate = key(&format!("certificate/default/{name}"));
    let secret = wire::Secret { kind: Some(wire::SecretKind::PrivateKey(text.into())) };
    [
        object(&certificate, Payload::Certificate(wire::Certificate { chain })),
        object(&certificate.with_kind(Kind::Secret), Payload::Secret(secret)),
    ]
}

fn https(certificate: &str) -> Object {
    let tls = wire::ListenerTls { certificates: vec![certificate.into()], ..Default::default() };
    let listener = wire::Listener { tls: Some(tls), ..Default::default() };
    object(&key("listener/settings/https"), Payload::Listener(listener))
}

/// A backend whose target shows the certificate `a`.
fn tls_backend() -> [Object; 2] {
    let [backend, _] = backend("b");
    let tls =
        wire::TargetTls { client_certificates: vec!["certificate/default/a".into()], ..Default::default() };
    let target = wire::Target { tls: Some(tls), ..Default::default() };
    let endpoints = Payload::Endpoints(Endpoints { targets: vec![target] });
    [backend, object(&key("endpoints/default/b"), endpoints)]
}

#[test]
fn a_held_certificate_keeps_its_private_key() {
    let [good, secret] = certificate("a", "A");
    let served = Served::new(snapshot([good.clone(), secret.clone()]));
    let served = served.advance(snapshot([held("certificate/default/a")]));
    assert_eq!(served.object(good.key()), Some(&good));
    assert_eq!(served.object(secret.key()), Some(&secret));
    let served = Served::restore(served.snapshot().clone(), served.retained().cloned());
    assert_eq!(served.object(secret.key()), Some(&secret), "also from disk");
    let [renewed, renewed_secret] = certificate("a", "B");
    let served = served.advance(snapshot([renewed, renewed_secret.clone()]));
    assert_eq!(served.object(secret.key()), Some(&renewed_secret));
}

#[test]
fn a_held_backend_keeps_the_certificates_that_its_targets_name() {
    let [good, secret] = certificate("a", "A");
    let served = Served::new(snapshot(tls_backend().into_iter().chain([good, secret])));
    let served = served.advance(snapshot([held("backend/default/b")]));
    assert_eq!(
        keys(&served),
        ["backend/default/b", "endpoints/default/b", "certificate/default/a", "secret/default/a"]
    );
}

#[test]
fn a_listener_whose_certificate_goes_stays_as_it_was() {
    let [good, secret] = certificate("a", "A");
    let listener = https("certificate/default/a");
    let mut served = Served::new(snapshot([listener.clone(), good.clone(), secret.clone()]));
    served = served.advance(snapshot([listener.clone()]));
    assert_eq!(served.object(good.key()), None, "a deletion counts, as long as nobody needs it");
    assert!(served.reject(&[(listener.key().clone(), "there is no certificate a".into())]));
    assert_eq!(served.object(good.key()), Some(&good));
    assert_eq!(served.object(secret.key()), Some(&secret));
    let mut restored = Served::restore(served.snapshot().clone(), served.retained().cloned());
    assert!(restored.reject(&[(listener.key().clone(), "there is no certificate a".into())]));
    assert_eq!(restored.object(secret.key()), Some(&secret), "also from disk");
    let served = served.advance(snapshot([]));
    assert_eq!(keys(&served), [] as [&str; 0], "who needed it is gone");
}

/// A backend behind a proxy that wants the password.
fn proxied_backend() -> [Object; 3] {
    let password = key("secret/default/b~proxy");
    let proxy = wire::ForwardProxy { password: password.to_string(), ..Default::default() };
    let client = wire::ClientSettings { proxy: Some(Box::new(proxy)), ..Default::default() };
    let [_, endpoints] = backend("b");
    let backend = Backend { client: Some(client), ..Default::default() };
    let secret = wire::Secret { kind: Some(wire::SecretKind::Password("hunter2".into())) };
    [
        object(&key("backend/default/b"), Payload::Backend(backend)),
        endpoints,
        object(&password, Payload::Secret(secret)),
    ]
}

#[test]
fn a_held_backend_keeps_its_password() {
    let [good, endpoints, secret] = proxied_backend();
    let served = Served::new(snapshot([good, endpoints, secret.clone()]));
    let served = served.advance(snapshot([held("backend/default/b")]));
    assert_eq!(served.object(secret.key()), Some(&secret));
    let served = Served::restore(served.snapshot().clone(), served.retained().cloned());
    assert_eq!(served.object(secret.key()), Some(&secret), "also from disk");
}

#[test]
fn a_backend_whose_password_goes_stays_as_it_was() {
    let [good, endpoints, secret] = proxied_backend();
    let served = Served::new(snapshot([good.clone(), endpoints.clone(), secret.clone()]));
    let mut served = served.advance(snapshot([good.clone(), endpoints]));
    assert_eq!(served.object(secret.key()), None);
    assert!(served.reject(&[(good.key().clone(), "its password isn't here".into())]));
    assert_eq!(served.object(secret.key()), Some(&secret));
}

#[test]
fn a_private_key_never_meets_another_certificate() {
    let [good, secret] = certificate("a", "A");
    let [renewed, _] = certificate("a", "B");
    let listener = https("certificate/default/a");
    let mut served = Served::new(snapshot([listener.clone(), good.clone(), secret.clone()]));
    served = served.advance(snapshot([listener.clone(), renewed]));
    assert!(served.reject(&[(listener.key().clone(), "the private key isn't here".into())]));
    assert_eq!(served.object(secret.key()), Some(&secret));
    assert_eq!(served.object(good.key()), Some(&good));
}
