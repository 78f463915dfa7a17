//! Ordinary requests: forwarding, framing, keep-alive, pipelining, trailers, early responses.

mod support;

use support::{Client, Setup, Upstream, dechunk, field};

#[test]
fn a_request_goes_there_and_back() {
    for threads in [1, 4] {
        let upstream =
            Upstream::answering("HTTP/1.1 201 Created\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\nhello");
        let gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = threads).start();
        for _ in 0..8 {
            let answer = gateway.client().get("/a/b?c=d");
            assert_eq!((answer.status, answer.text()), (201, "hello"));
            assert_eq!(answer.field("etag"), Some("\"x\""));
            assert_eq!(answer.field("connection"), None);
        }
        let head = upstream.last();
        assert!(head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "host"), Some("a.test"));
        assert_eq!(gateway.stats(|stats| stats.responses[2] == 8).accepted, 8);
    }
}

#[test]
fn connections_are_kept_on_both_sides() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(upstream.seen().connections, 1);
    let stats = gateway.stats(|stats| stats.responses[2] == 5);
    assert_eq!((stats.accepted, stats.upstream_connects, stats.upstream_reuses), (1, 1, 4));
    assert_eq!((stats.active, stats.upstream_idle), (1, 1));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, body)) = accepted.request() {
            let chunked = field(&head, "transfer-encoding").is_some();
            let body = if chunked { dechunk(&body) } else { body };
            let path = head.split(' ').nth(1).unwrap().to_owned() + &String::from_utf8(body).unwrap();
            accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    let mut requests = String::new();
    for number in 0..20 {
        requests += &match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n-cl"),
            _ => format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n-ch\r\n0\r\n\r\n"
            ),
        };
    }
    client.send(requests);
    for number in 0..20 {
        let expected = format!("/{number}{}", ["", "-cl", "-ch"][number % 3]);
        assert_eq!(client.answer().text(), expected);
    }
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn bodies_keep_their_framing_both_ways() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, body)) = accepted.request() {
            if field(&head, "transfer-encoding").is_some() {
                assert_eq!(field(&head, "content-length"), None);
                accepted.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                accepted.send(body);
            } else {
                accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
                accepted.send(body);
            }
        }
    });
    let gateway = without_early_timers(Setup::new(upstream.address())).start();
    let mut client = gateway.client();
    for size in [1, 1000, 20_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        // Both directions are full at once: this only ends if they don't wait for each other.
        let answer = exchange(&mut client, body.clone());
        assert_eq!(answer.field("content-length"), Some(size.to_string().as_str()));
        assert!(answer.body == body, "size {size}");

        let mut chunked = Vec::new();
        for piece in body.chunks(40_000) {
            chunked.extend(format!("{:X};note=x\r\n", piece.len()).into_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = exchange(&mut client, chunked);
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        assert!(dechunk(&answer.body) == body, "size {size}");
    }
    assert_eq!(upstream.seen().connections, 1, "extensions are dropped: {}", upstream.last());
}

/// No timer of the proxy may wake a direction that was forgotten before the client's patience ends.
fn without_early_timers(setup: Setup) -> Setup {
    setup.client(|client| {
        let long = 120_000;
        (client.connection_timeout, client.idle_timeout) = (long, long);
        (client.call_timeout, client.global_timeout) = (long, long);
    })
}

#[test]
fn a_client_that_is_slower_than_the_target_gets_everything() {
    const SIZE: usize = 32 << 20;
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            if head.starts_with("GET /length") {
                accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
                accepted.send(vec![b'x'; SIZE]);
            } else {
                accepted.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SIZE:x}\r\n"));
                accepted.send(vec![b'x'; SIZE]);
                accepted.send("\r\n0\r\n\r\n");
            }
        }
    });
    let gateway = without_early_timers(Setup::new(upstream.address())).start();
    let mut client = gateway.client();
    client.send("GET /length HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().body.len(), SIZE);
    client.send("GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(dechunk(&client.answer().body).len(), SIZE);
    assert_eq!(upstream.seen().connections, 1);
}

fn exchange(client: &mut Client, body: Vec<u8>) -> support::client::Answer {
    client.send(body).answer()
}

#[test]
fn trailers_pass_both_ways_but_for_dangerous_ones() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nContent-Length: 7\r\n\r\n",
    );
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send(concat!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-check, host\r\nTE: trailers\r\n\r\n",
        "3\r\nabc\r\n0\r\nX-Check: 1\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    ));
    let answer = client.answer();
    assert_eq!(answer.text(), "2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n");
    let (head, body) = upstream.seen().requests[0].clone();
    assert_eq!(field(&head, "te"), Some("trailers"));
    assert_eq!(String::from_utf8(body).unwrap(), "3\r\nabc\r\n0\r\nX-Check: 1\r\n\r\n");
}

