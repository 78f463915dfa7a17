//! Requests over HTTP/2, and what targets and clients see of them.

mod support;

use dataplane_proxy::Reason;
use http::{HeaderMap, HeaderValue, Method, Version};
use support::frames::{self, DATA, END_HEADERS, END_STREAM, Frames, HEADERS};
use support::http2::{self, Http2, answer, get, post, request, reset_of, within};
use support::tls::{self, Authority, ClientSettings, client_config, listening};
use support::{Setup, Upstream, block_on, dechunk, field};

#[test]
fn many_requests_share_a_connection() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let mut pending = Vec::new();
        for index in 0..100 {
            pending.push(client.begin(get(&format!("/{index}?q=1")), true).await.0);
        }
        for response in pending {
            let answer = answer(response).await;
            assert_eq!((answer.status, answer.text()), (200, "ok"));
        }
    });
    let head = upstream.last();
    assert!(head.starts_with("GET /") && head.contains("?q=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some("a.test"));
    assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&head, "transfer-encoding"), None);
    let stats = gateway.stats(|stats| stats.http2_streams == 0);
    assert_eq!((stats.accepted, stats.http2_connections, stats.responses[2]), (1, 1, 100));
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    for (response, method, length) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::HEAD, Some("5")),
        ("HTTP/1.1 204 No Content\r\n\r\n", Method::GET, None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", Method::GET, Some("7")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Method::GET, Some("0")),
    ] {
        let upstream = Upstream::answering(response);
        let gateway = Setup::new(upstream.address()).start();
        block_on(async {
            let mut client = Http2::connect(gateway.address()).await;
            let (response, _) = client.begin(request(method, "/").body(()).unwrap(), true).await;
            let response = within(response).await.unwrap();
            assert!(response.body().is_end_stream());
            let answer = http2::whole(response).await.unwrap();
            assert_eq!((answer.field("content-length"), answer.body.len()), (length, 0));
        });
    }
}

#[test]
fn the_body_of_an_error_answers_no_head_request() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let bad = request(Method::HEAD, "/a%00b").body(()).unwrap();
        let answer = client.ask(bad).await;
        assert_eq!((answer.status, answer.body.len()), (400, 0));
    });
}

#[test]
fn bodies_are_framed_as_the_request_says() {
    let upstream = Upstream::start(|accepted| {
        while let Some((_, body)) = accepted.request() {
            accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            accepted.send(body);
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    let body: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let with_length = request(Method::POST, "/").header("content-length", body.len()).body(()).unwrap();
        assert!(client.put(with_length, &body).await.body == body);
        let head = upstream.last();
        assert_eq!(field(&head, "content-length"), Some("300000"));
        let answer = client.put(post("/"), &body).await;
        assert!(dechunk(&answer.body) == body);
        let head = upstream.last();
        assert_eq!(
            (field(&head, "transfer-encoding"), field(&head, "content-length")),
            (Some("chunked"), None)
        );
    });
}

#[test]
fn trailers_pass_both_ways() {
    let response = concat!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n",
        "3\r\nabc\r\n0\r\ngrpc-status: 0\r\nContent-Length: 9\r\nx-two: 2\r\n\r\n"
    );
    let upstream = Upstream::answering(response);
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let asked = request(Method::POST, "/").header("te", "trailers").body(()).unwrap();
        let (response, mut stream) = client.begin(asked, false).await;
        http2::send(&mut stream, b"data", false).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        trailers.insert("authorization", HeaderValue::from_static("forged"));
        stream.send_trailers(trailers).unwrap();
        let answer = answer(response).await;
        assert_eq!(answer.text(), "abc");
        let trailers = answer.trailers.unwrap();
        assert_eq!(trailers.len(), 2);
        assert_eq!(
            (trailers["grpc-status"].as_bytes(), trailers["x-two"].as_bytes()),
            (&b"0"[..], &b"2"[..])
        );
    });
    let (head, body) = upstream.seen().requests.pop().unwrap();
    assert_eq!((field(&head, "te"), field(&head, "connection")), (Some("trailers"), Some("te")));
    assert_eq!(body, b"4\r\ndata\r\n0\r\nx-sum: 7\r\n\r\n");
}

