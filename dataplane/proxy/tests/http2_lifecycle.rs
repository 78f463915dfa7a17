//! How connections of HTTP/2 end.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::http2::{Http2, answer, get, reset_of, within};
use support::{PATIENCE, Setup, Upstream, block_on, eventually};

/// A target that answers once it is told to.
fn waiting() -> (Upstream, Arc<AtomicBool>) {
    let released = Arc::new(AtomicBool::new(false));
    let shared = released.clone();
    let upstream = Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            eventually(|| shared.load(Ordering::Relaxed).then_some(()));
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (upstream, released)
}

#[test]
fn a_drain_ends_connections_and_fails_no_request() {
    let (upstream, released) = waiting();
    let gateway = Arc::new(Setup::new(upstream.address()).start());
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let mut idle = Http2::connect(gateway.address()).await;
        released.store(true, Ordering::Relaxed);
        assert_eq!(idle.get("/").await.status, 200);
        released.store(false, Ordering::Relaxed);
        let mut pending = Vec::new();
        for _ in 0..10 {
            pending.push(client.begin(get("/"), true).await.0);
        }
        upstream.wait_aside(|seen| seen.requests.len() == 11).await;
        let draining = gateway.clone();
        let drain = tokio::spawn(async move { draining.proxy.drain(PATIENCE).await });
        // The idle one goes at once, while the other is still asked not to begin requests.
        drop(idle.send);
        within(idle.driver).await.unwrap().unwrap();
        assert!(!client.driver.is_finished());
        released.store(true, Ordering::Relaxed);
        for response in pending {
            assert_eq!(answer(response).await.status, 200);
        }
        within(client.driver).await.unwrap().unwrap();
        assert_eq!(within(drain).await.unwrap().forced, 0);
    });
}

#[test]
fn what_was_sent_before_the_client_heard_of_the_drain_is_served() {
    let upstream = Upstream::ok();
    let gateway = Arc::new(Setup::new(upstream.address()).settings(|settings| settings.threads = 2).start());
    block_on(async {
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut client = Http2::connect(gateway.address()).await;
            clients.push(tokio::spawn(async move {
                let mut served = 0_u32;
                while within(std::future::poll_fn(|cx| client.send.poll_ready(cx))).await.is_ok() {
                    let Ok((response, _)) = client.send.send_request(get("/"), true) else { break };
                    match within(response).await {
                        Ok(response) => assert_eq!(response.status(), 200),
                        // Not taken: a client may send it again elsewhere (RFC 9113 section 8.7).
                        Err(error) => assert!(error.is_go_away() && error.is_remote(), "{error}"),
                    }
                    served += 1;
                }
                served
            }));
        }
        let counted = gateway.clone();
        let many = move || counted.stats(|stats| stats.responses[2] > 200);
        tokio::task::spawn_blocking(many).await.unwrap();
        assert_eq!(gateway.proxy.drain(PATIENCE).await.forced, 0);
        for client in clients {
            assert!(within(client).await.unwrap() > 0);
        }
    });
}

#[test]
fn a_request_outlives_its_listener() {
    let (upstream, released) = waiting();
    let mut gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (response, _) = client.begin(get("/"), true).await;
        upstream.wait_aside(|seen| seen.requests.len() == 1).await;
        gateway.swap(|setup| setup.listeners.clear());
        released.store(true, Ordering::Relaxed);
        assert_eq!(answer(response).await.status, 200);
        within(client.driver).await.unwrap().unwrap();
    });
}

#[test]
fn a_drain_cuts_what_does_not_end() {
    let (upstream, released) = waiting();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (first, _) = client.begin(get("/"), true).await;
        let (second, _) = client.begin(get("/"), true).await;
        upstream.wait_aside(|seen| seen.requests.len() == 2).await;
        // Two requests, one connection.
        assert_eq!(gateway.proxy.drain(Duration::from_millis(50)).await.forced, 1);
        assert!(within(first).await.is_err() && within(second).await.is_err());
        let stats = gateway.stats(|stats| stats.active == 0);
        assert_eq!((stats.http2_streams, stats.panics), (0, 0));
        released.store(true, Ordering::Relaxed);
    });
}

#[test]
fn idle_connections_are_told_to_go() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address())
        .settings(|settings| settings.timeouts.keep_alive = Duration::from_millis(50))
        .start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        assert_eq!(client.get("/").await.status, 200);
        within(client.driver).await.unwrap().unwrap();
    });
    gateway.stats(|stats| stats.active == 0);
}

#[test]
fn a_client_that_says_nothing_is_cut() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address())
        .settings(|settings| {
            settings.timeouts.head = Duration::from_millis(50);
            settings.timeouts.linger = Duration::from_millis(50);
        })
        .start();
    // Neither settings, nor an answer to the ping that comes with GOAWAY.
    gateway.client().send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").rest();
    // Not even the whole preface.
    gateway.client().send("PRI * HTTP/2.0\r\n\r\nSM\r\n").rest();
    gateway.stats(|stats| stats.active == 0);
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let gateway = Setup::new(upstream.address())
        .settings(|settings| settings.timeouts.body_progress = Duration::from_millis(50))
        .start();
    block_on(async {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0);
        let mut client = Http2::with(gateway.address(), &builder).await;
        let (response, _) = client.begin(get("/"), true).await;
        assert_eq!(reset_of(response).await, Some(h2::Reason::INTERNAL_ERROR));
    });
    gateway.stats(|stats| stats.reason(dataplane_proxy::Reason::ClientStalled) == 1);
}

#[test]
fn a_client_that_vanishes_frees_its_targets() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.drain();
    });
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = Http2::connect(gateway.address()).await;
        let (_first, _) = client.begin(get("/"), true).await;
        let (_second, _) = client.begin(get("/"), true).await;
        upstream.wait_aside(|seen| seen.requests.len() == 2).await;
        client.driver.abort();
        upstream.wait_aside(|seen| seen.closed == 2).await;
    });
    let stats = gateway.stats(|stats| stats.active == 0);
    assert_eq!(stats.reason(dataplane_proxy::Reason::ClientGone), 2);
}
