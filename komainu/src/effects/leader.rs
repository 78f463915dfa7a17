//! What is so of a leader.

use std::fmt::Write as _;

use e2e::process::request;

use super::node::{AUTHORIZATION, Node, near};

const WORKER: [(&str, &str); 3] =
    [("komainu-worker-id", "w"), ("komainu-worker-name", "w"), ("komainu-worker-version", "0")];

fn with_state(set: &[&str]) -> Node {
    let mut resources = String::new();
    for number in 0..200 {
        let _ = resources.write_str(&near(&format!("/{number}-{}", number * 7919), 1));
    }
    Node::leader(&resources, set).ready()
}

#[test]
fn the_state_is_compressed_by_the_level() {
    let sent = |level: &str| {
        let leader = with_state(&[&format!("cluster.compression={level}")]);
        let headers = [&WORKER[..], &[("accept-encoding", "gzip")]].concat();
        let answer = leader.api("/api/cluster/state", &headers);
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        (answer.header("content-encoding").map(str::to_owned), length)
    };
    let (none, fastest, smallest) = (sent("-1"), sent("1"), sent("9"));
    assert_eq!((none.0, fastest.0.as_deref(), smallest.0.as_deref()), (None, Some("gzip"), Some("gzip")));
    assert!(none.1 > 2 * fastest.1 && fastest.1 > smallest.1, "{} {} {}", none.1, fastest.1, smallest.1);
}

#[test]
fn a_leader_says_its_name() {
    let leader = with_state(&["cluster.leader.name=chief"]);
    let answer = leader.api("/api/cluster/state", &WORKER);
    assert_eq!(answer.header("komainu-leader-name"), Some("chief"));
    let members = leader.api("/api/cluster/members", &[]).json();
    assert_eq!(members[0]["name"], "chief", "{members}");
}

#[test]
fn the_client_id_and_the_secret_let_in_and_others_do_not() {
    // Base64 of other:e2e-secret and of e2e:other.
    const OTHER_ID: &str = "Basic b3RoZXI6ZTJlLXNlY3JldA==";
    const OTHER_SECRET: &str = "Basic ZTJlOm90aGVy";
    let status = |set: &[&str], authorization: &str| {
        let leader = Node::leader(&near("/a", 1), set).ready();
        let headers = [("authorization", authorization)];
        request(leader.admin, "GET", "/api/cluster/members", &headers, "").unwrap().status
    };
    assert_eq!(status(&[], AUTHORIZATION), 200);
    assert_eq!(status(&["cluster.leader.clientId=other"], AUTHORIZATION), 401);
    assert_eq!(status(&["cluster.leader.clientId=other"], OTHER_ID), 200);
    assert_eq!(status(&["cluster.leader.clientSecret=other"], AUTHORIZATION), 401);
    assert_eq!(status(&["cluster.leader.clientSecret=other"], OTHER_SECRET), 200);
}
