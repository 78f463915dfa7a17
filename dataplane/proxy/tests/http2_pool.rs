//! Connections of HTTP/2 to targets: what shares them, how they end, and what that means for requests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use http::Response;
use support::http2_upstream::{Http2Upstream, flood};
use support::tls::{Authority, ServerSettings, TlsUpstream, listening, targeting, trusting};
use support::{Dns, Gateway, Setup, Upstream};
use tokio::sync::Notify;

fn start(upstream: &Http2Upstream) -> Gateway {
    Setup::new(upstream.address()).http2().start()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/// Answers once `count` streams wait.
fn together(builder: Builder, count: usize) -> Http2Upstream {
    let (waiting, all) = (Arc::new(std::sync::Mutex::new(0)), Arc::new(Notify::new()));
    Http2Upstream::with(builder, move |asked| {
        let (waiting, all) = (waiting.clone(), all.clone());
        async move {
            let ready = {
                let mut waiting = waiting.lock().unwrap();
                *waiting += 1;
                *waiting >= count
            };
            if ready {
                all.notify_waiters()
            } else {
                all.notified().await
            }
            asked.answer("ok");
        }
    })
}

fn ask_together(gateway: &Gateway, upstream: &Http2Upstream, count: usize) {
    let mut clients: Vec<_> = (0..count).map(|_| gateway.client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(GET);
        upstream.wait(|seen| seen.requests.len() > index);
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
}

#[test]
fn streams_share_a_connection() {
    let upstream = together(Builder::new(), 5);
    let gateway = start(&upstream);
    ask_together(&gateway, &upstream, 5);
    assert_eq!(upstream.seen().connections, 1);
    let stats = gateway.proxy.stats();
    assert_eq!((stats.upstream_connects, stats.upstream_reuses), (1, 4));
}

#[test]
fn requests_that_come_at_once_open_one_connection() {
    let upstream = together(Builder::new(), 20);
    let gateway = start(&upstream);
    let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn a_target_has_as_many_streams_as_it_allows() {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(2);
    let upstream = together(builder, 5);
    let gateway = start(&upstream);
    // So that what the target allows is known.
    let mut first = gateway.client();
    first.send(GET);
    upstream.wait(|seen| seen.requests.len() == 1);
    let mut clients: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(GET);
        upstream.wait(|seen| seen.requests.len() == index + 2);
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    assert_eq!(first.answer().status, 200);
    assert_eq!(upstream.seen().connections, 3);
}

#[test]
fn a_connection_that_goes_away_finishes_its_streams_and_gets_no_others() {
    let finish = Arc::new(Notify::new());
    let waits = finish.clone();
    let upstream = Http2Upstream::start(move |asked| {
        let finish = waits.clone();
        async move {
            if asked.index == 0 {
                asked.go_away.notify_one();
                finish.notified().await;
            }
            asked.answer("ok");
        }
    });
    let gateway = start(&upstream);
    let mut old = gateway.client();
    old.send(GET);
    upstream.wait(|seen| seen.requests.len() == 1);
    // Those that are sent before GOAWAY arrives still go to the old one.
    support::eventually(|| {
        assert_eq!(gateway.client().send(POST).answer().status, 200);
        (upstream.seen().connections == 2).then_some(())
    });
    finish.notify_one();
    assert_eq!(old.answer().status, 200);
}

#[test]
fn what_a_target_refuses_is_unsent_whatever_its_method() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        if asked.index == 1 {
            asked.respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        asked.answer("ok");
    });
    // No retries: it is sent again as with a kept connection that was closed.
    let gateway = start(&upstream);
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.send(POST).answer().status, 200);
    assert_eq!(upstream.seen().requests.len(), 3);
    assert_eq!(gateway.proxy.stats().upstream_resends, 1);
}

