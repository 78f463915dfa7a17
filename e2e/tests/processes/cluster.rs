use std::time::Duration;

use e2e::process::{CREDENTIALS, Gateway, Load, figure, get, request, until};

use crate::fixture::{Fixture, route};

fn serves(gateway: &Gateway, path: &str, name: &str) -> Option<()> {
    (get(gateway.port, path).ok()?.json()["name"] == name).then_some(())
}

/// The admin API's `Authorization` header of the tests' credentials.
pub(crate) fn authorization() -> (&'static str, &'static str) {
    assert_eq!(CREDENTIALS, ("e2e", "e2e-secret"));
    ("authorization", "Basic ZTJlOmUyZS1zZWNyZXQ=")
}

#[test]
fn workers_serve_through_the_death_of_the_leader_and_of_each_other() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let leader = Gateway::leader(fixture.path(), &fixture.resources());
    let steady = Gateway::worker(fixture.path(), "steady", &leader);
    let killed = Gateway::worker(fixture.path(), "killed", &leader);
    let mut leader_process = leader.start_ready();
    let _steady_process = steady.start_ready();
    let mut killed_process = killed.start_ready();
    until("both workers serve", || serves(&steady, "/a", "one").and(serves(&killed, "/a", "one")));
    let load = Load::start(steady.port, &["/a"], 4, Duration::from_millis(1));

    leader_process.kill();
    killed_process.kill();
    drop(killed_process);
    let _killed_process = killed.start_ready();
    assert_eq!(serves(&killed, "/a", "one"), Some(()), "a worker starts from its disk with no leader");

    let _leader_process = leader.start_ready();
    fixture.write("a.yaml", &route("a", "/a", fixture.two));
    let ((), took) =
        until("both workers converge", || serves(&steady, "/a", "two").and(serves(&killed, "/a", "two")));
    figure("cluster_converge_ms", took.as_millis());

    until("both workers are members", || {
        let members = request(leader.admin, "GET", "/api/cluster/members", &[authorization()], "").ok()?;
        let text = members.body;
        (text.contains("steady") && text.contains("killed")).then_some(())
    });
    let report = load.stop();
    figure("cluster_requests", report.requests);
    figure("cluster_failures", report.failures.len());
    assert!(report.requests > 100 && report.failures.is_empty(), "{report:?}");
}

/// Two leaders on one folder, each with a store of its own: the worker has followed the one with the later store.
#[test]
fn an_edit_is_live_by_whichever_leader_is_left() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let first = Gateway::leader(&fixture.path().join("first"), &fixture.resources());
    let second = Gateway::leader(&fixture.path().join("second"), &fixture.resources())
        .with("listeners.0.port", first.port);
    drop(first.start_ready());
    let mut second_process = second.start_ready();
    let worker = Gateway::worker(fixture.path(), "worker", &first)
        .with("cluster.leader.urls.1", format!("http://127.0.0.1:{}", second.admin));
    let _worker = worker.start_ready();
    let _first = first.start_ready();
    second_process.kill();
    fixture.write("a.yaml", &route("a", "/a", fixture.two));
    let ((), took) = until("the edit is live by the first leader", || serves(&worker, "/a", "two"));
    assert!(took < Duration::from_secs(10), "{took:?}");
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let ((), took) = until("so is the next one", || serves(&worker, "/a", "one"));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_edit_reaches_a_worker_in_milliseconds() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let leader = Gateway::leader(fixture.path(), &fixture.resources());
    let worker = Gateway::worker(fixture.path(), "worker", &leader);
    let _leader = leader.start_ready();
    let _worker = worker.start_ready();
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let (name, port) = if round % 2 == 0 { ("two", fixture.two) } else { ("one", fixture.one) };
        fixture.write("a.yaml", &route("a", "/a", port));
        let ((), took) = until("the edit is live on the worker", || serves(&worker, "/a", name));
        slowest = slowest.max(took);
    }
    figure("propagation_ms", slowest.as_millis());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn wrong_credentials_are_refused_and_said() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let leader = Gateway::leader(fixture.path(), &fixture.resources());
    let _leader = leader.start_ready();
    let worker = Gateway::worker(fixture.path(), "stranger", &leader)
        .with("cluster.leader.clientSecret", "not-the-secret");
    let process = worker.start();
    until("the worker says why it isn't ready", || {
        let answer = get(worker.admin, "/ready").ok()?;
        (answer.status == 503 && answer.body.contains("client id and secret")).then_some(())
    });
    assert!(!process.log().contains("not-the-secret"), "a secret in the log");
    assert_eq!(get(leader.admin, "/api/cluster/state").unwrap().status, 401);
}

#[test]
fn programmed_is_true_only_once_a_worker_has_it() {
    let fixture = Fixture::new();
    fixture.write("a.yaml", &route("a", "/a", fixture.one));
    let leader = Gateway::leader(fixture.path(), &fixture.resources());
    let _leader = leader.start_ready();
    let programmed = || {
        let status = request(leader.admin, "GET", "/api/status", &[authorization()], "").ok()?.json();
        let conditions = status["objects"].as_array()?.first()?["conditions"].as_array()?.clone();
        let condition = conditions.into_iter().find(|condition| condition["type"] == "Programmed")?;
        Some((condition["status"].as_str()?.to_owned(), condition["reason"].as_str()?.to_owned()))
    };
    let is =
        |status: &str, reason: &str| (programmed()? == (status.to_owned(), reason.to_owned())).then_some(());
    until("no worker yet", || is("False", "NoWorkers"));
    let worker = Gateway::worker(fixture.path(), "worker", &leader);
    let _worker = worker.start_ready();
    until("programmed", || is("True", "Programmed"));
}
