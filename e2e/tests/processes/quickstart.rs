use std::path::Path;

use e2e::process::{Gateway, get, request};

use crate::fixture::Fixture;

/// The folder of the README, with the ports of this test's upstreams.
fn quickstart(fixture: &Fixture) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("9101", &fixture.one.to_string()).replace("9102", &fixture.two.to_string());
        fixture.write(path.file_name().unwrap().to_str().unwrap(), &text);
    }
}

#[test]
fn every_printed_line_answers_as_documented() {
    let fixture = Fixture::new();
    quickstart(&fixture);
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let _process = gateway.start_ready();

    let names: Vec<_> = (0..4).map(|_| get(gateway.port, "/hello").unwrap().json()["name"].clone()).collect();
    assert!(names == ["one", "two", "one", "two"] || names == ["two", "one", "two", "one"], "{names:?}");

    let bills = get(gateway.port, "/api/users/42/bills").unwrap().json();
    assert_eq!(bills["path"], "/apis/v1/basic_users/42/all_bills");
    assert_eq!(get(gateway.port, "/api/users/none/bills").unwrap().status, 404);

    for _ in 0..3 {
        let beta = request(gateway.port, "GET", "/hello", &[("x-version", "beta")], "").unwrap();
        assert_eq!(beta.json()["name"], "two");
    }

    let refused = get(gateway.port, "/refused").unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("not supported yet"), "{}", refused.body);

    let missing = get(gateway.port, "/nothing-here").unwrap();
    assert_eq!((missing.status, missing.json()["reason"].as_str()), (404, Some("no_route")));
    assert_eq!(get(gateway.admin, "/health").unwrap().status, 200);
    let metrics = get(gateway.admin, "/metrics").unwrap().body;
    assert!(metrics.contains("komainu_requests_total{class=\"2xx\"}"), "{metrics}");
}

#[test]
fn a_client_path_that_looks_like_an_expression_is_passed_as_it_is() {
    let fixture = Fixture::new();
    fixture.write("plain.yaml", &crate::fixture::route("plain", "/plain", fixture.one));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let _process = gateway.start_ready();
    let answer = get(gateway.port, "/plain/$%7Breq.path%7D?q=$%7Broute.id%7D").unwrap();
    assert_eq!(answer.json()["path"], "/$%7Breq.path%7D?q=$%7Broute.id%7D");
    let raw = get(gateway.port, "/plain/${req.path}").unwrap();
    assert_eq!(raw.json()["path"], "/${req.path}", "{raw:?}");
}
