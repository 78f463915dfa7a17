//! Two targets, and one of them dies, stalls, slows down and heals under load.

use std::time::{Duration, Instant};

use e2e::process::{Fault, Gateway, Link, Load, Program, figure, free_port, get, until};

use crate::fixture::Fixture;

/// How often targets are checked, and how long a check may take: a target that fails is out by then at the latest. Under
/// load its circuit breaker is faster.
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(500);

/// A backend of these targets with a check each second, and a route to it.
fn balanced(ports: [u16; 2], client: &str) -> String {
    let targets = ports.map(|port| format!("{{hostname: 127.0.0.1, port: {port}}}")).join(", ");
    format!(
        "apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: pair}}
spec:
  targets: [{targets}]
  healthCheck: {{enabled: true, url: /health, interval: 1s, timeout: 500ms, logicCheck: false}}
  client: {{{client}}}
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: pair}}
spec:
  matches: [{{paths: [{{value: /pair}}]}}]
  backends: [{{ref: {{name: pair}}}}]
"
    )
}

/// Which target answers; `None` if none does.
fn answered(gateway: &Gateway) -> Option<String> {
    let answer = get(gateway.port, "/pair").ok().filter(|answer| answer.status == 200)?;
    Some(answer.json()["name"].as_str()?.to_owned())
}

fn serves(gateway: &Gateway, name: &str) -> Option<()> {
    (answered(gateway)? == name).then_some(())
}

#[test]
fn no_get_fails_while_one_of_two_targets_does() {
    let fixture = Fixture::new();
    let (one, two) = (Link::to(fixture.one), Link::to(fixture.two));
    let client = "callTimeout: 500ms, globalTimeout: 5s, connectionTimeout: 500ms";
    fixture.write("pair.yaml", &balanced([one.port, two.port], client));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let _process = gateway.start_ready();
    until("both targets serve", || serves(&gateway, "one"));
    until("both targets serve", || serves(&gateway, "two"));
    // 64 clients of about 16 requests a second each: enough that a stall, which holds each for the call timeout, doesn't
    // slow them down much.
    let load = Load::start(gateway.port, &["/pair"], 64, Duration::from_millis(60));
    for fault in [Fault::Dead, Fault::Stalled, Fault::Slow(Duration::from_millis(200))] {
        let (before, begun) = (load.served(), Instant::now());
        two.set(fault);
        until("requests go on", || (load.served() > before + 2_000).then_some(()));
        let rate = 2_000.0 / begun.elapsed().as_secs_f64();
        println!("{fault:?}: {rate:.0} requests a second");
        if fault == Fault::Stalled {
            let last = two.last_request().and_then(|last| last.checked_duration_since(begun));
            figure("faults_ejected_ms", last.unwrap_or_default().as_millis());
            assert!(last.unwrap_or_default() <= INTERVAL + TIMEOUT, "requests for {last:?} after the stall");
        }
        two.set(Fault::None);
        until("the target is back", || serves(&gateway, "two"));
    }
    let report = load.stop();
    figure("faults_requests", report.requests);
    figure("faults_failed_gets", report.failures.len());
    assert!(report.failures.is_empty(), "{report:?}");
}

#[test]
fn a_post_fails_only_if_it_was_with_the_target_that_died() {
    const CLIENTS: usize = 8;
    let fixture = Fixture::new();
    let port = free_port();
    let mut dying = Program::echo_at("dying", port, fixture.path());
    fixture.write("pair.yaml", &balanced([fixture.one, port], ""));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let _process = gateway.start_ready();
    until("both targets serve", || serves(&gateway, "dying"));
    let load = Load::posts(gateway.port, &["/pair"], CLIENTS, Duration::from_millis(7));
    until("load", || (load.served() > 500).then_some(()));
    dying.kill();
    let before = load.served();
    until("requests go on", || (load.served() > before + 2_000).then_some(()));
    let report = load.stop();
    figure("faults_failed_posts", report.failures.len());
    // Each client has one request under way at most.
    figure("faults_failed_posts_beyond", report.failures.len().saturating_sub(CLIENTS));
    assert!(report.failures.len() <= CLIENTS, "{report:?}");
}

#[test]
fn a_healed_target_begins_slowly() {
    let fixture = Fixture::new();
    let two = Link::to(fixture.two);
    fixture.write("pair.yaml", &balanced([fixture.one, two.port], "connectionTimeout: 500ms"));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let process = gateway.start_ready();
    until("both targets serve", || serves(&gateway, "two"));
    two.set(Fault::Dead);
    until("its check failed", || process.log().contains("fails its health check").then_some(()));
    two.set(Fault::None);
    until("the target is back", || serves(&gateway, "two"));
    let begun = Instant::now();
    let (mut all, mut healed) = (0_u32, 0_u32);
    while begun.elapsed() < Duration::from_secs(9) {
        all += 1;
        healed += u32::from(answered(&gateway).as_deref() == Some("two"));
    }
    let share = f64::from(healed) / (f64::from(all) / 2.0);
    figure("faults_healed_share", format!("{share:.3}"));
    assert!(all > 500 && healed > 0 && share <= 0.25, "{healed} of {all} requests");
}

#[test]
fn a_stalled_target_is_given_up_at_the_call_timeout_of_the_defaults() {
    /// Otoroshi's page: call timeout and global timeout.
    const LIMIT: Duration = Duration::from_secs(30);
    let fixture = Fixture::new();
    let one = Link::to(fixture.one);
    let route = crate::fixture::route("only", "/pair", one.port);
    fixture.write("only.yaml", &route);
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let _process = gateway.start_ready();
    until("the target serves", || serves(&gateway, "one"));
    one.set(Fault::Stalled);
    let begun = Instant::now();
    let answer =
        e2e::process::request_within(LIMIT + Duration::from_secs(10), gateway.port, "/pair").unwrap();
    let off = begun.elapsed().abs_diff(LIMIT);
    figure("faults_default_504_off_ms", off.as_millis());
    assert_eq!(answer.status, 504, "{answer:?}");
    let reason = answer.json()["reason"].clone();
    assert!(reason == "call_timeout" || reason == "global_timeout", "{answer:?}");
    assert!(off < Duration::from_millis(500), "off by {off:?}");
}
