//! What one object can tell is refused by the rules in the schema, with a sentence that says what would be right. Here by an
//! implementation of CEL in Rust; the tests against a real API server check that it says the same.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::Validator;
use serde_json::{Value, json};

/// The schema of each kind, made once: there are many small checks.
fn schemas() -> &'static BTreeMap<String, Value> {
    static SCHEMAS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let schema = |crd: CustomResourceDefinition| {
            let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            (crd.spec.names.kind.clone(), serde_json::to_value(schema).unwrap())
        };
        crds::crds().into_iter().map(schema).collect()
    })
}

/// `place: message` of each rule that `spec` breaks.
fn broken(kind: &str, spec: Value) -> Vec<String> {
    let object = json!({ "apiVersion": "komainu.dev/v1alpha1", "kind": kind, "metadata": { "name": "a" }, "spec": spec });
    match Validator::new().validate(&schemas()[kind], &object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn backend(spec: Value) -> Vec<String> {
    broken("Backend", spec)
}

fn target(target: Value) -> Vec<String> {
    backend(json!({ "targets": [target] }))
}

fn route(route_match: Value) -> Vec<String> {
    broken("Route", json!({ "matches": [route_match], "backends": [{ "ref": { "name": "b" } }] }))
}

#[track_caller]
fn refused(broken: Vec<String>, place: &str, message: &str) {
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].contains(place), "{broken:?} isn't about {place}");
    assert!(broken[0].contains(message), "{broken:?} doesn't say {message:?}");
}

