use crds::{Duration, PredicateType, Protocol, Target};
use serde_json::{Value, json};

use crate::otoroshi::*;

/// The complete example of the Backends page.
fn page_backend() -> Value {
    let target = |id: &str, hostname: &str, backup: bool| {
        json!({
            "id": id, "hostname": hostname, "port": 8080, "tls": false, "weight": 1, "protocol": "HTTP/1.1",
            "predicate": { "type": "AlwaysMatch" }, "backup": backup,
        })
    };
    json!({
        "targets": [
            target("target_1", "api-1.backend.internal", false),
            target("target_2", "api-2.backend.internal", true),
        ],
        "root": "/api/v1",
        "rewrite": false,
        "load_balancing": { "type": "RoundRobin" },
        "health_check": { "enabled": true, "url": "http://api-1.backend.internal:8080/health" },
        "client": {
            "retries": 1, "max_errors": 20, "retry_initial_delay": 50, "backoff_factor": 2,
            "connection_timeout": 10000, "idle_timeout": 60000, "call_and_stream_timeout": 120000,
            "call_timeout": 30000, "global_timeout": 30000, "sample_interval": 2000,
            "cache_connection_settings": { "enabled": false, "queue_size": 2048 },
            "custom_timeouts": [],
        },
    })
}

/// The target example of the Backends page.
fn page_target() -> Value {
    json!({
        "id": "target_1", "hostname": "api.backend.internal", "port": 8443, "tls": true, "weight": 1,
        "protocol": "HTTP/1.1", "predicate": { "type": "AlwaysMatch" }, "ip_address": null,
        "tls_config": {
            "enabled": true, "loose": false, "trust_all": false, "certs": [], "trusted_certs": ["cert_backend_ca"],
        },
        "backup": false,
    })
}

fn entity(backend: Value) -> Value {
    json!({ "id": "b1", "name": "B1", "backend": backend })
}

fn read(backend: Value) -> Entity<crds::BackendSpec> {
    backend_from_json(&entity(backend)).unwrap()
}

fn written(backend: Value) -> Value {
    backend_to_json(&read(backend))["backend"].clone()
}

fn target(fields: Value) -> Target {
    let mut target = json!({ "hostname": "a", "port": 80 });
    target.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    read(json!({ "targets": [target] })).spec.targets.remove(0)
}

