//! How many connections a target gets, who waits for one, and which are kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use dataplane_proxy::{Reason, RetryOutcome};
use dataplane_snapshot::wire;
use support::{Client, Setup, Upstream, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An upstream that answers a request when the test says so.
fn held() -> (Upstream, mpsc::Sender<&'static str>) {
    let (answer, answers) = mpsc::channel();
    let answers = Mutex::new(answers);
    let upstream = Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            let Ok(answer) = answers.lock().unwrap().recv() else { return };
            accepted.send(answer);
        }
    });
    (upstream, answer)
}

fn connections(queue_size: u32) -> Option<wire::ConnectionSettings> {
    Some(wire::ConnectionSettings { own_pool: false, queue_size })
}

#[test]
fn requests_beyond_the_connections_of_a_target_wait_in_their_order() {
    let (upstream, answers) = held();
    let gateway =
        Setup::new(upstream.address()).settings(|settings| settings.pool.connections_per_target = 1).start();
    let mut clients: Vec<_> = (0..3)
        .map(|index| {
            let mut client = gateway.client();
            client.send(format!("GET /{index} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
            gateway.stats(|stats| stats.upstream_used == 1 && stats.upstream_waiting == index);
            client
        })
        .collect();
    for client in &mut clients {
        answers.send(OK).unwrap();
        assert_eq!(client.answer().status, 200);
    }
    let seen = upstream.seen();
    let lines: Vec<_> = seen.requests.iter().map(|(head, _)| head.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET /0 HTTP/1.1", "GET /1 HTTP/1.1", "GET /2 HTTP/1.1"]);
    assert_eq!(seen.connections, 1);
    gateway.stats(|stats| (stats.upstream_used, stats.upstream_waiting, stats.upstream_idle) == (0, 0, 1));
}

/// The target closes after each answer: what passes on is leave to connect.
#[test]
fn a_closed_connection_makes_room_for_the_next_request() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let gateway =
        Setup::new(upstream.address()).settings(|settings| settings.pool.connections_per_target = 1).start();
    let address = gateway.address();
    let clients: Vec<_> =
        (0..8).map(|_| std::thread::spawn(move || Client::connect(address).get("/").status)).collect();
    assert_eq!(clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>(), [200; 8]);
    assert_eq!(upstream.seen().connections, 8);
    gateway.stats(|stats| (stats.upstream_used, stats.upstream_waiting, stats.upstream_idle) == (0, 0, 0));
}

#[test]
fn beyond_the_queue_requests_are_refused() {
    let (upstream, answers) = held();
    let gateway = Setup::new(upstream.address())
        .client(|client| client.connections = connections(1))
        .settings(|settings| settings.pool.connections_per_target = 1)
        .start();
    let (mut first, mut second) = (gateway.client(), gateway.client());
    first.send("GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gateway.stats(|stats| stats.upstream_used == 1);
    second.send("GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gateway.stats(|stats| stats.upstream_waiting == 1);
    let refused = gateway.client().get("/3");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "queue_full"));
    answers.send(OK).unwrap();
    answers.send(OK).unwrap();
    assert_eq!((first.answer().status, second.answer().status), (200, 200));
    assert_eq!(upstream.seen().requests.len(), 2);
}

/// The queue is that of all threads.
#[test]
fn threads_share_the_queue() {
    let (upstream, answers) = held();
    let gateway = Setup::new(upstream.address())
        .client(|client| client.connections = connections(3))
        .settings(|settings| (settings.threads, settings.pool.connections_per_target) = (4, 4))
        .start();
    let mut clients: Vec<_> = (0..40).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    let stats = gateway
        .stats(|stats| stats.upstream_used + stats.upstream_waiting + stats.reason(Reason::QueueFull) == 40);
    assert_eq!(stats.upstream_waiting, 3);
    assert!(stats.upstream_used <= 4, "{}", stats.upstream_used);
    (0..40).for_each(|_| answers.send(OK).unwrap());
    let served =
        clients.iter_mut().map(|client| client.answer().status).filter(|status| *status == 200).count();
    assert_eq!(served as u64, stats.upstream_used + 3);
}

#[test]
fn a_wait_ends_with_the_connection_timeout_and_does_not_blame_the_target() {
    let (upstream, answers) = held();
    let breaker = wire::Breaker { max_errors: 1, interval: 60_000, server_errors: true };
    let gateway = Setup::new(upstream.address())
        .client(|client| (client.connection_timeout, client.breaker) = (100, Some(breaker)))
        .settings(|settings| settings.pool.connections_per_target = 1)
        .start();
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gateway.stats(|stats| stats.upstream_used == 1);
    let began = Instant::now();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "queue_timeout"));
    assert!(began.elapsed() >= Duration::from_millis(100));
    gateway.stats(|stats| stats.upstream_waiting == 0);
    assert_eq!(gateway.proxy.open_breakers(), []);
    answers.send(OK).unwrap();
    assert_eq!(first.answer().status, 200);
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let (upstream, answers) = held();
    let gateway =
        Setup::new(upstream.address()).settings(|settings| settings.pool.connections_per_target = 1).start();
    let mut first = gateway.client();
    first.send("GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gateway.stats(|stats| stats.upstream_used == 1);
    let mut leaver = gateway.client();
    leaver.send("GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gateway.stats(|stats| stats.upstream_waiting == 1);
    drop(leaver);
    gateway.stats(|stats| stats.upstream_waiting == 0 && stats.reason(Reason::ClientGone) == 1);
    answers.send(OK).unwrap();
    assert_eq!(first.answer().status, 200);
    answers.send(OK).unwrap();
    assert_eq!(first.get("/3").status, 200);
    assert!(upstream.seen().requests.iter().all(|(head, _)| !head.starts_with("GET /2")));
}

#[test]
fn a_full_queue_sends_a_request_to_another_target() {
    let ((busy, _answers), free) = (held(), Upstream::ok());
    let gateway = Setup::new(busy.address())
        .target(free.address())
        .retries(1)
        .client(|client| client.connections = connections(0))
        .settings(|settings| settings.pool.connections_per_target = 1)
        .start();
    let mut stuck = Vec::new();
    while busy.seen().requests.is_empty() {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        stuck.push(client);
        let sent = stuck.len();
        eventually(|| (busy.seen().requests.len() + free.seen().requests.len() == sent).then_some(()));
    }
    let mut client = gateway.client();
    (0..4).for_each(|_| assert_eq!(client.get("/").status, 200));
    assert_eq!(busy.seen().requests.len(), 1);
    assert!(gateway.proxy.stats().retry(RetryOutcome::Answered) >= 1);
}

/// WebSockets last for days.
#[test]
fn tunnels_take_no_connection_from_requests() {
    let upstream = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            if head.contains("upgrade: websocket") {
                accepted.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                );
                return accepted.drain();
            }
            accepted.send(OK);
        }
    });
    let gateway =
        Setup::new(upstream.address()).settings(|settings| settings.pool.connections_per_target = 1).start();
    let mut tunnels: Vec<_> = (0..3)
        .map(|_| {
            let mut client = gateway.client();
            client
                .send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
            assert_eq!(client.answer().status, 101);
            client
        })
        .collect();
    assert_eq!(gateway.client().get("/").status, 200);
    tunnels.clear();
}

