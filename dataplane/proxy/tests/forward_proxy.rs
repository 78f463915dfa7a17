//! Targets behind a forward proxy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

mod support;

use std::fmt::{Debug, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use dataplane_core::health::Colour;
use dataplane_proxy::Reason;
use dataplane_snapshot::wire::{self, ProxyProtocol};
use support::forward_proxy::{ForwardProxy, Settings, showing, through};
use support::tls::{Authority, ServerSettings, TlsUpstream, targeting, trusting};
use support::{Gateway, Http2Upstream, Setup, Upstream, eventually};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Only the proxy knows where that is.
const NAME: &str = "users.internal.test";

/// The target `upstream`, by its name.
fn named(upstream: SocketAddr) -> Setup {
    let mut setup = Setup::new(upstream);
    setup.endpoints.targets[0].hostname = NAME.into();
    setup
}

fn by_http(upstream: SocketAddr, proxy: SocketAddr) -> Setup {
    through(named(upstream), ProxyProtocol::Http, proxy)
}

fn by_socks(upstream: SocketAddr, proxy: SocketAddr) -> Setup {
    through(named(upstream), ProxyProtocol::Socks5, proxy)
}

/// 200, or the reason and the sentence of the answer.
fn outcome(gateway: &Gateway) -> Result<u16, (String, String)> {
    let answer = gateway.client().get("/");
    if answer.status == 200 {
        return Ok(200);
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    Err((text("reason"), text("message")))
}

#[track_caller]
fn refused(gateway: &Gateway, reason: &str, part: &str) {
    let (found, message) = outcome(gateway).unwrap_err();
    assert!(found == reason && message.contains(part), "{found}: {message}");
}

#[test]
fn a_target_is_reached_by_connect_and_its_tunnel_is_kept() {
    for split in [false, true] {
        let proxy = ForwardProxy::start(Settings { split, ..Settings::default() });
        let upstream = Upstream::ok();
        let gateway = by_http(upstream.address(), proxy.address()).start();
        let mut client = gateway.client();
        assert_eq!([client.get("/a").text(), client.get("/b").text()], ["ok", "ok"]);
        let place = format!("{NAME}:{}", upstream.address().port());
        let seen = proxy.seen();
        assert_eq!(seen.heads, [format!("CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n\r\n")]);
        assert_eq!((seen.connections, upstream.seen().connections), (1, 1));
        assert!(upstream.last().starts_with("GET /b HTTP/1.1\r\n"), "{}", upstream.last());
        assert_eq!(gateway.proxy.stats().upstream_reuses, 1);
    }
}

#[test]
fn a_target_is_reached_by_socks_and_its_tunnel_is_kept() {
    for split in [false, true] {
        let proxy = ForwardProxy::start(Settings { split, socks: true, ..Settings::default() });
        let upstream = Upstream::ok();
        let gateway = by_socks(upstream.address(), proxy.address()).start();
        let mut client = gateway.client();
        assert_eq!([client.get("/a").text(), client.get("/b").text()], ["ok", "ok"]);
        let seen = proxy.seen();
        assert_eq!(seen.places, [format!("{NAME}:{}", upstream.address().port())]);
        assert_eq!((seen.connections, upstream.seen().connections), (1, 1));
    }
}

#[test]
fn a_proxy_is_asked_for_the_address_if_there_is_one() {
    for (protocol, proxy) in
        [(ProxyProtocol::Http, ForwardProxy::http()), (ProxyProtocol::Socks5, ForwardProxy::socks())]
    {
        let upstream = Upstream::ok();
        let mut setup = through(named(upstream.address()), protocol, proxy.address());
        setup.endpoints.targets[0].ip_address = "127.0.0.1".into();
        assert_eq!(outcome(&setup.start()), Ok(200));
        assert_eq!(proxy.seen().places, [upstream.address().to_string()]);
    }
}

#[test]
fn the_proxys_own_name_is_looked_up() {
    let (proxy, upstream) = (ForwardProxy::http(), Upstream::ok());
    let setup = by_http(upstream.address(), proxy.address());
    let setup = setup.client(|client| client.proxy.as_mut().unwrap().host = "localhost".into());
    assert_eq!(outcome(&setup.start()), Ok(200));
    let setup = by_http(upstream.address(), proxy.address());
    let setup = setup.client(|client| client.proxy.as_mut().unwrap().host = "proxy.invalid".into());
    refused(&setup.start(), "resolve_failed", "proxy.invalid");
}

#[test]
fn some_hosts_are_reached_without_the_proxy() {
    let (proxy, upstream) = (ForwardProxy::http(), Upstream::ok());
    let excepting = |pattern: &str| {
        through(Setup::new(upstream.address()), ProxyProtocol::Http, proxy.address())
            .client(|client| client.proxy.as_mut().unwrap().non_proxy_hosts = vec![pattern.into()])
    };
    assert_eq!(outcome(&excepting("127.*").start()), Ok(200));
    assert_eq!(proxy.seen().connections, 0);
    assert_eq!(outcome(&excepting("10.*").start()), Ok(200));
    assert_eq!(proxy.seen().connections, 1);
}

#[test]
fn tls_with_the_target_runs_inside_the_tunnel() {
    let authority = Authority::new("ca");
    let upstream = TlsUpstream::start(&authority.issue(&[NAME]), ServerSettings::default());
    for (protocol, proxy) in
        [(ProxyProtocol::Http, ForwardProxy::http()), (ProxyProtocol::Socks5, ForwardProxy::socks())]
    {
        let mut setup = targeting(Setup::new(upstream.address()), NAME, trusting("ca"));
        setup.endpoints.targets[0].ip_address = String::new();
        setup.certificates.push(("ca", authority.identity()));
        let gateway = through(setup, protocol, proxy.address()).start();
        assert_eq!(gateway.client().get("/for-the-target-only").status, 200);
        let passed = proxy.seen().passed;
        assert_eq!(passed.first(), Some(&22), "a record with a handshake");
        assert!(!String::from_utf8_lossy(&passed).contains("for-the-target-only"));
    }
    let seen = upstream.seen();
    assert_eq!(seen.names, [Some(NAME.to_owned()), Some(NAME.to_owned())]);
    assert!(seen.requests.iter().all(|head| head.starts_with("GET /for-the-target-only ")));
}

#[test]
fn http_2_runs_inside_the_tunnel_from_its_first_byte() {
    // A server of HTTP/2 speaks first: what comes with the proxy's head is the target's.
    for joined in [false, true] {
        for socks in [false, true] {
            let proxy = ForwardProxy::start(Settings { joined, socks, ..Settings::default() });
            let upstream = Http2Upstream::start(|asked| async { asked.answer("ok") });
            let protocol = if socks { ProxyProtocol::Socks5 } else { ProxyProtocol::Http };
            let gateway = through(named(upstream.address()), protocol, proxy.address()).http2().start();
            let mut client = gateway.client();
            assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
            assert_eq!((proxy.seen().connections, upstream.seen().connections), (1, 1));
        }
    }
}

#[test]
fn a_websocket_runs_inside_the_tunnel() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while accepted.read() {
            let bytes = std::mem::take(accepted.received());
            accepted.send(bytes);
        }
    });
    let proxy = ForwardProxy::http();
    let gateway = by_http(upstream.address(), proxy.address()).start();
    let mut client = gateway.client();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.answer().status, 101);
    assert_eq!(client.send("echo").bytes(4), b"echo");
    assert_eq!(proxy.seen().connections, 1);
}

