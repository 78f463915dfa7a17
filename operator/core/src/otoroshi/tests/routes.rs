use crds::{
    Condition, ConditionType, HeaderModifier, HeaderValue, PathMatch, PathType, RouteFilters, RouteMatch,
    RouteSpec,
};
use serde_json::{Value, json};

use crate::otoroshi::*;

fn json(frontend: Value) -> Value {
    json!({ "id": "r1", "name": "R", "frontend": frontend, "backend_ref": "b1" })
}

fn read(frontend: Value) -> RouteSpec {
    route_from_json(&json(frontend)).unwrap().spec
}

fn refused(json: &Value) -> Vec<String> {
    route_from_json(json).unwrap_err().into_iter().map(|problem| problem.field).collect()
}

fn with(name: &str, value: Value) -> Value {
    let mut json = json(json!({ "domains": ["a.test"] }));
    json[name] = value;
    json
}

fn paths(type_: PathType, values: &[&str]) -> Vec<PathMatch> {
    values.iter().map(|value| PathMatch { type_, value: (*value).to_owned() }).collect()
}

fn route_match(hostnames: &[&str], paths: Vec<PathMatch>) -> RouteMatch {
    RouteMatch {
        hostnames: hostnames.iter().map(|host| (*host).to_owned()).collect(),
        paths,
        ..RouteMatch::default()
    }
}

#[test]
fn domains_are_pairs_of_host_and_path() {
    let prefix = |values: &[&str]| paths(PathType::Prefix, values);
    for (domains, expected) in [
        (json!(["A.test"]), vec![route_match(&["a.test"], vec![])]),
        (json!(["a.test/"]), vec![route_match(&["a.test"], prefix(&["/"]))]),
        (
            json!(["a.test/x", "b.test/y"]),
            vec![route_match(&["a.test"], prefix(&["/x"])), route_match(&["b.test"], prefix(&["/y"]))],
        ),
        (
            json!(["a.test/x", "b.test/x", "a.test/y", "b.test/y"]),
            vec![route_match(&["a.test", "b.test"], prefix(&["/x", "/y"]))],
        ),
        (
            json!(["a.test", "a.test/x"]),
            vec![route_match(&["a.test"], vec![]), route_match(&["a.test"], prefix(&["/x"]))],
        ),
        (
            json!(["*/x", "*.a.test/$id<[0-9]+/2>/:b"]),
            vec![
                route_match(&[], prefix(&["/x"])),
                route_match(&["*.a.test"], prefix(&["/$id<[0-9]+/2>/:b"])),
            ],
        ),
        (
            json!(["*/x", "a.test/x", "*/y"]),
            vec![route_match(&[], prefix(&["/x", "/y"])), route_match(&["a.test"], prefix(&["/x"]))],
        ),
        (
            json!(["*/x", "a.test/x"]),
            vec![route_match(&[], prefix(&["/x"])), route_match(&["a.test"], prefix(&["/x"]))],
        ),
        (json!(["a.test/x", "a.test/x"]), vec![route_match(&["a.test"], prefix(&["/x"]))]),
    ] {
        assert_eq!(read(json!({ "domains": domains })).matches, expected, "{domains}");
    }
    assert_eq!(read(json!({ "domain": "a.test" })).matches, [route_match(&["a.test"], vec![])]);
}

#[test]
fn exact_makes_every_path_exact() {
    let matches = read(json!({ "domains": ["a.test/x", "b.test"], "exact": true })).matches;
    assert_eq!(
        matches,
        [
            route_match(&["a.test"], paths(PathType::Exact, &["/x"])),
            route_match(&["b.test"], paths(PathType::Exact, &["/"])),
        ]
    );
}

