use dataplane_snapshot::wire;

use super::{compile, goes_from, goes_to, router};
use crate::sample::{Head, endpoints, key, object, on, route, rule, with_header};
use crate::{BackendStates, Decision, Router, sample};

fn held(name: &str, reason: &str, matches: Option<Vec<wire::Match>>) -> dataplane_snapshot::Object {
    let route = matches.map(|matches| wire::Route { rules: vec![rule(matches)], ..Default::default() });
    object(
        &format!("route/default/{name}"),
        wire::Payload::Held(wire::Held { reason: reason.to_owned(), route }),
    )
}

#[test]
fn the_most_specific_host_wins_and_falls_through() {
    let router = router([
        route("exact", vec![on("a.example.com", "/exact")]),
        route("long", vec![on("*.a.example.com", "/"), on("*.example.com", "/long")]),
        route("short", vec![on("*.com", "/short")]),
        route("any", vec![on("", "/any")]),
    ]);
    for (host, path, expected) in [
        ("a.example.com", "/exact", "exact"),
        ("a.example.com", "/long", "long"),
        ("a.example.com", "/short", "short"),
        ("a.example.com", "/any", "any"),
        ("a.example.com", "/none", "-"),
        ("x.y.a.example.com", "/any", "long"),
        ("example.com", "/long", "-"),
        ("b.example.com.", "/long", "long"),
        ("example.com", "/short", "short"),
        (".com", "/short", "-"),
        ("", "/any", "any"),
    ] {
        assert_eq!(goes_to(&router, &Head::get(path).host(host)), expected, "{host}{path}");
    }
}

#[test]
fn a_more_specific_path_that_fails_deeper_is_left_again() {
    let router = router([
        route("literal", vec![on("", "/a/b/=")]),
        route("regex", vec![on("", "/a/$x<[a-c]>/d")]),
        route("parameter", vec![on("", "/a/:x/:y/e")]),
        route("glob", vec![on("", "/a/b*/f")]),
        route("star", vec![on("", "/a/*")]),
        route("exact", vec![on("", "=/a/")]),
        route("prefix", vec![on("", "/a")]),
    ]);
    for (path, expected) in [
        ("/a/b/=", "literal"),
        ("/a/b/d", "regex"),
        ("/a/b/d/e", "regex"),
        ("/a/b/c/e", "parameter"),
        ("/a/b/f", "glob"),
        ("/a/b", "star"),
        ("/a/", "exact"),
        ("/a", "prefix"),
        ("//a//", "exact"),
        ("/b", "-"),
    ] {
        assert_eq!(goes_to(&router, &Head::get(path)), expected, "{path}");
    }
}

#[test]
fn conditions_and_precedence_decide_between_equal_paths() {
    let placed =
        |precedence: u8, given: wire::Match| wire::Match { precedence: vec![precedence].into(), ..given };
    let post = wire::Match { methods: vec!["POST".to_owned()], ..on("", "/") };
    let router = router([
        route("a", vec![placed(9, on("", "/"))]),
        route("b", vec![placed(2, with_header("x-a", "1", on("", "/")))]),
        route("c", vec![placed(1, with_header("x-b", "1", with_header("x-a", "1", on("", "/"))))]),
        route("d", vec![placed(3, post)]),
    ]);
    let mut head = Head::get("/x");
    assert_eq!(goes_to(&router, &head), "a");
    head.method = "POST".to_owned();
    assert_eq!(goes_to(&router, &head), "d");
    head = head.header("x-a", "1");
    assert_eq!(goes_to(&router, &head), "b");
    assert_eq!(goes_to(&router, &head.header("x-b", "1")), "c");
}

#[test]
fn a_route_is_at_its_listeners_only() {
    let of = |listeners: &[&str], matches| wire::Route {
        listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
        rules: vec![rule(matches)],
        ..Default::default()
    };
    let router = router([
        object("route/default/here", wire::Payload::Route(of(&["http"], vec![on("a.test", "/")]))),
        object("route/default/both", wire::Payload::Route(of(&["http", "other"], vec![on("", "/")]))),
        object("route/default/gone", wire::Payload::Route(of(&["no-such"], vec![on("", "/x")]))),
    ]);
    let head = Head::get("/x").host("a.test");
    assert_eq!(goes_from(&router, "http", &head), "here");
    assert_eq!(goes_from(&router, "other", &head), "both");
    assert_eq!(router.listeners().map(|listener| &*listener.name).collect::<Vec<_>>(), ["http", "other"]);
    assert_eq!(router.listener_id("gone"), None);
}

