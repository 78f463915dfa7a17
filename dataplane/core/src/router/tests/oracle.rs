//! The router against a linear scan over everything, with small alphabets so that most requests hit something.

use std::cmp::Reverse;

use dataplane_snapshot::wire;
use proptest::prelude::*;

use super::{goes_from, router};
use crate::sample::{self, Head, on, rule, with_header};
use crate::{HostPattern, PathPattern};

#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) listeners: Vec<String>,
    pub(super) matches: Vec<wire::Match>,
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a.b.c", "b.c", "*.b.c", "*.c", "c", "*.a.b.c"])
}

fn path() -> impl Strategy<Value = String> {
    let segment =
        prop::sample::select(vec!["a", "b", "aa", "$x<a+>", "$y<[ab]>", ":z", "a*", "*a", "*", "%61"]);
    let path = prop::collection::vec(segment, 0..4).prop_map(|segments| {
        let mut names = 0..;
        let unique = |segment: &str| {
            let number = names.next().unwrap();
            match segment {
                ":z" => format!(":z{number}"),
                _ => segment.replacen(['x', 'y'], &format!("n{number}"), 1),
            }
        };
        format!("/{}", segments.into_iter().map(unique).collect::<Vec<_>>().join("/"))
    });
    (path, prop::sample::select(vec!["", "=", "/", "=/"])).prop_map(|(path, end)| {
        let slash = if end.ends_with('/') && path != "/" { "/" } else { "" };
        let exact = if end.starts_with('=') { "=" } else { "" };
        format!("{exact}{path}{slash}")
    })
}

fn one_match() -> impl Strategy<Value = wire::Match> {
    let condition = prop::sample::select(vec![None, None, Some("1"), Some("2")]);
    (host(), path(), prop::collection::vec((host(), path()), 0..2), condition, any::<u8>()).prop_map(
        |(host, path, more, condition, precedence)| {
            let mut given = on(host, &path);
            for (host, path) in more {
                let other = on(host, &path);
                // An empty list means any host, so only named ones are added to named ones.
                if !given.hostnames.is_empty() {
                    given.hostnames.extend(other.hostnames);
                }
                given.paths.extend(other.paths);
            }
            given.precedence = vec![precedence % 4].into();
            condition.into_iter().fold(given, |given, value| with_header("x-a", value, given))
        },
    )
}

pub(super) fn routes() -> impl Strategy<Value = Vec<Given>> {
    let listeners =
        prop::sample::select(vec![vec![], vec![], vec!["http".to_owned()], vec!["other".to_owned()]]);
    let route = (listeners, prop::collection::vec(one_match(), 1..3))
        .prop_map(|(listeners, matches)| Given { listeners, matches });
    prop::collection::vec(route, 0..12)
}

pub(super) fn request() -> impl Strategy<Value = (&'static str, Head)> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "aa", "ab", ""]), 0..5);
    let hosts = vec!["a.b.c", "x.a.b.c", "x.b.c", "b.c", "x.c", "c", "d", "", ".c", "b.c."];
    let header = prop::sample::select(vec![None, Some("1"), Some("2")]);
    let listener = prop::sample::select(vec!["http", "other"]);
    (path, prop::sample::select(hosts), header, listener).prop_map(|(path, host, header, listener)| {
        let head = Head::get(&format!("/{}", path.join("/"))).host(host);
        (listener, header.into_iter().fold(head, |head, value| head.header("x-a", value)))
    })
}

pub(super) fn object(index: usize, given: &Given) -> dataplane_snapshot::Object {
    let route = wire::Route {
        listeners: given.listeners.clone(),
        rules: given.matches.iter().map(|given| rule(vec![given.clone()])).collect(),
        ..Default::default()
    };
    sample::object(&format!("route/default/r{index:03}"), wire::Payload::Route(route))
}

fn host_rank(host: &HostPattern) -> (u8, Reverse<usize>) {
    match host {
        HostPattern::Exact(_) => (0, Reverse(0)),
        HostPattern::Wildcard(suffix) => (1, Reverse(suffix.len())),
        HostPattern::Any => (2, Reverse(0)),
    }
}

/// What the documented order says, by looking at each host and path of each match.
fn scan(routes: &[Given], listener: &str, head: &Head) -> String {
    let mut candidates = Vec::new();
    let host = head.host.strip_suffix('.').unwrap_or(&head.host);
    for (index, route) in routes.iter().enumerate() {
        if !route.listeners.is_empty() && !route.listeners.iter().any(|name| name == listener) {
            continue;
        }
        for given in &route.matches {
            if !given
                .headers
                .iter()
                .all(|c| head.headers.iter().any(|(_, value)| value == c.value.as_bytes()))
            {
                continue;
            }
            let any = [String::from("*")];
            let hosts = if given.hostnames.is_empty() { &any[..] } else { &given.hostnames };
            let hosts = hosts.iter().map(|text| HostPattern::parse(text).unwrap());
            for pattern in hosts.filter(|pattern| pattern.matches(host)) {
                for path in &given.paths {
                    let path = PathPattern::parse(path.kind(), &path.pattern).unwrap();
                    if path.matches(&head.path) {
                        candidates.push((host_rank(&pattern), path, given.precedence.clone(), index));
                    }
                }
            }
        }
    }
    candidates.into_iter().min().map_or("-".to_owned(), |(.., index)| format!("r{index:03}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn routes_as_a_linear_scan_does(routes in routes(), requests in prop::collection::vec(request(), 1..40)) {
        let router = router(routes.iter().enumerate().map(|(index, given)| object(index, given)));
        for (listener, head) in requests {
            let expected = scan(&routes, listener, &head);
            prop_assert_eq!(goes_from(&router, listener, &head), expected, "{:?}", head);
        }
    }
}
