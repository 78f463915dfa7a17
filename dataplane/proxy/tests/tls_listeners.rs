//! TLS towards clients.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dataplane_proxy::Reason;
use dataplane_snapshot::wire::{self, ClientCertificates};
use rustls::crypto::aws_lc_rs::cipher_suite;
use support::tls::{
    Authority, ClientSettings, Identity, ONLY_TLS12, ONLY_TLS13, asking, client_config, connect, listening,
    provider, try_connect,
};
use support::{Client, Setup, Upstream};

fn plain_client(authority: &Authority) -> Arc<rustls::ClientConfig> {
    client_config(authority, ClientSettings::default())
}

#[test]
fn requests_are_served_inside_tls_and_targets_are_told() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identity = authority.issue(&["a.test"]);
    for versions in [&ONLY_TLS12, &ONLY_TLS13] {
        let gateway = listening(Setup::new(upstream.address()), &[("a", &identity)]).start();
        let settings = ClientSettings { versions, ..ClientSettings::default() };
        let mut client = connect(gateway.address(), "a.test", &client_config(&authority, settings));
        for _ in 0..3 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.text()), (200, "ok"));
        }
        assert_eq!(client.version(), versions[0].version);
        let (head, port) = (upstream.last(), gateway.address().port());
        assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
        assert!(head.contains(&format!("x-forwarded-port: {port}\r\n")), "{head}");
        assert!(head.contains("proto=https"), "{head}");
        let stats = gateway.stats(|stats| stats.responses[2] == 3);
        assert_eq!((stats.tls_handshakes, stats.tls_resumptions), (1, 0));
    }
}

#[test]
fn large_bodies_go_through_both_ways() {
    let authority = Authority::new("ca");
    let body = "x".repeat(3_000_000);
    let upstream = Upstream::start(|accepted| {
        while let Some((_, body)) = accepted.request() {
            accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            accepted.send(body);
        }
    });
    let gateway = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]).start();
    let mut client = connect(gateway.address(), "a.test", &plain_client(&authority));
    for _ in 0..2 {
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let answer = client.answer();
        assert!(answer.status == 200 && answer.text() == body);
    }
}

#[test]
fn certificates_are_chosen_by_name() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let first = authority.issue(&["first.test"]);
    let exact = authority.issue(&["exact.wild.test", "other.test"]);
    let wild = authority.issue(&["*.wild.test"]);
    let identities = [("first", &first), ("exact", &exact), ("wild", &wild)];
    let gateway = listening(Setup::new(upstream.address()), &identities).start();
    let config = plain_client(&authority);
    for (name, expected) in [
        ("first.test", &first),
        ("exact.wild.test", &exact),
        ("EXACT.wild.test", &exact),
        ("other.test", &exact),
        ("any.wild.test", &wild),
    ] {
        assert_eq!(connect(gateway.address(), name, &config).leaf(), expected.chain[0], "{name}");
    }
    // A `*` stands for one label, and for one at least; the first certificate is for whoever no other is for.
    for name in ["a.b.wild.test", "wild.test", "nobody.test", "127.0.0.1"] {
        let error = try_connect(gateway.address(), name, &config).err().unwrap().to_string();
        assert!(error.contains("first.test"), "{name}: {error}");
    }
}

#[test]
fn of_two_keys_for_a_name_the_client_gets_one_that_it_can_verify() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let (rsa, ecdsa) = (authority.issue_rsa(&["a.test"]), authority.issue(&["a.test"]));
    let gateway = listening(Setup::new(upstream.address()), &[("rsa", &rsa), ("ecdsa", &ecdsa)]).start();
    let mut modern = connect(gateway.address(), "a.test", &plain_client(&authority));
    assert_eq!(modern.leaf(), ecdsa.chain[0], "the one that is cheaper to sign with");
    let mut old = provider();
    Arc::get_mut(&mut old).unwrap().cipher_suites = vec![cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    let settings = ClientSettings { versions: &ONLY_TLS12, provider: old, ..ClientSettings::default() };
    let mut old = connect(gateway.address(), "a.test", &client_config(&authority, settings));
    assert_eq!(old.leaf(), rsa.chain[0]);
}