#[test]
fn hints_and_continue_are_interim_answers() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        while !accepted.received().ends_with(b"0\r\n\r\n") && accepted.read() {}
        accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let asked = request(Method::POST, "/").header("expect", "100-continue").body(()).unwrap();
        let (mut response, mut stream) = client.begin(asked, false).await;
        let interim = |response: &mut h2::client::ResponseFuture, cx: &mut std::task::Context<'_>| {
            response.poll_informational(cx)
        };
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let hint = within(std::future::poll_fn(|cx| interim(&mut response, cx))).await;
            let hint = hint.unwrap().unwrap();
            seen.push((hint.status().as_u16(), hint.headers().get("link").is_some()));
        }
        seen.sort_unstable();
        assert_eq!(seen, [(100, false), (103, true)]);
        http2::send(&mut stream, b"x", true).await;
        assert_eq!(answer(response).await.status, 200);
    });
    assert_eq!(field(&upstream.last(), "expect"), None);
}

#[test]
fn cookies_are_joined() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let crumbs = request(Method::GET, "/").header("cookie", "a=1").header("cookie", "b=2; c=3");
        client.ask(crumbs.body(()).unwrap()).await;
    });
    let head = upstream.last();
    assert_eq!(field(&head, "cookie"), Some("a=1; b=2; c=3"));
    assert_eq!(head.matches("cookie").count(), 1);
}

#[test]
fn the_authority_is_the_host() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let same = request(Method::GET, "/").header("host", "A.test").body(()).unwrap();
        assert_eq!(client.ask(same).await.status, 200);
        let other = request(Method::GET, "/").header("host", "b.test").body(()).unwrap();
        let answer = client.ask(other).await;
        assert_eq!((answer.status, answer.reason()), (400, "bad_host".to_owned()));
        let user = http::Request::builder().uri("http://me@a.test/").body(()).unwrap();
        assert_eq!(client.ask(user).await.status, 400);
    });
    assert_eq!(upstream.seen().requests.len(), 1);
    assert_eq!(gateway.proxy.stats().reason(Reason::BadHost), 2);
}

#[test]
fn what_http1_refuses_is_refused() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let connect = http::Request::builder().method("CONNECT").uri("a.test:443").body(()).unwrap();
        let (response, _stream) = client.begin(connect, false).await;
        assert_eq!(answer(response).await.status, 405);
        let long = format!("/{}", "a".repeat(20_000));
        assert_eq!(client.get(&long).await.status, 414);
        let mut many = request(Method::GET, "/");
        for index in 0..101 {
            many = many.header(format!("x-{index}"), "1");
        }
        assert_eq!(client.ask(many.body(()).unwrap()).await.status, 431);
        let expects = request(Method::GET, "/").header("expect", "magic").body(()).unwrap();
        assert_eq!(client.ask(expects).await.status, 417);
        // The connection is none the worse for it.
        assert_eq!(client.get("/").await.status, 200);
    });
    assert_eq!(upstream.seen().requests.len(), 1);
}

#[test]
fn malformed_requests_are_reset() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        for bad in [
            request(Method::GET, "/").header("x", " blank"),
            request(Method::GET, "/").header("x", "blank\t"),
            http::Request::builder().uri("ftp://a.test/"),
            request(Method::POST, "/").header("content-length", "1"),
        ] {
            let (response, _stream) = client.begin(bad.body(()).unwrap(), true).await;
            assert_eq!(reset_of(response).await, Some(h2::Reason::PROTOCOL_ERROR));
        }
        assert_eq!(client.get("/").await.status, 200);
    });
    assert_eq!(upstream.seen().requests.len(), 1);
}

#[test]
fn an_answer_may_come_before_the_end_of_the_request() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (response, mut stream) = client.begin(post("/"), false).await;
        http2::send(&mut stream, &[0; 10_000], false).await;
        let answer = answer(response).await;
        assert_eq!((answer.status, answer.text()), (413, "big"));
        let reset = within(std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
        assert_eq!(reset.unwrap(), h2::Reason::NO_ERROR);
        assert_eq!(client.begin(get("/"), true).await.0.stream_id().as_u32(), 3);
    });
}

