//! How many requests pass, what is refused, and what is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use dataplane_snapshot::wire::{
    self, FilterKind, FilterSettings, RateLimit, RateLimitKey, RateLimitPeriod, UsageCounts,
};
use support::{Gateway, Setup, Upstream, eventually, field};

fn limits(limits: &[RateLimit]) -> wire::Filter {
    FilterSettings::RateLimits(wire::RateLimits { limits: limits.to_vec() }).of(FilterKind::RateLimits)
}

fn limit(requests: u32, period: RateLimitPeriod) -> RateLimit {
    RateLimit { requests, period: period.into(), ..RateLimit::default() }
}

/// What was counted for the route, once it comes to so many requests.
fn counted(gateway: &Gateway, requests: u64) -> UsageCounts {
    let routes = gateway.setup.states.usage().routes();
    let route = routes.iter().find(|route| route.key.name() == "users").unwrap();
    eventually(|| Some(route.whole.counts()).filter(|counts| counts.requests + counts.refused >= requests))
}

fn number(head: &str, name: &str) -> Option<u64> {
    field(head, name)?.parse().ok()
}

#[test]
fn requests_beyond_a_limit_are_refused_with_a_time_to_come_again() {
    let upstream = Upstream::ok();
    let filter = limits(&[limit(3, RateLimitPeriod::Minute), limit(100, RateLimitPeriod::Day)]);
    let gateway = Setup::new(upstream.address()).filter(filter).start();
    let mut client = gateway.client();
    // Ten seconds of three in a minute.
    let passed = client.get("/");
    assert_eq!(passed.status, 200);
    assert_eq!(
        (number(&passed.head, "ratelimit-limit"), number(&passed.head, "ratelimit-remaining")),
        (Some(3), Some(0))
    );
    assert!((1..=60).contains(&number(&passed.head, "ratelimit-reset").unwrap()));
    let refused = client.get("/");
    assert_eq!((refused.status, refused.reason().as_str()), (429, "rate_limited"));
    assert!((1..=20).contains(&number(&refused.head, "retry-after").unwrap()), "{}", refused.head);
    assert_eq!(number(&refused.head, "ratelimit-remaining"), Some(0));
    assert!(refused.text().contains("\"route\":\"default/users\""), "{}", refused.text());
    assert_eq!(client.get("/").status, 429, "the connection stays");
    let counts = counted(&gateway, 3);
    assert_eq!((counts.requests, counts.refused, counts.status_2xx), (1, 2, 1));
}

#[test]
fn a_quota_is_used_up_for_the_rest_of_its_time() {
    let upstream = Upstream::ok();
    let of_client = RateLimit {
        key: RateLimitKey::Header.into(),
        name: "x-api-key".to_owned(),
        ..limit(2, RateLimitPeriod::Month)
    };
    let gateway = Setup::new(upstream.address()).filter(limits(&[of_client])).start();
    let ask = |key: &str| {
        gateway.client().send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).answer()
    };
    assert_eq!([ask("one").status, ask("one").status], [200, 200]);
    let refused = ask("one");
    assert_eq!((refused.status, refused.reason().as_str()), (429, "quota_exceeded"));
    assert!((1..=31 * 86_400).contains(&number(&refused.head, "retry-after").unwrap()));
    assert_eq!(ask("two").status, 200, "another consumer");
    assert_eq!(gateway.client().get("/").status, 200, "without a key");
}

#[test]
fn a_target_does_not_say_what_the_limit_is() {
    let upstream = Upstream::start(|accepted| {
        while accepted.request().is_some() {
            accepted.send("HTTP/1.1 200 OK\r\nRateLimit-Limit: 7\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway =
        Setup::new(upstream.address()).filter(limits(&[limit(50, RateLimitPeriod::Second)])).start();
    let head = gateway.client().get("/").head;
    let said: Vec<_> =
        head.lines().filter(|line| line.to_ascii_lowercase().starts_with("ratelimit-limit")).collect();
    assert_eq!(said, ["ratelimit-limit: 50"]);
}

#[test]
fn preflight_requests_are_not_counted_against_a_limit() {
    let upstream = Upstream::ok();
    let cors = wire::Cors { allow_origins: vec!["https://a.test".to_owned()], ..wire::Cors::default() };
    let gateway = Setup::new(upstream.address())
        .filter(FilterSettings::Cors(cors).of(FilterKind::Cors))
        .filter(limits(&[limit(1, RateLimitPeriod::Day)]))
        .start();
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    assert_eq!([(); 3].map(|()| gateway.client().send(preflight).answer().status), [204; 3]);
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n";
    assert_eq!(gateway.client().send(ask).answer().status, 200);
    let refused = gateway.client().send(ask).answer();
    assert_eq!(refused.status, 429);
    assert_eq!(
        field(&refused.head, "access-control-allow-origin"),
        Some("https://a.test"),
        "scripts may read why"
    );
}

#[test]
fn what_a_filter_answers_is_limited_too() {
    let upstream = Upstream::ok();
    let answer = wire::DirectAnswer { status: 200, ..wire::DirectAnswer::default() };
    let mut setup = Setup::new(upstream.address())
        .filter(FilterSettings::Answer(answer).of(FilterKind::Answer))
        .filter(limits(&[limit(1, RateLimitPeriod::Day)]));
    setup.route.rules[0].destinations.clear();
    let gateway = setup.start();
    assert_eq!([(); 2].map(|()| gateway.client().get("/").status), [200, 429]);
}

#[test]
fn each_request_is_counted_with_its_bytes() {
    const ASK: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    let mut client = gateway.client();
    let answer = client.send(ASK).answer();
    let counts = counted(&gateway, 1);
    assert_eq!((counts.requests, counts.refused, counts.status_2xx), (1, 0, 1));
    assert_eq!(counts.received, ASK.len() as u64);
    // The client took off the empty line that ends the head.
    let sent = answer.head.len() + answer.text().len();
    assert!((sent as u64..=sent as u64 + 4).contains(&counts.sent), "{counts:?}: {}", answer.head);
    assert!(counts.micros > 0);
    // Several that come at once aren't counted for each other.
    client.send(format!("{ASK}{ASK}"));
    client.answer();
    client.answer();
    let all = counted(&gateway, 3);
    assert_eq!((all.received, all.sent), (3 * counts.received, 3 * counts.sent));
}

#[test]
fn counts_and_limits_outlive_an_edit_of_the_route() {
    let upstream = Upstream::ok();
    let mut gateway =
        Setup::new(upstream.address()).filter(limits(&[limit(2, RateLimitPeriod::Day)])).start();
    assert_eq!(gateway.client().get("/").status, 200);
    gateway.swap(|setup| setup.route.name = "other".to_owned());
    assert_eq!([(); 2].map(|()| gateway.client().get("/").status), [200, 429]);
    gateway.swap(|setup| setup.route.rules[0].filters = vec![limits(&[limit(3, RateLimitPeriod::Day)])]);
    assert_eq!([(); 2].map(|()| gateway.client().get("/").status), [200, 429]);
    assert_eq!(counted(&gateway, 5).requests, 3);
}