#[test]
fn the_complete_example_comes_back_with_the_defaults_that_it_leaves_out() {
    let mut expected = page_backend();
    for target in expected["targets"].as_array_mut().unwrap() {
        target["ip_address"] = Value::Null;
        target["tls_config"] =
            json!({ "enabled": false, "loose": false, "trust_all": false, "certs": [], "trusted_certs": [] });
    }
    let check = expected["health_check"].as_object_mut().unwrap();
    check.extend(
        json!({
            "timeout": 5000, "healthyStatuses": [], "unhealthyStatuses": [], "healthyRegexChecks": [],
            "unhealthyRegexChecks": [], "blockOnRed": false, "logicCheck": true, "type": "Http",
            "interval": 10000, "jitter": 10, "healthyThreshold": 1, "unhealthyThreshold": 1, "service": null,
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    expected["client"]["proxy"] = Value::Null;
    assert_eq!(written(page_backend()), expected);
}

#[test]
fn the_target_example_comes_back_exactly() {
    assert_eq!(written(json!({ "targets": [page_target()] }))["targets"], json!([page_target()]));
}

#[test]
fn the_pages_example_is_also_read_without_an_envelope() {
    let mut bare = page_backend();
    bare["id"] = json!("b1");
    let bare = backend_from_json(&bare).unwrap();
    assert_eq!(bare.spec, crds::BackendSpec { display_name: None, ..read(page_backend()).spec });
}

#[test]
fn an_empty_backend_has_the_defaults_of_the_page() {
    let expected = json!({
        "targets": [], "root": "/", "rewrite": false, "load_balancing": { "type": "RoundRobin" },
        "health_check": null,
        "client": {
            "retries": 1, "max_errors": 20, "retry_initial_delay": 50, "backoff_factor": 2,
            "connection_timeout": 10000, "idle_timeout": 60000, "call_and_stream_timeout": 120000,
            "call_timeout": 30000, "global_timeout": 30000, "sample_interval": 2000, "custom_timeouts": [],
            "cache_connection_settings": { "enabled": false, "queue_size": 2048 }, "proxy": null,
        },
    });
    assert_eq!(written(json!({})), expected);
    assert_eq!(written(Value::Null), expected);
}

#[test]
fn what_is_left_out_within_an_object_has_the_same_defaults() {
    let sparse = json!({ "client": { "cache_connection_settings": {} }, "load_balancing": {} });
    assert_eq!(written(sparse), written(json!({})));
    let check = read(json!({ "health_check": {} })).spec.health_check;
    assert_eq!(check, Some(crds::HealthCheck::default()));
    assert_eq!(
        target(json!({ "predicate": {}, "tls_config": {} })),
        Target { hostname: Some("a".to_owned()), port: Some(80), ..Target::default() }
    );
    let custom = read(json!({ "client": { "custom_timeouts": [{}] } })).spec.client.custom_timeouts;
    assert_eq!(custom, [crds::CustomTimeouts::default()]);
}

#[test]
fn the_entity_is_described_as_in_otoroshi() {
    let json = json!({
        "_loc": { "tenant": "acme", "teams": ["default"] }, "id": "b1", "name": "Billing", "description": "bills",
        "tags": ["a"], "metadata": { "k": "v" }, "backend": {},
    });
    let entity = backend_from_json(&json).unwrap();
    assert_eq!(entity.key(dataplane_snapshot::Kind::Backend).to_string(), "backend/acme/b1");
    assert_eq!(entity.labels().get("komainu.dev/tenant").map(String::as_str), Some("acme"));
    assert_eq!(entity.spec.display_name.as_deref(), Some("Billing"));
    let written = backend_to_json(&entity);
    for field in ["_loc", "id", "name", "description", "tags", "metadata"] {
        assert_eq!(written[field], json[field], "{field}");
    }
}

#[test]
fn a_name_that_repeats_the_id_is_no_display_name() {
    let entity = backend_from_json(&json!({ "id": "b1", "name": "b1", "backend": {} })).unwrap();
    assert_eq!(entity.spec.display_name, None);
    assert_eq!(backend_to_json(&entity)["name"], "b1");
}

#[test]
fn identical_targets_are_one() {
    let a = json!({ "hostname": "a", "port": 80 });
    let again = json!({ "hostname": "a", "port": 80, "weight": 1, "id": "http://a:80" });
    let other = json!({ "hostname": "a", "port": 81 });
    assert_eq!(read(json!({ "targets": [a, again, other] })).spec.targets.len(), 2);
}

#[test]
fn a_target_without_an_id_is_called_by_its_address() {
    assert_eq!(target(json!({})).id, None);
    let json = written(
        json!({ "targets": [{ "hostname": "a", "port": 80, "tls": true, "ip_address": "10.0.0.7" }] }),
    );
    assert_eq!(json["targets"][0]["id"], "https://a@10.0.0.7:80");
}

#[test]
fn targets_are_read_as_leniently_as_in_otoroshi() {
    assert_eq!(target(json!({ "protocol": "http/2.0" })).protocol, Protocol::Http2);
    assert_eq!(target(json!({ "ip_address": " " })).ip_address, None);
    assert_eq!(target(json!({ "weight": 2.0 })).weight, 2);
    assert_eq!(target(json!({ "hostname": "[::1]" })).hostname.as_deref(), Some("::1"));
    assert_eq!(target(json!({ "tls_config": { "certId": "c" } })).tls_config.certs, ["c"]);
    let older =
        json!({ "mtls": true, "loose": true, "trustAll": true, "certs": ["c"], "trustedCerts": ["ca"] });
    for name in ["tls_config", "tlsConfig", "mtls_config", "mtlsConfig"] {
        let tls = target(json!({ name: older })).tls_config;
        assert!(tls.enabled && tls.loose && tls.trust_all, "{name}");
        assert_eq!((tls.certs, tls.trusted_certs), (vec!["c".to_owned()], vec!["ca".to_owned()]), "{name}");
    }
    let predicate = target(json!({ "predicate": { "type": "NetworkLocationMatch", "dc": "d*" } })).predicate;
    assert_eq!(
        (predicate.type_, predicate.data_center.as_deref()),
        (PredicateType::NetworkLocationMatch, Some("d*"))
    );
}

#[test]
fn a_url_stands_for_target_and_root() {
    for name in ["url", "target", "target_url"] {
        let spec = read(json!({ name: "https://api.internal/v1" })).spec;
        assert_eq!((spec.targets[0].port, spec.targets[0].tls, spec.root.as_str()), (Some(443), true, "/v1"));
    }
    let spec = read(json!({ "url": "http://[::1]:8080" })).spec;
    assert_eq!((spec.targets[0].hostname.as_deref(), spec.targets[0].port), (Some("::1"), Some(8080)));
    assert_eq!(spec.root, "/");
}

#[test]
fn custom_timeouts_have_their_own_defaults() {
    let spec = read(json!({ "client": { "custom_timeouts": [{ "path": "" }, { "path": "/slow*" }] } })).spec;
    let [blank, slow] = spec.client.custom_timeouts.as_slice() else { panic!("two") };
    assert_eq!(blank.path, "/*");
    assert_eq!(slow.call_and_stream_timeout, Duration::from_millis(3_600_000));
}

#[test]
fn an_empty_proxy_is_none() {
    assert_eq!(read(json!({ "client": { "proxy": {} } })).spec.client.proxy, None);
    let client = json!({ "proxy": { "host": "p", "port": 3128, "principal": "u", "password": "s", "protocol": "HTTPS" } });
    let json = written(json!({ "client": client }));
    assert_eq!(json["client"]["proxy"]["protocol"], "https");
    assert_eq!(json["client"]["proxy"]["password"], "s");
    assert_eq!(json["client"]["proxy"].get("passwordSecret"), None, "Otoroshi doesn't know it");
}

#[test]
fn what_otoroshi_does_not_know_of_a_proxy_is_kept() {
    let secret = json!({ "name": "proxy", "key": "password" });
    let proxy =
        json!({ "host": "p", "port": 1, "principal": "u", "protocol": "socks5", "passwordSecret": secret });
    let json = written(json!({ "client": { "proxy": proxy } }));
    assert_eq!(json["client"]["proxy"]["protocol"], "socks5");
    assert_eq!(json["client"]["proxy"]["passwordSecret"], secret);
}

#[test]
fn conditions_on_the_request_are_kept() {
    let predicate = json!({
        "type": "RequestMatch", "methods": ["GET"], "headers": [{ "name": "x-a", "type": "Present" }],
        "query": [{ "name": "q", "type": "Exact", "value": "1" }], "cookies": [], "client_cidrs": ["10.0.0.0/8"],
    });
    let target = json!({ "hostname": "a", "port": 80, "predicate": predicate });
    assert_eq!(written(json!({ "targets": [target] }))["targets"][0]["predicate"], predicate);
}

#[test]
fn parameters_of_load_balancing_are_kept() {
    for balancing in [
        json!({ "type": "WeightedBestResponseTime", "ratio": 0.33 }),
        json!({ "type": "HeaderHash", "header_name": "x-user" }),
        json!({ "type": "CookieHash", "cookie_name": "sid" }),
        json!({ "type": "Sticky", "cookie_name": "sid", "cookie_ttl": 86_400_000 }),
        json!({ "type": "QueryHash", "query_name": "u" }),
    ] {
        assert_eq!(written(json!({ "load_balancing": balancing }))["load_balancing"], balancing);
    }
}
