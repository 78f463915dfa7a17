//! TLS towards targets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use dataplane_core::health::Colour;
use dataplane_proxy::Reason;
use dataplane_snapshot::wire;
use rustls::HandshakeKind;
use support::tls::{
    Authority, Identity, ONLY_TLS12, ONLY_TLS13, ServerSettings, TlsUpstream, targeting, trusting,
};
use support::{Gateway, Setup, Upstream};

const NAME: &str = "users.internal.test";

/// A gateway whose target shows `shown` and is asked for as `name`. It trusts `trusted`.
fn gateway(shown: &Identity, name: &str, trusted: &Identity) -> (TlsUpstream, Gateway) {
    let upstream = TlsUpstream::start(shown, ServerSettings::default());
    let mut setup = targeting(Setup::new(upstream.address()), name, trusting("trusted"));
    setup.certificates.push(("trusted", trusted.clone()));
    (upstream, setup.start())
}

/// What a request is answered with: 200, or the reason and the sentence.
fn outcome(gateway: &Gateway) -> Result<u16, String> {
    let answer = gateway.client().get("/");
    if answer.status == 200 {
        return Ok(200);
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    Err(format!(
        "{} {}: {}",
        answer.status,
        json["reason"].as_str().unwrap(),
        json["message"].as_str().unwrap()
    ))
}

#[test]
fn a_target_is_asked_for_by_its_name_wherever_it_is() {
    let authority = Authority::new("ca");
    let (upstream, gateway) = gateway(&authority.issue(&[NAME]), NAME, &authority.identity());
    for _ in 0..3 {
        assert_eq!(gateway.client().get("/").text(), "ok");
    }
    let seen = upstream.seen();
    assert_eq!(seen.names, [Some(NAME.to_owned())], "one connection serves all three");
    assert_eq!(seen.alpn, [Some(b"http/1.1".to_vec())]);
    let (head, port) = (&seen.requests[0], upstream.address().port());
    assert!(
        head.contains("host: a.test\r\n") || head.contains(&format!("host: {NAME}:{port}\r\n")),
        "{head}"
    );
    assert_eq!(gateway.proxy.stats().upstream_reuses, 2);
}

#[test]
fn a_certificate_has_to_be_signed_by_who_is_trusted_and_to_be_for_the_target() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let trusted = authority.identity();
    for (shown, name, expected) in [
        (authority.issue(&[NAME]), NAME, Ok(200)),
        (authority.issue_rsa(&[NAME]), NAME, Ok(200)),
        (authority.issue(&["*.internal.test"]), NAME, Ok(200)),
        (authority.issue(&["127.0.0.1"]), "127.0.0.1", Ok(200)),
        (other.issue(&[NAME]), NAME, Err("its certificate isn't signed by a trusted authority")),
        (
            authority.issue(&["a.internal", "b.internal"]),
            NAME,
            Err("its certificate is for other names: a.internal, b.internal"),
        ),
        (authority.issue(&["127.0.0.2"]), "127.0.0.1", Err("its certificate is for other names")),
        (authority.issue_expired(&[NAME]), NAME, Err("its certificate expired")),
    ] {
        let (upstream, gateway) = gateway(&shown, name, &trusted);
        match expected {
            Ok(status) => assert_eq!(outcome(&gateway), Ok(status)),
            Err(why) => {
                let error = outcome(&gateway).unwrap_err();
                assert!(error.starts_with(&format!("502 tls_failed: TLS with {name}: {why}")), "{error}");
                assert_eq!(gateway.proxy.stats().reason(Reason::TlsFailed), 1);
                assert!(upstream.seen().requests.is_empty());
            }
        }
    }
}

#[test]
fn one_certificate_can_be_trusted_by_itself() {
    let authority = Authority::new("unknown");
    for pinned in [
        Identity::self_signed(&[NAME], false),
        Identity::self_signed(&[NAME], true),
        authority.issue(&[NAME]),
    ] {
        let (_upstream, gateway) = gateway(&pinned, NAME, &pinned);
        assert_eq!(outcome(&gateway), Ok(200));
    }
    // It is believed for its own names only, and in its own time.
    let elsewhere = Identity::self_signed(&["elsewhere.internal"], true);
    let (_upstream, wrong) = gateway(&elsewhere, NAME, &elsewhere);
    assert!(outcome(&wrong).unwrap_err().contains("elsewhere.internal"));
    let old = authority.issue_expired(&[NAME]);
    let (_upstream, expired) = gateway(&old, NAME, &old);
    assert!(outcome(&expired).unwrap_err().contains("expired"));
}