#[test]
fn a_refusal_on_a_new_connection_is_retried_whatever_the_method() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        if asked.index == 0 {
            asked.respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        asked.answer("ok");
    });
    let gateway = Setup::new(upstream.address()).http2().retries(1).start();
    assert_eq!(gateway.client().send(POST).answer().status, 200);
    assert_eq!(gateway.proxy.stats().upstream_resends, 0);
}

#[test]
fn what_a_target_began_with_is_not_sent_again() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        if asked.index > 0 {
            asked.respond.send_reset(Reason::INTERNAL_ERROR);
            return;
        }
        asked.answer("ok");
    });
    let gateway = Setup::new(upstream.address()).http2().retries(3).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    let answer = client.send(POST).answer();
    assert_eq!((answer.status, answer.reason()), (502, "upstream_closed".to_owned()));
    assert_eq!(upstream.seen().requests.len(), 2);
}

#[test]
fn a_client_that_goes_away_cancels_its_stream_only() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        if asked.path() == "/wait" { asked.watch().await } else { asked.answer("ok") }
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait(|seen| seen.requests.len() == 1);
    drop(client);
    assert_eq!(upstream.wait(|seen| !seen.resets.is_empty()).resets, [Reason::CANCEL]);
    assert_eq!(gateway.client().get("/").status, 200);
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn a_timeout_cancels_the_stream() {
    let upstream = Http2Upstream::start(|mut asked| async move { asked.watch().await });
    let gateway = Setup::new(upstream.address()).http2().client(|client| client.call_timeout = 50).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason()), (504, "call_timeout".to_owned()));
    assert_eq!(upstream.wait(|seen| !seen.resets.is_empty()).resets, [Reason::CANCEL]);
}

#[test]
fn a_client_that_does_not_read_holds_up_its_target_and_nobody_else() {
    const LEN: usize = 64 * 1024 * 1024;
    let upstream = Http2Upstream::start(|mut asked| async move {
        if asked.path() == "/small" {
            return asked.answer("ok");
        }
        let mut stream = asked.head(Response::builder(), false);
        let seen = asked.seen.clone();
        flood(&mut stream, LEN, &seen).await;
    });
    let gateway = start(&upstream);
    let mut slow: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for client in &mut slow {
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Until nothing moves any more.
    let mut before = 0;
    support::eventually(|| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let sent = upstream.seen().sent;
        let still = sent == before && sent > 0;
        before = sent;
        still.then_some(())
    });
    assert!(before < LEN / 2, "{before} bytes were taken for clients that don't read");
    assert_eq!(gateway.client().get("/small").status, 200);
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn a_target_that_does_not_read_holds_up_its_client() {
    let upstream = Http2Upstream::start(|asked| async move {
        let _held = asked;
        pending::<()>().await;
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let sent = client.send_until_blocked();
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes were taken for a target that doesn't read");
}

#[test]
fn failures_are_told_to_calls_of_grpc_in_their_words() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        asked.respond.send_reset(Reason::INTERNAL_ERROR);
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\nContent-Length: 0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/grpc")));
    assert_eq!((answer.field("grpc-status"), answer.field("content-length")), (Some("14"), Some("0")));
    let message = answer.field("grpc-message").unwrap();
    assert!(message.starts_with("upstream_closed: the target ended the stream"), "{message}");
}

#[test]
fn a_call_of_grpc_may_take_its_time_until_it_is_sent() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let (body, _) = asked.read().await;
        let mut stream = asked.head(Response::builder().header("content-type", "application/grpc"), false);
        stream.send_data(Bytes::from(body), true).unwrap();
    });
    let gateway = Setup::new(upstream.address())
        .http2()
        .client(|client| {
            client.call_timeout = 1_000;
            client.global_timeout = 1_000;
        })
        .start();
    let post = |kind: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        )
    };
    let mut other = gateway.client();
    let mut call = gateway.client();
    call.send(post("application/grpc"));
    other.send(post("text/plain"));
    // By then the call's time would have been over, too.
    assert_eq!(other.answer().reason(), "call_timeout");
    let answer = call.send("1\r\nb\r\n0\r\n\r\n").answer();
    assert_eq!(answer.status, 200);
    assert_eq!(support::dechunk(&answer.body), b"ab");
}