#[test]
fn sessions_are_resumed_on_any_thread() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identity = authority.issue(&["a.test"]);
    let setup = Setup::new(upstream.address()).settings(|settings| settings.threads = 4);
    let gateway = listening(setup, &[("a", &identity)]).start();
    for versions in [&ONLY_TLS12, &ONLY_TLS13] {
        let settings = ClientSettings { versions, ..ClientSettings::default() };
        let config = client_config(&authority, settings);
        for round in 0..12 {
            let mut client = connect(gateway.address(), "a.test", &config);
            assert_eq!(client.get("/").status, 200);
            assert_eq!(client.is_resumed(), round > 0, "{:?} {round}", client.version());
        }
    }
    let stats = gateway.stats(|stats| stats.responses[2] == 24);
    assert_eq!((stats.tls_handshakes, stats.tls_resumptions), (2, 22));
}

#[test]
fn a_client_without_a_request_gets_its_tickets() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let gateway = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]).start();
    let mut client = connect(gateway.address(), "a.test", &plain_client(&authority));
    let stream = client.stream();
    while stream.conn.tls13_tickets_received() == 0 {
        stream.conn.read_tls(&mut stream.sock).unwrap();
        stream.conn.process_new_packets().unwrap();
    }
}

#[test]
fn what_is_spoken_inside_is_agreed_on() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let gateway = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]).start();
    let offering = |alpn: &[&str]| {
        let alpn = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        client_config(&authority, ClientSettings { alpn, ..ClientSettings::default() })
    };
    let mut client = connect(gateway.address(), "a.test", &offering(&["spdy/3", "http/1.1"]));
    assert_eq!(client.stream().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.get("/").status, 200);
    // RFC 7301 section 3.2.
    let error = try_connect(gateway.address(), "a.test", &offering(&["spdy/3"])).err().unwrap().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    gateway.stats(|stats| stats.reason(Reason::TlsHandshakeFailed) == 1);
}

#[test]
fn certificates_change_without_a_failed_request() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identities = [authority.issue(&["a.test"]), authority.issue(&["a.test"])];
    let setup = Setup::new(upstream.address()).settings(|settings| settings.threads = 2);
    let mut gateway = listening(setup, &[("a", &identities[0])]).start();
    let (address, config) = (gateway.address(), plain_client(&authority));
    let mut open = connect(address, "a.test", &config);
    assert_eq!(open.leaf(), identities[0].chain[0]);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = connect(address, "a.test", &plain_client(&authority));
                    assert_eq!(client.get("/").status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=20 {
            let before = served.load(Ordering::Relaxed);
            gateway.swap(|setup| setup.certificates[0].1 = identities[round % 2].clone());
            let mut fresh = connect(address, "a.test", &plain_client(&authority));
            assert_eq!(fresh.leaf(), identities[round % 2].chain[0], "what was swapped in is shown");
            support::eventually(|| (served.load(Ordering::Relaxed) > before).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(gateway.address(), address, "the socket stays");
    assert_eq!(open.get("/").status, 200, "an open connection goes on");
    let mut resumed = connect(address, "a.test", &config);
    assert!(resumed.is_resumed(), "another certificate doesn't end sessions");
}

#[test]
fn a_certificate_that_cannot_be_used_leaves_the_old_one() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identity = authority.issue(&["a.test"]);
    let mut gateway = listening(Setup::new(upstream.address()), &[("a", &identity)]).start();
    gateway.setup.certificates[0].1.key = authority.issue(&["a.test"]).key;
    let errors = gateway.proxy.swap(gateway.setup.router());
    assert!(errors[0].to_string().contains("certificate a can't be used"), "{errors:?}");
    let mut client = connect(gateway.address(), "a.test", &plain_client(&authority));
    assert_eq!((client.leaf(), client.get("/").status), (identity.chain[0].clone(), 200));
}

#[test]
fn a_listener_goes_over_to_tls_and_back() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identity = authority.issue(&["a.test"]);
    let mut gateway = Setup::new(upstream.address()).start();
    let port = u32::from(gateway.address().port());
    gateway.swap(|setup| setup.listeners[0].1.port = port);
    assert_eq!(gateway.client().get("/").status, 200);
    let clear = gateway.setup.listeners[0].1.clone();
    gateway.swap(|setup| {
        *setup = listening(std::mem::replace(setup, Setup::new(upstream.address())), &[("a", &identity)])
    });
    let address = gateway.address();
    support::eventually(|| try_connect(address, "a.test", &plain_client(&authority)).ok());
    gateway.swap(|setup| setup.listeners[0].1 = clear);
    support::eventually(|| {
        let mut client = gateway.client();
        client.try_send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        client.rest().starts_with(b"HTTP/1.1 200").then_some(())
    });
    assert_eq!(gateway.address(), address, "the socket stays");
}