#[test]
fn head_204_and_304_have_no_body() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            accepted.send(match head.split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            });
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    let answer = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")));
    let answer = client.get("/204");
    assert_eq!((answer.status, answer.field("content-length")), (204, None));
    let answer = client.get("/304");
    assert_eq!((answer.status, answer.field("content-length")), (304, Some("5")));
    assert_eq!(upstream.seen().connections, 1);
    // An error of ours to HEAD has no body either, so the next answer is found.
    let answer = client.send("HEAD /%zz HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!(answer.status, 400);
    client.assert_closed();
}

#[test]
fn http_1_0_gets_no_chunks_and_closes_unless_asked() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            accepted.send(match head.split(' ').nth(1).unwrap() {
                "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            });
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let answer = gateway.client().send("GET /length HTTP/1.0\r\n\r\n").answer();
    assert_eq!((answer.field("connection"), answer.text()), (Some("close"), "ok"));
    assert!(upstream.last().contains(" HTTP/1.1\r\n"));
    assert_eq!(field(&upstream.last(), "host"), Some(upstream.address().to_string().as_str()));

    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET /length HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.field("connection"), answer.text()), (Some("keep-alive"), "ok"));
    }
    let rest = client.send("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n").rest();
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.ends_with("\r\n\r\nok") && !rest.contains("chunked") && rest.contains("connection: close"),
        "{rest}"
    );
}

#[test]
fn a_body_that_ends_with_the_connection_is_chunked_for_the_client() {
    let upstream = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(dechunk(&answer.body), b"until the end");
    }
    assert_eq!(upstream.seen().connections, 2);
}

#[test]
fn continue_is_said_when_the_target_is_reached() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.send("abc").answer().status, 200);
    assert_eq!(field(&upstream.last(), "expect"), None);
    // A client that doesn't wait gets no 100.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
    assert_eq!(client.answer().status, 200);
    // Nor one whose request is refused.
    client.send("POST /%zz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    client.send("");
    client.assert_closed();
}

#[test]
fn an_early_response_is_forwarded_and_poisons_nothing() {
    let upstream = Upstream::start(|accepted| {
        while let Some(head) = accepted.head() {
            if head.starts_with("POST") {
                accepted.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                accepted.drain();
                return;
            }
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!((answer.status, answer.text(), answer.field("connection")), (403, "no", Some("close")));
    client.finish().assert_closed();
    upstream.wait(|seen| seen.closed == 1);
    assert_eq!(gateway.client().get("/").status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.connections, 2, "the connection that is owed a body isn't used again");
    assert!(seen.requests.iter().all(|(head, _)| !head.contains("smuggled")));
}

#[test]
fn informational_responses_come_before_the_answer() {
    let upstream = Upstream::answering(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let statuses = [client.get("/").status, client.answer().status, client.answer().status];
        assert_eq!(statuses, [102, 103, 200]);
    }
}

#[test]
fn a_request_in_small_pieces_is_the_same_request() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    let request = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().status, 200);
    assert_eq!(dechunk(&upstream.seen().requests[0].1), b"abc0123456789");
}
