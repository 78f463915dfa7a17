//! What listeners and targets get of the certificates that they name.

use std::sync::Arc;

use dataplane_snapshot::{Object, wire};

use crate::sample::{self, certificate, https_listener, object, served, tls_endpoints};
use crate::{
    BackendStates, ClientCertificates, ClientTrust, Compiled, ListenerTls, Router, TargetTls, TlsIdentity,
};

fn keys(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("certificate/default/{name}")).collect()
}

fn on_listener(names: &[&str]) -> wire::ListenerTls {
    wire::ListenerTls { certificates: keys(names), ..Default::default() }
}

fn compile(objects: &[Object], previous: Option<&Router>) -> Compiled {
    Router::compile(&served(objects.iter().cloned()), previous, &BackendStates::new())
}

fn listener_tls(router: &Router, name: &str) -> Option<Arc<ListenerTls>> {
    router.listeners().find(|listener| &*listener.name == name).and_then(|listener| listener.tls.clone())
}

fn target_tls(router: &Router, backend: &str) -> Option<Arc<TargetTls>> {
    let backend = router.backends().find(|found| found.key.name() == backend).unwrap();
    backend.targets().first().and_then(|target| target.tls.clone())
}

/// A backend `name` whose target has these settings.
fn backend(name: &str, tls: wire::TargetTls) -> [Object; 2] {
    let [backend, _] = sample::backend(name);
    [backend, tls_endpoints(name, tls)]
}

fn rejections(objects: Vec<Object>) -> Vec<String> {
    let rejected = compile(&objects, None).rejected;
    rejected.iter().map(|(key, reason)| format!("{key}: {reason}")).collect()
}

#[test]
fn a_listener_gets_its_certificates_in_their_order() {
    let tls = wire::ListenerTls {
        client_certificates: wire::ClientCertificates::Required.into(),
        client_authorities: keys(&["a"]),
        forward_client_certificate: true,
        ..on_listener(&["b", "a"])
    };
    let mut objects = vec![https_listener("https", tls), sample::listener("http")];
    objects.extend(certificate("a", "A").into_iter().chain(certificate("b", "B")));
    let Compiled { router, rejected } = compile(&objects, None);
    assert_eq!(rejected, []);
    assert_eq!(listener_tls(&router, "http"), None);
    let tls = listener_tls(&router, "https").unwrap();
    let names: Vec<_> = tls.certificates.iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, keys(&["b", "a"]));
    assert_eq!(tls.certificates[0].chain, ["B certificate", "B issuer"]);
    assert_eq!(tls.certificates[0].key.0, "B key");
    let authorities = vec!["A certificate".into(), "A issuer".into()];
    assert_eq!(tls.clients, ClientCertificates::Required(ClientTrust { authorities, forwarded: true }));
}

#[test]
fn a_target_gets_what_it_shows_and_trusts() {
    let tls = wire::TargetTls { client_certificates: keys(&["a"]), trusted: keys(&["ca"]), trust_all: false };
    let [ca, _] = certificate("ca", "CA");
    let mut objects = vec![ca];
    objects.extend(backend("b", tls).into_iter().chain(certificate("a", "A")));
    let Compiled { router, rejected } = compile(&objects, None);
    assert_eq!(rejected, []);
    let tls = target_tls(&router, "b").unwrap();
    assert_eq!(tls.client_certificates[0].key.0, "A key");
    assert_eq!(tls.trusted, ["CA certificate", "CA issuer"], "trusting needs no private key");
    assert!(!tls.trust_all);
    let host = &router.backends().next().unwrap().targets()[0].host_header;
    assert_eq!(&**host, "a.test", "443 goes without saying");
}

