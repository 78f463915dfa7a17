//! Responses of targets: what is refused, what ends where, and which connections are used again.

mod support;

use dataplane_proxy::Reason;
use support::{Setup, Upstream, dechunk, field};

/// A target that says `response` to the first request and then waits for the proxy to close.
fn once(response: &'static str) -> Upstream {
    Upstream::start(move |accepted| {
        accepted.request();
        accepted.send(response);
        accepted.drain();
    })
}

#[test]
fn ambiguous_framing_is_502_and_the_connection_is_closed() {
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n",
        "Content-Length: 2, 2\r\n",
        "Content-Length: +2\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n Transfer-Encoding: chunked\r\n",
        "X: a\nContent-Length: 2\r\n",
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n2\r\nok\r\n0\r\n\r\n");
        let upstream = once(response.leak());
        let gateway = Setup::new(upstream.address()).start();
        let mut client = gateway.client();
        let answer = client.get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"), "{fields:?}");
        upstream.wait(|seen| seen.closed == 1);
        assert_eq!(client.get("/").status, 502, "the client's connection is whole");
        assert_eq!((upstream.seen().connections, gateway.proxy.stats().upstream_idle), (2, 0));
    }
}

#[test]
fn a_bad_chunk_that_comes_with_the_head_is_502() {
    for chunks in
        ["x\r\nok\r\n", "2\r\nokX", "2\nok\r\n", "10000000000000002\r\nok", "0\r\nbad trailer\r\n\r\n"]
    {
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let upstream = once(response.leak());
        let gateway = Setup::new(upstream.address()).start();
        let answer = gateway.client().get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"), "{chunks:?}");
        upstream.wait(|seen| seen.closed == 1);
    }
}

#[test]
fn a_bad_chunk_that_comes_later_cuts_the_answer() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        // The rest of the request comes once the client has the first chunk.
        accepted.read();
        accepted.send("zz\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    let mut text = client.bytes(1);
    while !text.ends_with(b"ok\r\n") {
        text.extend(client.bytes(1));
    }
    let rest = client.send("x").rest();
    assert!(rest.is_empty(), "neither a last chunk nor more: {:?}", String::from_utf8_lossy(&rest));
    upstream.wait(|seen| seen.closed == 1);
    assert_eq!(gateway.stats(|stats| stats.active == 0).reason(Reason::UpstreamMalformed), 1);
}

#[test]
fn a_response_without_a_length_ends_with_its_connection() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil ");
        accepted.send("the end");
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for number in 1..=3 {
        assert_eq!(dechunk(&client.get("/").body), b"until the end");
        assert_eq!(upstream.seen().connections, number);
    }
}

#[test]
fn interim_responses_before_the_last_are_no_answer() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            assert!(field(&head, "expect").is_none());
            accepted.send("HTTP/1.1 100 Continue\r\n\r\n");
            accepted.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n\r\nHTTP/1.1 2");
            accepted.send("01 Made\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 103, "a hint");
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (201, "ok"));
        assert!(answer.head.starts_with("HTTP/1.1 201 Made\r\n"), "{}", answer.head);
    }
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn bytes_that_come_after_the_response_answer_nobody() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // The client says by a second connection that it has its answer.
        let seen = accepted.seen.clone();
        support::eventually(|| Some(()).filter(|()| seen.lock().unwrap().connections > 1));
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "ok");
    gateway.stats(|stats| stats.upstream_idle == 1);
    drop(std::net::TcpStream::connect(upstream.address()).unwrap());
    gateway.stats(|stats| stats.upstream_idle == 0);
}

#[test]
fn a_connection_is_used_again_only_if_the_target_keeps_it() {
    for (head, connections) in [
        ("HTTP/1.1 200 OK\r\n", 1),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n", 1),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n", 3),
        ("HTTP/1.1 200 OK\r\nConnection: x-other, CLOSE\r\nX-Other: 1\r\n", 3),
        ("HTTP/1.0 200 OK\r\n", 3),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", 1),
    ] {
        let upstream = Upstream::answering(format!("{head}Content-Length: 2\r\n\r\nok").leak());
        let gateway = Setup::new(upstream.address()).start();
        let mut client = gateway.client();
        for _ in 0..3 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.text()), (200, "ok"));
            for name in ["connection", "keep-alive", "x-other"] {
                assert_eq!(answer.field(name), None, "{head:?}");
            }
        }
        assert_eq!(upstream.seen().connections, connections, "{head:?}");
    }
}

#[test]
fn heads_of_targets_have_limits() {
    for head in [
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(70_000)),
        format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(101)),
    ] {
        let upstream = once(format!("{head}Content-Length: 0\r\n\r\n").leak());
        let gateway = Setup::new(upstream.address()).start();
        let answer = gateway.client().get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"));
    }
}

#[test]
fn a_head_in_small_pieces_is_the_same_head() {
    let upstream = Upstream::start(|accepted| {
        accepted.stream.set_nodelay(true).unwrap();
        while accepted.request().is_some() {
            for byte in
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n".bytes()
            {
                accepted.send([byte]);
            }
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, dechunk(&answer.body).as_slice()), (200, &b"ok"[..]));
        assert!(answer.body.ends_with(b"X: y\r\n\r\n"));
    }
    assert_eq!(upstream.seen().connections, 1);
}