#[test]
fn held_routes_take_part_in_matching() {
    let router = router([
        route("any", vec![on("", "/")]),
        held("held", "no backend called x", Some(vec![on("", "/held")])),
        held("placeless", "not even a path", None),
    ]);
    assert_eq!(goes_to(&router, &Head::get("/held/x")), "held: no backend called x");
    assert_eq!(goes_to(&router, &Head::get("/x")), "any");
}

#[test]
fn a_match_gives_all_that_forwarding_needs() {
    let mut rule = rule(vec![on("", "/api/$id<[0-9]+>/bills")]);
    rule.filters = vec![wire::FilterKind::StripPath.into()];
    rule.destinations[0].filters = vec![wire::FilterKind::OverrideHost.into()];
    let route = wire::Route { rules: vec![rule], ..Default::default() };
    let router = router([object("route/default/r", wire::Payload::Route(route))]);
    let head = Head::get("/api/42/bills/1?x=2");
    let Decision::Found(matched) = router.route(router.listener_id("http").unwrap(), &head) else {
        panic!("not found");
    };
    assert!(matched.destination.strip_path && matched.destination.override_host);
    assert_eq!(matched.parameter(&head.path, "id"), Some("42"));
    assert_eq!(&*sample::pick(&matched).unwrap().host_header, "t.test");
    let mut out = Vec::new();
    matched.write_target(&head, &mut out).unwrap();
    assert_eq!(out, b"/1?x=2");
}

#[test]
fn destinations_share_by_weight() {
    let mut rule = rule(vec![on("", "/")]);
    let to =
        |backend: &str, weight| wire::Destination { backend: backend.to_owned(), weight, filters: vec![] };
    rule.destinations = vec![to("backend/default/b", 1), to("backend/default/c", 3)];
    let route = wire::Route { rules: vec![rule], ..Default::default() };
    let objects =
        sample::backend("c").into_iter().chain([object("route/default/r", wire::Payload::Route(route))]);
    let router = router(objects);
    let listener = router.listener_id("http").unwrap();
    let to_c = (0..40).filter(|_| match router.route(listener, &Head::get("/")) {
        Decision::Found(matched) => matched.backend.key == key("backend/default/c"),
        other => panic!("{other:?}"),
    });
    assert_eq!(to_c.count(), 30);
}

fn answer() -> wire::Filter {
    let answer = wire::DirectAnswer { status: 200, ..Default::default() };
    wire::FilterSettings::Answer(answer).of(wire::FilterKind::Answer)
}

#[test]
fn a_rule_that_answers_needs_no_destination() {
    let mut rule = rule(vec![on("", "/")]);
    rule.destinations.clear();
    rule.filters = vec![answer()];
    let route = wire::Route { rules: vec![rule], ..Default::default() };
    let router = router([object("route/default/r", wire::Payload::Route(route))]);
    assert_eq!(goes_to(&router, &Head::get("/")), "r answers");
}

fn mirror(backend: &str) -> wire::Filter {
    let mirror = wire::RequestMirror { backend: backend.to_owned(), share: None };
    wire::FilterSettings::Mirror(mirror).of(wire::FilterKind::Mirror)
}

#[test]
fn a_copy_goes_where_its_mirror_says_and_is_treated_as_the_request() {
    let mut rule = rule(vec![on("", "/v1")]);
    rule.filters = vec![
        mirror("backend/default/c"),
        wire::FilterKind::StripPath.into(),
        mirror("backend/default/lost"),
        wire::FilterKind::OverrideHost.into(),
        mirror("backend/default/b"),
    ];
    let route = wire::Route { rules: vec![rule], ..Default::default() };
    let objects =
        sample::backend("c").into_iter().chain([object("route/default/r", wire::Payload::Route(route))]);
    let router = router(objects);
    let listener = router.listener_id("http").unwrap();
    let head = Head::get("/v1/a");
    let copy = |index| router.mirror(listener, &head, index);
    let to = |index| copy(index).map(|matched| matched.backend.key.name().to_owned());
    let (c, b) = (Some("c".to_owned()), Some("b".to_owned()));
    assert_eq!([to(0), to(1), to(2), to(3)], [c, None, b, None]);
    let matched = copy(0).unwrap();
    let mut out = Vec::new();
    matched.write_target(&head, &mut out).unwrap();
    assert_eq!(out, b"/a");
    assert_eq!(matched.host(sample::pick(&matched).unwrap(), true), Some("t.test"));
    assert!(router.mirror(listener, &Head::get("/elsewhere"), 0).is_none());
}