#[test]
fn a_value_says_how_it_is_compared() {
    let headers = json!({
        "a": "v", "b": "Regex(x(y)+)", "c": "Wildcard(a*)", "d": "Exists()", "e": "IsDefined()", "f": "NotDefined()",
        "g": "Regex(",
    });
    let conditions = read(json!({ "domains": ["a.test"], "headers": headers })).matches.remove(0).headers;
    let expected = [
        ("a", ConditionType::Exact, Some("v")),
        ("b", ConditionType::Regex, Some("x(y)+")),
        ("c", ConditionType::Wildcard, Some("a*")),
        ("d", ConditionType::Present, None),
        ("e", ConditionType::Present, None),
        ("f", ConditionType::Absent, None),
        ("g", ConditionType::Exact, Some("Regex(")),
    ]
    .map(|(name, type_, value)| Condition {
        name: name.to_owned(),
        type_,
        value: value.map(str::to_owned),
    });
    assert_eq!(conditions, expected);
}

#[test]
fn conditions_hold_for_every_domain() {
    let frontend = json!({
        "domains": ["a.test/x", "b.test/y"], "methods": ["GET"], "query": { "q": "1" }, "cookies": { "c": "2" },
        "strip_path": false,
    });
    let spec = read(frontend);
    assert!(!spec.strip_path);
    assert_eq!(spec.matches.len(), 2);
    for route_match in &spec.matches {
        assert_eq!(route_match.methods, ["GET"]);
        assert_eq!((route_match.query.len(), route_match.cookies.len()), (1, 1));
    }
}

#[test]
fn a_route_as_otoroshi_writes_it_comes_back() {
    let route = json!({
        "_loc": { "tenant": "default", "teams": ["default"] },
        "id": "r1", "name": "R", "description": "", "tags": [], "metadata": {},
        "enabled": true, "debug_flow": false, "capture": false, "export_reporting": false,
        "groups": ["default"], "bound_listeners": ["internal"],
        "frontend": {
            "domains": ["a.test/api/$id<[0-9]+>", "b.test/api/$id<[0-9]+>"], "strip_path": true, "exact": false,
            "headers": { "x-version": "Regex(v[12])" }, "query": {}, "cookies": {}, "methods": ["GET"],
        },
        "backend": null, "backend_ref": "b1",
        "plugins": [{
            "plugin": "cp:otoroshi.next.plugins.OverrideHost", "enabled": true, "debug": false, "include": [],
            "exclude": [], "config": {}, "bound_listeners": [],
        }],
    });
    let entity = route_from_json(&route).unwrap();
    assert!(entity.spec.override_host);
    assert_eq!(route_to_json(&entity), route, "no extension is needed");
}

#[test]
fn a_reference_wins_over_the_copy_beside_it() {
    let spec = route_from_json(&with("backend", json!({ "targets": "anything" }))).unwrap().spec;
    assert_eq!(spec.backends[0].reference.as_ref().map(|reference| reference.name.as_str()), Some("b1"));
    assert_eq!(spec.backends[0].inline, None);
}

#[test]
fn an_inline_backend_is_read_as_a_stored_one() {
    let mut json = with("backend", json!({ "targets": [{ "hostname": "a", "port": 80 }], "root": "/v1" }));
    json["backend_ref"] = Value::Null;
    let spec = route_from_json(&json).unwrap().spec;
    assert_eq!(spec.backends[0].inline.as_ref().map(|inline| inline.root.as_str()), Some("/v1"));
    json["backend"]["surprise"] = json!(1);
    assert_eq!(refused(&json), ["backend.surprise"]);
}

#[test]
fn what_otoroshi_has_no_words_for_is_beside_its_form() {
    let mut entity = route_from_json(&json(json!({ "domains": ["a.test/x", "b.test/y"] }))).unwrap();
    entity.spec.matches[1].methods = vec!["GET".to_owned()];
    entity.spec.backends[0].weight = 3;
    let written = route_to_json(&entity);
    assert_eq!(written["frontend"]["domains"], json!(["a.test/x", "b.test/y"]));
    assert_eq!(written["komainu"]["matches"][1]["methods"], json!(["GET"]));
    assert_eq!(written["komainu"]["backends"][0]["weight"], 3);
    assert_eq!(route_from_json(&written), Ok(entity));
}