#[test]
fn anything_can_be_trusted() {
    let authority = Authority::new("unknown");
    for shown in [
        authority.issue(&["other.test"]),
        authority.issue_expired(&[NAME]),
        Identity::self_signed(&["x"], true),
    ] {
        for versions in [&ONLY_TLS12, &ONLY_TLS13] {
            let upstream = TlsUpstream::start(&shown, ServerSettings { versions, ..Default::default() });
            let tls = wire::TargetTls { trust_all: true, ..Default::default() };
            let gateway = targeting(Setup::new(upstream.address()), NAME, tls).start();
            assert_eq!(outcome(&gateway), Ok(200));
        }
    }
}

#[test]
fn without_own_certificates_to_trust_the_system_decides() {
    let authority = Authority::new("unknown to every system");
    let upstream = TlsUpstream::start(&authority.issue(&[NAME]), ServerSettings::default());
    let gateway = targeting(Setup::new(upstream.address()), NAME, wire::TargetTls::default()).start();
    let error = outcome(&gateway).unwrap_err();
    let expected = ["isn't signed by a trusted authority", "the worker's system trusts no authority"];
    assert!(error.contains("tls_failed") && expected.iter().any(|it| error.contains(it)), "{error}");
}

#[test]
fn a_target_gets_the_client_certificate_that_it_wants() {
    let (authority, clients, others) =
        (Authority::new("ca"), Authority::new("clients"), Authority::new("others"));
    for versions in [&ONLY_TLS12, &ONLY_TLS13] {
        let settings =
            ServerSettings { versions, clients: Some(clients.certificate()), ..Default::default() };
        let upstream = TlsUpstream::start(&authority.issue(&[NAME]), settings);
        let tls = wire::TargetTls {
            client_certificates: vec![Identity::key_of("wrong"), Identity::key_of("right")],
            ..trusting("trusted")
        };
        let mut setup = targeting(Setup::new(upstream.address()), NAME, tls);
        setup.certificates.extend([
            ("trusted", authority.identity()),
            ("wrong", others.issue(&["gateway"])),
            ("right", clients.issue(&["gateway"])),
        ]);
        let mut gateway = setup.start();
        assert_eq!(outcome(&gateway), Ok(200));
        assert_eq!(upstream.seen().clients, [1]);

        // Since TLS 1.3 the target says so only when the request is under way.
        gateway.swap(|setup| {
            setup.endpoints.targets[0].tls.as_mut().unwrap().client_certificates.clear();
        });
        let error = outcome(&gateway).unwrap_err();
        assert!(error.contains("tls_failed") && error.contains("certificate"), "{error}");
        gateway.swap(|setup| {
            let wrong = vec![Identity::key_of("wrong")];
            setup.endpoints.targets[0].tls.as_mut().unwrap().client_certificates = wrong;
        });
        let error = outcome(&gateway).unwrap_err();
        assert!(error.contains("tls_failed") && error.contains("refuses the client certificate"), "{error}");
    }
}

#[test]
fn sessions_with_targets_are_resumed() {
    let authority = Authority::new("ca");
    for versions in [&ONLY_TLS12, &ONLY_TLS13] {
        let settings = ServerSettings { versions, closes: true, ..Default::default() };
        let upstream = TlsUpstream::start(&authority.issue(&[NAME]), settings);
        let mut setup = targeting(Setup::new(upstream.address()), NAME, trusting("trusted"));
        setup.certificates.push(("trusted", authority.identity()));
        let gateway = setup.start();
        for count in 1..=3 {
            assert_eq!(outcome(&gateway), Ok(200), "the one that was closed isn't used again");
            upstream.wait(|seen| seen.handshakes.len() == count);
        }
        // A closed connection is seen to be closed before a request is lost on it.
        assert_eq!(gateway.proxy.stats().upstream_resends, 0);
        let resumed = HandshakeKind::Resumed;
        assert_eq!(upstream.seen().handshakes, [HandshakeKind::Full, resumed, resumed]);
    }
}

#[test]
fn connections_of_other_settings_are_not_used() {
    let authority = Authority::new("ca");
    let identity = authority.issue(&[NAME, "second.internal"]);
    let (upstream, mut gateway) = gateway(&identity, NAME, &authority.identity());
    let target = |gateway: &Gateway| gateway.setup.endpoints.targets[0].clone();
    assert_eq!(outcome(&gateway), Ok(200));
    // The same settings once more: the connection is used.
    gateway.swap(|_| {});
    assert_eq!(outcome(&gateway), Ok(200));
    assert_eq!(upstream.seen().names.len(), 1);
    let before = target(&gateway);
    gateway.swap(|setup| setup.endpoints.targets[0].tls.as_mut().unwrap().trust_all = true);
    assert_eq!(outcome(&gateway), Ok(200));
    assert_eq!(upstream.seen().names.len(), 2, "one that wasn't verified isn't one that was");
    gateway.swap(|setup| {
        setup.endpoints.targets[0] = before.clone();
        setup.endpoints.targets[0].hostname = "second.internal".into();
    });
    assert_eq!(outcome(&gateway), Ok(200));
    assert_eq!(upstream.seen().names.last().unwrap().as_deref(), Some("second.internal"));
    gateway.swap(|setup| setup.endpoints.targets[0] = before);
    assert_eq!(outcome(&gateway), Ok(200));
    assert_eq!(upstream.seen().names.len(), 3, "and the first one is still there");
}