/// The slot of a backend that only a mirror names stays its own when the backend goes and others come.
#[test]
fn a_mirrors_backend_comes_and_goes() {
    let mut rule = rule(vec![on("", "/")]);
    rule.filters = vec![mirror("backend/default/c")];
    let route = wire::Route { rules: vec![rule], ..Default::default() };
    let route = || object("route/default/r", wire::Payload::Route(route.clone()));
    let states = BackendStates::new();
    let mut previous: Option<Router> = None;
    for (others, expected) in [(vec!["c"], true), (vec![], false), (vec!["d"], false), (vec!["c", "d"], true)]
    {
        let others = others.iter().flat_map(|name| sample::backend(name));
        let objects =
            sample::backend("b").into_iter().chain(others).chain([sample::listener("http"), route()]);
        let router = Router::compile(&sample::served(objects), previous.as_ref(), &states).router;
        let found = router.mirror(router.listener_id("http").unwrap(), &Head::get("/"), 0);
        assert_eq!(found.map(|matched| matched.backend.key.name() == "c").unwrap_or_default(), expected);
        previous = Some(router);
    }
}

#[test]
fn a_missing_backend_keeps_its_share() {
    let mut rule = rule(vec![on("", "/")]);
    let lost = wire::Destination { backend: "backend/default/lost".to_owned(), weight: 3, filters: vec![] };
    rule.destinations.push(lost);
    let route = wire::Route { rules: vec![rule], ..Default::default() };
    let router = router([object("route/default/r", wire::Payload::Route(route))]);
    let answers: Vec<_> = (0..8).map(|_| goes_to(&router, &Head::get("/"))).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "r").count(), 2, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "r by lost: its backend is not there").count(), 6);
}

#[test]
fn a_missing_or_refused_backend_holds_its_routes_only() {
    let mut lost = rule(vec![on("", "/lost")]);
    lost.destinations[0].backend = "backend/default/lost".to_owned();
    let mut bad = rule(vec![on("", "/bad")]);
    bad.destinations[0].backend = "backend/default/bad".to_owned();
    let backend = wire::Backend { root: "/${nope}".to_owned(), ..Default::default() };
    let rules = wire::Route { rules: vec![lost, bad, rule(vec![on("", "/good")])], ..Default::default() };
    let compiled = compile([
        object("route/default/r", wire::Payload::Route(rules)),
        object("backend/default/bad", wire::Payload::Backend(backend)),
    ]);
    assert_eq!(compiled.rejected.len(), 1);
    assert_eq!(compiled.rejected[0].0, key("backend/default/bad"));
    assert!(compiled.rejected[0].1.starts_with("root: ${nope} is not known"), "{:?}", compiled.rejected);
    assert_eq!(goes_to(&compiled.router, &Head::get("/lost")), "r by lost: its backend is not there");
    assert!(
        goes_to(&compiled.router, &Head::get("/bad"))
            .starts_with("r by bad: its backend bad is refused: root: ")
    );
    assert_eq!(goes_to(&compiled.router, &Head::get("/good")), "r");
}

