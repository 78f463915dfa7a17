//! Requests that must be refused: the answer, the close, and that no byte reached the upstream.

mod support;

use std::time::Duration;

use support::{Setup, Upstream, field};

/// What a client sends, the status it gets, and the reason.
const REFUSED: &[(&str, u16, &str)] = &[
    // Two ways to find the end of the body.
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_framing",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        400,
        "bad_framing",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 \t3\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
        "bad_framing",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400, "bad_framing"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_framing",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_framing",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, "malformed_head"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "unsupported_transfer_coding",
    ),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    // A bad chunk that comes with the head.
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
        400,
        "bad_chunk",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n\r\n", 400, "bad_chunk"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        400,
        "bad_chunk",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\na: b\n\r\n",
        400,
        "bad_chunk",
    ),
    // Host.
    ("GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "bad_host"),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "bad_host"),
    ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, "bad_host"),
    ("GET http://a/ HTTP/1.1\r\n\r\n", 400, "bad_host"),
    ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_host"),
    // Lines and characters.
    ("GET / HTTP/1.1\nHost: a\n\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400, "malformed_head"),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET /\r\n\r\n", 400, "malformed_head"),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
    ("\n", 400, "malformed_head"),
    ("\x16\x03\x01", 400, "malformed_head"),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417, "expectation_failed"),
    // Paths.
    ("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_path"),
    ("GET /%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_path"),
    ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_path"),
    // What isn't spoken here.
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405, "connect_refused"),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "unsupported_version"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported_version"),
    ("PRI * HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported_version"),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "malformed_head"),
];

#[test]
fn malformed_requests_reach_nobody() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    for (request, status, reason) in REFUSED {
        let mut client = gateway.client();
        // What follows must never be taken for a request.
        client.send(request).try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.reason().as_str()), (*status, *reason), "{request:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{request:?}");
        client.finish().assert_closed();
    }
    let seen = upstream.seen();
    assert_eq!((seen.connections, seen.bytes.len()), (0, 0));
    let stats = gateway.stats(|stats| stats.active == 0);
    let counted: u64 = stats.reasons.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, REFUSED.len() as u64);
}

#[test]
fn heads_have_limits() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let long = |len: usize| "x".repeat(len);
    let many: String = (0..100).map(|number| format!("X-{number}: 1\r\n")).collect();
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(20_000)), 414),
        (format!("GET /{}", long(70_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(70_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long(66_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", long(33)), 400),
    ] {
        let mut client = gateway.client();
        let answer = client.try_send(&request).answer();
        assert_eq!(
            (answer.status, answer.field("connection")),
            (status, Some("close")),
            "{}",
            &request[..40]
        );
        client.finish().assert_closed();
    }
    assert_eq!(upstream.seen().connections, 0);
    // Just below them all.
    let mut client = gateway.client();
    let most: String = (0..99).map(|number| format!("X-{number}: {}\r\n", long(400))).collect();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n{most}\r\n", long(15_000)));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn chunk_extensions_and_trailers_have_limits() {
    let upstream = Upstream::start(|accepted| accepted.drain());
    let gateway = Setup::new(upstream.address()).start();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (rest, status, reason) in [
        (format!("1;{}", "x".repeat(2000)), 400, "bad_chunk"),
        (format!("0\r\na: {}", "x".repeat(9000)), 431, "trailers_too_large"),
    ] {
        let mut client = gateway.client();
        let answer = client.send(head).try_send(rest).answer();
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason));
        client.finish().assert_closed();
    }
}

#[test]
fn a_bad_chunk_that_comes_later_ends_both_connections() {
    let upstream = Upstream::start(|accepted| accepted.drain());
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    upstream.wait(|seen| seen.bytes.ends_with(b"3\r\nabc\r\n"));
    client.send("zz\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_chunk"));
    client.finish().assert_closed();
    let seen = upstream.wait(|seen| seen.closed == 1);
    assert!(
        seen.bytes.ends_with(b"3\r\nabc\r\n"),
        "no last chunk: {:?}",
        String::from_utf8_lossy(&seen.bytes)
    );
    assert_eq!(gateway.proxy.stats().upstream_idle, 0);
}