#[test]
fn a_client_certificate_is_required() {
    let (authority, clients, upstream) = (Authority::new("ca"), Authority::new("clients"), Upstream::ok());
    let setup = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]);
    let gateway = asking(setup, ClientCertificates::Required, &clients, false).start();
    let bringing =
        |own: Option<Identity>| client_config(&authority, ClientSettings { own, ..Default::default() });
    let config = bringing(Some(clients.issue(&["me"])));
    for resumed in [false, true] {
        let mut client = connect(gateway.address(), "a.test", &config);
        assert_eq!((client.get("/").status, client.is_resumed()), (200, resumed));
    }
    assert!(!upstream.last().contains("client-cert"), "targets weren't to see it");
    for (own, alert) in [
        (None, "CertificateRequired"),
        (Some(Authority::new("others").issue(&["me"])), "UnknownCA"),
        (Some(clients.issue_expired(&["me"])), "CertificateExpired"),
    ] {
        let before = gateway.proxy.stats().reason(Reason::TlsHandshakeFailed);
        let refused = try_connect(gateway.address(), "a.test", &bringing(own))
            .and_then(|mut client| std::io::Read::read(client.stream(), &mut [0]));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(alert), "{alert}: {error}");
        gateway.stats(|stats| stats.reason(Reason::TlsHandshakeFailed) == before + 1);
    }
    assert_eq!(upstream.seen().requests.len(), 2);
}

#[test]
fn a_client_certificate_is_optional_and_targets_see_it() {
    let (authority, clients, upstream) = (Authority::new("ca"), Authority::new("clients"), Upstream::ok());
    let setup = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]);
    let gateway = asking(setup, ClientCertificates::Optional, &clients, true).start();
    let mut own = clients.issue(&["me"]);
    own.chain.push(clients.certificate());
    let forged =
        "GET / HTTP/1.1\r\nHost: a.test\r\nClient-Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\n\r\n";
    let mut nobody = connect(gateway.address(), "a.test", &plain_client(&authority));
    assert_eq!(nobody.send(forged).answer().status, 200);
    assert!(!upstream.last().to_lowercase().contains("client-cert"), "{}", upstream.last());

    let config = client_config(&authority, ClientSettings { own: Some(own.clone()), ..Default::default() });
    for _ in 0..2 {
        let mut somebody = connect(gateway.address(), "a.test", &config);
        assert_eq!(somebody.send(forged).answer().status, 200);
        let head = upstream.last();
        let encoded = |index: usize| {
            format!(
                ":{}:",
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &own.chain[index])
            )
        };
        assert_eq!(support::field(&head, "client-cert"), Some(&*encoded(0)));
        assert_eq!(support::field(&head, "client-cert-chain"), Some(&*encoded(1)));
        assert!(!head.contains("Zm9yZ2Vk"), "{head}");
    }
    let stranger = Some(Authority::new("others").issue(&["me"]));
    let config = client_config(&authority, ClientSettings { own: stranger, ..Default::default() });
    let refused = try_connect(gateway.address(), "a.test", &config)
        .and_then(|mut client| std::io::Read::read(client.stream(), &mut [0]));
    assert!(refused.unwrap_err().to_string().contains("UnknownCA"), "one that is brought has to be good");
}

#[test]
fn a_ticket_does_not_outlive_the_rule_that_let_its_client_in() {
    let (authority, clients, upstream) = (Authority::new("ca"), Authority::new("clients"), Upstream::ok());
    let setup = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]);
    let mut gateway = setup.start();
    let config = plain_client(&authority);
    assert_eq!(connect(gateway.address(), "a.test", &config).get("/").status, 200);
    gateway.swap(|setup| {
        let old = std::mem::replace(setup, Setup::new(upstream.address()));
        *setup = asking(old, ClientCertificates::Required, &clients, false);
    });
    let refused = try_connect(gateway.address(), "a.test", &config)
        .and_then(|mut client| std::io::Read::read(client.stream(), &mut [0]));
    assert!(refused.unwrap_err().to_string().contains("CertificateRequired"));
}

