use std::collections::BTreeSet;
use std::time::Duration;

use dataplane_snapshot::wire;
use proptest::prelude::*;

use super::*;
use crate::{CompiledBackend, Moment, sample};

fn compile(check: &wire::HealthCheck) -> HealthCheck {
    HealthCheck::compile(check).unwrap()
}

fn http(check: wire::HealthCheck) -> HttpCheck {
    match compile(&wire::HealthCheck { url: "/health".into(), ..check }).question {
        Question::Http(http) => http,
        Question::Tcp | Question::Grpc(_) => panic!("it is HTTP"),
    }
}

const TEXT: Option<&[u8]> = Some(b"text/plain; charset=utf-8");

fn answer(status: u16) -> Answer<'static> {
    Answer { status, content_type: None, logic_result: None, body: b"" }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn without_lists_200_to_499_are_healthy() {
    let check = http(wire::HealthCheck::default());
    for (status, colour) in [
        (199, Colour::Red),
        (200, Colour::Green),
        (404, Colour::Green),
        (499, Colour::Green),
        (500, Colour::Red),
        (101, Colour::Red),
    ] {
        assert_eq!(check.judge(&answer(status), 1).colour, colour, "{status}");
    }
}

#[test]
fn the_lists_of_statuses_decide() {
    let judge = |healthy: &[u32], unhealthy: &[u32], status| {
        let (healthy_statuses, unhealthy_statuses) = (healthy.to_vec(), unhealthy.to_vec());
        let check = wire::HealthCheck { healthy_statuses, unhealthy_statuses, ..Default::default() };
        http(check).judge(&answer(status), 1).colour
    };
    assert_eq!(judge(&[204, 503], &[], 503), Colour::Green);
    assert_eq!(judge(&[204, 503], &[], 200), Colour::Red);
    assert_eq!(judge(&[200], &[200], 200), Colour::Red, "what is in both is unhealthy");
    assert_eq!(judge(&[], &[404], 404), Colour::Red);
    assert_eq!(judge(&[], &[404], 200), Colour::Green);
    assert_eq!(judge(&[], &[404], 500), Colour::Red);
}

#[test]
fn the_logic_check_is_a_sum() {
    let check = http(wire::HealthCheck { logic_check: true, ..Default::default() });
    let judge = |status, result| check.judge(&Answer { logic_result: result, ..answer(status) }, 58).colour;
    assert_eq!(judge(200, Some(b"100")), Colour::Green);
    for wrong in [None, Some(&b"58"[..]), Some(b"5842"), Some(b""), Some(b"1e2"), Some(b"\xff")] {
        assert_eq!(judge(200, wrong), Colour::Yellow, "{wrong:?}");
        assert_eq!(judge(500, wrong), Colour::Red, "{wrong:?}");
    }
    let largest = check.judge(&Answer { logic_result: Some(b"4294967337"), ..answer(200) }, u32::MAX);
    assert_eq!(largest.colour, Colour::Green);
}

#[test]
fn expressions_look_at_textual_bodies_only() {
    let check = wire::HealthCheck {
        healthy_patterns: texts(&["up", "ok"]),
        unhealthy_patterns: texts(&["maintenance"]),
        ..Default::default()
    };
    let check = http(check);
    let judge = |content_type, body| check.judge(&Answer { content_type, body, ..answer(200) }, 1).colour;
    assert_eq!(judge(TEXT, b"it is up"), Colour::Green);
    assert_eq!(judge(TEXT, b"it is up, in maintenance"), Colour::Red);
    assert_eq!(judge(TEXT, b"nothing"), Colour::Red);
    for textual in ["application/json", "Application/Problem+JSON ; x=y", "TEXT/html", "image/svg+xml"] {
        assert_eq!(judge(Some(textual.as_bytes()), b""), Colour::Red, "{textual}");
    }
    for other in [None, Some(&b"image/png"[..]), Some(b"texts"), Some(b"")] {
        assert_eq!(judge(other, b"maintenance"), Colour::Green, "{other:?}");
    }
    let only_unhealthy = http(wire::HealthCheck { unhealthy_patterns: texts(&["no"]), ..Default::default() });
    let fine = Answer { content_type: TEXT, body: b"yes", ..answer(200) };
    assert_eq!(only_unhealthy.judge(&fine, 1).colour, Colour::Green);
    assert!(!http(wire::HealthCheck::default()).wants_body(TEXT), "nobody would look at it");
}

