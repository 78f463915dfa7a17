//! Listeners behind a load balancer that speaks the PROXY protocol.
#![allow(clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use dataplane_proxy::Reason;
use dataplane_snapshot::wire::{self, FilterKind, FilterSettings};
use support::{Gateway, Setup, Upstream, field};

fn gateway(upstream: &Upstream) -> Gateway {
    let mut setup = Setup::new(upstream.address());
    setup.listeners[0].1.proxy_protocol = true;
    let access = wire::AddressAccess { allow: vec![], deny: vec!["203.0.113.0/24".to_owned()] };
    setup.filter(FilterSettings::Access(access).of(FilterKind::Access)).start()
}

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x12\x34\0\x50";

#[test]
fn the_client_is_whom_the_header_names() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream);
    for header in [&b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n"[..], V2] {
        let mut client = gateway.client();
        // In pieces, and once for all requests of the connection.
        client.send(&header[..5]).send(&header[5..]);
        for _ in 0..2 {
            assert_eq!(client.get("/").status, 200);
            assert_eq!(field(&upstream.last(), "x-forwarded-for"), Some("192.0.2.1"));
        }
    }
    let mut client = gateway.client();
    client.send("PROXY TCP4 203.0.113.9 10.0.0.1 1 80\r\n");
    assert_eq!(client.get("/").reason(), "address_denied");
    let mut client = gateway.client();
    client.send("PROXY UNKNOWN\r\n");
    assert_eq!(client.get("/").status, 200);
    assert_eq!(field(&upstream.last(), "x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn a_connection_without_a_header_is_closed() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream);
    for bytes in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 nobody nowhere 1 2\r\nGET / HTTP/1.1\r\n"]
    {
        gateway.client().try_send(bytes).assert_closed();
    }
    gateway.client().finish().assert_closed();
    gateway.stats(|stats| stats.reason(Reason::BadProxyHeader) == 3);
    assert_eq!(upstream.seen().connections, 0);
}

#[test]
fn a_header_that_never_ends_is_not_waited_for() {
    let upstream = Upstream::ok();
    let mut setup = Setup::new(upstream.address())
        .settings(|settings| settings.timeouts.head = std::time::Duration::from_millis(50));
    setup.listeners[0].1.proxy_protocol = true;
    let gateway = setup.start();
    gateway.client().send("PROXY TCP4 ").assert_closed();
    gateway.stats(|stats| stats.reason(Reason::BadProxyHeader) == 1);
}

#[test]
fn a_listener_without_the_setting_takes_no_header() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let answer = gateway.client().send("PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n\r\n").answer();
    assert_eq!(answer.status, 400);
}
