//! What a target learns about the client, and which fields stay behind.

mod support;

use dataplane_snapshot::wire::FilterKind;
use support::{Gateway, Setup, Upstream, field};

fn head_for(gateway: &Gateway, upstream: &Upstream, fields: &str) -> String {
    let mut client = gateway.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a.test:8080\r\n{fields}\r\n"));
    assert_eq!(client.answer().status, 200);
    upstream.last()
}

const FORGED: &str = concat!(
    "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n",
    "X-Forwarded-Prefix: /evil\r\nForwarded: for=6.6.6.6\r\n"
);

#[test]
fn the_proxy_says_who_asked() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let head = head_for(&gateway, &upstream, FORGED);
    let port = gateway.address().port().to_string();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.test:8080"),
        ("x-forwarded-port", port.as_str()),
        ("forwarded", "for=127.0.0.1;host=\"a.test:8080\";proto=http"),
        ("host", "a.test:8080"),
    ] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    assert!(!head.contains("evil") && !head.contains("6.6.6.6"), "{head}");
}

#[test]
fn a_trusted_proxy_is_believed() {
    let upstream = Upstream::ok();
    let setup = Setup::new(upstream.address());
    let gateway =
        setup.settings(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).start();
    let head = head_for(&gateway, &upstream, FORGED);
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=6.6.6.6, for=127.0.0.1;host=\"a.test:8080\";proto=http"),
    ] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
}

#[test]
fn hop_by_hop_fields_stay_here() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let head = head_for(
        &gateway,
        &upstream,
        concat!(
            "Connection: keep-alive, X-Mine\r\nConnection: x-forwarded-for, host, forwarded\r\nKeep-Alive: 5\r\n",
            "X-Mine: 1\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nTrailer: x\r\nX-Other: 2\r\n"
        ),
    );
    for name in [
        "connection",
        "keep-alive",
        "x-mine",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
        "trailer",
    ] {
        assert_eq!(field(&head, name), None, "{head}");
    }
    // What the proxy adds can't be nominated away.
    assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&head, "host"), Some("a.test:8080"));
    assert!(field(&head, "forwarded").is_some());
    assert_eq!(field(&head, "x-other"), Some("2"));
}

#[test]
fn nominating_the_length_moves_no_message_border() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let requests = upstream.seen().requests;
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|(head, _)| head.starts_with("POST / ")));
}

#[test]
fn the_host_of_the_target_is_sent_if_asked() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).filter(FilterKind::OverrideHost).start();
    let head = head_for(&gateway, &upstream, "");
    assert_eq!(field(&head, "host"), Some(upstream.address().to_string().as_str()));
    assert_eq!(field(&head, "x-forwarded-host"), Some("a.test:8080"));
}

#[test]
fn a_name_is_resolved_unless_there_is_an_address() {
    let upstream = Upstream::ok();
    let mut setup = Setup::new(upstream.address());
    setup.endpoints.targets[0].hostname = "localhost".into();
    let gateway = setup.start();
    assert_eq!(gateway.client().get("/").status, 200);
    assert_eq!(gateway.client().get("/").status, 200);

    let mut setup = Setup::new(upstream.address());
    setup.endpoints.targets[0].hostname = "no.such.name.invalid".into();
    setup.endpoints.targets[0].ip_address = "127.0.0.1".into();
    assert_eq!(setup.start().client().get("/").status, 200);

    let mut setup = Setup::new(upstream.address());
    setup.endpoints.targets[0].hostname = "no.such.name.invalid".into();
    let answer = setup.start().client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "resolve_failed"));
}