#[test]
fn an_answer_to_connect_is_taken_or_refused() {
    let long: &'static str = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(17 * 1024)).leak();
    let interim: &'static str = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(700).leak();
    for (answer, expected) in [
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(())),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(())),
        ("HTTP/1.1 403 No\r\n\r\n", Err(("proxy_refused", "status 403"))),
        ("HTTP/1.1 302 There\r\nLocation: /\r\n\r\n", Err(("proxy_refused", "status 302"))),
        ("HTTP/1.1 501 What\r\n\r\n", Err(("proxy_refused", "status 501"))),
        ("HTTP/1.1 502 No\r\n\r\n", Err(("connection_failed", "couldn't connect to the target"))),
        ("HTTP/1.1 504 No\r\n\r\n", Err(("connection_failed", "status 504"))),
        ("HTTP/1.1 101 Hm\r\n\r\n", Err(("proxy_unreachable", "status line"))),
        ("SSH-2.0-OpenSSH_9.7\r\n", Err(("proxy_unreachable", "status line"))),
        ("", Err(("proxy_unreachable", "broke off"))),
        ("HTTP/1.1 2", Err(("proxy_unreachable", "broke off"))),
        (long, Err(("proxy_unreachable", "too large"))),
        (interim, Err(("proxy_unreachable", "too large"))),
    ] {
        let (upstream, proxy) =
            (Upstream::ok(), ForwardProxy::start(Settings { answer, ..Settings::default() }));
        let gateway = by_http(upstream.address(), proxy.address()).start();
        match expected {
            Ok(()) => assert_eq!(outcome(&gateway), Ok(200), "{answer}"),
            Err((reason, part)) => {
                refused(&gateway, reason, part);
                let connected = usize::from(answer.contains(" 200"));
                let seen = upstream.wait(|seen| seen.connections >= connected);
                assert_eq!(seen.connections, connected);
            }
        }
    }
}