#[test]
fn an_edit_beside_the_extension_is_refused_rather_than_lost() {
    let mut entity = route_from_json(&json(json!({ "domains": ["a.test/x", "b.test/y"] }))).unwrap();
    entity.spec.matches[1].methods = vec!["GET".to_owned()];
    entity.spec.backends[0].weight = 3;
    let written = route_to_json(&entity);
    let mut edited = written.clone();
    edited["frontend"]["domains"] = json!(["c.test"]);
    assert_eq!(refused(&edited), ["frontend"]);
    let mut edited = written.clone();
    edited["backend_ref"] = json!("b2");
    assert_eq!(refused(&edited), ["backend"]);
    let mut edited = written;
    edited["komainu"]["surprise"] = json!(1);
    assert_eq!(refused(&edited), ["komainu.surprise"]);
}

#[test]
fn plugins_are_refused_by_name_but_the_one_that_exists_here() {
    let slot = |fields: Value| {
        let mut slot = json!({ "plugin": "cp:otoroshi.next.plugins.OverrideHost" });
        slot.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        slot
    };
    let plugins =
        |plugins: Value| route_from_json(&with("plugins", plugins)).map(|entity| entity.spec.override_host);
    assert_eq!(plugins(json!([])), Ok(false));
    assert_eq!(plugins(json!([slot(json!({ "plugin_index": { "transform_request": 0 } }))])), Ok(true));
    assert_eq!(plugins(json!([slot(json!({ "enabled": false }))])), Ok(false));
    assert_eq!(plugins(json!({ "slots": [slot(json!({}))] })), Ok(true));
    for name in ["Jwt", "NgTrafficMirroring"] {
        let plugin = format!("cp:otoroshi.next.plugins.{name}");
        let problems = plugins(json!([slot(json!({ "plugin": plugin, "config": { "a": 1 } }))])).unwrap_err();
        assert_eq!((problems.len(), &*problems[0].field), (1, "plugins[0].plugin"));
        assert!(problems[0].message.contains(name), "{problems:?}");
    }
    for (name, value) in [("debug", json!(true)), ("include", json!(["/a"])), ("config", json!({ "a": 1 }))] {
        assert_eq!(
            refused(&with("plugins", json!([slot(json!({ name: value }))]))),
            [format!("plugins[0].{name}")]
        );
    }
}

fn plugin(name: &str, config: Value) -> Value {
    json!({
        "plugin": format!("cp:otoroshi.next.plugins.{name}"), "enabled": true, "debug": false, "include": [],
        "exclude": [], "config": config, "bound_listeners": [],
    })
}

#[test]
fn plugins_that_are_filters_come_back_as_they_were() {
    let cors = json!({
        "allow_origin": "https://a.test", "expose_headers": ["x-a"], "allow_headers": ["x-b"], "allow_methods": ["PUT"],
        "excluded_patterns": [], "max_age": 60, "allow_credentials": true,
    });
    let slots = json!([
        plugin("OverrideHost", json!({})),
        plugin("IpAddressAllowedList", json!({ "addresses": ["10.0.0.0/8"] })),
        plugin("IpAddressBlockList", json!({ "addresses": ["10.0.0.7"] })),
        plugin("Cors", cors),
        plugin("AdditionalHeadersIn", json!({ "headers": { "a": "1", "b": "2" } })),
        plugin("MissingHeadersIn", json!({ "headers": { "c": "3" } })),
        plugin("RemoveHeadersIn", json!({ "header_names": ["d"] })),
        plugin("AdditionalHeadersOut", json!({ "headers": { "e": "4" } })),
        plugin("MissingHeadersOut", json!({ "headers": { "f": "5" } })),
        plugin("RemoveHeadersOut", json!({ "header_names": ["g"] })),
    ]);
    let entity = route_from_json(&with("plugins", slots.clone())).unwrap();
    let filters = entity.spec.filters.clone().unwrap();
    assert_eq!(filters.request_header_modifier.unwrap().set[1].value, "2");
    assert_eq!(filters.ip_access.unwrap().deny, ["10.0.0.7"]);
    let written = route_to_json(&entity);
    assert_eq!((&written["plugins"], written.get("komainu")), (&slots, None), "no extension is needed");
    assert_eq!(route_from_json(&written), Ok(entity));
}