#[test]
fn an_answer_that_breaks_off_is_reset() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let upstream = Upstream::start(move |accepted| {
            accepted.head();
            accepted.send(response);
        });
        let gateway = Setup::new(upstream.address()).start();
        block_on(async {
            let mut client = Http2::connect(gateway.address()).await;
            let (response, _) = client.begin(get("/"), true).await;
            assert_eq!(reset_of(response).await, Some(h2::Reason::INTERNAL_ERROR));
        });
        assert_eq!(gateway.proxy.stats().reason(Reason::UpstreamClosed), 1);
    }
}

#[test]
fn a_client_that_resets_frees_the_target() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (_response, mut stream) = client.begin(get("/"), true).await;
        upstream.wait_aside(|seen| !seen.requests.is_empty()).await;
        stream.send_reset(h2::Reason::CANCEL);
        upstream.wait_aside(|seen| seen.closed == 1).await;
    });
    let stats = gateway.stats(|stats| stats.reason(Reason::ClientGone) == 1);
    assert_eq!((stats.http2_streams, stats.responses[0]), (0, 1));
}

#[test]
fn expressions_know_the_version() {
    let upstream = Upstream::ok();
    let mut setup = Setup::new(upstream.address());
    setup.backend.root = "/${req.version}".into();
    let gateway = setup.start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (response, _) = client.begin(get("/x"), true).await;
        assert_eq!(within(response).await.unwrap().version(), Version::HTTP_2);
    });
    let head = upstream.last();
    assert!(head.starts_with("GET /HTTP%2F2/x HTTP/1.1\r\n"), "{head}");
    gateway.client().get("/x");
    assert!(upstream.last().starts_with("GET /HTTP%2F1.1/x "), "{}", upstream.last());
}

#[test]
fn a_listener_may_leave_http2_out() {
    let upstream = Upstream::ok();
    let mut setup = Setup::new(upstream.address());
    setup.listeners[0].1.http1_only = true;
    let gateway = setup.start();
    let answer = gateway.client().send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").answer();
    assert_eq!((answer.status, answer.reason()), (505, "unsupported_version".to_owned()));
}

#[test]
fn the_preface_may_come_in_pieces_and_only_first() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        client.send([*byte]);
    }
    // An empty SETTINGS; the proxy's own settings and its acknowledgement.
    client.send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let length = usize::from(client.bytes(3)[2]);
    assert_eq!(client.bytes(1), [4]);
    client.bytes(5 + length);
    let mut client = gateway.client();
    client.get("/");
    assert_eq!(client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").answer().status, 505);
    assert_eq!(gateway.client().send("PRI * HTTP/2.0\r\nHost: a\r\n\r\n").answer().status, 505);
}

#[test]
fn tls_offers_http2_where_the_listener_has_it() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identity = authority.issue(&["a.test"]);
    let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = client_config(&authority, ClientSettings { alpn, ..ClientSettings::default() });
    let mut gateway = listening(Setup::new(upstream.address()), &[("a", &identity)]).start();
    let mut client = tls::connect(gateway.address(), "a.test", &config);
    assert_eq!(client.stream().conn.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Frames::over(client);
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, frames::GET);
    // 200 is an entry of the static table.
    assert_eq!(client.until(HEADERS).payload[0], 0x88);
    assert_eq!(client.until(DATA).payload, b"ok");
    assert_eq!(field(&upstream.last(), "x-forwarded-proto"), Some("https"));

    gateway.swap(|setup| setup.listeners[0].1.http1_only = true);
    let mut client = tls::connect(gateway.address(), "a.test", &config);
    assert_eq!(client.stream().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn inside_tls_the_handshake_decides() {
    let (authority, upstream) = (Authority::new("ca"), Upstream::ok());
    let identity = authority.issue(&["a.test"]);
    let gateway = listening(Setup::new(upstream.address()), &[("a", &identity)]).start();
    let config = client_config(&authority, ClientSettings::default());
    let mut client = tls::connect(gateway.address(), "a.test", &config);
    assert_eq!(client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").answer().status, 505);
}
