//! Otoroshi's names in `docs/otoroshi-names.md` are those that are written.

use serde_json::{Value, json};

use crate::otoroshi::*;

/// Backends that between them have every field.
fn backends() -> Vec<Value> {
    let proxy = json!({
        "host": "p", "port": 1, "protocol": "http", "principal": "u", "password": "s",
        "passwordSecret": { "name": "n", "key": "k" },
    });
    let predicate = json!({
        "type": "NetworkLocationMatch", "provider": "a", "region": "b", "zone": "c", "dc": "d", "rack": "e",
    });
    let request = json!({ "type": "RequestMatch" });
    let service = json!({ "name": "s", "namespace": "n", "port": 80 });
    let balancing = [
        json!({ "type": "WeightedBestResponseTime", "ratio": 0.1 }),
        json!({ "type": "HeaderHash", "header_name": "h" }),
        json!({ "type": "Sticky", "cookie_name": "c", "cookie_ttl": 1 }),
        json!({ "type": "QueryHash", "query_name": "q", "prefer_own_zone": true }),
    ];
    let written = |(balancing, predicate): (Value, &Value)| {
        let backend = json!({
            "targets": [{ "service": service, "predicate": predicate, "ip_address": "10.0.0.7" }],
            "load_balancing": balancing,
            "panic_threshold": 1,
            "allowed_namespaces": ["n"],
            "health_check": { "url": "/" },
            "client": {
                "custom_timeouts": [{}], "proxy": proxy,
                "retry_non_idempotent": true, "retry_statuses": [], "count_server_errors": false,
            },
        });
        backend_to_json(&backend_from_json(&json!({ "id": "b1", "backend": backend })).unwrap())
    };
    balancing.into_iter().zip([&predicate, &request].into_iter().cycle()).map(written).collect()
}

fn routes() -> Vec<Value> {
    let json = json!({ "id": "r1", "frontend": { "domains": ["a"] }, "backend_ref": "b1" });
    vec![route_to_json(&route_from_json(&json).unwrap())]
}

/// The names in the first column of a kind's tables.
fn names(kind: &str) -> Vec<String> {
    let page = include_str!("../../../../../docs/otoroshi-names.md");
    let section = page.split(&format!("\n## {kind}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let first =
        |line: &str| line.strip_prefix('|').and_then(|line| line.split('|').next()).unwrap_or("").to_owned();
    let columns: Vec<_> = section.lines().map(first).collect();
    columns.iter().flat_map(|column| column.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn compare(kind: &str, at_least: usize, written: &[Value]) {
    let names = names(kind);
    assert!(names.len() >= at_least, "only {} names were found for {kind}", names.len());
    for name in names {
        let pointer = format!("/{}", name.replace("[]", "/0").replace('.', "/"));
        let there = written.iter().any(|json| json.pointer(&pointer).is_some());
        assert!(there, "{name} of {kind} isn't written");
    }
}

#[test]
fn every_name_in_the_table_of_backends_is_written() {
    compare("Backend", 70, &backends());
}

#[test]
fn every_name_in_the_table_of_routes_is_written() {
    compare("Route", 30, &routes());
}