#[test]
fn a_target_that_does_not_speak_tls_is_named_so() {
    let plain = Upstream::start(|accepted| {
        accepted.read();
        accepted.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let gateway = |upstream: &Upstream| {
        targeting(
            Setup::new(upstream.address()),
            NAME,
            wire::TargetTls { trust_all: true, ..Default::default() },
        )
        .start()
    };
    let error = outcome(&gateway(&plain)).unwrap_err();
    assert!(error.ends_with(&format!("TLS with {NAME}: what it answers isn't TLS")), "{error}");
    let closing = Upstream::start(|accepted| {
        accepted.read();
    });
    let error = outcome(&gateway(&closing)).unwrap_err();
    assert!(error.contains("it closed in the middle of the handshake"), "{error}");
}

#[test]
fn a_handshake_counts_as_connecting() {
    let silent = Upstream::start(|accepted| accepted.drain());
    let tls = wire::TargetTls { trust_all: true, ..Default::default() };
    let setup =
        targeting(Setup::new(silent.address()), NAME, tls).client(|client| client.connection_timeout = 150);
    let error = outcome(&setup.start()).unwrap_err();
    assert!(error.starts_with("504 connection_timeout"), "{error}");
}

#[test]
fn what_fails_in_tls_is_tried_elsewhere() {
    let authority = Authority::new("ca");
    let bad = TlsUpstream::start(&Authority::new("other").issue(&[NAME]), ServerSettings::default());
    let good = TlsUpstream::start(&authority.issue(&[NAME]), ServerSettings::default());
    let mut setup = Setup::new(bad.address()).target(good.address()).retries(1);
    for target in &mut setup.endpoints.targets {
        target.ip_address = std::mem::replace(&mut target.hostname, NAME.to_owned());
        target.tls = Some(trusting("trusted"));
    }
    setup.certificates.push(("trusted", authority.identity()));
    let gateway = setup.start();
    for _ in 0..4 {
        assert_eq!(outcome(&gateway), Ok(200));
    }
    assert_eq!(good.seen().requests.len(), 4);
    assert!(bad.seen().requests.is_empty());
}

#[test]
fn health_checks_ask_over_tls_where_requests_do() {
    let authority = Authority::new("ca");
    let good = TlsUpstream::start(&authority.issue(&[NAME]), ServerSettings::default());
    let bad = TlsUpstream::start(&Authority::new("other").issue(&[NAME]), ServerSettings::default());
    let mut setup = Setup::new(good.address()).target(bad.address());
    for target in &mut setup.endpoints.targets {
        target.ip_address = std::mem::replace(&mut target.hostname, NAME.to_owned());
        target.tls = Some(trusting("trusted"));
    }
    setup.certificates.push(("trusted", authority.identity()));
    let check = |url: String| wire::HealthCheck { url, interval: 20, timeout: 2_000, ..Default::default() };
    setup.backend.health_check = Some(check("/health".to_owned()).into());
    let mut gateway = setup.start();
    let of = |gateway: &Gateway, address: std::net::SocketAddr, colour: Colour| {
        support::eventually(|| {
            let all = gateway.proxy.health().into_iter();
            all.filter(|health| health.colour == colour).find(|health| *health.target == address.to_string())
        })
    };
    of(&gateway, good.address(), Colour::Green);
    assert!(good.seen().requests[0].starts_with("GET /health "));
    assert_eq!(good.seen().names[0].as_deref(), Some(NAME));
    let reason = of(&gateway, bad.address(), Colour::Black).reason;
    assert!(reason.contains("its certificate isn't signed by a trusted authority"), "{reason}");
    for _ in 0..4 {
        assert_eq!(outcome(&gateway), Ok(200), "the other one gets no traffic");
    }
    // Another server isn't believed for the sake of the targets' settings.
    let elsewhere = TlsUpstream::start(&authority.issue(&["127.0.0.1"]), ServerSettings::default());
    gateway.swap(|setup| {
        setup.backend.health_check = Some(check(format!("https://{}/health", elsewhere.address())).into());
    });
    let reason = of(&gateway, good.address(), Colour::Black).reason;
    assert!(reason.starts_with("TLS with 127.0.0.1: ") || reason.contains("trusts no authority"), "{reason}");
    assert!(elsewhere.seen().requests.is_empty());
}