#[test]
fn what_is_not_whole_is_rejected_and_stops_nobody() {
    let good = || rule(vec![on("", "/r")]);
    let rules = |rules| wire::Route { rules, ..Default::default() };
    let with = |change: fn(&mut wire::Rule)| {
        let mut rule = good();
        change(&mut rule);
        rules(vec![rule])
    };
    for (bad, reason) in [
        (wire::Route::default(), "it has no rule"),
        (with(|rule| rule.matches.clear()), "rules[0] has no match"),
        (with(|rule| rule.destinations.clear()), "rules[0]: it has no destination"),
        (with(|rule| rule.destinations[0].backend.clear()), "rules[0]: \"\" is not the key of a backend"),
        (with(|rule| rule.destinations[0].backend = "route/a/b".into()), "is not the key of a backend"),
        (with(|rule| rule.filters.push(wire::Filter::default())), "0 is no filter that this version knows"),
        (
            with(|rule| rule.filters.push(wire::Filter { kind: 99, settings: None })),
            "99 is no filter that this version knows",
        ),
        (
            with(|rule| rule.filters.push(answer())),
            "rules[0]: it has a filter that answers, and a destination",
        ),
        (
            with(|rule| {
                rule.destinations.clear();
                rule.filters = vec![answer(), mirror("backend/default/b")];
            }),
            "rules[0]: it has a filter that answers, and one that mirrors",
        ),
        (with(|rule| rule.filters.push(mirror("b"))), "rules[0]: \"b\" is not the key of a backend"),
        (
            with(|rule| rule.destinations[0].filters.push(answer())),
            "rules[0]: it has a filter on a destination that only a rule can have",
        ),
        (with(|rule| rule.matches[0].paths[0].kind = 9), "rules[0].matches[0]: 9 is no kind of path"),
        (with(|rule| rule.matches[0].paths[0].pattern.clear()), "must begin with a slash"),
        (with(|rule| rule.matches[0].hostnames.push(String::new())), "a host name is empty"),
        (with(|rule| rule.matches[0].methods.push("get".into())), "is not a method"),
        (with(|rule| rule.matches[0].headers.push(wire::Condition::default())), "a condition has no name"),
    ] {
        let bad = object("route/default/bad", wire::Payload::Route(bad));
        let compiled = compile([bad, route("good", vec![on("", "/")])]);
        let [(rejected, given)] = &compiled.rejected[..] else { panic!("{reason}: {:?}", compiled.rejected) };
        assert_eq!(*rejected, key("route/default/bad"));
        assert!(given.contains(reason), "{given}");
        assert_eq!(goes_to(&compiled.router, &Head::get("/x")), "good");
    }
}

#[test]
fn requests_of_a_rejected_route_do_not_fall_to_another() {
    let mut bad = rule(vec![on("", "/secret")]);
    bad.destinations.clear();
    let bad = wire::Route { rules: vec![bad], ..Default::default() };
    let compiled =
        compile([object("route/default/bad", wire::Payload::Route(bad)), route("any", vec![on("", "/")])]);
    assert_eq!(goes_to(&compiled.router, &Head::get("/secret")), "bad: rules[0]: it has no destination");
}

#[test]
fn bytes_that_are_no_payload_are_rejected() {
    for kind in ["listener", "route", "backend", "endpoints"] {
        for bytes in [&b""[..], b"\xff\xff", b"\x12\x00"] {
            let broken = dataplane_snapshot::Object::new(
                key(&format!("{kind}/default/b")),
                bytes::Bytes::copy_from_slice(bytes),
            );
            let is_whole = broken.decode().is_ok();
            let compiled = compile([broken, route("good", vec![on("", "/")])]);
            if !is_whole {
                assert_eq!(compiled.rejected.len(), 1, "{kind} {bytes:?}");
            }
            assert!(goes_to(&compiled.router, &Head::get("/")).starts_with("good"));
        }
    }
}

#[test]
fn rejected_endpoints_leave_a_backend_without_targets() {
    let compiled = compile([endpoints("b", &[("t", 1), ("t", 1)]), route("r", vec![on("", "/")])]);
    assert_eq!(compiled.rejected.len(), 1);
    let router = compiled.router;
    let Decision::Found(matched) = router.route(router.listener_id("http").unwrap(), &Head::get("/")) else {
        panic!("not found");
    };
    assert!(sample::pick(&matched).is_none());
}

#[test]
fn an_unknown_listener_finds_nothing() {
    let two = router([route("r", vec![on("", "/")])]);
    let id = two.listener_id("other").unwrap();
    let none = Router::compile(&sample::served([]), None, &BackendStates::new()).router;
    assert!(matches!(none.route(id, &Head::get("/")), Decision::NotFound));
}