#[test]
fn what_is_missing_rejects_who_names_it_alone() {
    let [a, a_key] = certificate("a", "A");
    let shows = |name| wire::TargetTls { client_certificates: keys(&[name]), ..Default::default() };
    let of_all = |objects: Vec<Object>| {
        let others = [sample::listener("http"), https_listener("https", on_listener(&["a"]))];
        rejections(others.into_iter().chain(backend("b", shows("a"))).chain(objects).collect())
    };
    assert_eq!(of_all(vec![a.clone(), a_key.clone()]), [] as [&str; 0]);
    assert_eq!(
        of_all(vec![a_key]),
        [
            "listener/settings/https: there is no certificate a",
            "endpoints/default/b: targets[0]: tls: there is no certificate a"
        ]
    );
    let without_key =
        "the private key of certificate a isn't here: it is sent only over TLS or within one machine";
    assert_eq!(
        of_all(vec![a]),
        [
            format!("listener/settings/https: {without_key}"),
            format!("endpoints/default/b: targets[0]: tls: {without_key}")
        ]
    );
    let held = wire::Held { reason: "it is broken".to_owned(), route: None };
    assert_eq!(
        of_all(vec![object("certificate/default/a", wire::Payload::Held(held))])[0],
        "listener/settings/https: certificate a can't be used: it is broken"
    );
    let wrong = |tls| rejections(vec![https_listener("https", tls)]);
    assert_eq!(
        wrong(on_listener(&[])),
        ["listener/settings/https: there is no certificate with a private key for it yet"]
    );
    let bad_name = wire::ListenerTls { certificates: vec!["route/x/y".into()], ..Default::default() };
    assert_eq!(wrong(bad_name), [r#"listener/settings/https: "route/x/y" is not the key of a certificate"#]);
}

#[test]
fn broken_material_is_rejected_itself() {
    let empty = object("certificate/default/a", wire::Payload::Certificate(wire::Certificate::default()));
    let [b, _] = certificate("b", "B");
    let password = wire::Secret { kind: Some(wire::SecretKind::Password("x".into())) };
    let no_key = object("secret/default/b", wire::Payload::Secret(password));
    assert_eq!(
        rejections(vec![empty, b, no_key]),
        ["certificate/default/a: it holds no certificate", "secret/default/b: it holds no private key"]
    );
}

#[test]
fn authorities_and_asking_go_together() {
    let asks = |asked: i32, authorities: &[&str]| wire::ListenerTls {
        client_certificates: asked,
        client_authorities: keys(authorities),
        ..on_listener(&["a"])
    };
    for (asked, authorities, good) in
        [(0, &[][..], true), (0, &["a"], false), (1, &["a"], true), (2, &[], false), (9, &["a"], false)]
    {
        let mut objects = certificate("a", "A").to_vec();
        objects.push(https_listener("https", asks(asked, authorities)));
        assert_eq!(rejections(objects).is_empty(), good, "{asked} {authorities:?}");
    }
}

/// The identities of a listener and a target with these settings, in a process of their own.
fn identities(
    text: &str,
    listener: wire::ListenerTls,
    target: wire::TargetTls,
) -> (TlsIdentity, TlsIdentity) {
    let mut objects = vec![https_listener("https", listener)];
    objects.extend(certificate("a", text).into_iter().chain(certificate("b", "B")));
    objects.extend(backend("b", target));
    let Compiled { router, rejected } = compile(&objects, None);
    assert_eq!(rejected, []);
    (listener_tls(&router, "https").unwrap().identity, target_tls(&router, "b").unwrap().identity)
}

#[test]
fn an_identity_is_that_of_the_contents() {
    let asking = wire::ListenerTls {
        client_certificates: wire::ClientCertificates::Optional.into(),
        client_authorities: keys(&["b"]),
        ..on_listener(&["a", "b"])
    };
    let both = wire::TargetTls { client_certificates: keys(&["a"]), trusted: keys(&["b"]), trust_all: false };
    let of = |listener: &wire::ListenerTls, target: &wire::TargetTls| {
        identities("A", listener.clone(), target.clone())
    };
    let first = of(&asking, &both);
    assert_eq!(of(&asking, &both), first);
    let renewed = identities("other", asking.clone(), both.clone());
    assert!(renewed.0 != first.0 && renewed.1 != first.1, "a certificate counts by what it is");
    let required = wire::ClientCertificates::Required.into();
    for other in [
        wire::ListenerTls { certificates: keys(&["b", "a"]), ..asking.clone() },
        wire::ListenerTls { client_certificates: required, ..asking.clone() },
        wire::ListenerTls { client_authorities: keys(&["a"]), ..asking.clone() },
        wire::ListenerTls { forward_client_certificate: true, ..asking.clone() },
    ] {
        assert_ne!(of(&other, &both).0, first.0, "{other:?}");
    }
    for other in [
        wire::TargetTls { trusted: vec![], ..both.clone() },
        wire::TargetTls { trusted: keys(&["a", "b"]), client_certificates: vec![], ..both.clone() },
        wire::TargetTls { trust_all: true, ..both.clone() },
    ] {
        assert_ne!(of(&asking, &other).1, first.1, "{other:?}");
    }
}

#[test]
fn a_renewed_certificate_compiles_only_what_names_it() {
    let world = |a: &str| {
        let names = |name| wire::TargetTls { client_certificates: keys(&[name]), ..Default::default() };
        let mut objects =
            vec![https_listener("a", on_listener(&["a"])), https_listener("b", on_listener(&["b"]))];
        objects.extend(certificate("a", a).into_iter().chain(certificate("b", "B")));
        objects.extend(backend("with-a", names("a")).into_iter().chain(backend("with-b", names("b"))));
        objects
    };
    let before = compile(&world("A"), None).router;
    let after = compile(&world("renewed"), Some(&before)).router;
    let same_listener =
        |name| Arc::ptr_eq(&listener_tls(&before, name).unwrap(), &listener_tls(&after, name).unwrap());
    let same_target =
        |name| Arc::ptr_eq(&target_tls(&before, name).unwrap(), &target_tls(&after, name).unwrap());
    assert!(same_listener("b") && same_target("with-b"));
    assert!(!same_listener("a") && !same_target("with-a"));
    assert_eq!(target_tls(&after, "with-a").unwrap().client_certificates[0].key.0, "renewed key");
}
