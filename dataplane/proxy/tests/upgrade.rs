//! WebSocket and other upgrades.

mod support;

use std::time::Duration;

use dataplane_proxy::Reason;
use support::{Setup, Upstream, field};

const REQUEST: &str = concat!(
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
);
const SWITCH: &str = concat!(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
);

fn echo() -> Upstream {
    Upstream::start(|accepted| {
        accepted.head();
        accepted.send(SWITCH);
        accepted.echo();
    })
}

#[test]
fn bytes_pass_both_ways() {
    let upstream = echo();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    let answer = client.send(REQUEST).answer();
    assert_eq!(
        (answer.status, answer.field("upgrade"), answer.field("connection")),
        (101, Some("websocket"), Some("upgrade"))
    );
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let head = upstream.last();
    assert_eq!((field(&head, "connection"), field(&head, "upgrade")), (Some("upgrade"), Some("websocket")));
    for size in [1, 100, 100_000] {
        let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        client.send(&bytes);
        assert!(client.bytes(size) == bytes);
    }
    // The client's end is handed on, and the target's comes back.
    client.finish().assert_closed();
    upstream.wait(|seen| seen.closed == 1);
    assert_eq!(gateway.stats(|stats| stats.active == 0).upgraded, 1);
}

#[test]
fn what_the_target_says_behind_its_101_arrives() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.send(format!("{SWITCH}hello"));
        accepted.stream.shutdown(std::net::Shutdown::Write).unwrap();
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    assert_eq!(client.send(REQUEST).answer().status, 101);
    // The target has ended its half; the client's still works.
    assert_eq!(client.bytes(5), b"hello");
    client.send("bye");
    upstream.wait(|seen| seen.bytes.ends_with(b"bye"));
    client.finish().assert_closed();
}

#[test]
fn no_client_byte_is_forwarded_before_the_101() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        // Whatever was sent too early would be here by now.
        accepted.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(accepted.received().is_empty());
        let mut byte = [0];
        let early = std::io::Read::read(&mut accepted.stream, &mut byte);
        accepted.stream.set_read_timeout(None).unwrap();
        accepted.send(if early.is_err() {
            SWITCH
        } else {
            "HTTP/1.1 500 Early\r\nContent-Length: 0\r\n\r\n"
        });
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send(format!("{REQUEST}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(client.answer().status, 101);
    upstream.wait(|seen| seen.bytes.ends_with(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let upstream = Upstream::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.send(REQUEST).answer().text(), "no");
    }
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn what_is_no_real_upgrade_is_an_ordinary_request() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert_eq!(client.send(request).answer().status, 200, "{request:?}");
        assert_eq!((field(&upstream.last(), "upgrade"), field(&upstream.last(), "connection")), (None, None));
    }
}

#[test]
fn only_silence_ends_a_tunnel() {
    let upstream = echo();
    let setup = Setup::new(upstream.address()).client(|client| {
        client.idle_timeout = 400;
        // Neither is meant for tunnels.
        client.call_and_stream_timeout = 300;
        client.global_timeout = 300;
        client.call_timeout = 300;
    });
    let gateway = setup.start();
    let mut client = gateway.client();
    assert_eq!(client.send(REQUEST).answer().status, 101);
    for _ in 0..10 {
        client.send("x");
        assert_eq!(client.bytes(1), b"x");
        std::thread::sleep(Duration::from_millis(60));
    }
    client.assert_closed();
    gateway.stats(|stats| stats.reason(Reason::IdleTimeout) == 1);
}
