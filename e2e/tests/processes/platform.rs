//! Leader and worker behind the router of a platform, which ends requests that are idle for long.

use std::time::Duration;

use e2e::process::{Gateway, Load, Nginx, Program, figure, get, until, within};

use crate::fixture::{Fixture, route};

/// A leader and, through a router of this patience, a worker that lets polls be held for `hold`; both ready.
struct Platform {
    fixture: Fixture,
    leader: Gateway,
    worker: Gateway,
    processes: [Program; 2],
    _router: Nginx,
}

fn platform(patience: &str, hold: &str) -> Platform {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let leader = Gateway::leader(fixture.path(), &fixture.resources());
    let router = Nginx::before(leader.admin, patience, fixture.path());
    let worker = Gateway::worker_at(fixture.path(), "worker", router.port)
        .with("cluster.worker.state.pollEvery", hold)
        .with("cluster.leader.host", "leader.test");
    let processes = [leader.start_ready(), worker.start_ready()];
    Platform { fixture, leader, worker, processes, _router: router }
}

impl Platform {
    /// Time until an edit of the leader's folder is served by the worker.
    fn edit(&self, name: &str, port: u16) -> Duration {
        self.fixture.write("a.yaml", &route("a", "/a", port));
        until("the edit is live", || (get(self.worker.port, "/a").ok()?.json()["name"] == name).then_some(()))
            .1
    }
}

#[test]
fn a_router_with_a_limit_of_30_seconds_lets_held_polls_pass() {
    let platform = platform("30s", "25s");
    let load = Load::start(platform.worker.port, &["/a"], 2, Duration::from_millis(5));
    let slowest = (0..5)
        .map(|_| platform.edit("two", platform.fixture.two).max(platform.edit("one", platform.fixture.one)));
    let slowest = slowest.max().unwrap_or_default();
    figure("behind_router_edit_ms", slowest.as_millis());
    within(Duration::from_secs(60), "a poll was held for 25 s", || {
        (platform.leader.metric("komainu_leader_polls_not_modified_total")? >= 2.0).then_some(())
    });
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_eq!(platform.worker.metric("komainu_worker_poll_failures_total"), Some(0.0));
    assert_eq!(platform.worker.metric("komainu_worker_plain_polling"), Some(0.0));
    let report = load.stop();
    assert!(report.requests > 100 && report.failures.is_empty(), "{report:?}");
}

#[test]
fn behind_a_router_that_cuts_held_polls_a_worker_turns_to_plain_polling() {
    let platform = platform("1s", "3s");
    let load = Load::start(platform.worker.port, &["/a"], 2, Duration::from_millis(5));
    until("plain polling", || (platform.worker.metric("komainu_worker_plain_polling")? == 1.0).then_some(()));
    assert!(platform.processes[1].log().contains("held polls are cut on the way"));
    assert_eq!(get(platform.worker.admin, "/health").unwrap().json()["worker"]["polling"], "plain");
    let failures = platform.worker.metric("komainu_worker_poll_failures_total");
    platform.edit("two", platform.fixture.two);
    platform.edit("one", platform.fixture.one);
    assert_eq!(platform.worker.metric("komainu_worker_poll_failures_total"), failures);
    let report = load.stop();
    assert!(report.requests > 100 && report.failures.is_empty(), "{report:?}");
}
