use std::time::{Duration, Instant};

use e2e::process::{Gateway, get, until};

use crate::fixture::{Fixture, route};

#[test]
fn a_stop_lets_open_requests_finish_and_exits_with_0() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let mut process = gateway.start_ready();
    let port = gateway.port;
    let slow = std::thread::spawn(move || get(port, "/a/delay/1500ms"));
    until("the slow request is in flight", || {
        let metrics = get(gateway.admin, "/metrics").ok()?.body;
        metrics.contains("komainu_connections_active 1").then_some(())
    });
    process.signal("TERM");
    until("it says that it isn't ready, while the request goes on", || {
        (get(gateway.admin, "/ready").ok()?.status == 503).then_some(())
    });
    let answer = slow.join().unwrap().expect("the open request is answered");
    assert_eq!(answer.status, 200);
    let (status, _) = until("the process ends", || process.exited());
    assert_eq!(status.code(), Some(0), "{}", process.log());
    assert!(get(port, "/a").is_err(), "nobody listens any more");
}

#[test]
fn a_second_signal_ends_at_once() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let mut process = gateway.start_ready();
    let port = gateway.port;
    let _slow = std::thread::spawn(move || get(port, "/a/delay/20s"));
    until("the slow request is in flight", || {
        let metrics = get(gateway.admin, "/metrics").ok()?.body;
        metrics.contains("komainu_connections_active 1").then_some(())
    });
    process.signal("TERM");
    until("the first signal is taken", || process.log().contains("second signal").then_some(()));
    let start = Instant::now();
    process.signal("TERM");
    let (status, _) = until("the process ends", || process.exited());
    assert_eq!(status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(5));
}