#[test]
fn both_directions_of_a_stream_go_on_at_once() {
    let upstream = Http2Upstream::start(|mut asked| async move {
        let mut stream = asked.head(Response::builder().header("content-type", "application/grpc"), false);
        while let Some(data) = asked.body.data().await {
            let data = data.unwrap();
            asked.body.flow_control().release_capacity(data.len()).unwrap();
            stream.send_data(data, false).unwrap();
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    client.head();
    for index in 0..50 {
        let chunk = format!("2\r\n{index:02}\r\n");
        client.send(&chunk);
        assert_eq!(client.bytes(chunk.len()), chunk.as_bytes());
    }
    client.send("0\r\n\r\n");
    let end = b"0\r\ngrpc-status: 0\r\n\r\n";
    assert_eq!(client.bytes(end.len()), end);
}

/// A gateway that speaks HTTP/2 inside TLS with the target at `address`, whose certificate `authority` has signed.
fn over_tls(address: std::net::SocketAddr, authority: &Authority) -> Gateway {
    let mut setup = targeting(Setup::new(address), NAME, trusting("trusted")).http2();
    setup.certificates.push(("trusted", authority.identity()));
    setup.start()
}

const NAME: &str = "users.internal.test";

#[test]
fn streams_share_a_connection_inside_tls() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            support::eventually(|| (accepted.seen.lock().unwrap().requests.len() == 2).then_some(()));
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let authority = Authority::new("ca");
    let target = listening(Setup::new(upstream.address()), &[("own", &authority.issue(&[NAME]))]).start();
    let gateway = over_tls(target.address(), &authority);
    let mut clients = [gateway.client(), gateway.client()];
    for client in &mut clients {
        client.send(GET);
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "ok"));
    assert_eq!(target.proxy.stats().accepted, 1);
}

#[test]
fn a_target_may_choose_http_1_inside_tls() {
    let authority = Authority::new("ca");
    let upstream = TlsUpstream::start(&authority.issue(&[NAME]), ServerSettings::default());
    let gateway = over_tls(upstream.address(), &authority);
    for _ in 0..3 {
        assert_eq!(gateway.client().get("/").text(), "ok");
    }
    assert_eq!(upstream.seen().alpn, [Some(b"http/1.1".to_vec())], "one connection serves all three");
    assert_eq!(gateway.proxy.stats().upstream_reuses, 2);
}

#[test]
fn a_connection_to_an_address_that_went_away_gets_no_streams_and_ends_with_its_last() {
    let (dns, finish) = (Dns::start(), Arc::new(Notify::new()));
    let waits = finish.clone();
    let old = Http2Upstream::start(move |asked| {
        let finish = waits.clone();
        async move {
            if asked.path() == "/slow" {
                finish.notified().await;
            }
            asked.answer("old");
        }
    });
    let beside = std::net::SocketAddr::new("127.0.0.2".parse().unwrap(), old.address().port());
    let new = Http2Upstream::on(beside, Builder::new(), |asked| async { asked.answer("new") });
    dns.leads("users.test", &["127.0.0.1"]);
    let gateway = Setup::new(old.address()).named("users.test", &dns).http2().start();
    let mut slow = gateway.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    old.wait(|seen| seen.requests.len() == 1);
    let answer = gateway.client().get("/");
    assert!(answer.text().contains("old"), "{}", answer.text());
    dns.leads("users.test", &["127.0.0.2"]);
    support::eventually(|| gateway.client().get("/").text().contains("new").then_some(()));
    assert_eq!(old.seen().closed, 0);
    finish.notify_one();
    let answer = slow.answer();
    assert!(answer.text().contains("old"), "{}", answer.text());
    old.wait(|seen| seen.closed == 1);
    assert_eq!((old.seen().connections, new.seen().connections), (1, 1));
}