#[test]
fn what_socks_says_is_told() {
    let replying = |bytes: &'static [u8]| {
        Upstream::start(move |accepted| {
            accepted.read();
            accepted.send([5, 0]);
            accepted.read();
            accepted.send(bytes);
            accepted.drain();
        })
    };
    for (reply, reason, part) in [
        (&[5, 1, 0, 1][..], "connection_failed", "general failure"),
        (&[5, 2, 0, 1], "proxy_refused", "rules"),
        (&[5, 4, 0, 1], "connection_failed", "unreachable (reply 4)"),
        (&[5, 5, 0, 1], "connection_failed", "refused (reply 5)"),
        (&[5, 7, 0, 1], "proxy_refused", "(reply 7)"),
        (&[5, 99, 0, 1], "proxy_refused", "(reply 99)"),
        (&[4, 0, 0, 1], "proxy_unreachable", "isn't SOCKS5"),
        (&[5, 0, 0, 9], "proxy_unreachable", "isn't SOCKS5"),
    ] {
        let proxy = replying(reply);
        let gateway = by_socks(([127, 0, 0, 1], 9).into(), proxy.address()).start();
        refused(&gateway, reason, part);
    }
    let web = Upstream::answering("HTTP/1.1 400 Bad\r\n\r\n");
    let gateway =
        by_socks(([127, 0, 0, 1], 9).into(), web.address()).client(|client| client.connection_timeout = 300);
    refused(&gateway.start(), "proxy_timeout", "forward proxy");
}

#[test]
fn a_target_that_is_not_there_is_told_of_the_target() {
    let nowhere = support::nowhere();
    let (http, socks) = (ForwardProxy::http(), ForwardProxy::socks());
    refused(&by_http(nowhere, http.address()).start(), "connection_failed", "status 502");
    refused(&by_socks(nowhere, socks.address()).start(), "connection_failed", "reply 5");
}

#[test]
fn a_proxy_that_is_not_there_is_told_and_no_target_is_blamed() {
    let nowhere = support::nowhere();
    let breaker = wire::Breaker { max_errors: 1, interval: 60_000, server_errors: true };
    let guarded = |setup: Setup| setup.client(|client| client.breaker = Some(breaker.clone())).start();
    let upstream = Upstream::ok();
    let gateway = guarded(by_http(upstream.address(), nowhere));
    for _ in 0..3 {
        refused(&gateway, "proxy_unreachable", "connecting to the forward proxy at 127.0.0.1");
    }
    assert_eq!(gateway.proxy.open_breakers(), []);
    assert_eq!(gateway.proxy.stats().reason(Reason::ProxyUnreachable), 3);
    // What the proxy says of a target counts.
    let proxy = ForwardProxy::http();
    let gateway = guarded(by_http(nowhere, proxy.address()));
    refused(&gateway, "connection_failed", "status 502");
    refused(&gateway, "breaker_open", "");
}

