//! Health checks: who is asked what, what an answer means for traffic, and what a new router changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dataplane_core::health::{Colour, Standing};
use dataplane_proxy::TargetHealth;
use dataplane_snapshot::wire;
use support::upstream::Accepted;
use support::{Gateway, Setup, Upstream, eventually, field, target};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BROKEN: &str = "HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\n\r\n";

fn check(url: &str) -> wire::HealthCheck {
    wire::HealthCheck { url: url.into(), interval: 20, timeout: 1_000, ..Default::default() }
}

fn setup(upstreams: &[SocketAddr], check: wire::HealthCheck) -> Setup {
    let mut setup = Setup::new(upstreams[0]);
    setup.endpoints.targets = upstreams.iter().map(|address| target(*address)).collect();
    setup.backend.health_check = Some(check.into());
    setup
}

/// Answers probes as `fine` says, and everything else with its port.
fn server(fine: Arc<AtomicBool>) -> Upstream {
    Upstream::start(move |accepted| {
        while let Some((head, _)) = accepted.request() {
            let port = accepted.stream.local_addr().unwrap().port().to_string();
            let own = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{port}", port.len());
            match (is_probe(&head), fine.load(Ordering::SeqCst)) {
                (true, true) => accepted.send(FINE),
                (true, false) => accepted.send(BROKEN),
                (false, _) => accepted.send(own),
            }
        }
    })
}

fn healthy() -> Upstream {
    server(Arc::new(AtomicBool::new(true)))
}

fn is_probe(head: &str) -> bool {
    field(head, "user-agent") == Some("komainu-health-check")
}

fn probes(upstream: &Upstream) -> usize {
    upstream.seen().requests.iter().filter(|(head, _)| is_probe(head)).count()
}

/// Waits until the checks say so about a target.
fn wait(gateway: &Gateway, address: SocketAddr, condition: impl Fn(&TargetHealth) -> bool) -> TargetHealth {
    eventually(|| {
        let all = gateway.proxy.health();
        all.into_iter()
            .find(|health| *health.target == address.to_string())
            .filter(|health| condition(health))
    })
}

fn is(standing: Standing) -> impl Fn(&TargetHealth) -> bool {
    move |health| health.standing == standing
}

fn colour(colour: Colour) -> impl Fn(&TargetHealth) -> bool {
    move |health| health.colour == colour
}

/// Which targets answer, by port, over many requests.
fn answering(gateway: &Gateway) -> Vec<u16> {
    let mut client = gateway.client();
    let mut ports: Vec<u16> = (0..16).map(|_| client.get("/").text().parse().unwrap()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn sorted(addresses: &[&Upstream]) -> Vec<u16> {
    let mut ports: Vec<_> = addresses.iter().map(|upstream| upstream.address().port()).collect();
    ports.sort_unstable();
    ports
}

/// The last result of checking one server that answers probes with `answer`.
fn result(answer: &'static str, check: wire::HealthCheck) -> TargetHealth {
    let upstream = Upstream::answering(answer);
    let gateway = setup(&[upstream.address()], check).start();
    wait(&gateway, upstream.address(), |_| true)
}

#[test]
fn a_target_that_does_not_answer_gets_no_requests_until_it_does() {
    let place = support::bound();
    let dead = place.local_addr().unwrap().as_socket().unwrap();
    let alive = healthy();
    let gateway = setup(&[alive.address(), dead], check("/health")).start();
    let out = wait(&gateway, dead, is(Standing::Out));
    assert_eq!(out.colour, Colour::Black);
    assert!(out.reason.contains("Connection refused"), "{}", out.reason);
    wait(&gateway, alive.address(), is(Standing::In));
    assert_eq!(answering(&gateway), [alive.address().port()]);
    let failures = gateway.proxy.stats().reason(dataplane_proxy::Reason::ConnectionFailed);
    assert_eq!(failures, 0, "no request was sent there");

    place.listen(16).unwrap();
    let revived = TcpListener::from(place);
    std::thread::spawn(move || {
        for stream in revived.incoming() {
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 4096]);
            if stream.read(&mut buffer).unwrap() > 0 {
                stream.write_all(FINE.as_bytes()).unwrap();
            }
        }
    });
    let back = wait(&gateway, dead, is(Standing::In));
    assert!(back.since >= out.since);
}