#[test]
fn a_redirection_needs_no_backend() {
    let slots = json!([plugin("Redirection", json!({ "code": 301, "to": "https://a.test/" }))]);
    let mut json = with("plugins", slots.clone());
    json["backend_ref"] = Value::Null;
    let entity = route_from_json(&json).unwrap();
    assert_eq!(entity.spec.backends, []);
    let redirect = entity.spec.filters.clone().unwrap().request_redirect.unwrap();
    assert_eq!((redirect.location.as_deref(), redirect.status_code), (Some("https://a.test/"), 301));
    assert_eq!(route_to_json(&entity)["plugins"], slots);
    assert_eq!(
        refused(&with("plugins", json!([plugin("Redirection", json!({}))]))),
        ["plugins[0].config.to"]
    );
}

#[test]
fn a_filter_without_a_plugin_is_beside_the_form() {
    let mut entity = route_from_json(&with("plugins", json!([]))).unwrap();
    let add = vec![HeaderValue { name: "a".to_owned(), value: "1".to_owned() }];
    let modifier = HeaderModifier { add, remove: vec!["b".to_owned()], ..HeaderModifier::default() };
    entity.spec.filters =
        Some(RouteFilters { request_header_modifier: Some(modifier), ..RouteFilters::default() });
    let written = route_to_json(&entity);
    assert_eq!(written["plugins"], json!([plugin("RemoveHeadersIn", json!({ "header_names": ["b"] }))]));
    assert_eq!(written["komainu"]["filters"]["requestHeaderModifier"]["add"][0]["value"], "1");
    assert_eq!(route_from_json(&written), Ok(entity));
    let mut edited = written;
    edited["plugins"] = json!([]);
    assert_eq!(refused(&edited), ["plugins"]);
}

#[test]
fn a_plugin_that_is_repeated_or_disabled_is_refused() {
    let remove = plugin("RemoveHeadersIn", json!({ "header_names": ["b"] }));
    assert_eq!(refused(&with("plugins", json!([remove, remove]))), ["plugins[1].plugin"]);
    let mut disabled = remove;
    disabled["enabled"] = json!(false);
    assert_eq!(refused(&with("plugins", json!([disabled]))), ["plugins[0].enabled"]);
}

#[test]
fn what_a_route_can_not_do_yet_is_refused_by_name() {
    for name in ["debug_flow", "capture", "export_reporting"] {
        assert_eq!(refused(&with(name, json!(true))), [name]);
        route_from_json(&with(name, json!(false))).unwrap();
    }
    assert_eq!(refused(&with("groups", json!(["a"]))), ["groups"]);
    assert_eq!(refused(&with("surprise", json!(1))), ["surprise"]);
    assert_eq!(refused(&json(json!({ "domains": ["a.*.test"] }))), ["frontend.domains[0]"]);
    assert_eq!(refused(&json(json!({ "domains": ["/x"] }))), ["frontend.domains[0]"]);
    assert_eq!(refused(&json(json!({ "domains": [] }))), ["frontend.domains"]);
    assert_eq!(refused(&json(json!({ "domains": ["a.test"], "headers": { "a": 1 } }))), ["frontend.headers"]);
    assert_eq!(refused(&json!({ "id": "r1", "name": "R" })), ["frontend", "backend"]);
}