#[test]
fn a_url_is_a_path_or_of_a_server() {
    let of = |secured: bool| {
        move |host: &str, port, path: &str| {
            Ok(CheckUrl::Absolute { host: host.into(), port, path: path.into(), secured })
        }
    };
    let (absolute, secured) = (of(false), of(true));
    assert_eq!(CheckUrl::parse("/a?b=c"), Ok(CheckUrl::Path("/a?b=c".into())));
    assert_eq!(CheckUrl::parse("http://a.test:8080/x"), absolute("a.test", 8080, "/x"));
    assert_eq!(CheckUrl::parse("HTTP://a.test"), absolute("a.test", 80, "/"));
    assert_eq!(CheckUrl::parse("http://a.test?x"), absolute("a.test", 80, "/?x"));
    assert_eq!(CheckUrl::parse("http://[::1]:81/"), absolute("::1", 81, "/"));
    assert_eq!(CheckUrl::parse("http://[::1]"), absolute("::1", 80, "/"));
    assert_eq!(CheckUrl::parse("https://a.test"), secured("a.test", 443, "/"));
    assert_eq!(CheckUrl::parse("https://a.test:8443/x"), secured("a.test", 8443, "/x"));
    for bad in [
        "",
        "health",
        "ftp://a/",
        "http://",
        "http://a:0/",
        "http://a:x/",
        "http://a:/",
        "http://u@a/",
        "http://::1/",
        "http://[a]/",
        "http://[::1/",
        "http://a b/",
        "/a b",
        "/a\r\nX: y",
        "/a#b",
        "/é",
        "http://a.test:70000/",
        "http://[::1]x/",
    ] {
        assert!(CheckUrl::parse(bad).is_err(), "{bad:?}");
    }
    assert!(CheckUrl::parse(&format!("/{}", "a".repeat(2048))).is_err());
}

#[test]
fn refuses_checks_that_are_not_whole() {
    for (bad, word) in [
        (wire::HealthCheck { kind: 9, ..Default::default() }, "9"),
        (wire::HealthCheck { url: "x".into(), ..Default::default() }, "url"),
        (wire::HealthCheck { healthy_statuses: vec![70_000], ..Default::default() }, "url"),
    ] {
        let reason = HealthCheck::compile(&bad).unwrap_err();
        assert!(reason.contains(word), "{reason}");
    }
    let good = wire::HealthCheck { url: "/".into(), ..Default::default() };
    for (bad, word) in [
        (wire::HealthCheck { healthy_statuses: vec![70_000], ..good.clone() }, "healthyStatuses"),
        (wire::HealthCheck { unhealthy_statuses: vec![1], ..good.clone() }, "unhealthyStatuses"),
        (wire::HealthCheck { healthy_patterns: texts(&["a", "("]), ..good.clone() }, "healthyRegexChecks[1]"),
        (wire::HealthCheck { unhealthy_patterns: texts(&["["]), ..good }, "unhealthyRegexChecks[0]"),
    ] {
        let reason = HealthCheck::compile(&bad).unwrap_err();
        assert!(reason.starts_with(word), "{reason}");
    }
    let tcp = compile(&wire::HealthCheck { kind: 1, ..Default::default() });
    assert_eq!((tcp.question, tcp.timeout), (Question::Tcp, HealthCheck::DEFAULT_TIMEOUT));
    let grpc = compile(&wire::HealthCheck { kind: wire::HealthCheckKind::Grpc.into(), ..Default::default() });
    assert!(matches!(grpc.question, Question::Grpc(_)) && grpc.thresholds.block_on_red);
    assert_eq!(tcp.thresholds, Thresholds { healthy: 1, unhealthy: 1, block_on_red: false });
}

/// A backend with targets `a.test:8080`, `b.test:8080` and `10.0.0.7:80`.
fn backend(check: Option<wire::HealthCheck>) -> CompiledBackend {
    let target = |id: &str, hostname: &str, port| wire::Target {
        id: id.into(),
        hostname: hostname.into(),
        port,
        weight: 1,
        ..Default::default()
    };
    let targets = vec![target("a", "a.test", 8080), target("b", "b.test", 8080), target("c", "10.0.0.7", 80)];
    let backend = wire::Backend { health_check: check.map(Box::new), ..Default::default() };
    sample::compiled_backend(&backend, targets).unwrap()
}

#[test]
fn a_url_of_a_target_is_asked_of_all_targets_and_another_one_for_all() {
    let probes = |url: &str| {
        let check = wire::HealthCheck { url: url.into(), ..Default::default() };
        let probe = |probe: Probe| {
            let about: Vec<_> = probe.states.iter().map(|(id, _)| id.to_string()).collect();
            (probe.server.host_header.to_string(), about.concat())
        };
        backend(Some(check)).probes().into_iter().map(probe).collect::<Vec<_>>()
    };
    let pair = |server: &str, about: &str| (server.to_owned(), about.to_owned());
    let each = [pair("a.test:8080", "a"), pair("b.test:8080", "b"), pair("10.0.0.7", "c")];
    for url in ["/health", "http://a.test:8080/health", "http://B.TEST:8080/", "http://10.0.0.7/health"] {
        assert_eq!(probes(url), each, "{url}");
    }
    assert_eq!(probes("http://a.test/health"), [pair("a.test", "abc")], "port 80 is another server");
    assert_eq!(probes("http://monitor.test:81/users"), [pair("monitor.test:81", "abc")]);
    assert!(backend(None).probes().is_empty());
}

