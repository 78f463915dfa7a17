//! Targets that speak HTTP/2 without TLS: one message in the other's words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use bytes::Bytes;
use http::{HeaderMap, Response};
use support::{Http2Upstream, Setup, Upstream, dechunk};

fn start(upstream: &Http2Upstream) -> support::Gateway {
    Setup::new(upstream.address()).http2().start()
}

#[test]
fn a_request_is_said_in_the_words_of_http_2() {
    let upstream = Http2Upstream::start(|asked| async { asked.answer("ok") });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send(
        "POST /a%20b?c=d&e HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\nx-one: 2\r\nConnection: keep-alive, x-own\r\nX-Own: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nCookie: a=1; b=2\r\n\
         Content-Length: 0\r\n\r\n",
    );
    assert_eq!(client.answer().status, 200);
    let seen = upstream.seen();
    let request = &seen.requests[0];
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "http://a.test/a%20b?c=d&e");
    let fields: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(fields[..2], [("x-one", "1"), ("x-one", "2")]);
    assert!(fields.contains(&("te", "trailers")) && fields.contains(&("cookie", "a=1; b=2")), "{fields:?}");
    assert!(fields.contains(&("x-forwarded-for", "127.0.0.1")) && fields.contains(&("content-length", "0")));
    for name in ["host", "connection", "x-own", "keep-alive", "proxy-connection", "transfer-encoding"] {
        assert!(!request.headers().contains_key(name), "{name} of {fields:?}");
    }
}

#[test]
fn te_is_only_said_when_the_client_said_it() {
    let upstream = Http2Upstream::start(|asked| async { asked.answer("ok") });
    let gateway = start(&upstream);
    assert_eq!(gateway.client().get("/").text(), "2\r\nok\r\n0\r\n\r\n");
    assert!(!upstream.seen().requests[0].headers().contains_key("te"));
}

#[test]
fn bodies_and_trailers_go_both_ways() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let (body, trailers) = asked.read().await;
        let mut stream = asked.head(Response::builder().header("x-length", body.len()), false);
        stream.send_data(body.into(), false).unwrap();
        stream.send_trailers(trailers.unwrap_or_default()).unwrap();
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    let answer = client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\n, two\r\n0\r\nX-Sum: 7\r\n\r\n",
        )
        .answer();
    assert_eq!(answer.field("x-length"), Some("8"));
    assert_eq!(dechunk(&answer.body), b"one, two");
    assert!(answer.text().ends_with("0\r\nx-sum: 7\r\n\r\n"), "{}", answer.text());
    assert_eq!(client.get("/again-on-the-same-connection").status, 200);
}

#[test]
fn a_large_body_arrives_whole() {
    const LEN: usize = 3 * 1024 * 1024 + 17;
    let upstream = Http2Upstream::start(|mut asked| async move {
        let (body, _) = asked.read().await;
        let length = asked.request.headers().get("content-length").cloned();
        let head = Response::builder().header("content-length", body.len()).header("x-said", length.unwrap());
        let mut stream = asked.head(head, false);
        stream.send_data(body.into(), true).unwrap();
    });
    let gateway = start(&upstream);
    let body: Vec<u8> = (0..LEN).map(|index| (index % 251) as u8).collect();
    let mut client = gateway.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LEN}\r\n\r\n"));
    let sent = body.clone();
    let answer = client.send(sent).answer();
    assert_eq!(answer.field("x-said"), Some(LEN.to_string().as_str()));
    assert_eq!(answer.field("content-length"), Some(LEN.to_string().as_str()));
    assert!(answer.body == body);
}

#[test]
fn trailers_of_a_call_arrive_also_where_its_length_was_told() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let head =
            Response::builder().header("content-type", "application/grpc").header("content-length", "5");
        let mut stream = asked.head(head, false);
        stream.send_data(Bytes::from_static(b"\0\0\0\0\0"), false).unwrap();
        stream
            .send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]))
            .unwrap();
        asked.watch().await;
    });
    let gateway = start(&upstream);
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.field("content-length")), (200, None));
    assert!(answer.text().ends_with("0\r\ngrpc-status: 0\r\n\r\n"), "{}", answer.text());
}

