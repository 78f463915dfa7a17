//! Swaps, listeners and the graceful stop.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dataplane_proxy::{Proxy, ProxyError, ProxySettings, Reason};
use support::{Client, PATIENCE, Setup, Upstream, block_on, eventually, listener};

#[test]
fn in_flight_requests_finish_on_their_router() {
    let slow = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.pause(Duration::from_millis(200));
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
        }
    });
    let new = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    let mut gateway = Setup::new(slow.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.wait(|seen| seen.requests.len() == 1);
    gateway.swap(|setup| setup.endpoints.targets[0] = support::target(new.address()));
    assert_eq!(client.answer().text(), "old");
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn many_swaps_fail_no_request() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = 4).start();
    let address = gateway.address();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut requests = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/").status, 200);
                    requests += 1;
                }
                requests
            })
        })
        .collect();
    let mut gateway = gateway;
    for number in 0..300 {
        gateway.swap(|setup| setup.route.name = format!("users-{number}"));
    }
    stop.store(true, Ordering::Relaxed);
    let requests: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(requests > 0);
    assert_eq!(gateway.proxy.addresses()["http"], address);
}

#[test]
fn listeners_come_and_go() {
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = 2).start();
    let mut first = gateway.client();
    assert_eq!(first.get("/").status, 200);
    gateway.swap(|setup| setup.listeners.push(("other", listener())));
    let mut second = Client::connect(gateway.address_of("other"));
    assert_eq!(second.get("/").status, 200);

    let old = gateway.address();
    gateway.swap(|setup| drop(setup.listeners.remove(0)));
    first.assert_closed();
    assert_eq!(second.get("/").status, 200, "the other one isn't disturbed");
    assert_eq!(gateway.proxy.addresses().keys().collect::<Vec<_>>(), ["other"]);
    eventually(|| std::net::TcpStream::connect(old).err());
}

#[test]
fn a_listener_that_changes_loses_no_connection() {
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = 2).start();
    let address = gateway.address();
    let mut idle = gateway.client();
    assert_eq!(idle.get("/").status, 200);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(Client::connect(address).get("/").status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for advertised in 1..=50 {
            let before = served.load(Ordering::Relaxed);
            gateway.swap(|setup| {
                let listener = &mut setup.listeners[0].1;
                (listener.port, listener.advertised_port) = (u32::from(address.port()), advertised);
            });
            eventually(|| (served.load(Ordering::Relaxed) > before).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    idle.assert_closed();
    assert_eq!(gateway.client().get("/").status, 200);
    assert!(upstream.last().to_lowercase().contains("x-forwarded-port: 50"), "{}", upstream.last());
}

#[test]
fn a_request_in_flight_outlives_its_listener() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.pause(Duration::from_millis(200));
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait(|seen| seen.requests.len() == 1);
    gateway.swap(|setup| setup.listeners.clear());
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("ok", Some("close")));
    client.assert_closed();
}

#[test]
fn connections_in_the_queue_of_a_closing_listener_are_served() {
    let upstream = Upstream::ok();
    for _ in 0..20 {
        let mut gateway = Setup::new(upstream.address()).start();
        let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        // The listener vanishes; the route of these requests stays on all listeners, so it isn't found any more.
        gateway.swap(|setup| setup.listeners.clear());
        for client in &mut clients {
            assert!(matches!(client.answer().status, 200 | 404));
        }
    }
}

#[test]
fn a_port_in_use_is_told_and_the_rest_serves() {
    let upstream = Upstream::ok();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut setup = Setup::new(upstream.address());
    setup
        .listeners
        .push(("taken", dataplane_snapshot::wire::Listener { port: u32::from(port), ..listener() }));
    let proxy = Proxy::start(setup.settings.clone()).unwrap();
    let errors = proxy.swap(setup.router());
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].to_string().contains(&format!("listener taken: can't listen on 127.0.0.1:{port}")),
        "{}",
        errors[0]
    );
    assert_eq!(Client::connect(proxy.addresses()["http"]).get("/").status, 200);
    // Free now: the next swap opens it.
    drop(taken);
    assert!(proxy.swap(setup.router()).is_empty());
    assert_eq!(Client::connect(proxy.addresses()["taken"]).get("/").status, 200);
    // Another proxy of the same user doesn't share the port in secret.
    let second = Proxy::start(setup.settings.clone()).unwrap();
    assert_eq!(second.swap(setup.router()).len(), 1);
}

#[test]
fn settings_override_where_a_listener_binds() {
    let upstream = Upstream::ok();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gateway = Setup::new(upstream.address())
        .settings(|settings| {
            settings.listener_overrides.insert("http".into(), (Some("127.0.0.1".into()), Some(free)));
        })
        .start();
    assert_eq!(gateway.address().port(), free);
    assert_eq!(gateway.client().get("/").status, 200);
}

#[test]
fn before_the_first_router_nothing_listens() {
    let proxy = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    assert!(proxy.addresses().is_empty());
    assert!(matches!(
        Proxy::start(ProxySettings { threads: 0, ..ProxySettings::default() }),
        Err(ProxyError::Threads(0))
    ));
}

#[test]
fn a_drain_waits_for_what_is_in_flight() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.pause(Duration::from_millis(300));
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = 2).start();
    let mut idle = gateway.client();
    assert_eq!(idle.get("/").status, 200);
    let mut busy = gateway.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait(|seen| seen.requests.len() == 2);
    let report = block_on(gateway.proxy.drain(PATIENCE));
    assert_eq!(report.forced, 0);
    let answer = busy.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("ok", Some("close")));
    busy.assert_closed();
    idle.assert_closed();
    assert!(gateway.proxy.addresses().is_empty());
}

#[test]
fn a_request_that_crosses_the_end_of_its_connection_is_answered() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = 2).start();
    let (mut active, mut idle) = (gateway.client(), gateway.client());
    assert_eq!((active.get("/").status, idle.get("/").status), (200, 200));
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(gateway.proxy.drain(PATIENCE)));
        eventually(|| gateway.proxy.addresses().is_empty().then_some(()));
        let answer = active.get("/");
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        active.assert_closed();
        assert_eq!(drain.join().unwrap().forced, 0);
    });
    idle.assert_closed();
}

#[test]
fn a_swap_after_a_drain_opens_no_listener() {
    let upstream = Upstream::ok();
    let mut gateway = Setup::new(upstream.address()).settings(|settings| settings.threads = 2).start();
    let address = gateway.address();
    assert_eq!(block_on(gateway.proxy.drain(PATIENCE)).forced, 0);
    // The one that was open, and one that is new.
    gateway.swap(|setup| {
        setup.listeners[0].1.port = u32::from(address.port());
        setup.listeners.push(("other", listener()));
    });
    assert!(gateway.proxy.addresses().is_empty(), "{:?}", gateway.proxy.addresses());
    eventually(|| std::net::TcpStream::connect(address).err());
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let upstream = Upstream::start(|accepted| accepted.drain());
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait(|seen| !seen.bytes.is_empty());
    let begun = Instant::now();
    let report = block_on(gateway.proxy.drain(Duration::from_millis(200)));
    assert_eq!(report.forced, 1);
    assert_eq!(gateway.proxy.stats().reason(Reason::Stopped), 1);
    assert!(begun.elapsed() < PATIENCE);
    client.assert_closed();
    assert_eq!(gateway.proxy.stats().reason(Reason::CallTimeout), 0);
}