#[test]
fn the_state_keeps_standing_and_moment() {
    let state = HealthState::default();
    assert_eq!((state.load(), state.is_out()), (Health::default(), false));
    for standing in [Standing::In, Standing::Out, Standing::NotChecked] {
        let health = Health { standing, since: Moment::from_micros(1 << 61) };
        state.store(health);
        assert_eq!((state.load(), state.is_out()), (health, standing == Standing::Out));
    }
    state.store(Health { standing: Standing::Out, since: Moment::from_micros(u64::MAX) });
    assert!(state.is_out());
}

fn any_colour() -> impl Strategy<Value = Colour> {
    prop::sample::select(vec![Colour::Green, Colour::Yellow, Colour::Red, Colour::Black])
}

fn any_thresholds() -> impl Strategy<Value = Thresholds> {
    (1..4_u32, 1..4_u32, any::<bool>()).prop_map(|(healthy, unhealthy, block_on_red)| Thresholds {
        healthy,
        unhealthy,
        block_on_red,
    })
}

/// The standing by the definition: looks at the whole history each time.
fn expected(history: &[Colour], thresholds: &Thresholds) -> Standing {
    let bad = |colour: &Colour| match colour {
        Colour::Black => true,
        Colour::Red => thresholds.block_on_red,
        Colour::Green | Colour::Yellow => false,
    };
    let mut standing = Standing::NotChecked;
    for end in 1..=history.len() {
        let run = |wanted: bool| history[..end].iter().rev().take_while(|it| bad(it) == wanted).count();
        if run(true) >= thresholds.unhealthy as usize {
            standing = Standing::Out;
        } else if run(false) >= thresholds.healthy as usize
            || (standing == Standing::NotChecked && run(false) > 0)
        {
            standing = Standing::In;
        }
    }
    standing
}

proptest! {
    #[test]
    fn the_standing_is_that_of_the_last_long_enough_row(
        colours in prop::collection::vec(any_colour(), 0..16),
        thresholds in any_thresholds(),
    ) {
        let mut tally = Tally::default();
        for (index, colour) in colours.iter().enumerate() {
            let (before, now) = (tally.health(), Moment::from_micros(index as u64 + 1));
            let change = tally.handle(*colour, &thresholds, now);
            prop_assert_eq!(tally.health().standing, expected(&colours[..=index], &thresholds));
            match change {
                Some(health) => {
                    prop_assert_ne!(health.standing, before.standing);
                    prop_assert_eq!((health, health.since), (tally.health(), now));
                }
                None => prop_assert_eq!(tally.health(), before),
            }
        }
    }

    #[test]
    fn red_takes_no_traffic_away_unless_asked_to(
        colours in prop::collection::vec(
            prop::sample::select(vec![Colour::Green, Colour::Yellow, Colour::Red]), 0..16),
        thresholds in any_thresholds(),
    ) {
        let thresholds = Thresholds { block_on_red: false, ..thresholds };
        let mut tally = Tally::default();
        for colour in colours {
            tally.handle(colour, &thresholds, Moment::default());
            prop_assert_eq!(tally.health().standing, Standing::In);
        }
    }

    #[test]
    fn waits_keep_to_the_interval(millis in 10..100_000_000_u64, jitter in 0..200_u32, random in any::<u64>()) {
        let interval = Duration::from_millis(millis);
        let check = compile(&wire::HealthCheck { kind: 1, interval: millis, jitter, ..Default::default() });
        let (first, next) = (check.pace.first_wait(random), check.pace.next_wait(random));
        prop_assert!(first <= interval && first <= Duration::from_secs(1));
        prop_assert!(next <= interval);
        prop_assert!(next >= interval - interval * jitter.min(100) / 100);
    }

    #[test]
    fn a_parsed_url_fits_into_a_request(text in "(http://)?[ -~]{0,16}(/[ -~]{0,8})?") {
        if let Ok(url) = CheckUrl::parse(&text) {
            prop_assert!(url.path().starts_with('/'));
            prop_assert!(url.path().bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}

#[test]
fn waits_are_spread() {
    let check = compile(&wire::HealthCheck { kind: 1, interval: 10_000, jitter: 10, ..Default::default() });
    let step = u64::MAX / 16;
    let spread = |wait: &dyn Fn(u64) -> Duration| {
        (0..16).map(|index| wait(index * step)).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(spread(&|random| check.pace.first_wait(random)), 16);
    assert_eq!(spread(&|random| check.pace.next_wait(random)), 16);
    let steady = compile(&wire::HealthCheck { kind: 1, interval: 10_000, ..Default::default() });
    assert_eq!(steady.pace.next_wait(u64::MAX), Duration::from_secs(10));
    assert_eq!(compile(&wire::HealthCheck { kind: 1, ..Default::default() }).pace, steady.pace);
}
