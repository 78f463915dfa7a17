use e2e::process::{Gateway, get, request, until};
use serde_json::json;

use crate::cluster::authorization;
use crate::fixture::Fixture;

fn route_json(id: &str, path: &str, port: u16) -> String {
    json!({
        "id": id,
        "name": id,
        "frontend": { "domains": [format!("localhost{path}")] },
        "backend": { "targets": [{ "hostname": "127.0.0.1", "port": port }] },
    })
    .to_string()
}

fn post(gateway: &Gateway, path: &str, body: &str) -> u16 {
    let headers = [authorization(), ("content-type", "application/json")];
    let answer = request(gateway.admin, "POST", path, &headers, body).unwrap();
    assert!(answer.status < 500, "{answer:?}");
    answer.status
}

#[test]
fn nothing_acknowledged_is_lost_on_kill_9() {
    let fixture = Fixture::new();
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let mut process = gateway.start_ready();
    for round in 0..5 {
        let path = format!("/written-{round}");
        assert_eq!(
            post(&gateway, "/api/routes", &route_json(&format!("written-{round}"), &path, fixture.one)),
            201
        );
        process.kill();
        drop(process);
        process = gateway.start_ready();
        until("the route that was acknowledged serves", || {
            (get(gateway.port, &path).ok()?.json()["name"] == "one").then_some(())
        });
    }
    let list = request(gateway.admin, "GET", "/api/routes", &[authorization()], "").unwrap();
    assert_eq!(list.json().as_array().map(Vec::len), Some(5), "{}", list.body);
}

#[test]
fn the_admin_api_writes_reads_replaces_and_deletes() {
    let fixture = Fixture::new();
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let _process = gateway.start_ready();
    assert_eq!(post(&gateway, "/api/routes", &route_json("r", "/r", fixture.one)), 201);
    until("it serves", || (get(gateway.port, "/r").ok()?.json()["name"] == "one").then_some(()));

    let headers = [authorization(), ("content-type", "application/json")];
    let replaced =
        request(gateway.admin, "PUT", "/api/routes/r", &headers, &route_json("r", "/r", fixture.two));
    assert_eq!(replaced.unwrap().status, 200);
    until("the new version serves", || (get(gateway.port, "/r").ok()?.json()["name"] == "two").then_some(()));

    let read = request(gateway.admin, "GET", "/api/routes/r", &[authorization()], "").unwrap();
    assert_eq!(read.json()["id"], "r");
    assert_eq!(
        request(gateway.admin, "DELETE", "/api/routes/r", &[authorization()], "").unwrap().status,
        200
    );
    until("it is gone", || (get(gateway.port, "/r").ok()?.status == 404).then_some(()));
    assert_eq!(get(gateway.admin, "/api/routes").unwrap().status, 401, "no credentials");
}
