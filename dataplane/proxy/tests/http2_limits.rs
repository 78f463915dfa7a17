//! What one client of HTTP/2 can make the proxy hold or do.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dataplane_proxy::Reason;
use support::frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, frame,
};
use support::http2::{Http2, get, post, within};
use support::{Setup, Upstream, block_on, eventually};

const ENHANCE_YOUR_CALM: u8 = 11;
const REFUSED_STREAM: u8 = 7;
/// More than sockets, windows and buffers hold together.
const MUCH: usize = 64 * 1024 * 1024;

#[test]
fn a_slow_reader_holds_up_the_target() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let upstream = Upstream::start(move |accepted| {
        use std::io::Write as _;
        accepted.head();
        accepted.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"));
        let piece = [0; 64 * 1024];
        while accepted.stream.write_all(&piece).is_ok() {
            counted.fetch_add(piece.len(), Ordering::Relaxed);
        }
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address())
        .settings(|settings| settings.timeouts.body_progress = Duration::from_millis(300))
        .start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (response, _) = client.begin(get("/"), true).await;
        let response = within(response).await.unwrap();
        // Nothing is read, so it is cut; by then the target had sent what buffers take, and no more.
        upstream.wait_aside(|seen| seen.closed == 1).await;
        drop(response);
    });
    assert!(sent.load(Ordering::Relaxed) < MUCH / 4, "{sent:?}");
    assert!(gateway.proxy.stats().sent_bytes < 1024 * 1024);
    assert_eq!(gateway.proxy.stats().reason(Reason::ClientStalled), 1);
}

#[test]
fn a_slow_target_holds_up_the_client() {
    let upstream = Upstream::start(|accepted| {
        eventually(|| (accepted.seen.lock().unwrap().connections == 2).then_some(()));
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (response, mut stream) = client.begin(post("/"), false).await;
        let mut sent = 0;
        // Until no more is taken.
        loop {
            stream.reserve_capacity(64 * 1024);
            let capacity = std::future::poll_fn(|cx| stream.poll_capacity(cx));
            let Ok(capacity) = tokio::time::timeout(Duration::from_millis(300), capacity).await else {
                break;
            };
            let len = capacity.unwrap().unwrap();
            stream.send_data(Bytes::from(vec![0; len]), false).unwrap();
            sent += len;
        }
        assert!(sent < MUCH / 4, "{sent}");
        // A stream that stands still holds up no other.
        let (other, _) = client.begin(get("/"), true).await;
        upstream.wait_aside(|seen| seen.connections == 2).await;
        drop((response, other));
    });
    assert!(gateway.proxy.stats().received_bytes < (MUCH / 4) as u64);
}

#[test]
fn requests_beyond_the_limit_are_refused() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = Frames::connect(gateway.address());
    for index in 0..129 {
        client.send(HEADERS, END_HEADERS | END_STREAM, index * 2 + 1, frames::GET);
    }
    let reset = client.until(RST_STREAM);
    assert_eq!((reset.stream, reset.payload[3]), (257, REFUSED_STREAM));
    gateway.stats(|stats| stats.http2_streams == 128);
}

#[test]
fn rapid_resets_end_the_connection() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = Frames::connect(gateway.address());
    let mut flood = Vec::new();
    for index in 0..1000 {
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, index * 2 + 1, frames::GET));
        flood.extend(frame(RST_STREAM, 0, index * 2 + 1, &8_u32.to_be_bytes()));
    }
    client.client.try_send(&flood);
    assert_eq!(client.goaway(), ENHANCE_YOUR_CALM);
    gateway.stats(|stats| stats.active == 0 && stats.http2_streams == 0);
    assert!(upstream.seen().requests.len() < 200);
}

#[test]
fn resets_that_take_their_time_end_the_connection_too() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    let mut client = Frames::connect(gateway.address());
    for index in 0..128 {
        client.send(HEADERS, END_HEADERS | END_STREAM, index * 2 + 1, frames::GET);
        gateway.stats(|stats| stats.http2_streams == 1);
        client.client.try_send(frame(RST_STREAM, 0, index * 2 + 1, &8_u32.to_be_bytes()));
        gateway.stats(|stats| stats.http2_streams == 0);
    }
    assert_eq!(client.goaway(), ENHANCE_YOUR_CALM);
    gateway.stats(|stats| stats.active == 0);
}

#[test]
fn header_blocks_without_an_end_close_the_connection() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = Frames::connect(gateway.address());
    client.send(HEADERS, END_STREAM, 1, frames::GET);
    // A literal field of 1,000 bytes each.
    let mut field = b"\x00\x01x\x7f\xe9\x06".to_vec();
    field.extend_from_slice(&[b'a'; 1000]);
    for _ in 0..1000 {
        client.client.try_send(frame(CONTINUATION, 0, 1, &field));
    }
    assert_eq!(client.goaway(), ENHANCE_YOUR_CALM);
    gateway.stats(|stats| stats.active == 0);
    assert_eq!(upstream.seen().connections, 0);
}

#[test]
fn a_header_list_that_is_too_large_is_answered() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let large = support::http2::request(http::Method::GET, "/").header("x", "a".repeat(66_000));
        assert_eq!(client.ask(large.body(()).unwrap()).await.status, 431);
        assert_eq!(client.get("/").await.status, 200);
    });
    assert_eq!(upstream.seen().requests.len(), 1);
}

#[test]
fn data_of_next_to_nothing_closes_the_connection() {
    let upstream = Upstream::start(|accepted| accepted.drain());
    let gateway = Setup::new(upstream.address()).start();
    let mut client = Frames::connect(gateway.address());
    // POST by the static table.
    client.send(HEADERS, END_HEADERS, 1, b"\x83\x86\x84\x01\x06a.test");
    let empty = frame(DATA, 0, 1, b"").repeat(10_000);
    for _ in 0..100 {
        client.client.try_send(&empty);
    }
    assert_eq!(client.goaway(), ENHANCE_YOUR_CALM);
    gateway.stats(|stats| stats.active == 0);
}

#[test]
fn pings_are_answered_but_not_for_nobody() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address())
        .settings(|settings| {
            settings.timeouts.keep_alive = Duration::from_millis(300);
            settings.timeouts.linger = Duration::from_millis(50);
        })
        .start();
    let mut client = Frames::connect(gateway.address());
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, frames::GET);
    client.until(DATA);
    client.send(PING, 0, 0, b"12345678");
    assert_eq!(client.until(PING).payload, b"12345678");
    // Nobody reads the answers: the proxy stops reading, and closes once the connection was idle for long enough.
    let pings = frame(PING, 0, 0, b"12345678").repeat(100_000);
    for _ in 0..40 {
        client.client.try_send(&pings);
    }
    gateway.stats(|stats| stats.active == 0);
}

#[test]
fn malformed_requests_do_not_go_on_for_ever() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let mut resets = 0;
        loop {
            let bad = support::http2::request(http::Method::POST, "/").header("content-length", "1");
            if within(std::future::poll_fn(|cx| client.send.poll_ready(cx))).await.is_err() {
                break;
            }
            let (response, _) = client.send.send_request(bad.body(()).unwrap(), true).unwrap();
            let Err(error) = within(response).await else { panic!("it is malformed") };
            if error.is_go_away() {
                assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
                break;
            }
            resets += 1;
            assert!(resets < 1000);
        }
        assert!(resets > 50, "{resets}");
    });
}
