//! Which part of the state a worker takes, and may take.

use e2e::process::request;

use super::node::{Node, echo};

/// A route of its own namespace, label and tenant, which are all called as it is.
fn route(name: &str, port: u16) -> String {
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {name}, namespace: {name}, labels: {{team: {name}, komainu.dev/tenant: {name}}}}}
spec:
  matches: [{{paths: [{{value: /{name}}}]}}]
  backends: [{{inline: {{targets: [{{hostname: 127.0.0.1, port: {port}}}]}}}}]
"
    )
}

#[test]
fn a_worker_takes_what_its_selector_selects() {
    let port = echo("one");
    let leader = Node::leader(&["a", "b", "c"].map(|name| route(name, port)).concat(), &[]).ready();
    let statuses = |set: &[&str]| {
        let worker = Node::worker(leader.admin, set).ready();
        ["/a", "/b", "/c"].map(|path| worker.get(path).status)
    };
    assert_eq!(statuses(&[]), [200, 200, 200]);
    assert_eq!(statuses(&["cluster.worker.selector.namespaces=a,b"]), [200, 200, 404]);
    assert_eq!(statuses(&["cluster.worker.selector.labels=team=b"]), [404, 200, 404]);
    assert_eq!(statuses(&["cluster.worker.selector.tenants.0=c"]), [404, 404, 200]);
    let both = ["cluster.worker.selector.tenants=a,c", "cluster.worker.selector.labels=team=a,team=b"];
    assert_eq!(statuses(&both), [200, 404, 404]);
}

#[test]
fn a_client_of_its_own_may_have_a_part() {
    // Base64 of edge:hush.
    const EDGE: &str = "Basic ZWRnZTpodXNo";
    let set = [
        "cluster.leader.clients.0.clientId=edge",
        "cluster.leader.clients.0.clientSecret=hush",
        "cluster.leader.clients.0.tenants=a,b",
    ];
    let ask = |set: &[&str], selector: &str| {
        let leader = Node::leader(&route("a", 1), set).ready();
        let headers = [
            ("authorization", EDGE),
            ("komainu-worker-id", "w"),
            ("komainu-worker-name", "w"),
            ("komainu-worker-version", "0"),
            ("komainu-worker-scope", selector),
        ];
        let answer = request(leader.admin, "GET", "/api/cluster/state", &headers, "").unwrap();
        (answer.status, answer.header("komainu-scope").map(str::to_owned))
    };
    assert_eq!(ask(&[], ""), (401, None));
    assert_eq!(ask(&set, ""), (200, Some("tenants=a|b".to_owned())));
    assert_eq!(ask(&set, "tenants=b|c"), (200, Some("tenants=b".to_owned())));
}
