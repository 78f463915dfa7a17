//! What a route's filters do to requests and responses.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use dataplane_snapshot::wire::{self, FilterKind, FilterSettings};
use support::client::Answer;
use support::{Setup, Upstream, field};

fn header(name: &str, value: &str) -> wire::HeaderField {
    wire::HeaderField { name: name.to_owned(), value: value.to_owned() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A route on everything that answers by itself.
fn answering(filter: wire::Filter) -> Setup {
    let nowhere = Upstream::start(|_| panic!("a target was asked"));
    let mut setup = Setup::new(nowhere.address()).filter(filter);
    setup.route.rules[0].destinations.clear();
    setup
}

fn edits() -> wire::HeaderEdits {
    wire::HeaderEdits {
        remove: texts(&["x-gone"]),
        set: vec![header("x-set", "ours")],
        add: vec![header("x-add", "1"), header("x-add", "2")],
        set_if_missing: vec![header("x-there", "ours"), header("x-missing", "ours")],
    }
}

const FIELDS: &str = "X-Gone: a\r\nX-Gone: b\r\nX-Set: a\r\nx-set: b\r\nX-Add: 0\r\nX-There: theirs\r\n";

/// The values of the fields that [`edits`] is about, in order.
fn edited(head: &str) -> Vec<&str> {
    let is_ours = |line: &&str| line.get(..2).is_some_and(|front| front.eq_ignore_ascii_case("x-"));
    head.lines().filter(is_ours).filter(|line| !line.starts_with("x-forwarded")).collect()
}

const EDITED: [&str; 6] =
    ["X-Add: 0", "X-There: theirs", "x-set: ours", "x-add: 1", "x-add: 2", "x-missing: ours"];

#[test]
fn fields_of_requests_are_edited() {
    let upstream = Upstream::ok();
    let filter = FilterSettings::Headers(edits()).of(FilterKind::RequestHeaders);
    let gateway = Setup::new(upstream.address()).filter(filter).start();
    let answer = gateway.client().send(format!("GET / HTTP/1.1\r\nHost: a\r\n{FIELDS}\r\n")).answer();
    assert_eq!(answer.status, 200);
    assert_eq!(edited(&upstream.last()), EDITED);
    assert_eq!(field(&upstream.last(), "host"), Some("a"));
}

#[test]
fn fields_of_responses_are_edited() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.send(format!("HTTP/1.1 200 OK\r\n{FIELDS}Content-Length: 2\r\n\r\nok"));
        }
    });
    let filter = FilterSettings::Headers(edits()).of(FilterKind::ResponseHeaders);
    let gateway = Setup::new(upstream.address()).filter(filter).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(edited(&answer.head), EDITED);
}

#[test]
fn a_host_can_be_given() {
    let upstream = Upstream::ok();
    let filter = FilterSettings::Host("inner.test:8080".to_owned()).of(FilterKind::Host);
    let gateway = Setup::new(upstream.address()).filter(filter).start();
    gateway.client().get("/");
    assert_eq!(field(&upstream.last(), "host"), Some("inner.test:8080"));
    assert_eq!(field(&upstream.last(), "x-forwarded-host"), Some("a.test"));
}

#[test]
fn a_redirect_asks_no_target_and_keeps_the_connection() {
    let redirect = wire::Redirect { scheme: "https".to_owned(), status: 308, ..Default::default() };
    let gateway = answering(FilterSettings::Redirect(redirect).of(FilterKind::Redirect)).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/a/b?c=d");
        assert_eq!((answer.status, answer.field("location")), (308, Some("https://a.test/a/b?c=d")));
        assert_eq!((answer.field("content-length"), answer.field("connection")), (Some("0"), None));
    }
    // A body is in the way of the next request.
    let answer = client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc").answer();
    assert_eq!((answer.status, answer.field("connection")), (308, Some("close")));
    client.assert_closed();
    let stats = gateway.stats(|stats| stats.responses[3] == 3);
    assert_eq!((stats.accepted, stats.upstream_connects), (1, 0));
    let nameless = gateway.client().send("GET //b.test HTTP/1.0\r\n\r\n").answer();
    assert_eq!((nameless.status, nameless.reason().as_str()), (400, "bad_host"));
}

#[test]
fn a_fixed_answer_is_given_whole() {
    let answer =
        wire::DirectAnswer { status: 503, body: "<b>back soon</b>".into(), content_type: "text/html".into() };
    let setup = answering(FilterSettings::Answer(answer).of(FilterKind::Answer));
    let edits = wire::HeaderEdits { set: vec![header("retry-after", "60")], ..Default::default() };
    let gateway = setup.filter(FilterSettings::Headers(edits).of(FilterKind::ResponseHeaders)).start();
    let mut client = gateway.client();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (503, "<b>back soon</b>"));
    assert_eq!((answer.field("content-type"), answer.field("retry-after")), (Some("text/html"), Some("60")));
    let answer = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!((answer.status, answer.field("content-length")), (503, Some("16")));
    assert_eq!(client.get("/").status, 503, "nothing of the body was sent for HEAD");
}

#[test]
fn a_denied_address_is_answered_403() {
    let upstream = Upstream::ok();
    let access = wire::AddressAccess { allow: vec![], deny: texts(&["203.0.113.0/24"]) };
    let gateway = Setup::new(upstream.address())
        .filter(FilterSettings::Access(access).of(FilterKind::Access))
        .settings(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
        .start();
    let mut client = gateway.client();
    let mut from = |ip: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {ip}\r\n\r\n")).answer()
    };
    let denied = from("198.51.100.1, 203.0.113.9");
    assert_eq!((denied.status, denied.reason().as_str()), (403, "address_denied"));
    assert_eq!(from("203.0.113.9, 198.51.100.1").status, 200, "the same connection goes on");
    assert_eq!(upstream.seen().requests.len(), 1);
}