#[test]
fn whoever_does_not_speak_tls_is_told() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let gateway = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]).start();
    let mut plain = gateway.client();
    let answer = plain.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (400, "plain_http"));
    plain.assert_closed();
    Client::connect(gateway.address()).send("\0garbage").assert_closed();
    gateway.stats(|stats| stats.reason(Reason::TlsHandshakeFailed) == 1);
    // A record of a handshake that isn't one.
    let alert = Client::connect(gateway.address()).send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").rest();
    assert_eq!(alert.first(), Some(&21), "{alert:?}");
    gateway.stats(|stats| stats.reason(Reason::TlsHandshakeFailed) == 2);
    assert!(upstream.seen().requests.is_empty());
}

#[test]
fn a_handshake_has_its_time() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let setup = Setup::new(upstream.address())
        .settings(|settings| settings.timeouts.head = std::time::Duration::from_millis(200));
    let gateway = listening(setup, &[("a", &authority.issue(&["a.test"]))]).start();
    Client::connect(gateway.address()).assert_closed();
    Client::connect(gateway.address()).send(b"\x16\x03\x01\x02").assert_closed();
    let stats = gateway.stats(|stats| stats.active == 0);
    assert_eq!(stats.reason(Reason::TlsHandshakeTimeout), 1, "an idle connection isn't a handshake");
    let gone = Client::connect(gateway.address()).send(b"\x16\x03\x01\x02").finish().rest();
    assert!(gone.is_empty());
    gateway.stats(|stats| stats.reason(Reason::ClientGone) == 1);
}

#[test]
fn the_header_of_the_proxy_protocol_comes_before_the_handshake() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let mut setup = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]);
    setup.listeners[0].1.proxy_protocol = true;
    let gateway = setup.start();
    let mut socket = std::net::TcpStream::connect(gateway.address()).unwrap();
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    let mut session = rustls::ClientConnection::new(plain_client(&authority), name).unwrap();
    // With the hello in the same packet.
    let mut first = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec();
    session.write_tls(&mut first).unwrap();
    std::io::Write::write_all(&mut socket, &first).unwrap();
    let mut client = Client::over(rustls::StreamOwned::new(session, socket));
    assert_eq!(client.get("/").status, 200);
    assert!(upstream.last().contains("x-forwarded-for: 192.0.2.7\r\n"), "{}", upstream.last());
}

#[test]
fn an_end_is_said() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let setup = Setup::new(upstream.address())
        .settings(|settings| settings.timeouts.keep_alive = std::time::Duration::from_millis(100));
    let gateway = listening(setup, &[("a", &authority.issue(&["a.test"]))]).start();
    let config = plain_client(&authority);
    // Without close_notify the client's rustls would call it an error.
    let mut idle = connect(gateway.address(), "a.test", &config);
    assert_eq!(idle.get("/").status, 200);
    idle.assert_closed();
    let mut last = connect(gateway.address(), "a.test", &config);
    last.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert_eq!(last.answer().status, 200);
    last.assert_closed();
}

#[test]
fn redirects_and_expressions_know_that_it_is_https() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let mut setup = listening(Setup::new(upstream.address()), &[("a", &authority.issue(&["a.test"]))]);
    setup.backend.root = "/${req.secured}".into();
    setup.backend.rewrite = true;
    let gateway = setup.start();
    let mut client = connect(gateway.address(), "a.test", &plain_client(&authority));
    assert_eq!(client.get("/").status, 200);
    assert!(upstream.last().starts_with("GET /true"), "{}", upstream.last());
    let redirect = wire::Redirect { status: 302, full_path: Some("/b".to_owned()), ..Default::default() };
    let mut setup = Setup::new(upstream.address())
        .filter(wire::FilterSettings::Redirect(redirect).of(wire::FilterKind::Redirect));
    setup.route.rules[0].destinations.clear();
    let gateway = listening(setup, &[("a", &authority.issue(&["a.test"]))]).start();
    let answer = connect(gateway.address(), "a.test", &plain_client(&authority)).get("/a");
    assert_eq!(answer.field("location"), Some("https://a.test/b"));
}
