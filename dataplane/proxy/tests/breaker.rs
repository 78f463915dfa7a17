//! Circuit breakers: a target that fails in a row gets nothing for a while, and then one request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod support;

use std::sync::{Arc, Condvar, Mutex};

use dataplane_proxy::Reason;
use dataplane_snapshot::wire;
use support::{Client, Setup, Upstream, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
/// Longer than any test, in milliseconds.
const LONG: u64 = 600_000;

fn setup(upstream: &Upstream, max_errors: u32, interval: u64) -> Setup {
    Setup::new(upstream.address()).client(|client| {
        client.breaker = Some(wire::Breaker { max_errors, interval, server_errors: true });
    })
}

#[test]
fn opens_after_errors_in_a_row_of_all_threads() {
    for threads in [1, 4] {
        let upstream = Upstream::answering(ERROR);
        let gateway = setup(&upstream, 8, LONG).settings(|settings| settings.threads = threads).start();
        let answers: Vec<_> = (0..20).map(|_| gateway.client().get("/")).collect();
        assert!(answers[..8].iter().all(|answer| answer.status == 500), "{answers:?}");
        assert!(answers[8..].iter().all(|answer| answer.reason() == "breaker_open"), "{answers:?}");
        assert_eq!(answers[8].status, 503);
        assert_eq!(upstream.seen().requests.len(), 8, "nothing reaches a target whose breaker is open");
        let stats = gateway.proxy.stats();
        assert_eq!((stats.breaker_openings, stats.reason(Reason::BreakerOpen)), (1, 12));
        let open = gateway.proxy.open_breakers();
        let [(backend, target)] = open.as_slice() else { panic!("{open:?}") };
        assert_eq!((backend.name(), &**target), ("users", &*upstream.address().to_string()));
    }
}

#[test]
fn server_errors_count_only_if_wanted_and_missing_answers_always() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            if head.starts_with("GET /close") {
                return;
            }
            accepted.send(ERROR);
        }
    });
    let setup = setup(&upstream, 2, LONG);
    let gateway = setup.client(|client| client.breaker.as_mut().unwrap().server_errors = false).start();
    for _ in 0..6 {
        assert_eq!(gateway.client().get("/").status, 500);
    }
    for expected in ["upstream_closed", "upstream_closed", "breaker_open"] {
        assert_eq!(gateway.client().get("/close").reason(), expected);
    }
}

#[test]
fn the_other_target_takes_over() {
    let (bad, good) = (Upstream::answering(ERROR), Upstream::ok());
    let gateway = setup(&bad, 3, LONG).target(good.address()).start();
    let statuses: Vec<_> = (0..20).map(|_| gateway.client().get("/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 17, "{statuses:?}");
}

/// A gate that requests wait at.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[test]
fn one_request_of_all_threads_tries_whether_the_target_is_back() {
    for threads in [1, 4] {
        let gate = Arc::new(Gate::default());
        let waiting = gate.clone();
        let upstream = Upstream::start(move |accepted| {
            while accepted.request().is_some() {
                if accepted.seen.lock().unwrap().requests.len() <= 3 {
                    accepted.send(ERROR);
                } else {
                    waiting.pass();
                    accepted.send(OK);
                }
            }
        });
        let gateway = setup(&upstream, 3, 50).settings(|settings| settings.threads = threads).start();
        for _ in 0..3 {
            assert_eq!(gateway.client().get("/").status, 500);
        }
        let address = gateway.address();
        let ask = move || {
            let mut client = Client::connect(address);
            std::thread::spawn(move || client.get("/").status)
        };
        // Until one is let through, which then waits at the gate.
        let mut asking = Vec::new();
        eventually(|| {
            asking.push(ask());
            (upstream.seen().requests.len() == 4).then_some(())
        });
        let more: Vec<_> = (0..20).map(|_| ask()).collect();
        assert!(more.into_iter().all(|client| client.join().unwrap() == 503), "the trial isn't back");
        assert_eq!(upstream.seen().requests.len(), 4);
        let waiting = || asking.iter().filter(|client| !client.is_finished()).count();
        eventually(|| (waiting() == 1).then_some(()));
        gate.open();
        let statuses: Vec<_> = asking.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(gateway.client().get("/").status, 200, "closed");
        assert!(gateway.proxy.open_breakers().is_empty());
    }
}

#[test]
fn a_trial_that_fails_opens_it_again() {
    let upstream = Upstream::answering(ERROR);
    let gateway = setup(&upstream, 2, 50).start();
    eventually(|| {
        gateway.client().get("/");
        (gateway.proxy.stats().breaker_openings == 3).then_some(())
    });
    assert_eq!(upstream.seen().requests.len(), 4, "two errors and two trials");
}