fn cors() -> Setup {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok",
    );
    let cors = wire::Cors {
        allow_origins: texts(&["https://*.a.test"]),
        allow_methods: texts(&["PUT"]),
        allow_headers: texts(&["x-a"]),
        expose_headers: texts(&["x-b"]),
        max_age: Some(60),
        allow_credentials: true,
    };
    Setup::new(upstream.address()).filter(FilterSettings::Cors(cors).of(FilterKind::Cors))
}

fn access_control(answer: &Answer) -> Vec<&str> {
    let is_about = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("access-control-") || line.starts_with("vary")
    };
    answer.head.lines().filter(is_about).collect()
}

#[test]
fn a_preflight_request_is_answered_here() {
    let gateway = cors().start();
    let mut client = gateway.client();
    let mut ask = |origin: &str| {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        client.send(format!("OPTIONS / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).answer()
    };
    let allowed = ask("https://x.a.test");
    assert_eq!(allowed.status, 204);
    assert_eq!(
        access_control(&allowed),
        [
            "vary: Origin",
            "access-control-allow-origin: https://x.a.test",
            "access-control-allow-methods: PUT",
            "access-control-allow-headers: x-a",
            "access-control-max-age: 60",
            "access-control-allow-credentials: true",
        ]
    );
    let refused = ask("https://evil.test");
    assert_eq!((refused.status, access_control(&refused)), (204, vec!["vary: Origin"]));
    assert_eq!(gateway.stats(|stats| stats.responses[2] == 2).upstream_connects, 0);
}

#[test]
fn a_response_says_who_may_read_it() {
    let gateway = cors().start();
    let mut client = gateway.client();
    let mut get = |origin: &str| client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{origin}\r\n")).answer();
    let allowed = get("Origin: https://x.a.test\r\n");
    assert_eq!((allowed.status, allowed.text()), (200, "ok"));
    assert_eq!(
        access_control(&allowed),
        [
            "Vary: Accept",
            "vary: Origin",
            "access-control-allow-origin: https://x.a.test",
            "access-control-expose-headers: x-b",
            "access-control-allow-credentials: true",
        ]
    );
    for origin in ["", "Origin: https://evil.test\r\n"] {
        assert_eq!(access_control(&get(origin)), ["Vary: Accept", "vary: Origin"], "{origin}");
    }
}

#[test]
fn a_script_may_read_what_went_wrong() {
    let mut setup = cors();
    setup.endpoints.targets.clear();
    let gateway = setup.start();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://x.a.test\r\n\r\n";
    let answer = gateway.client().send(request).answer();
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_target"));
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://x.a.test"));
}

fn limited(upstream: &Upstream) -> Setup {
    let limits = wire::RequestLimits { body: Some(10), head: Some(300), fields: Some(4) };
    Setup::new(upstream.address()).filter(FilterSettings::Limits(limits).of(FilterKind::Limits))
}

#[test]
fn a_large_request_asks_no_target() {
    let upstream = Upstream::ok();
    let gateway = limited(&upstream).start();
    let post = |fields: &str, body: &str| {
        gateway.client().send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")).answer()
    };
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(post("Content-Length: 10", "0123456789").status, 200);
    assert_eq!(post(chunked, "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n").status, 200);
    let asked = upstream.seen().requests.len();
    let long = format!("X: {}", "x".repeat(300));
    for (fields, body, status, reason) in [
        ("Content-Length: 11", "0123456789a", 413, "body_too_large"),
        (chunked, "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n", 413, "body_too_large"),
        (&long, "", 431, "head_too_large"),
        ("A: 1\r\nB: 2\r\nC: 3\r\nD: 4", "", 431, "head_too_large"),
    ] {
        let answer = post(fields, body);
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{fields}");
    }
    assert_eq!(upstream.seen().requests.len(), asked);
}

#[test]
fn a_body_that_grows_too_large_is_cut_and_its_connection_never_used_again() {
    let upstream = Upstream::start(|accepted| {
        accepted.head();
        accepted.drain();
    });
    let gateway = limited(&upstream).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n");
    upstream.wait(|seen| seen.bytes.ends_with(b"5\r\n01234\r\n"));
    client.send("6\r\n56789a\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    client.assert_closed();
    let seen = upstream.wait(|seen| seen.closed == 1);
    assert!(!seen.bytes.ends_with(b"0\r\n\r\n"), "the target doesn't take it for whole");
    assert_eq!(gateway.stats(|stats| stats.responses[4] == 1).upstream_idle, 0);
}

#[test]
fn a_browser_gets_a_page_and_a_program_json() {
    let mut setup = Setup::new(Upstream::ok().address());
    setup.endpoints.targets.clear();
    let gateway = setup.start();
    let get = |accept: &str| {
        gateway.client().send(format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n")).answer()
    };
    let page = get("text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!((page.status, page.field("content-type")), (503, Some("text/html; charset=utf-8")));
    assert_eq!(page.field("vary"), Some("Accept"));
    let text = page.text();
    for part in ["<h1>503 Service Unavailable</h1>", "no_target", "default/users", "<dt>Request</dt>"] {
        assert!(text.contains(part), "{text}");
    }
    for accept in ["*/*", "application/json"] {
        assert_eq!(get(accept).reason(), "no_target");
    }
}
