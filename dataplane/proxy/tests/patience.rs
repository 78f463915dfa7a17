//! Exchanges that take long: clients that leave meanwhile, hints before the answer, streams without an end.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::time::Duration;

use dataplane_proxy::Reason;
use support::{Setup, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_client_that_leaves_while_the_target_works_is_noticed() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).retries(3).start();
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for (round, request) in (1..).zip(requests) {
        let mut client = gateway.client();
        client.send(request);
        upstream.wait(|seen| seen.requests.len() == round);
        drop(client);
        // The upstream connection goes, too, and nothing is sent again.
        upstream.wait(|seen| seen.closed == round);
        gateway.stats(|stats| stats.reason(Reason::ClientGone) == round as u64);
    }
    assert_eq!(upstream.seen().connections, requests.len());
    assert_eq!(gateway.proxy.stats().responses[0], requests.len() as u64);
}

#[test]
fn a_client_that_leaves_a_silent_stream_is_noticed() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.stats(|stats| stats.active == 1 && upstream.seen().requests.len() == 1);
    client.bytes(20);
    drop(client);
    upstream.wait(|seen| seen.closed == 1);
    gateway.stats(|stats| stats.reason(Reason::ClientGone) == 1);
}

#[test]
fn a_request_that_comes_while_the_target_works_is_next() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            if head.starts_with("GET /first") {
                // Until the proxy has read the second one, or at least could have.
                accepted.pause(Duration::from_millis(50));
            }
            accepted.send(OK);
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait(|seen| seen.requests.len() == 1);
    let long = "x".repeat(5000);
    client.send(format!("GET /second HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"));
    assert_eq!((client.answer().text(), client.answer().text()), ("ok", "ok"));
    assert!(upstream.last().starts_with("GET /second ") && upstream.last().contains(&long));
}

#[test]
fn interim_responses_are_for_clients_that_know_them() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.send("HTTP/1.1 100 Continue\r\n\r\n");
            accepted.send(
                "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\n",
            );
            accepted.send(OK);
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let hints = client.get("/");
        assert_eq!(hints.head, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        assert_eq!(client.answer().text(), "ok");
    }
    let rest = gateway.client().send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").rest();
    assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"), "{:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn only_idleness_cuts_an_event_stream() {
    const LIMIT: u64 = 100;
    for kind in ["text/event-stream; charset=utf-8", "application/grpc+proto"] {
        let upstream = Upstream::start(move |accepted| {
            accepted.request();
            accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n"));
            for _ in 0..20 {
                accepted.send("data: 1\n\n");
                accepted.pause(Duration::from_millis(LIMIT / 5));
            }
            accepted.drain();
        });
        let gateway = Setup::new(upstream.address())
            .client(|client| (client.call_and_stream_timeout, client.idle_timeout) = (LIMIT, 5 * LIMIT))
            .start();
        let rest = gateway.client().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").rest();
        assert_eq!(String::from_utf8_lossy(&rest).matches("data: 1").count(), 20);
        gateway.stats(|stats| stats.reason(Reason::IdleTimeout) == 1);
    }
}