#[test]
fn a_request_that_a_proxy_refused_goes_to_another_target() {
    let upstream = Upstream::ok();
    let proxy = ForwardProxy::http();
    let nowhere = support::nowhere();
    let setup = Setup::new(nowhere).target(upstream.address()).retries(1);
    let gateway = through(setup, ProxyProtocol::Http, proxy.address()).start();
    let mut client = gateway.client();
    for _ in 0..4 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn a_slow_proxy_is_told_from_a_slow_target() {
    let silent = Upstream::start(|accepted| accepted.drain());
    let greeting = Upstream::start(|accepted| {
        accepted.read();
        accepted.send([5, 0]);
        accepted.drain();
    });
    let slow = Upstream::start(|accepted| {
        accepted.head();
        accepted.send("HTTP/1.1 200 OK\r\n");
        accepted.drain();
    });
    for (protocol, proxy, reason) in [
        (ProxyProtocol::Socks5, &silent, "proxy_timeout"),
        (ProxyProtocol::Socks5, &greeting, "connection_timeout"),
        (ProxyProtocol::Http, &slow, "connection_timeout"),
        (ProxyProtocol::Https, &silent, "proxy_timeout"),
    ] {
        let setup = through(named(([127, 0, 0, 1], 9).into()), protocol, proxy.address());
        let gateway = setup.client(|client| client.connection_timeout = 200).start();
        match (outcome(&gateway), protocol) {
            // Where the system trusts nobody there is no TLS to begin.
            (Err((_, message)), ProxyProtocol::Https) if message.contains("trusts no authority") => {}
            (Err((found, _)), _) => assert_eq!(found, reason),
            (Ok(_), _) => panic!("it can't answer"),
        }
    }
}

#[test]
fn another_password_is_another_tunnel() {
    let (proxy, upstream) = (ForwardProxy::http(), Upstream::ok());
    let mut gateway = showing(by_http(upstream.address(), proxy.address()), "anna", "first").start();
    let mut client = gateway.client();
    assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
    gateway.swap(|setup| setup.password = Some("second"));
    assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
    let heads = proxy.seen().heads;
    let shown: Vec<_> =
        heads.iter().map(|head| support::field(head, "proxy-authorization").unwrap()).collect();
    assert_eq!(shown, ["Basic YW5uYTpmaXJzdA==", "Basic YW5uYTpzZWNvbmQ="]);
}

#[test]
fn health_checks_take_the_same_way() {
    for socks in [false, true] {
        let proxy = ForwardProxy::start(Settings { socks, ..Settings::default() });
        let upstream = Upstream::ok();
        let protocol = if socks { ProxyProtocol::Socks5 } else { ProxyProtocol::Http };
        let mut setup = through(named(upstream.address()), protocol, proxy.address());
        let check =
            wire::HealthCheck { url: "/health".into(), interval: 20, timeout: 2_000, ..Default::default() };
        setup.backend.health_check = Some(check.into());
        let gateway = setup.start();
        eventually(|| gateway.proxy.health().into_iter().find(|health| health.colour == Colour::Green));
        assert!(upstream.last().starts_with("GET /health "));
        assert_eq!(proxy.seen().places[0], format!("{NAME}:{}", upstream.address().port()));
    }
}

/// All that is logged in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{field}: {value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn credentials_are_shown_to_the_proxy_and_to_nobody_else() {
    const GOOD: (&str, &str) = ("änna", "pä:ss-hunter2");
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    for socks in [false, true] {
        let settings = Settings { socks, credentials: Some(GOOD), ..Settings::default() };
        let (proxy, upstream) = (ForwardProxy::start(settings), Upstream::ok());
        let protocol = if socks { ProxyProtocol::Socks5 } else { ProxyProtocol::Http };
        let check = wire::HealthCheck { url: "/".into(), interval: 20, timeout: 2_000, ..Default::default() };
        let start = |password: Option<&'static str>| {
            let mut setup = through(named(upstream.address()), protocol, proxy.address());
            setup.backend.health_check = Some(check.clone().into());
            setup.backend.panic_threshold = Some(100);
            match password {
                Some(password) => showing(setup, GOOD.0, password).start(),
                None => setup.start(),
            }
        };
        let good = start(Some(GOOD.1));
        assert_eq!(outcome(&good), Ok(200));
        let before = upstream.seen().connections;
        let wrong = start(Some("wrong-hunter2"));
        let part = if socks { "wants other credentials" } else { "status 407" };
        refused(&wrong, "proxy_refused", part);
        let none = start(None);
        refused(&none, "proxy_refused", if socks { "wants credentials" } else { "status 407" });
        let black = eventually(|| wrong.proxy.health().into_iter().find(|it| it.colour == Colour::Black));
        assert!(black.reason.contains(part), "{}", black.reason);
        assert!(upstream.seen().connections >= before, "the good one is asked on");
        let shown = format!(
            "{:?} {:?} {:?} {black:?} {}",
            good.setup.router(),
            wrong.setup.router(),
            wrong.proxy.stats(),
            outcome(&wrong).unwrap_err().1
        );
        for shown in [&shown, &*log.0.lock().unwrap()] {
            assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVy"), "{shown}");
        }
    }
    assert!(log.0.lock().unwrap().contains("credentials"), "something was logged about them");
}
