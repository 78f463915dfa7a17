//! Workers of different tenants on one leader.

use e2e::process::{Gateway, get, request, until};

use crate::cluster::authorization;
use crate::fixture::Fixture;

/// A route of a tenant to a Backend of its own with a password for a proxy, past which its targets are reached.
fn objects(tenant: &str, port: u16, password: &str) -> String {
    format!(
        "apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {tenant}, labels: {{komainu.dev/tenant: {tenant}}}}}
spec:
  matches: [{{paths: [{{value: /{tenant}}}]}}]
  backends: [{{ref: {{name: {tenant}}}}}]
---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: {tenant}}}
spec:
  targets: [{{hostname: 127.0.0.1, port: {port}}}]
  client:
    proxy: {{host: 192.0.2.1, port: 3128, principal: p, password: {password}, nonProxyHosts: ['127.*']}}
"
    )
}

fn answers(worker: &Gateway, path: &str) -> Option<u16> {
    get(worker.port, path).ok().map(|answer| answer.status)
}

/// Status and message of Programmed of an object.
fn programmed(leader: &Gateway, key: &str) -> Option<(String, String)> {
    let status = request(leader.admin, "GET", "/api/status", &[authorization()], "").ok()?.json();
    let (kind, name) = key.split_once('/')?;
    let is_it = |object: &&serde_json::Value| object["kind"] == kind && object["name"] == name;
    let conditions = status["objects"].as_array()?.iter().find(is_it)?["conditions"].clone();
    let condition = conditions.as_array()?.iter().find(|of| of["type"] == "Programmed")?.clone();
    Some((condition["status"].as_str()?.to_owned(), condition["message"].as_str()?.to_owned()))
}

fn is_programmed(leader: &Gateway, key: &str) -> Option<()> {
    (programmed(leader, key)?.0 == "True").then_some(())
}

/// Whether something is anywhere in what a worker keeps on disk.
fn keeps(worker: &Gateway, text: &str) -> bool {
    let file = std::fs::read(worker.data_directory().join("state.redb")).unwrap_or_default();
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn two_tenants_on_one_leader_have_their_own_routes_and_secrets() {
    let fixture = Fixture::new();
    fixture.write("acme.yaml", &objects("acme", fixture.one, "hush-of-acme"));
    fixture.write("zeta.yaml", &objects("zeta", fixture.two, "hush-of-zeta"));
    let leader = Gateway::leader(fixture.path(), &fixture.resources())
        .with("cluster.leader.clients.0.clientId", "acme")
        .with("cluster.leader.clients.0.clientSecret", "of-acme")
        .with("cluster.leader.clients.0.tenants", "acme");
    let _leader = leader.start_ready();

    // One is limited by who it is, though it asks for both; the other one by what it asks for.
    let acme = Gateway::worker(fixture.path(), "acme", &leader)
        .with("cluster.leader.clientId", "acme")
        .with("cluster.leader.clientSecret", "of-acme")
        .with("cluster.worker.selector.tenants", "acme,zeta");
    let _acme = acme.start_ready();
    until("acme's objects are programmed by its worker", || {
        is_programmed(&leader, "route/acme").and(is_programmed(&leader, "backend/acme"))
    });
    let (status, message) = programmed(&leader, "route/zeta").expect("it has a status");
    assert_eq!((status.as_str(), message.as_str()), ("False", "no connected worker selects it"));

    let zeta =
        Gateway::worker(fixture.path(), "zeta", &leader).with("cluster.worker.selector.tenants", "zeta");
    let _zeta = zeta.start_ready();
    until("zeta's objects are programmed by its worker", || {
        is_programmed(&leader, "route/zeta").and(is_programmed(&leader, "backend/zeta"))
    });
    assert_eq!((answers(&acme, "/acme"), answers(&acme, "/zeta")), (Some(200), Some(404)));
    assert_eq!((answers(&zeta, "/zeta"), answers(&zeta, "/acme")), (Some(200), Some(404)));
    for (worker, own, other) in [(&acme, "acme", "zeta"), (&zeta, "zeta", "acme")] {
        until("its state is on disk", || keeps(worker, &format!("hush-of-{own}")).then_some(()));
        assert!(!keeps(worker, &format!("hush-of-{other}")), "{own} has a secret of {other}");
        assert!(!keeps(worker, &format!("route/default/{other}")), "{own} has a route of {other}");
    }

    fixture.write("zeta.yaml", &objects("zeta", fixture.one, "hush-of-zeta"));
    until("an edit reaches its worker", || {
        (get(zeta.port, "/zeta").ok()?.json()["name"] == "one").then_some(())
    });
    let members =
        request(leader.admin, "GET", "/api/cluster/members", &[authorization()], "").unwrap().json();
    for name in ["acme", "zeta"] {
        let is_it = |member: &&serde_json::Value| member["role"] == "worker" && member["name"] == name;
        let member = members.as_array().unwrap().iter().find(is_it).expect("it is a member");
        assert_eq!(member["scope"], format!("tenants={name}"));
        assert!(
            name != "acme" || member["upToDate"] == true,
            "another tenant's edit changes nothing for it: {member}"
        );
    }
}