#[test]
fn a_target_that_says_nothing_counts_as_dead_after_the_timeout() {
    let silent = Upstream::start(|accepted| accepted.drain());
    let check = wire::HealthCheck { timeout: 50, ..check("/health") };
    let gateway = setup(&[silent.address()], check).start();
    let out = wait(&gateway, silent.address(), is(Standing::Out));
    assert_eq!((out.colour, &*out.reason), (Colour::Black, "no answer within 50ms"));
}

#[test]
fn a_probe_is_a_plain_request_for_the_target() {
    let upstream = healthy();
    let _gateway = setup(&[upstream.address()], check("/health?deep=1")).start();
    upstream.wait(|seen| !seen.requests.is_empty());
    let head = upstream.seen().requests[0].0.clone();
    assert!(head.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some(&*upstream.address().to_string()));
    assert_eq!(field(&head, "user-agent"), Some("komainu-health-check"));
    assert_eq!(field(&head, "otoroshi-health-check-logic-test"), None);
}

#[test]
fn red_takes_traffic_away_only_with_block_on_red() {
    let fine = Arc::new(AtomicBool::new(false));
    let (sick, well) = (server(fine.clone()), healthy());
    let gateway = setup(&[sick.address(), well.address()], check("/health")).start();
    let red = wait(&gateway, sick.address(), colour(Colour::Red));
    assert_eq!((red.standing, &*red.reason), (Standing::In, "status 503"));
    assert_eq!(answering(&gateway), sorted(&[&sick, &well]));
    drop(gateway);

    let blocking = wire::HealthCheck { block_on_red: true, ..check("/health") };
    let gateway = setup(&[sick.address(), well.address()], blocking).start();
    wait(&gateway, sick.address(), is(Standing::Out));
    wait(&gateway, well.address(), is(Standing::In));
    assert_eq!(answering(&gateway), sorted(&[&well]));
    fine.store(true, Ordering::SeqCst);
    wait(&gateway, sick.address(), is(Standing::In));
    // It warms up: it gets few requests at first.
    eventually(|| (answering(&gateway) == sorted(&[&sick, &well])).then_some(()));
}

#[test]
fn lists_of_statuses_decide() {
    assert_eq!(result(FINE, check("/")).colour, Colour::Green);
    let unhealthy = wire::HealthCheck { unhealthy_statuses: vec![200], ..check("/") };
    assert_eq!(result(FINE, unhealthy).colour, Colour::Red);
    let healthy = wire::HealthCheck { healthy_statuses: vec![503], ..check("/") };
    assert_eq!(result(BROKEN, healthy).colour, Colour::Green);
}

