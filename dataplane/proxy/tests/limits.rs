//! Timeouts, retries and what error answers say.

mod support;

use std::net::TcpListener;
use std::time::Duration;

use dataplane_proxy::Reason;
use dataplane_snapshot::wire;
use support::{Setup, Upstream};

/// Much shorter than any other limit.
const SOON: u64 = 100;

fn silent() -> Upstream {
    Upstream::start(|accepted| accepted.drain())
}

#[test]
fn each_timeout_has_its_reason() {
    type Change = fn(&mut wire::ClientSettings);
    let cases: [(Change, &str); 3] = [
        (|client| client.call_timeout = SOON, "call_timeout"),
        (|client| client.global_timeout = SOON, "global_timeout"),
        (|client| client.idle_timeout = SOON, "idle_timeout"),
    ];
    for (change, reason) in cases {
        let upstream = silent();
        let gateway = Setup::new(upstream.address()).client(change).start();
        let mut client = gateway.client();
        let answer = client.get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (504, reason));
        assert_eq!(answer.field("connection"), None, "the client's connection is whole");
        upstream.wait(|seen| seen.closed == 1);
        assert_eq!(client.get("/").status, 504);
    }
}

#[test]
fn a_custom_timeout_is_for_its_path() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.pause(Duration::from_millis(3 * SOON));
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let custom = wire::CustomTimeouts {
        path: "/fast/*".into(),
        timeouts: Some(wire::ClientSettings { call_timeout: SOON, ..Default::default() }),
    };
    let gateway = Setup::new(upstream.address()).client(|client| client.custom_timeouts.push(custom)).start();
    assert_eq!(gateway.client().get("/fast/x").status, 504);
    assert_eq!(gateway.client().get("/slow/x").status, 200);
}

#[test]
fn a_connection_that_never_stands_times_out() {
    // A full backlog: the kernel drops further connection requests.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let address = listener.local_addr().unwrap();
    let mut full = Vec::new();
    for _ in 0..4 {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => full.push(stream),
            Err(_) => break,
        }
    }
    let gateway = Setup::new(address).client(|client| client.connection_timeout = SOON).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "connection_timeout"));
}

#[test]
fn a_stream_that_takes_too_long_is_cut() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        loop {
            accepted.send("x");
            accepted.pause(Duration::from_millis(10));
        }
    });
    let gateway =
        Setup::new(upstream.address()).client(|client| client.call_and_stream_timeout = 2 * SOON).start();
    let rest = gateway.client().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").rest();
    assert!(rest.ends_with(b"x") && rest.len() < 1000);
    gateway.stats(|stats| stats.reason(Reason::CallAndStreamTimeout) == 1);
}

#[test]
fn a_response_that_stops_is_cut_when_idle() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).client(|client| client.idle_timeout = SOON).start();
    let rest = gateway.client().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").rest();
    assert!(rest.ends_with(b"\r\n\r\nx"));
    gateway.stats(|stats| stats.reason(Reason::IdleTimeout) == 1);
}

#[test]
fn a_body_that_stops_arriving_is_408() {
    let upstream = silent();
    let setup = Setup::new(upstream.address());
    let gateway =
        setup.settings(|settings| settings.timeouts.body_progress = Duration::from_millis(SOON)).start();
    let mut client = gateway.client();
    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").answer();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"));
    assert_eq!(answer.field("connection"), Some("close"));
    client.finish().assert_closed();
    upstream.wait(|seen| seen.closed == 1);
}

#[test]
fn a_client_that_reads_nothing_is_cut_and_little_is_held_for_it() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 30));
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..1024 {
            accepted.send(&piece);
        }
    });
    let setup = Setup::new(upstream.address());
    let gateway =
        setup.settings(|settings| settings.timeouts.body_progress = Duration::from_millis(3 * SOON)).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let stats = gateway.stats(|stats| stats.reason(Reason::ClientStalled) == 1);
    assert!(stats.sent_bytes < 1 << 26, "the upstream was slowed down: {}", stats.sent_bytes);
}

