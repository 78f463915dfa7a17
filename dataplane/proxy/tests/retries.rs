//! What is sent again when a target fails, and what isn't.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::time::{Duration, Instant};

use dataplane_proxy::{Reason, RetryOutcome};
use support::{Gateway, Setup, Upstream, nowhere};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// Reads a whole request and closes without an answer.
fn mute() -> Upstream {
    Upstream::start(|accepted| drop(accepted.request()))
}

/// Never answers.
fn stalled() -> Upstream {
    Upstream::start(|accepted| accepted.drain())
}

fn answered(gateway: &Gateway) -> u64 {
    gateway.proxy.stats().retry(RetryOutcome::Answered)
}

#[test]
fn a_connection_that_fails_is_retried_whatever_the_request() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(nowhere()).target(upstream.address()).retries(1).start();
    let mut client = gateway.client();
    for _ in 0..6 {
        assert_eq!(client.send(POST).answer().status, 200);
    }
    assert!(answered(&gateway) > 0);
    assert!(upstream.seen().requests.iter().all(|(_, body)| body == b"hi"));
    assert_eq!(upstream.seen().requests.len(), 6);
}

#[test]
fn without_retries_a_failure_is_the_answer() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(nowhere()).target(upstream.address()).start();
    let mut client = gateway.client();
    let statuses: Vec<_> = (0..4).map(|_| client.get("/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 2, "{statuses:?}");
}

#[test]
fn a_request_that_may_have_been_done_is_repeated_only_if_that_does_no_harm() {
    let (lossy, upstream) = (mute(), Upstream::ok());
    let mut gateway = Setup::new(lossy.address()).target(upstream.address()).retries(1).start();
    for _ in 0..6 {
        assert_eq!(gateway.client().get("/").status, 200);
    }
    let empty = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let posts = |gateway: &Gateway, request: &str| {
        let answers: Vec<_> = (0..6).map(|_| gateway.client().send(request).answer().status).collect();
        answers.iter().filter(|status| **status == 502).count()
    };
    for request in [POST, empty] {
        let before = lossy.seen().requests.len();
        let failed = posts(&gateway, request);
        assert!(failed > 0, "a POST met the target that loses it");
        assert_eq!(lossy.seen().requests.len() - before, failed, "none was sent to it twice or went on");
    }
    gateway.swap(|setup| {
        setup.backend.client.as_mut().unwrap().retries.as_mut().unwrap().non_idempotent = true;
    });
    assert_eq!([posts(&gateway, POST), posts(&gateway, empty)], [0, 0], "the user wants it");
}

#[test]
fn answers_of_listed_statuses_are_retried_and_the_last_one_is_passed_on() {
    let busy = Upstream::answering(UNAVAILABLE);
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(busy.address()).target(upstream.address()).retries(2).start();
    let mut client = gateway.client();
    for _ in 0..6 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(answered(&gateway) > 0);
    gateway.swap(|setup| drop(setup.endpoints.targets.pop()));
    let before = busy.seen().requests.len();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (503, "busy"), "the target's own words");
    assert_eq!(busy.seen().requests.len() - before, 3, "one try and two retries");
    assert_eq!(gateway.proxy.stats().retry(RetryOutcome::Failed), 2);
    // Not a status that is listed, and not a request that may be repeated.
    assert_eq!(client.send(POST).answer().text(), "busy");
    gateway.swap(|setup| setup.backend.client.as_mut().unwrap().retries.as_mut().unwrap().statuses.clear());
    assert_eq!(client.get("/").text(), "busy");
    assert_eq!(busy.seen().requests.len() - before, 5);
}