#[track_caller]
fn accepted(broken: Vec<String>) {
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn a_target_is_a_hostname_with_a_port_or_a_service() {
    let service = json!({ "name": "s", "port": 80 });
    accepted(target(json!({ "hostname": "a", "port": 80 })));
    accepted(target(json!({ "service": service })));
    refused(target(json!({})), "targets[0]", "either a hostname with a port, or a service");
    refused(
        target(json!({ "hostname": "a", "port": 1, "service": service }))[..1].to_vec(),
        "targets[0]",
        "either a hostname",
    );
    refused(target(json!({ "hostname": "a" })), "targets[0]", "needs a port, for instance port: 8080");
    refused(target(json!({ "service": service, "port": 80 })), "targets[0]", "write service.port");
    refused(target(json!({ "service": service, "ipAddress": "10.0.0.7" })), "targets[0]", "go with hostname");
}

#[test]
fn a_hostname_is_a_name_or_an_address() {
    for hostname in ["a", "api.internal", "a_b.c", "API", "10.0.0.7", "::1", "2001:db8::7"] {
        accepted(target(json!({ "hostname": hostname, "port": 80 })));
    }
    for hostname in ["http://a", "a:80", "a/b", "-a", "a b", "[::1]", "", "a."] {
        refused(
            target(json!({ "hostname": hostname, "port": 80 })),
            "hostname",
            "without scheme, port and path",
        );
    }
}

#[test]
fn an_ip_address_is_one() {
    accepted(target(json!({ "hostname": "a", "port": 80, "ipAddress": "10.0.0.7" })));
    accepted(target(json!({ "hostname": "a", "port": 80, "ipAddress": "2001:db8::7" })));
    refused(
        target(json!({ "hostname": "a", "port": 80, "ipAddress": "10.0.0" })),
        "ipAddress",
        "for instance 10.0.0.7",
    );
}

#[test]
fn target_ids_are_unique() {
    let with = |id: &str| json!({ "id": id, "hostname": "a", "port": 80 });
    let without = json!({ "hostname": "a", "port": 80 });
    accepted(backend(json!({ "targets": [with("a"), with("b"), without, without] })));
    refused(
        backend(json!({ "targets": [with("a"), without, with("a")] })),
        "targets",
        "two targets have the same id",
    );
}

#[test]
fn a_root_is_a_path() {
    for root in ["/", "/v1", "${req.path}", "/a/${req.pathparams.id}"] {
        accepted(backend(json!({ "root": root })));
    }
    refused(backend(json!({ "root": "v1" })), "root", "it starts with /");
}

#[test]
fn parameters_of_load_balancing_go_with_their_type() {
    for (name, type_, value) in [
        ("ratio", "WeightedBestResponseTime", json!(0.5)),
        ("headerName", "HeaderHash", json!("h")),
        ("cookieName", "CookieHash", json!("c")),
        ("queryName", "QueryHash", json!("q")),
        ("cookieTtl", "Sticky", json!("1h")),
    ] {
        accepted(backend(json!({ "loadBalancing": { "type": type_, name: value } })));
        let other = backend(json!({ "loadBalancing": { "type": "RoundRobin", name: value } }));
        refused(other, "loadBalancing", &format!("{name} only goes with type {type_}"));
    }
}

#[test]
fn the_cookie_of_sticky_has_a_name() {
    accepted(backend(json!({ "loadBalancing": { "type": "Sticky", "cookieName": "c", "cookieTtl": "0s" } })));
    refused(
        backend(json!({ "loadBalancing": { "type": "HeaderHash", "cookieName": "c" } })),
        "loadBalancing",
        "CookieHash or Sticky",
    );
}

#[test]
fn conditions_go_with_request_match() {
    for (name, value) in [
        ("methods", json!(["GET"])),
        ("headers", json!([{ "name": "x-a", "type": "Present" }])),
        ("query", json!([{ "name": "q", "value": "1" }])),
        ("cookies", json!([{ "name": "c", "type": "Absent" }])),
        ("clientCidrs", json!(["10.0.0.0/8"])),
    ] {
        let predicate = |type_: &str| {
            target(json!({ "hostname": "a", "port": 80, "predicate": { "type": type_, name: value } }))
        };
        accepted(predicate("RequestMatch"));
        refused(predicate("NetworkLocationMatch"), "predicate", "only go with type RequestMatch");
    }
}

#[test]
fn a_ratio_leaves_some_requests_to_the_others() {
    let ratio = |ratio: f64| {
        backend(json!({ "loadBalancing": { "type": "WeightedBestResponseTime", "ratio": ratio } }))
    };
    accepted(ratio(0.5));
    accepted(ratio(0.99));
    refused(ratio(0.991), "loadBalancing.ratio", "0 to 0.99");
}

#[test]
fn places_go_with_network_location_match() {
    for name in ["provider", "region", "zone", "dataCenter", "rack"] {
        let predicate = |type_: &str| {
            target(json!({ "hostname": "a", "port": 80, "predicate": { "type": type_, name: "x" } }))
        };
        accepted(predicate("NetworkLocationMatch"));
        refused(predicate("AlwaysMatch"), "predicate", "only go with type NetworkLocationMatch");
    }
}

#[test]
fn an_enabled_health_check_needs_a_url() {
    accepted(backend(json!({ "healthCheck": { "enabled": false } })));
    accepted(backend(json!({ "healthCheck": {} })));
    for url in ["/health", "http://a/health", "https://a"] {
        accepted(backend(json!({ "healthCheck": { "enabled": true, "url": url } })));
    }
    refused(
        backend(json!({ "healthCheck": { "enabled": true } })),
        "healthCheck",
        "needs a url, for instance /health",
    );
    refused(backend(json!({ "healthCheck": { "url": "health" } })), "url", "a path such as /health");
    accepted(backend(json!({ "healthCheck": { "enabled": true, "type": "Tcp" } })));
    refused(
        backend(json!({ "healthCheck": { "enabled": true, "type": "Http" } })),
        "healthCheck",
        "needs a url",
    );
}

#[test]
fn a_health_check_keeps_to_its_type_and_bounds() {
    let check =
        |field: &str, value: Value| backend(json!({ "healthCheck": { "type": "Tcp", field: value } }));
    refused(check("url", json!("/health")), "healthCheck", "url only goes with type Http");
    refused(
        check("healthyStatuses", json!([200])),
        "healthCheck",
        "unhealthyStatuses only go with type Http",
    );
    refused(check("unhealthyStatuses", json!([200])), "healthCheck", "only go with type Http");
    refused(check("healthyRegexChecks", json!(["a"])), "healthCheck", "only go with type Http");
    refused(check("unhealthyRegexChecks", json!(["a"])), "healthCheck", "only go with type Http");
    refused(check("blockOnRed", json!(true)), "healthCheck", "blockOnRed only goes with type Http");
    refused(check("service", json!("a")), "healthCheck", "service only goes with type Grpc");
    let grpc = json!({ "enabled": true, "type": "Grpc", "service": "users.v1.Users" });
    accepted(backend(json!({ "healthCheck": grpc })));
    accepted(check("blockOnRed", json!(false)));
    accepted(check("healthyStatuses", json!([])));
    for interval in ["100ms", "1m30s", "1h"] {
        accepted(check("interval", json!(interval)));
    }
    for interval in ["99ms", "1h1ms", "0s"] {
        refused(check("interval", json!(interval)), "interval", "interval is 100ms to 1h");
    }
    accepted(check("timeout", json!("1ms")));
    refused(check("timeout", json!("0s")), "timeout", "timeout is 1ms to 10m");
}

#[test]
fn a_password_needs_a_principal() {
    let proxy = |proxy: Value| backend(json!({ "client": { "proxy": proxy } }));
    accepted(proxy(json!({ "host": "p", "port": 1, "principal": "u", "password": "s" })));
    refused(proxy(json!({ "host": "p", "port": 1, "password": "s" })), "proxy", "needs a principal");
    let secret = json!({ "name": "s", "key": "k" });
    accepted(proxy(json!({ "host": "p", "port": 1, "principal": "u", "passwordSecret": secret })));
    refused(proxy(json!({ "host": "p", "port": 1, "passwordSecret": secret })), "proxy", "needs a principal");
    let both = json!({ "host": "p", "port": 1, "principal": "u", "password": "s", "passwordSecret": secret });
    refused(proxy(both), "proxy", "not both");
}

#[test]
fn metadata_has_short_keys() {
    accepted(backend(json!({ "metadata": { "a".repeat(128): "v" } })));
    refused(backend(json!({ "metadata": { "a".repeat(129): "v" } })), "metadata", "at most 128 characters");
}

#[test]
fn a_hostname_of_a_route_is_exact_or_starts_with_a_wildcard() {
    for hostname in ["a", "api.example.com", "*.example.com", "xn--bcher-kva.example", "10.0.0.7"] {
        accepted(route(json!({ "hostnames": [hostname] })));
    }
    for hostname in
        ["*", "a.*.com", "*a.com", "**.com", "A.com", "a.com:80", "http://a", "a..b", "a.", "-a", ".a", "a/b"]
    {
        refused(
            route(json!({ "hostnames": ["ok.test", hostname] })),
            "hostnames[1]",
            "api.example.com or *.example.com",
        );
    }
}

#[test]
fn a_path_starts_with_a_slash() {
    accepted(route(json!({ "paths": [{ "value": "/api/users/$id<[0-9]+>/bills" }] })));
    refused(route(json!({ "paths": [{ "value": "api" }] })), "paths[0].value", "starts with /");
}

#[test]
fn presence_has_no_value_and_the_others_need_one() {
    for kind in ["headers", "query", "cookies"] {
        let conditions = |type_: &str, value: Option<&str>| {
            let mut condition = json!({ "name": "n", "type": type_ });
            condition.as_object_mut().unwrap().extend(value.map(|value| ("value".to_owned(), json!(value))));
            route(json!({ kind: [condition] }))
        };
        for type_ in ["Present", "Absent"] {
            accepted(conditions(type_, None));
            refused(conditions(type_, Some("v")), &format!("{kind}[0]"), "leave value out");
        }
        for type_ in ["Exact", "Regex", "Wildcard"] {
            accepted(conditions(type_, Some("v")));
            refused(conditions(type_, None), &format!("{kind}[0]"), "need a value to compare with");
        }
    }
}

#[test]
fn a_header_name_is_a_token() {
    let header = |name: &str| route(json!({ "headers": [{ "name": name, "type": "Present" }] }));
    accepted(header("X-Version_1.0"));
    for name in ["x version", "x:y", "é", ":path"] {
        refused(header(name), "headers", "a header's name has only letters");
    }
    accepted(route(json!({ "query": [{ "name": "any thing", "type": "Present" }] })));
}

#[test]
fn a_destination_is_referred_to_or_inline() {
    let backends = |backend: Value| broken("Route", json!({ "matches": [{}], "backends": [backend] }));
    let (reference, inline) = (json!({ "name": "b" }), json!({ "targets": [] }));
    accepted(backends(json!({ "ref": reference })));
    accepted(backends(json!({ "inline": inline })));
    refused(backends(json!({})), "backends[0]", "exactly one of them");
    refused(backends(json!({ "ref": reference, "inline": inline })), "backends[0]", "exactly one of them");
}

#[test]
fn an_inline_backend_has_the_rules_of_a_backend() {
    let inline = json!({ "root": "v1" });
    let broken = broken("Route", json!({ "matches": [{}], "backends": [{ "inline": inline }] }));
    refused(broken, "backends[0].inline.root", "it starts with /");
}

#[test]
fn a_route_needs_matches_and_backends() {
    let (matches, backends) = (json!([{}]), json!([{ "ref": { "name": "b" } }]));
    accepted(broken("Route", json!({ "matches": matches, "backends": backends })));
    refused(broken("Route", json!({ "backends": backends })), "spec", "a route needs matches");
    refused(broken("Route", json!({ "matches": matches })), "spec", "a route needs backends");
}

fn filters(filters: Value) -> Vec<String> {
    let backends = json!([{ "ref": { "name": "b" } }]);
    broken("Route", json!({ "matches": [{}], "backends": backends, "filters": filters }))
}

fn answering(filters: Value) -> Vec<String> {
    broken("Route", json!({ "matches": [{}], "filters": filters }))
}

#[test]
fn a_route_that_answers_by_itself_has_no_backends() {
    for filter in [json!({ "requestRedirect": { "scheme": "https" } }), json!({ "directResponse": {} })] {
        accepted(answering(filter.clone()));
        refused(filters(filter), "spec", "leave backends out");
    }
    refused(answering(json!({})), "spec", "a route needs backends");
    let both = json!({ "requestRedirect": { "port": 1 }, "directResponse": {} });
    refused(answering(both), "filters", "write only one of them");
}

#[test]
fn a_redirect_leads_elsewhere() {
    let redirect = |redirect: Value| answering(json!({ "requestRedirect": redirect }));
    accepted(redirect(json!({ "location": "https://a.test/", "statusCode": 301 })));
    accepted(redirect(json!({ "path": { "replaceFullPath": "/a" } })));
    refused(redirect(json!({})), "requestRedirect", "otherwise it leads to itself");
    refused(redirect(json!({ "location": "/a", "port": 1 })), "requestRedirect", "location is the whole URL");
    refused(
        redirect(json!({ "port": 1, "statusCode": 304 })),
        "requestRedirect",
        "301, 302, 303, 307 or 308",
    );
    refused(redirect(json!({ "path": {} })), "requestRedirect.path", "exactly one of them");
    refused(redirect(json!({ "path": { "replaceFullPath": "a" } })), "replaceFullPath", "starts with /");
}

#[test]
fn cors_names_origins() {
    let cors = |cors: Value| filters(json!({ "cors": cors }));
    accepted(cors(json!({ "allowOrigins": ["*"] })));
    accepted(cors(json!({ "allowOrigins": ["https://a.test"], "allowCredentials": true })));
    refused(cors(json!({})), "cors", "needs allowOrigins");
    refused(cors(json!({ "allowOrigins": ["*"], "allowCredentials": true })), "cors", "name the origins");
    refused(cors(json!({ "allowOrigins": ["*", "https://a.test"] })), "cors", "leave the others out");
    for list in ["allowMethods", "allowHeaders", "exposeHeaders"] {
        let with = |credentials: bool| {
            cors(json!({ "allowOrigins": ["https://a.test"], list: ["*"], "allowCredentials": credentials }))
        };
        accepted(with(false));
        refused(with(true), "cors", "list the methods and headers");
    }
    refused(
        cors(json!({ "allowOrigins": ["*"], "allowHeaders": ["a b"] })),
        "allowHeaders[0]",
        "only letters",
    );
}

#[test]
fn rate_limits_have_a_key_and_a_period_of_their_own() {
    let limits = |limits: Value| filters(json!({ "rateLimits": limits }));
    let of = |key: Value| limits(json!([{ "requests": 9, "per": "Day", "key": key }]));
    accepted(limits(json!([
        { "requests": 100, "per": "Second" },
        { "requests": 1000, "per": "Minute", "burst": 50, "key": { "type": "ClientAddress" } },
        { "requests": 10000, "per": "Day", "key": { "type": "Header", "name": "x-api-key" } },
        { "requests": 100000, "per": "Month", "key": { "type": "Cookie", "name": "session" } },
        { "requests": 9, "per": "Second", "key": { "type": "Header", "name": "a" } },
        { "requests": 9, "per": "Second", "key": { "type": "Header", "name": "b" } },
        { "requests": 9, "per": "Second", "key": { "type": "Cookie", "name": "a" } },
        { "requests": 9, "per": "Second", "key": { "type": "ClientAddress" } },
    ])));
    refused(
        of(json!({ "type": "ClientAddress", "name": "a" })),
        "key",
        "only goes with type Header or Cookie",
    );
    for type_ in ["Header", "Cookie"] {
        refused(of(json!({ "type": type_ })), "key", "need a name, for instance x-api-key");
        refused(of(json!({ "type": type_, "name": "a b" })), "name", "a name has only letters");
    }
    let key = json!({ "type": "Header", "name": "a" });
    for key in [Value::Null, json!({ "type": "ClientAddress" }), key] {
        let mut limit = json!({ "requests": 9, "per": "Day" });
        limit.as_object_mut().unwrap().extend((!key.is_null()).then(|| ("key".to_owned(), key)));
        refused(limits(json!([limit, limit])), "rateLimits", "the same key and period");
    }
}

#[test]
fn a_burst_is_a_part_of_a_short_period() {
    let limit = |per: &str, burst: u32| {
        filters(json!({ "rateLimits": [{ "requests": 9, "per": per, "burst": burst }] }))
    };
    for per in ["Second", "Minute"] {
        accepted(limit(per, 9));
        refused(limit(per, 10), "rateLimits[0]", "write at most as many");
    }
    for per in ["Day", "Month"] {
        refused(limit(per, 1), "rateLimits[0]", "burst only goes with per: Second or Minute");
    }
}

#[test]
fn filters_say_something() {
    refused(filters(json!({ "ipAccess": {} })), "ipAccess", "needs allow or deny");
    refused(filters(json!({ "limits": {} })), "limits", "needs maxBodyBytes");
    refused(filters(json!({ "urlRewrite": {} })), "urlRewrite", "needs hostname");
    accepted(filters(json!({ "limits": { "maxHeaders": 1 }, "ipAccess": { "deny": ["10.0.0.0/8"] } })));
}

#[test]
fn some_statuses_have_no_body() {
    let answer =
        |status: u16, body: &str| answering(json!({ "directResponse": { "status": status, "body": body } }));
    accepted(answer(200, "x"));
    accepted(answer(204, ""));
    accepted(answering(json!({ "directResponse": { "body": "x" } })));
    for status in [204, 205, 304] {
        refused(answer(status, "x"), "directResponse", "has no body");
    }
}

#[test]
fn only_a_backend_of_its_own_allows_namespaces() {
    let inline = |namespaces: Value| {
        let inline = json!({ "targets": [{ "hostname": "a", "port": 80 }], "allowedNamespaces": namespaces });
        broken("Route", json!({ "matches": [{}], "backends": [{ "inline": inline }] }))
    };
    accepted(inline(json!([])));
    refused(inline(json!(["team-a"])), "backends[0]", "goes with a Backend of its own");
}

#[test]
fn mirrors_name_backends_and_shares() {
    let mirror = |share: Value| {
        let mut mirror = json!({ "ref": { "name": "b" } });
        mirror.as_object_mut().unwrap().extend(share.as_object().unwrap().clone());
        filters(json!({ "requestMirrors": [mirror] }))
    };
    for share in [json!({}), json!({ "percent": 0 }), json!({ "fraction": { "numerator": 1 } })] {
        accepted(mirror(share));
    }
    accepted(mirror(json!({ "fraction": { "numerator": 1000, "denominator": 1000 } })));
    for (numerator, denominator) in [(101, None), (3, Some(2)), (1, Some(0))] {
        let mut fraction = json!({ "numerator": numerator });
        if let Some(denominator) = denominator {
            fraction["denominator"] = denominator.into();
        }
        refused(mirror(json!({ "fraction": fraction })), "fraction", "a fraction is at most 1");
    }
    let both = json!({ "percent": 1, "fraction": { "numerator": 1 } });
    refused(mirror(both), "requestMirrors[0]", "write only one of them");
    let mirrors = json!([{ "ref": { "name": "b" } }]);
    let redirect = answering(json!({ "requestMirrors": mirrors, "requestRedirect": { "port": 1 } }));
    refused(redirect, "filters", "leave requestMirrors out");
}

#[test]
fn modified_headers_have_names() {
    for list in ["set", "add", "setIfMissing"] {
        let with = |name: &str| {
            filters(json!({ "requestHeaderModifier": { list: [{ "name": name, "value": "v" }] } }))
        };
        accepted(with("X-A"));
        refused(with("X A"), list, "a header's name has only letters");
    }
    refused(filters(json!({ "responseHeaderModifier": { "remove": ["X A"] } })), "remove[0]", "only letters");
}

#[test]
fn one_host_is_sent() {
    let with = |override_host: bool| {
        let (backends, rewrite) =
            (json!([{ "ref": { "name": "b" } }]), json!({ "urlRewrite": { "hostname": "a" } }));
        let spec = json!({
            "matches": [{}], "backends": backends, "filters": rewrite, "overrideHost": override_host,
        });
        broken("Route", spec)
    };
    accepted(with(false));
    refused(with(true), "spec", "write only one of them");
}

#[test]
fn durations_have_units() {
    for duration in ["250ms", "2s", "1m30s", "1h", "0s"] {
        accepted(backend(json!({ "client": { "callTimeout": duration } })));
    }
    for duration in ["", "2", "1.5s", "2 s", "2sec", "-1s", "100000ms", "1s1s1s1s1s"] {
        refused(
            backend(json!({ "client": { "callTimeout": duration } })),
            "client.callTimeout",
            "for instance 250ms",
        );
    }
    refused(
        backend(json!({ "client": { "customTimeouts": [{ "idleTimeout": "2" }] } })),
        "idleTimeout",
        "250ms",
    );
}

#[test]
fn methods_are_upper_case() {
    accepted(route(json!({ "methods": ["GET", "M-SEARCH"] })));
    refused(route(json!({ "methods": ["get"] })), "methods[0]", "upper-case, for instance GET");
}