#[test]
fn idle_client_connections_close() {
    let upstream = Upstream::ok();
    let setup = Setup::new(upstream.address());
    let gateway =
        setup.settings(|settings| settings.timeouts.keep_alive = Duration::from_millis(SOON)).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    client.assert_closed();
}

#[test]
fn idle_upstream_connections_close() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).client(|client| client.idle_timeout = SOON).start();
    assert_eq!(gateway.client().get("/").status, 200);
    upstream.wait(|seen| seen.closed == 1);
    gateway.stats(|stats| stats.upstream_idle == 0);
}

#[test]
fn a_connection_that_the_target_closed_is_not_used_again() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        accepted.finish();
        // The proxy has seen the end of the connection when it closes its own side.
        accepted.read();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for round in 1..=20 {
        // Not idempotent: only a connection that is known to be open may be used, or a new one.
        let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").answer();
        assert_eq!(answer.status, 200);
        upstream.wait(|seen| seen.closed == round);
    }
    assert_eq!(upstream.seen().connections, 20);
}

#[test]
fn a_request_lost_on_a_reused_connection_is_sent_once_more() {
    // Closes when the second request comes, without a word: the race of a keep-alive timeout.
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        accepted.read();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/").status, 200, "sent again");
    assert_eq!(gateway.stats(|stats| stats.responses[2] == 2).upstream_resends, 1);
    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").answer();
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "upstream_closed"),
        "a POST may have been done"
    );
}

#[test]
fn a_new_connection_that_is_closed_is_not_tried_again() {
    let upstream = Upstream::start(|accepted| drop(accepted.head()));
    let gateway = Setup::new(upstream.address()).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_closed"));
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn nothing_listens_at_the_target() {
    let address = support::nowhere();
    let gateway = Setup::new(address).start();
    let answer = gateway.client().get("/");
    assert_eq!(answer.status, 502);
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["error"], "Bad Gateway");
    assert_eq!(json["reason"], "connection_failed");
    assert_eq!(
        (json["route"].as_str(), json["backend"].as_str()),
        (Some("default/users"), Some("default/users"))
    );
    assert!(json["message"].as_str().unwrap().contains(&address.to_string()), "{json}");
}

/// `localhost` is often `::1` first, where this upstream doesn't listen.
#[test]
fn a_name_with_a_dead_address_is_reached_by_another_one() {
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(upstream.address()).start();
    gateway.swap(|setup| setup.endpoints.targets[0].hostname = "localhost".to_owned());
    for _ in 0..3 {
        assert_eq!(gateway.client().get("/").status, 200);
    }
}

#[test]
fn no_target_no_route_and_a_held_route() {
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    gateway.swap(|setup| setup.endpoints.targets[0].weight = 0);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_target"));
    gateway.swap(|setup| setup.route.rules[0].matches[0].hostnames = vec!["b.test".into()]);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"));
    assert!(!answer.text().contains("default"), "{}", answer.text());
    // The connection is still whole after both.
    gateway.swap(|setup| {
        setup.endpoints.targets[0].weight = 1;
        setup.route.rules[0].matches[0].hostnames.clear();
    });
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn http_1_0_targets_get_http_1_0() {
    let upstream = Upstream::ok();
    let mut setup = Setup::new(upstream.address());
    setup.endpoints.targets[0].protocol = wire::Protocol::Http10 as i32;
    let gateway = setup.start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    assert!(upstream.last().starts_with("GET / HTTP/1.0\r\n"));
    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").answer();
    assert_eq!((answer.status, answer.reason().as_str()), (411, "length_required"));
}

#[test]
fn connections_are_limited() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).settings(|settings| settings.limits.connections = 2).start();
    let (mut one, mut two) = (gateway.client(), gateway.client());
    assert_eq!((one.get("/").status, two.get("/").status), (200, 200));
    gateway.client().assert_closed();
    assert_eq!(gateway.stats(|stats| stats.refused == 1).active, 2);
}