#[test]
fn expressions_look_into_bodies() {
    const DOWN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                        b\r\n{\"status\":\"\r\n6\r\nDOWN\"}\r\n0\r\n\r\n";
    let with = |healthy: &[&str], unhealthy: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        wire::HealthCheck {
            healthy_patterns: texts(healthy),
            unhealthy_patterns: texts(unhealthy),
            ..check("/")
        }
    };
    assert_eq!(result(DOWN, with(&[r#""status":"UP""#], &[])).colour, Colour::Red);
    assert_eq!(result(DOWN, with(&[r#""status":"DOWN""#], &[])).colour, Colour::Green);
    let red = result(DOWN, with(&[], &["status.*DOWN"]));
    assert_eq!(red.reason, "status 200, \"status.*DOWN\" of unhealthyRegexChecks is in its body");
    assert_eq!(result(FINE, with(&["never"], &[])).colour, Colour::Green, "it has no textual type");
}

#[test]
fn only_the_beginning_of_a_body_is_looked_at() {
    let endless = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000000\r\n\r\n");
            accepted.send("x".repeat(70 * 1024));
        }
    });
    let check = wire::HealthCheck { healthy_patterns: vec!["xxx".into()], ..check("/") };
    let gateway = setup(&[endless.address()], check).start();
    let health = wait(&gateway, endless.address(), |_| true);
    assert_eq!(health.colour, Colour::Green, "{}", health.reason);
}

#[test]
fn what_is_no_http_is_no_answer() {
    let health = result("SSH-2.0-x\r\n", check("/"));
    assert_eq!(health.colour, Colour::Black);
    assert!(health.reason.starts_with("the answer's head: "), "{}", health.reason);
}

#[test]
fn the_logic_check_sends_a_number_and_wants_it_with_42_more() {
    let does_sums = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            let number: u64 = field(&head, "otoroshi-health-check-logic-test").unwrap().parse().unwrap();
            accepted.send(format!(
                "HTTP/1.1 200 OK\r\nOtoroshi-Health-Check-Logic-Test-Result: {}\r\nContent-Length: 0\r\n\r\n",
                number + 42
            ));
        }
    });
    let logic = wire::HealthCheck { logic_check: true, block_on_red: true, ..check("/") };
    let gateway = setup(&[does_sums.address()], logic.clone()).start();
    assert_eq!(wait(&gateway, does_sums.address(), |_| true).colour, Colour::Green);
    let yellow = result(FINE, logic);
    assert_eq!((yellow.colour, yellow.standing), (Colour::Yellow, Standing::In));
}

#[test]
fn a_url_with_the_host_of_a_target_is_asked_of_every_target() {
    let (a, b) = (healthy(), healthy());
    let url = format!("http://{}/deep", a.address());
    let gateway = setup(&[a.address(), b.address()], check(&url)).start();
    wait(&gateway, a.address(), is(Standing::In));
    wait(&gateway, b.address(), is(Standing::In));
    for upstream in [&a, &b] {
        let head = upstream.seen().requests[0].0.clone();
        assert!(head.starts_with("GET /deep HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "host"), Some(&*upstream.address().to_string()));
    }
}

#[test]
fn a_url_of_another_server_speaks_for_all_targets() {
    let fine = Arc::new(AtomicBool::new(true));
    let (monitor, a, b) = (server(fine.clone()), healthy(), healthy());
    let url = format!("http://{}/users", monitor.address());
    let check = wire::HealthCheck { block_on_red: true, ..check(&url) };
    let gateway = setup(&[a.address(), b.address()], check).start();
    for standing in [Standing::In, Standing::Out, Standing::In] {
        fine.store(standing == Standing::In, Ordering::SeqCst);
        wait(&gateway, a.address(), is(standing));
        wait(&gateway, b.address(), is(standing));
    }
    assert_eq!(probes(&a) + probes(&b), 0);
}

#[test]
fn a_tcp_check_wants_a_connection_only() {
    let silent = Upstream::start(Accepted::drain);
    let dead = support::nowhere();
    let check = wire::HealthCheck { kind: wire::HealthCheckKind::Tcp.into(), ..check("") };
    let gateway = setup(&[silent.address(), dead], check).start();
    assert_eq!(wait(&gateway, silent.address(), |_| true).colour, Colour::Green);
    wait(&gateway, dead, is(Standing::Out));
    assert!(silent.seen().bytes.is_empty());
}

#[test]
fn thresholds_count_probes_in_a_row() {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    // Twice fine, then two of three probes fail, for ever.
    let unsteady = Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            accepted.send(if number < 2 || number % 3 == 2 { FINE } else { BROKEN });
        }
    });
    let check =
        |unhealthy_threshold| wire::HealthCheck { unhealthy_threshold, block_on_red: true, ..check("/") };
    let gateway = setup(&[unsteady.address()], check(3)).start();
    eventually(|| (count.load(Ordering::SeqCst) > 20).then_some(()));
    assert_eq!(wait(&gateway, unsteady.address(), |_| true).standing, Standing::In);
    drop(gateway);
    let gateway = setup(&[unsteady.address()], check(2)).start();
    wait(&gateway, unsteady.address(), is(Standing::Out));
}

#[test]
fn a_swap_keeps_what_is_known() {
    let dead = support::nowhere();
    let alive = healthy();
    // The next probe after the first is an hour away.
    let rare = wire::HealthCheck { interval: 3_600_000, ..check("/health") };
    let mut gateway = setup(&[alive.address(), dead], rare).start();
    let before = wait(&gateway, dead, is(Standing::Out));
    wait(&gateway, alive.address(), is(Standing::In));
    let other = healthy();
    // So many first probes that one of `alive`, if it came, would hardly be the last.
    for round in 0..2 {
        let ids: Vec<_> = (0..24).map(|index| format!("{round}-{index}")).collect();
        gateway.swap(|setup| {
            setup.backend.root = format!("/{round}");
            let new = |id: &String| wire::Target { id: id.clone(), ..target(other.address()) };
            setup.endpoints.targets.extend(ids.iter().map(new));
        });
        let is_in = |id: &String| gateway.proxy.health().iter().any(|health| *health.target == **id);
        eventually(|| ids.iter().all(is_in).then_some(()));
    }
    assert_eq!(wait(&gateway, dead, |_| true), before);
    assert_eq!(answering(&gateway), sorted(&[&alive, &other]));
    assert_eq!(probes(&alive), 1, "it wasn't probed again");
}

#[test]
fn what_vanished_is_not_probed_any_more() {
    let (a, b) = (healthy(), healthy());
    let mut gateway = setup(&[a.address(), b.address()], check("/health")).start();
    wait(&gateway, b.address(), is(Standing::In));
    gateway.swap(|setup| setup.endpoints.targets.truncate(1));
    eventually(|| {
        gateway.proxy.health().iter().all(|it| *it.target == a.address().to_string()).then_some(())
    });
    let (of_a, of_b) = (probes(&a), probes(&b));
    eventually(|| (probes(&a) > of_a + 5).then_some(()));
    // One may have been under way.
    assert!(probes(&b) <= of_b + 1, "{} probes after {of_b}", probes(&b));
}

#[test]
fn a_target_that_is_not_checked_any_more_gets_traffic() {
    let fine = Arc::new(AtomicBool::new(false));
    let (sick, well) = (server(fine), healthy());
    let check = wire::HealthCheck { block_on_red: true, ..check("/health") };
    let mut gateway = setup(&[sick.address(), well.address()], check).start();
    wait(&gateway, sick.address(), is(Standing::Out));
    assert_eq!(answering(&gateway), sorted(&[&well]));
    gateway.swap(|setup| setup.backend.health_check = None);
    eventually(|| gateway.proxy.health().is_empty().then_some(()));
    assert_eq!(answering(&gateway), sorted(&[&sick, &well]));
}

#[test]
fn another_server_under_the_same_id_begins_anew() {
    let fine = Arc::new(AtomicBool::new(false));
    let (sick, well) = (server(fine), healthy());
    let rare = wire::HealthCheck { block_on_red: true, interval: 3_600_000, ..check("/health") };
    let mut gateway = setup(&[sick.address()], rare).start();
    wait(&gateway, sick.address(), is(Standing::Out));
    gateway.swap(|setup| setup.endpoints.targets[0].port = u32::from(well.address().port()));
    // The id is still the old address.
    wait(&gateway, sick.address(), is(Standing::In));
    assert_eq!(probes(&well), 1);
}

#[test]
fn the_control_thread_ends_with_the_proxy() {
    let upstream = healthy();
    let setup = setup(&[upstream.address()], check("/health"));
    let router = setup.router();
    let state = Arc::downgrade(&router.probes().next().unwrap().states[0].1);
    let gateway = setup.start();
    drop(router);
    upstream.wait(|seen| !seen.requests.is_empty());
    assert!(state.strong_count() > 0);
    drop(gateway);
    // A probe that goes on would hold the state of its target.
    eventually(|| (state.strong_count() == 0).then_some(()));
}