#[test]
fn a_bad_chunk_after_the_answer_began_cuts_it() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let begun = client.bytes(10);
    assert!(begun.starts_with(b"HTTP/1.1 2"));
    client.send("zz\r\n");
    let rest = String::from_utf8(client.rest()).unwrap();
    assert!(rest.ends_with("2\r\nok\r\n"), "no last chunk: {rest}");
    let seen = upstream.wait(|seen| seen.closed == 1);
    assert!(!seen.bytes.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_client_that_goes_in_the_middle_of_a_body_ends_the_request() {
    let upstream = Upstream::start(|accepted| accepted.drain());
    let gateway = Setup::new(upstream.address()).start();
    for framing in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let before = upstream.seen().closed;
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        upstream.wait(|seen| seen.bytes.windows(3).any(|three| three == b"abc"));
        client.finish().assert_closed();
        let seen = upstream.wait(|seen| seen.closed == before + 1);
        assert!(!seen.bytes.ends_with(b"0\r\n\r\n"));
    }
}

#[test]
fn good_requests_that_look_odd_pass() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for (request, line, host) in [
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1", "a"),
        ("GET http://A.test:80/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET /x?y HTTP/1.1", "A.test:80"),
        ("GET http://a?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?y HTTP/1.1", "a"),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1", "a"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1", "a"),
        ("GET /a//b/%20/$%7B HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a//b/%20/$%7B HTTP/1.1", "a"),
        (
            "GET / HTTP/1.1\r\nHost: [::1]:8080\r\nX-Empty:\r\nX-Obs: \u{e9}\r\n\r\n",
            "GET / HTTP/1.1",
            "[::1]:8080",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", "POST / HTTP/1.1", "a"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1", "a"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "GET / HTTP/1.1", "a"),
    ] {
        client.send(request);
        assert_eq!(client.answer().status, 200, "{request:?}");
        let head = upstream.last();
        assert_eq!((head.lines().next(), field(&head, "host")), (Some(line), Some(host)), "{request:?}");
    }
}

#[test]
fn a_bad_response_is_502_and_its_connection_is_dropped() {
    for (response, reason) in [
        ("nonsense\r\n\r\n", "upstream_malformed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "upstream_malformed",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "upstream_malformed"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "upstream_malformed",
        ),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "upstream_malformed"),
        ("HTTP/1.1 200", "upstream_closed"),
    ] {
        let upstream = Upstream::start(move |accepted| {
            accepted.request();
            accepted.send(response);
            if !response.ends_with("\r\n\r\n") {
                accepted.stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            accepted.drain();
        });
        let gateway = Setup::new(upstream.address()).start();
        let answer = gateway.client().get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, reason), "{response:?}");
        assert!(answer.text().contains(r#""route":"default/users""#), "{}", answer.text());
        upstream.wait(|seen| seen.closed == 1);
        assert_eq!(gateway.proxy.stats().upstream_idle, 0);
    }
}

#[test]
fn a_response_that_breaks_off_is_seen_to_break_off() {
    let upstream = Upstream::start(|accepted| {
        let (head, _) = accepted.request().unwrap();
        accepted.send(if head.starts_with("GET /chunks") {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
        });
    });
    let gateway = Setup::new(upstream.address()).start();
    for path in ["/chunks", "/length"] {
        let rest = gateway.client().send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).rest();
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.contains("ok") && !rest.contains("0\r\n\r\n"), "{rest}");
    }
    let stats = gateway.stats(|stats| stats.active == 0);
    assert_eq!(stats.reason(dataplane_proxy::Reason::UpstreamClosed), 2);
}

#[test]
fn surplus_bytes_of_a_response_never_answer_another_request() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(upstream.seen().connections, 5);
}

#[test]
fn slow_heads_end() {
    let upstream = Upstream::ok();
    let setup = Setup::new(upstream.address());
    let gateway = setup.settings(|settings| settings.timeouts.head = Duration::from_millis(100)).start();
    let answer = gateway.client().send("GET / HTTP/1.1\r\nHost").answer();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "head_timeout"));
    // One that never says anything is closed without a word.
    gateway.client().assert_closed();
}