#[test]
fn a_body_is_sent_again() {
    let (lossy, upstream) = (mute(), Upstream::ok());
    let gateway = Setup::new(lossy.address()).target(upstream.address()).retries(1).start();
    let plain = "PUT /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned();
    let large = format!("PUT /l HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{}", "x".repeat(65536));
    let chunked =
        "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let empty = "PUT /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned();
    for request in [plain, large, chunked.to_owned(), empty] {
        // Both targets get it first once.
        for _ in 0..2 {
            assert_eq!(gateway.client().send(&request).answer().status, 200, "{:.40}", request);
        }
    }
    let lost = lossy.seen().requests;
    assert_eq!(answered(&gateway), lost.len() as u64);
    for path in ["/plain", "/l", "/c", "/e"] {
        assert!(
            lost.iter().any(|(head, _)| head.starts_with(&format!("PUT {path} "))),
            "{path} was lost once"
        );
    }
    let seen = upstream.seen().requests;
    let bodies: Vec<_> = seen
        .iter()
        .map(|(head, body)| if head.contains("chunked") { support::dechunk(body) } else { body.clone() })
        .collect();
    let lens: Vec<_> = bodies.iter().map(Vec::len).collect();
    assert_eq!(lens, [5, 5, 65536, 65536, 5, 5, 0, 0]);
    assert!(bodies[0] == b"hello" && bodies[4] == b"hello" && bodies[5] == b"hello");
}

#[test]
fn a_body_that_is_too_large_to_keep_is_sent_once() {
    let lossy = mute();
    let gateway = Setup::new(lossy.address()).retries(3).start();
    for head in ["Content-Length: 65537\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n10001\r\n"] {
        let end = if head.starts_with('T') { "\r\n0\r\n\r\n" } else { "" };
        let request = format!("PUT / HTTP/1.1\r\nHost: a\r\n{head}{}{end}", "x".repeat(65537));
        let answer = gateway.client().try_send(&request).answer();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_closed"));
    }
    assert_eq!(lossy.seen().requests.len(), 2);
}

/// A target that takes requests and says nothing costs a call timeout, and nobody a failure.
#[test]
fn with_a_short_call_timeout_a_stalled_target_of_two_fails_no_get() {
    for threads in [1, 4] {
        let (slow, upstream) = (stalled(), Upstream::ok());
        let gateway = Setup::new(slow.address())
            .target(upstream.address())
            .retries(1)
            .client(|client| (client.call_timeout, client.global_timeout) = (500, 5000))
            .settings(|settings| settings.threads = threads)
            .start();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let address = gateway.address();
                std::thread::spawn(move || support::Client::connect(address).get("/").status)
            })
            .collect();
        let statuses: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(statuses, [200; 8]);
        assert!(answered(&gateway) >= 1);
    }
}

/// As with the defaults, where both are 30 seconds.
#[test]
fn no_retry_begins_that_the_global_timeout_would_cut() {
    let slow = stalled();
    let gateway = Setup::new(slow.address())
        .retries(3)
        .client(|client| (client.call_timeout, client.global_timeout) = (300, 300))
        .start();
    let began = Instant::now();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "call_timeout"));
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(gateway.proxy.stats().retry(RetryOutcome::TooLate), 1);
    assert_eq!(slow.seen().connections, 1);
}

#[test]
fn the_global_timeout_cuts_all_attempts_together() {
    let slow = stalled();
    let gateway = Setup::new(slow.address())
        .retries(100)
        // The third one is cut in its middle, far from both ends.
        .client(|client| (client.call_timeout, client.global_timeout) = (400, 1000))
        .start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "global_timeout"));
    assert_eq!(slow.wait(|seen| seen.closed == seen.connections).connections, 3);
}

#[test]
fn each_retry_waits_as_long_as_it_should() {
    let gateway = Setup::new(nowhere())
        .retries(3)
        .client(|client| {
            let retries = client.retries.as_mut().unwrap();
            (retries.initial_delay, retries.interval, retries.backoff_factor) = (100, 200, 3);
        })
        .start();
    let began = Instant::now();
    assert_eq!(gateway.client().get("/").reason(), "connection_failed");
    // 100, 200 and 600, each shortened by up to a half.
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    assert_eq!(gateway.proxy.stats().retry(RetryOutcome::Failed), 3);
}

/// Threads share what a backend may retry.
#[test]
fn a_backend_has_a_budget_for_retries() {
    let gateway = Setup::new(nowhere()).retries(1).settings(|settings| settings.threads = 4).start();
    for _ in 0..120 {
        assert_eq!(gateway.client().get("/").reason(), "connection_failed", "the last failure");
    }
    let stats = gateway.proxy.stats();
    assert_eq!((stats.retry(RetryOutcome::Failed), stats.retry(RetryOutcome::OverBudget)), (100, 20));
    assert_eq!(stats.reason(Reason::ConnectionFailed), 120);
}