#[test]
fn a_stream_whose_end_comes_behind_its_body_is_not_reset() {
    const COUNT: usize = 200;
    let upstream = Http2Upstream::start(|mut asked| async move {
        let mut stream = asked.head(Response::builder().header("content-length", "4"), false);
        stream.send_data(Bytes::from_static(b"body"), false).unwrap();
        // Gives the proxy the time to be done with the answer.
        while asked.index + 1 < COUNT && asked.seen.lock().unwrap().requests.len() < asked.index + 2 {
            tokio::task::yield_now().await;
        }
        // Fails if the stream was reset.
        let _ = stream.send_data(Bytes::new(), true);
        asked.watch().await;
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    for _ in 0..COUNT {
        assert_eq!(client.get("/").text(), "body");
    }
    assert_eq!((upstream.seen().connections, upstream.seen().resets), (1, vec![]));
}

#[test]
fn answers_without_a_body() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let status: u16 = asked.path()[1..].parse().unwrap();
        let head = Response::builder().status(status);
        let head = if status == 204 { head } else { head.header("content-length", "5") };
        asked.head(head, true);
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    let answer = client.send("HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")));
    assert_eq!((client.get("/204").status, client.get("/304").status), (204, 304));
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn an_empty_answer_is_told_as_empty() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        asked.head(Response::builder().header("x-a", "b"), true);
    });
    let gateway = start(&upstream);
    let answer = gateway.client().get("/");
    assert_eq!((answer.field("content-length"), answer.field("x-a")), (Some("0"), Some("b")));
}

#[test]
fn interim_answers_are_passed_on() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let hint = Response::builder().status(103).header("link", "</a.css>").body(()).unwrap();
        asked.respond.send_informational(hint).unwrap();
        asked.answer("ok");
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    let hint = client.get("/");
    assert_eq!((hint.status, hint.field("link")), (103, Some("</a.css>")));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        assert!(!asked.request.headers().contains_key("expect"));
        let (body, _) = asked.read().await;
        assert_eq!(body, b"abc");
        asked.answer("ok");
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.send("abc").answer().status, 200);
}

#[test]
fn an_answer_before_the_end_of_the_request_counts() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let mut stream = asked.head(Response::builder().status(413).header("content-length", "4"), false);
        // Dropped with a request that hasn't ended, the stream is reset with NO_ERROR behind it.
        stream.send_data(Bytes::from_static(b"much"), true).unwrap();
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").send(vec![b'x'; 10_000]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (413, "much"));
    // A later request isn't harmed.
    assert_eq!(gateway.client().get("/").status, 413);
}

#[test]
fn an_answer_that_breaks_off_is_seen_to() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let mut stream = asked.head(Response::builder(), false);
        stream.send_data(Bytes::from_static(b"part"), false).unwrap();
        asked.body.data().await;
        stream.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head();
    client.bytes("4\r\npart\r\n".len());
    client.send("1\r\nx\r\n");
    client.assert_closed();
    gateway.stats(|stats| {
        stats.reasons.iter().any(|(reason, count)| reason.as_str() == "upstream_closed" && *count == 1)
    });
}

#[test]
fn an_upgrade_is_answered_with_its_reason() {
    let upstream = Http2Upstream::start(|asked| async { asked.answer("ok") });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.reason()), (502, "upgrade_refused".to_owned()));
    assert_eq!(upstream.seen().requests.len(), 0);
}

#[test]
fn a_target_that_speaks_something_else_is_a_bad_one() {
    let upstream = Upstream::start(|accepted| {
        accepted.read();
        accepted.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = Setup::new(upstream.address()).http2().start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason()), (502, "upstream_closed".to_owned()));
}
