//! Nothing is dropped silently: each refusal names the field as it is in the JSON.

use serde_json::{Value, json};

use crate::otoroshi::*;

/// The fields that reading a backend complains about.
fn backend(backend: Value) -> Vec<String> {
    let entity = json!({ "id": "b1", "name": "B", "backend": backend });
    backend_from_json(&entity).unwrap_err().into_iter().map(|problem| problem.field).collect()
}

fn target(fields: Value) -> Vec<String> {
    let mut target = json!({ "hostname": "a", "port": 80 });
    target.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    backend(json!({ "targets": [target] }))
}

fn message(entity: &Value) -> String {
    backend_from_json(entity).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A backend with every object and every field in it.
fn full() -> Value {
    json!({
        "_loc": { "tenant": "default", "teams": ["default"] },
        "id": "b1", "name": "B", "description": "d", "tags": ["t"], "metadata": {},
        "backend": {
            "targets": [{
                "id": "t", "hostname": "a", "port": 80, "tls": false, "weight": 1, "protocol": "HTTP/1.1",
                "predicate": { "type": "NetworkLocationMatch", "zone": "z" }, "ip_address": null,
                "tls_config": { "enabled": false }, "backup": false,
            }],
            "load_balancing": { "type": "HeaderHash", "header_name": "h" },
            "health_check": { "enabled": true, "url": "/" },
            "client": {
                "custom_timeouts": [{ "path": "/a" }],
                "cache_connection_settings": { "enabled": false },
                "proxy": { "host": "p", "port": 1 },
            },
        },
    })
}

/// The places of all objects, as JSON pointers, but `metadata`, whose keys are free.
fn objects(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !path.ends_with("/metadata") => {
            for (name, value) in fields {
                objects(value, format!("{path}/{name}"), found);
            }
            found.push(path);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_field_is_refused_by_name_in_every_object() {
    let full = full();
    backend_from_json(&full).unwrap();
    let mut places = Vec::new();
    objects(&full, String::new(), &mut places);
    assert_eq!(places.len(), 12, "{places:?}");
    for place in places {
        let mut json = full.clone();
        json.pointer_mut(&place).unwrap()["surprise"] = json!(1);
        let problems = backend_from_json(&json).unwrap_err();
        assert_eq!(problems.len(), 1, "{place}: {problems:?}");
        let field = place.trim_start_matches('/').replace("/0", "[0]").replace('/', ".");
        let expected = if field.is_empty() { "surprise".to_owned() } else { format!("{field}.surprise") };
        assert_eq!(problems[0].field, expected);
        json.pointer_mut(&place).unwrap()["surprise"] = Value::Null;
        backend_from_json(&json).expect("null is the same as absent");
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_what_is_expected() {
    assert_eq!(
        message(&json!({ "id": "b1", "backend": { "rewrite": "yes", "client": { "call_timeout": "1s" } } })),
        "backend.rewrite: is \"yes\", but should be true or false\n\
         backend.client.call_timeout: is \"1s\", but should be a whole number from 0 to 359996400000"
    );
    for (name, value) in [
        ("targets", json!({})),
        ("root", json!(1)),
        ("load_balancing", json!("Random")),
        ("health_check", json!([])),
        ("client", json!(true)),
    ] {
        assert_eq!(backend(json!({ name: value })), [format!("backend.{name}")]);
    }
    assert_eq!(message(&json!([])), "is a list, but should be an object");
}

#[test]
fn numbers_are_whole_and_in_range() {
    for (name, value) in [
        ("port", json!(0)),
        ("port", json!(65536)),
        ("port", json!(80.5)),
        ("weight", json!(-1)),
        ("weight", json!(1_000_001)),
    ] {
        assert_eq!(target(json!({ name: value })), [format!("backend.targets[0].{name}")], "{value}");
    }
    assert_eq!(backend(json!({ "client": { "backoff_factor": 1.5 } })), ["backend.client.backoff_factor"]);
}

#[test]
fn a_target_needs_host_and_port() {
    assert_eq!(backend(json!({ "targets": [{ "port": 80 }] })), ["backend.targets[0].hostname"]);
    assert_eq!(backend(json!({ "targets": [{ "hostname": "a" }] })), ["backend.targets[0].port"]);
    assert_eq!(
        backend(json!({ "targets": [{ "hostname": " ", "port": 80 }] })),
        ["backend.targets[0].hostname"]
    );
}

#[test]
fn unknown_kinds_are_refused_where_otoroshi_takes_the_default() {
    assert_eq!(target(json!({ "protocol": "HTTP/4" })), ["backend.targets[0].protocol"]);
    assert_eq!(backend(json!({ "health_check": { "type": "Udp" } })), ["backend.health_check.type"]);
    assert_eq!(
        target(json!({ "predicate": { "type": "GeolocationMatch", "positions": [] } }))[0],
        "backend.targets[0].predicate.type"
    );
    assert_eq!(
        target(json!({ "predicate": { "type": "NetworkLocationMatch", "methods": ["GET"] } })),
        ["backend.targets[0].predicate.methods"]
    );
    assert_eq!(
        target(json!({ "predicate": { "type": "RequestMatch", "headers": [{ "names": "x" }] } })),
        ["backend.targets[0].predicate.headers[0]"]
    );
    assert_eq!(backend(json!({ "load_balancing": { "type": "Best" } })), ["backend.load_balancing.type"]);
    assert_eq!(
        backend(json!({ "load_balancing": { "type": "Random", "ratio": 0.5 } })),
        ["backend.load_balancing.ratio"]
    );
}

#[test]
fn half_a_proxy_is_refused() {
    assert_eq!(backend(json!({ "client": { "proxy": { "host": "p" } } })), ["backend.client.proxy.port"]);
    assert_eq!(
        backend(json!({ "client": { "proxy": { "principal": "p" } } })),
        ["backend.client.proxy.host"]
    );
    let ntlm = json!({ "host": "p", "port": 1, "ntlmDomain": "d" });
    let number = json!({ "id": "b", "client": { "proxy": { "host": "p", "port": 1, "password": 4711 } } });
    let problems = format!("{:?}", backend_from_json(&json!({ "id": "b", "backend": number })).unwrap_err());
    assert!(problems.contains("client.proxy.password") && !problems.contains("4711"), "{problems}");
    let nameless = json!({ "host": "p", "port": 1, "principal": "a", "passwordSecret": { "key": "k" } });
    assert_eq!(
        backend(json!({ "client": { "proxy": nameless } })),
        ["backend.client.proxy.passwordSecret.name"]
    );
    assert_eq!(backend(json!({ "client": { "proxy": ntlm } })), ["backend.client.proxy.ntlmDomain"]);
}

#[test]
fn a_shortcut_is_one_url_of_a_server() {
    for url in ["api", "ftp://a", "http://", "http://a:0", "http://a:b", "http://u@a", "http://a/?q"] {
        assert_eq!(backend(json!({ "url": url })), ["backend.url"], "{url}");
    }
    assert_eq!(backend(json!({ "url": "http://a", "target": "http://a" })), ["backend.target"]);
    assert_eq!(backend(json!({ "url": "http://a", "root": "/" })), ["backend.url"]);
}

#[test]
fn an_entity_needs_an_id_that_fits_into_a_key() {
    assert_eq!(message(&json!({ "backend": {} })), "id: is missing: give the entity an id");
    assert!(message(&json!({ "id": "a/b", "backend": {} })).starts_with("id: "));
}

#[test]
fn teams_are_refused() {
    assert!(message(&json!({ "id": "a", "_loc": { "teams": ["x"] } })).starts_with("_loc.teams: "));
}