#[test]
fn a_backend_with_a_pool_of_its_own_shares_no_connection() {
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(upstream.address()).start();
    assert_eq!(gateway.client().get("/").status, 200);
    let own = wire::ConnectionSettings { own_pool: true, queue_size: 7 };
    gateway.swap(|setup| setup.backend.client.get_or_insert_default().connections = Some(own));
    assert_eq!(gateway.client().get("/").status, 200);
    assert_eq!(upstream.seen().connections, 2, "the shared pool's isn't used");
    gateway.swap(|setup| setup.backend.root = "/changed".into());
    assert_eq!(gateway.client().get("/").status, 200);
    assert_eq!(upstream.seen().connections, 2, "a changed backend keeps its connections");
}

/// As servers of Node say: after five seconds, unless told otherwise.
#[test]
fn a_connection_is_dropped_before_the_target_closes_it() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1, max=9\r\n\r\nok");
    let gateway = Setup::new(upstream.address()).start();
    assert_eq!(gateway.client().get("/").status, 200);
    assert_eq!(gateway.client().get("/").status, 200);
    assert_eq!(upstream.seen().connections, 2, "a second less than one is none");
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=100\r\n\r\nok");
    let gateway = Setup::new(upstream.address()).start();
    assert_eq!((gateway.client().get("/").status, gateway.client().get("/").status), (200, 200));
    assert_eq!(upstream.seen().connections, 1);
}

#[test]
fn a_retried_answer_leaves_its_connection_behind() {
    let answers = Arc::new(Mutex::new(vec![OK, "HTTP/1.1 503 Later\r\nContent-Length: 4\r\n\r\nbusy"]));
    let upstream = Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            let answer = answers.lock().unwrap().pop().unwrap();
            accepted.send(answer);
        }
    });
    let gateway = Setup::new(upstream.address()).retries(1).start();
    assert_eq!(gateway.client().get("/").status, 200);
    let seen = upstream.seen();
    assert_eq!((seen.requests.len(), seen.connections), (2, 1));
}

#[test]
fn a_retried_answer_that_is_not_all_there_costs_its_connection() {
    let answers = Arc::new(Mutex::new(vec![OK, "HTTP/1.1 503 Later\r\nContent-Length: 400\r\n\r\nbusy"]));
    let upstream = Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            let answer = answers.lock().unwrap().pop().unwrap();
            accepted.send(answer);
        }
    });
    let gateway = Setup::new(upstream.address()).retries(1).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(upstream.seen().connections, 2);
}
