//! What is so of a worker that follows leaders.

use std::net::TcpStream;
use std::time::Duration;

use e2e::process::{get, until};

use super::node::{Node, echo, near};
use super::stub::{Says, Stub};
use crate::settings::Mode;

#[test]
fn each_leader_is_asked() {
    let stubs = [Stub::start(Says::Error), Stub::start(Says::Error)];
    let url = format!("cluster.leader.urls.1=http://127.0.0.1:{}", stubs[1].port);
    let _worker = Node::worker(stubs[0].port, &[&url]);
    for stub in &stubs {
        stub.until_asked("get /api/cluster/state");
    }
}

/// What a worker with these settings asks a leader for at first.
fn asks(set: &[&str]) -> String {
    let stub = Stub::start(Says::Error);
    let _worker = Node::worker(stub.port, set);
    stub.until_asked("get /api/cluster/state")
}

#[test]
fn a_leader_is_asked_for_by_the_host_of_the_settings() {
    assert!(asks(&["cluster.leader.host=leader.test"]).contains("host: leader.test\r\n"));
    assert!(asks(&[]).contains("host: 127.0.0.1:"));
}

#[test]
fn a_leader_is_shown_the_credentials_of_the_settings() {
    // Base64 of me:e2e-secret and of e2e:other, in lower case.
    assert!(asks(&["cluster.leader.clientId=me"]).contains("authorization: basic bwu6ztjllxnly3jlda=="));
    assert!(asks(&["cluster.leader.clientSecret=other"]).contains("authorization: basic ztjlom90agvy"));
}

#[test]
fn a_leader_may_compress_if_the_settings_let_it() {
    assert!(asks(&[]).contains("accept-encoding: "));
    assert!(!asks(&["cluster.compression=-1"]).contains("accept-encoding: "));
}

#[test]
fn a_leader_is_asked_to_hold_polls_as_the_settings_say() {
    let leader = Node::leader(&near("/a", 1), &[]).ready();
    let follow = |set: &[&str]| {
        let stub = Stub::start(Says::As(leader.admin));
        let worker = Node::worker(stub.port, set);
        (stub, worker)
    };
    // The first one isn't held.
    let (short, _short) = follow(&["cluster.worker.state.pollEvery=3s"]);
    let (long, _long) = follow(&["cluster.worker.state.pollEvery=1h"]);
    let (plain, _plain) =
        follow(&["cluster.worker.state.pollEvery=1s", "cluster.worker.state.longPoll=false"]);
    short.until_asked("prefer: wait=3\r\n");
    long.until_asked("prefer: wait=25\r\n");
    until("plain polls", || (plain.asked("prefer: wait=0\r\n") >= 3).then_some(()));
    assert_eq!(plain.asked("prefer: wait=1\r\n"), 0);
}

#[test]
fn a_worker_is_a_member_by_its_name() {
    let leader = Node::leader(&near("/a", 1), &[]).ready();
    let _worker = Node::worker(leader.admin, &["cluster.worker.name=edge-7"]).ready();
    let members = leader.api("/api/cluster/members", &[]);
    assert!(members.body.contains(r#""name":"edge-7""#), "{}", members.body);
}

#[test]
fn a_silent_leader_is_given_up_after_the_timeout() {
    let given_up = |set: &[&str]| {
        let stub = Stub::start(Says::Nothing);
        let set = [&["cluster.worker.state.longPoll=false"], set].concat();
        let _worker = Node::worker(stub.port, &set);
        stub.until_given_up()
    };
    let longer = given_up(&["cluster.worker.timeout=2600ms"]);
    assert!(longer >= Duration::from_millis(2_500), "later than by the default: {longer:?}");
    let own = given_up(&["cluster.worker.timeout=60s", "cluster.worker.state.timeout=300ms"]);
    assert!(own >= Duration::from_millis(280), "the state's own one counts: {own:?}");
}

#[test]
fn what_is_served_is_kept_in_the_file_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.redb");
    let dbpath = format!("cluster.worker.dbpath={}", file.display());
    let leader = Node::leader(&near("/a", echo("one")), &[]).ready();
    let worker = Node::worker(leader.admin, &[&dbpath]).ready();
    let admin = leader.admin;
    let (ended, _) = worker.end();
    assert!(ended.is_ok() && file.exists());
    leader.end().0.unwrap();
    let worker = Node::worker(admin, &[&dbpath, "cluster.worker.bootWait=0s"]).ready();
    assert_eq!(worker.get("/a").json()["name"], "one", "a start without a leader");
}

#[test]
fn a_start_without_a_leader_is_ready_after_the_boot_wait() {
    let leader = Node::leader(&near("/a", echo("one")), &[]).ready();
    let worker = Node::worker(leader.admin, &[]).ready();
    let (_, folder) = worker.end();
    let (_, _leaders) = leader.end();
    let url = "cluster.leader.urls.0=http://127.0.0.1:1";
    let worker = Node::start_in(folder, Mode::Worker, &[url, "cluster.worker.bootWait=10m"]);
    let serves = |worker: &Node| get(worker.port, "/a").is_ok_and(|answer| answer.status == 200);
    until("it serves what it has", || serves(&worker).then_some(()));
    assert!(!worker.is_ready(), "and waits for a leader");
    let (_, folder) = worker.end();
    let worker = Node::start_in(folder, Mode::Worker, &[url, "cluster.worker.bootWait=10ms"]).ready();
    assert!(TcpStream::connect(("127.0.0.1", worker.port)).is_ok());
}
