use std::net::IpAddr;

use dataplane_snapshot::wire::{self, Filter, FilterKind, FilterSettings};
use proptest::prelude::*;

use super::*;
use crate::PathPattern;
use crate::sample::Head;

fn field(name: &str, value: &str) -> wire::HeaderField {
    wire::HeaderField { name: name.to_owned(), value: value.to_owned() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn edits(change: impl FnOnce(&mut wire::HeaderEdits)) -> wire::HeaderEdits {
    let mut edits = wire::HeaderEdits::default();
    change(&mut edits);
    edits
}

fn size(body: u64) -> RequestSize {
    RequestSize { head: 100, fields: 3, body }
}

#[test]
fn a_filter_that_is_unknown_incomplete_or_repeated_is_refused() {
    let headers = || FilterSettings::Headers(edits(|it| it.remove = texts(&["a"])));
    let filter = |kind: i32, settings| Filter { kind, settings };
    assert_eq!(Filters::parse(&[filter(99, None)]), Err(FilterError::Unknown(99)));
    assert_eq!(Filters::parse(&[filter(0, Some(headers()))]), Err(FilterError::Unknown(0)));
    let cors = FilterKind::Cors;
    assert_eq!(Filters::parse(&[filter(cors.into(), None)]), Err(FilterError::Settings(cors)));
    assert_eq!(Filters::parse(&[filter(cors.into(), Some(headers()))]), Err(FilterError::Settings(cors)));
    let twice = vec![filter(FilterKind::RequestHeaders.into(), Some(headers())); 2];
    assert_eq!(Filters::parse(&twice), Err(FilterError::Repeated(FilterKind::RequestHeaders)));
    assert_eq!(
        Filters::parse(&[filter(FilterKind::StripPath.into(), None)]),
        Ok(None),
        "is the destination's"
    );
}

#[test]
fn headers_are_set_added_and_removed() {
    let edits = HeaderEdits::parse(
        Direction::Request,
        &edits(|it| {
            it.set = vec![field("X-Set", "1")];
            it.add = vec![field("x-add", "2"), field("X-Add", "3")];
            it.set_if_missing = vec![field("X-There", "4"), field("X-Missing", "5")];
            it.remove = texts(&["X-Gone"]);
        }),
    )
    .unwrap();
    for (name, dropped) in [("x-SET", true), ("X-GONE", true), ("x-add", false), ("x-missing", false)] {
        assert_eq!(edits.drops(name.as_bytes()), dropped, "{name}");
    }
    let mut out = Vec::new();
    edits.write(&mut out, |name| name == "x-there");
    assert_eq!(String::from_utf8(out).unwrap(), "X-Set: 1\r\nx-add: 2\r\nX-Add: 3\r\nX-Missing: 5\r\n");
}

#[test]
fn a_header_is_in_one_list() {
    let twice = [
        edits(|it| it.remove = texts(&["a", "A"])),
        edits(|it| (it.remove, it.set) = (texts(&["a"]), vec![field("A", "")])),
        edits(|it| (it.set, it.add) = (vec![field("a", "")], vec![field("A", "")])),
        edits(|it| (it.set_if_missing, it.add) = (vec![field("a", "")], vec![field("A", "")])),
    ];
    for edits in twice {
        let refused = HeaderEdits::parse(Direction::Response, &edits);
        assert_eq!(refused, Err(FilterError::HeaderTwice("a".to_owned())), "{edits:?}");
    }
}

#[test]
fn what_frames_a_message_is_not_for_users() {
    for name in
        ["Host", "Content-Length", "Transfer-Encoding", "connection", "TE", "X-Forwarded-For", "Forwarded"]
    {
        let refused = check_name(Direction::Request, name);
        assert_eq!(refused, Err(FilterError::HeaderOwned(name.to_owned())));
    }
    assert!(check_name(Direction::Response, "Content-Length").is_err());
    assert!(check_name(Direction::Response, "X-Forwarded-For").is_ok());
    for name in ["", "a b", "a:", "a\r\nb", "é"] {
        assert_eq!(check_name(Direction::Request, name), Err(FilterError::HeaderName(name.to_owned())));
    }
}

#[test]
fn a_denied_client_is_denied_and_a_list_of_allowed_ones_is_all() {
    let access = |allow: &[&str], deny: &[&str]| {
        Access::parse(&wire::AddressAccess { allow: texts(allow), deny: texts(deny) }).unwrap()
    };
    let admits = |access: &Access, ip: &str| access.admits(ip.parse::<IpAddr>().unwrap());
    let both = access(&["10.0.0.0/8", "fd00::7"], &["10.1.0.0/16"]);
    for (ip, expected) in
        [("10.0.0.1", true), ("10.1.2.3", false), ("11.0.0.1", false), ("fd00::7", true), ("fd00::8", false)]
    {
        assert_eq!(admits(&both, ip), expected, "{ip}");
    }
    let deny = access(&[], &["0.0.0.0/1"]);
    assert!(admits(&deny, "192.0.2.1") && admits(&deny, "::1") && !admits(&deny, "10.0.0.1"));
    for text in ["", "10.0.0", "10.0.0.0/33", "a.test", "10.0.*.*"] {
        assert_eq!(Access::network(text), Err(FilterError::Network(text.to_owned())));
    }
}

#[test]
fn the_first_that_applies_answers() {
    let cors = wire::Cors { allow_origins: texts(&["*"]), ..Default::default() };
    let limits = wire::RequestLimits { body: Some(10), head: Some(100), fields: Some(3) };
    let answer = wire::DirectAnswer { status: 200, ..Default::default() };
    let filters = Filters::parse(&[
        FilterSettings::Access(wire::AddressAccess { allow: vec![], deny: texts(&["10.0.0.0/8"]) })
            .of(FilterKind::Access),
        FilterSettings::Limits(limits).of(FilterKind::Limits),
        FilterSettings::Cors(cors).of(FilterKind::Cors),
        FilterSettings::Answer(answer).of(FilterKind::Answer),
    ])
    .unwrap()
    .unwrap();
    let mut preflight =
        Head::get("/").header("origin", "https://a.test").header("access-control-request-method", "PUT");
    assert!(matches!(filters.reply(&preflight, size(0)), Ok(Some(Reply::Answer(_)))), "it is no OPTIONS");
    preflight.method = "OPTIONS".to_owned();
    assert!(matches!(filters.reply(&preflight, size(10)), Ok(Some(Reply::Preflight(_)))));
    assert_eq!(filters.reply(&preflight, size(11)), Err(Refused::Body));
    let long = RequestSize { head: 101, ..size(0) };
    assert_eq!(filters.reply(&preflight, long), Err(Refused::Head));
    let many = RequestSize { fields: 4, ..size(0) };
    assert_eq!(filters.reply(&preflight, many), Err(Refused::Head));
    preflight.client = "10.0.0.1".parse().unwrap();
    assert_eq!(filters.reply(&preflight, many), Err(Refused::Address));
}

fn location(redirect: &wire::Redirect, head: &Head, pattern: &str) -> String {
    let redirect = Redirect::parse(&wire::Redirect { status: 302, ..redirect.clone() }).unwrap();
    let pattern = PathPattern::parse(wire::PathKind::Prefix, pattern).unwrap();
    let mut out = Vec::new();
    match redirect.write(head, &pattern, &mut out) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(NoLocation) => "-".to_owned(),
    }
}

#[test]
fn a_redirect_changes_what_it_names() {
    let head = |target: &str| Head::get(target).host("a.test:8080");
    let with = |change: fn(&mut wire::Redirect)| {
        let mut redirect = wire::Redirect::default();
        change(&mut redirect);
        redirect
    };
    for (redirect, target, expected) in [
        (with(|it| it.scheme = "https".into()), "/a/b?c=d", "https://a.test/a/b?c=d"),
        (with(|it| it.hostname = "b.test".into()), "/a", "http://b.test:8080/a"),
        (with(|it| it.port = 9000), "/a", "http://a.test:9000/a"),
        (with(|it| it.port = 80), "/a", "http://a.test/a"),
        (with(|it| (it.scheme, it.port) = ("https".into(), 443)), "/a?", "https://a.test/a?"),
        (with(|it| (it.scheme, it.port) = ("https".into(), 80)), "/a", "https://a.test:80/a"),
        (with(|it| it.full_path = Some("/new".into())), "/a/b?c", "http://a.test:8080/new?c"),
        (with(|it| it.prefix = Some("/new".into())), "/a/b?c", "http://a.test:8080/new/b?c"),
        (with(|it| it.prefix = Some("/new/".into())), "/a/b/c", "http://a.test:8080/new/b/c"),
        (with(|it| it.prefix = Some("/".into())), "/a", "http://a.test:8080/"),
        (with(|it| it.prefix = Some("/".into())), "/a//b.test", "http://a.test:8080/b.test"),
        (with(|it| it.location = "https://x.test/y".into()), "/a?b", "https://x.test/y"),
        (with(|it| it.location = "/y".into()), "/a?b", "/y"),
    ] {
        assert_eq!(location(&redirect, &head(target), "/a"), expected, "{redirect:?}");
    }
    let no_host = Head::get("//b.test/").host("");
    assert_eq!(location(&with(|it| it.scheme = "https".into()), &no_host, "/"), "-");
    assert_eq!(location(&with(|it| it.hostname = "c.test".into()), &no_host, "/"), "http://c.test//b.test/");
}

#[test]
fn a_redirect_leads_to_a_url() {
    let with = |status, location: &str| {
        Redirect::parse(&wire::Redirect { status, location: location.to_owned(), ..Default::default() })
    };
    assert_eq!(with(300, "/"), Err(FilterError::RedirectStatus(300)));
    for text in
        ["//b.test", "javascript:x", "https://", "https://a b", "/a\r\nx: y", "ftp://a", "a", "https://u@h/"]
    {
        assert_eq!(with(301, text), Err(FilterError::Location(text.to_owned())));
    }
    let path = |path: &str| {
        Redirect::parse(&wire::Redirect {
            status: 301,
            full_path: Some(path.to_owned()),
            ..Default::default()
        })
    };
    for text in ["", "a", "/a b", "/a?b", "/a\r\n"] {
        assert_eq!(path(text), Err(FilterError::Path(text.to_owned())));
    }
    for (text, good) in [
        ("a.test", true),
        ("a.test:80", true),
        ("[::1]:80", true),
        ("a/b", false),
        ("a:0", false),
        ("", false),
        ("a:x", false),
    ] {
        assert_eq!(authority(text).is_ok(), good, "{text}");
    }
}

#[test]
fn an_answer_fits_its_status() {
    let with = |status, body: &str, content_type: &str| {
        let (body, content_type) = (body.to_owned(), content_type.to_owned());
        DirectAnswer::parse(&wire::DirectAnswer { status, content_type, body })
    };
    assert_eq!(with(200, "x", "").unwrap().content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(with(204, "", "").unwrap().content_type, None);
    assert_eq!(with(204, "x", ""), Err(FilterError::AnswerBody(204)));
    assert_eq!(with(101, "", ""), Err(FilterError::AnswerStatus(101)));
    assert_eq!(with(200, "x", "a/b\r\n"), Err(FilterError::MediaType("a/b\r\n".to_owned())));
    assert_eq!(with(200, "x", "text"), Err(FilterError::MediaType("text".to_owned())));
}

fn cors(change: impl FnOnce(&mut wire::Cors)) -> Result<Cors, FilterError> {
    let mut cors = wire::Cors {
        allow_origins: texts(&["https://a.test", "https://*.b.test:8443"]),
        ..Default::default()
    };
    change(&mut cors);
    Cors::parse(&cors)
}

fn written(cors: &Cors, origin: Option<&str>) -> String {
    let mut out = Vec::new();
    cors.write(origin.map(str::as_bytes), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn only_the_named_origins_may_read() {
    let cors = cors(|it| (it.allow_credentials, it.expose_headers) = (true, texts(&["x-a", "x-b"]))).unwrap();
    let allowed = |origin: &str| {
        format!(
            "vary: Origin\r\naccess-control-allow-origin: {origin}\r\naccess-control-expose-headers: x-a, x-b\r\n\
             access-control-allow-credentials: true\r\n"
        )
    };
    for origin in ["https://a.test", "HTTPS://A.test", "https://x.b.test:8443", "https://x.y.b.test:8443"] {
        assert_eq!(written(&cors, Some(origin)), allowed(origin));
    }
    for origin in [
        "http://a.test",
        "https://a.test:80",
        "https://b.test:8443",
        "https://.b.test:8443/",
        "https://evil/x.b.test:8443",
        "https://xb.test:8443",
        "null",
        "",
        "https://x.b.test",
    ] {
        assert_eq!(written(&cors, Some(origin)), "vary: Origin\r\n", "{origin}");
    }
    assert_eq!(written(&cors, None), "vary: Origin\r\n");
    assert!(cors.drops(b"Access-Control-Allow-Origin") && !cors.drops(b"Access-Controlled"));
}

#[test]
fn a_preflight_request_is_told_what_may_follow() {
    let cors = cors(|it| {
        it.allow_origins = texts(&["*"]);
        (it.allow_methods, it.allow_headers) = (texts(&["PUT", "DELETE"]), texts(&["x-a"]));
        it.max_age = Some(600);
    })
    .unwrap();
    let mut out = Vec::new();
    cors.write_preflight(Some(b"https://any.test"), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "access-control-allow-origin: *\r\naccess-control-allow-methods: PUT, DELETE\r\n\
         access-control-allow-headers: x-a\r\naccess-control-max-age: 600\r\n"
    );
}

#[test]
fn cors_that_would_open_everything_or_nothing_is_refused() {
    assert_eq!(cors(|it| it.allow_origins.clear()), Err(FilterError::NoOrigin));
    for change in [
        (|it| it.allow_origins = texts(&["*"])) as fn(&mut wire::Cors),
        |it| it.allow_methods = texts(&["*"]),
        |it| it.allow_headers = texts(&["*"]),
    ] {
        let refused = cors(|it| {
            change(it);
            it.allow_credentials = true;
        });
        assert_eq!(refused, Err(FilterError::Credentials));
    }
    for origin in
        ["a.test", "https://", "https://a.test/", "https://*", "https://a.*.test", "*", "https://a b"]
    {
        let refused = cors(|it| it.allow_origins.push(origin.to_owned()));
        assert_eq!(refused, Err(FilterError::Origin(origin.to_owned())));
    }
    assert!(matches!(cors(|it| it.allow_methods = texts(&["A B"])), Err(FilterError::Method(_))));
    assert!(matches!(cors(|it| it.expose_headers = texts(&["a\r\n"])), Err(FilterError::HeaderName(_))));
}

fn mirrors(mirrors: impl IntoIterator<Item = wire::RequestMirror>) -> Result<Vec<Mirror>, FilterError> {
    let filter = |mirror| FilterSettings::Mirror(mirror).of(FilterKind::Mirror);
    let filters: Vec<_> = mirrors.into_iter().map(filter).collect();
    Ok(Filters::parse(&filters)?.unwrap().mirrors)
}

fn mirror(backend: &str, share: Option<(u32, u32)>) -> wire::RequestMirror {
    let share = share.map(|(numerator, denominator)| wire::Fraction { numerator, denominator });
    wire::RequestMirror { backend: backend.to_owned(), share }
}

#[test]
fn mirrors_name_backends_and_shares() {
    let key = "backend/default/b";
    let parsed = mirrors([mirror(key, None), mirror(key, Some((1, 3)))]).unwrap();
    assert_eq!(parsed.iter().map(|mirror| mirror.backend.to_string()).collect::<Vec<_>>(), [key, key]);
    for backend in ["", "b", "route/default/b"] {
        assert_eq!(mirrors([mirror(backend, None)]), Err(FilterError::Backend(backend.to_owned())));
    }
    for (numerator, denominator) in [(0, 0), (1, 0), (3, 2)] {
        let refused = mirrors([mirror(key, Some((numerator, denominator)))]);
        assert_eq!(refused, Err(FilterError::Share(numerator, denominator)));
    }
}

#[test]
fn a_share_has_exact_ends() {
    for (share, takes) in [
        (None, [true, true, true]),
        (Some((1, 1)), [true, true, true]),
        (Some((u32::MAX, u32::MAX)), [true, true, true]),
        (Some((0, 100)), [false, false, false]),
        (Some((0, u32::MAX)), [false, false, false]),
        (Some((1, 2)), [true, false, false]),
        (Some((1, u32::MAX)), [true, false, false]),
        (Some((u32::MAX - 1, u32::MAX)), [true, true, false]),
    ] {
        let mirror = mirrors([mirror("backend/default/b", share)]).unwrap().remove(0);
        assert_eq!([0, u64::MAX / 2 + 1, u64::MAX].map(|random| mirror.takes(random)), takes, "{share:?}");
    }
}

proptest! {
    /// Whatever is accepted as a header is one line, and no other.
    #[test]
    fn no_edit_breaks_a_head(name in "\\PC{0,6}|[a-z\r\n: ]{0,6}", value in "[ -~\r\n\t\u{0}\u{7f}é]{0,8}") {
        let set = edits(|it| it.set = vec![field(&name, &value)]);
        if let Ok(edits) = HeaderEdits::parse(Direction::Request, &set) {
            let mut out = Vec::new();
            edits.write(&mut out, |_| false);
            prop_assert_eq!(out.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count(), 2);
            prop_assert!(out.ends_with(b"\r\n") && out.iter().filter(|byte| **byte == 0).count() == 0);
            prop_assert_eq!(out.iter().position(|byte| *byte == b':'), Some(name.len()));
        }
    }

    /// What an origin pattern with a wildcard admits has its scheme, its suffix and labels before it.
    #[test]
    fn a_wildcard_origin_admits_hosts_below_only(front in "(https?://)?[a-z./@:]{0,8}", back in "\\.b\\.test:8443|b\\.test|\\.b\\.test") {
        let origin = format!("{front}{back}");
        let admitted = written(&cors(|_| ()).unwrap(), Some(&origin)).contains("allow-origin");
        let labels = origin.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".b.test:8443"));
        let below = labels.is_some_and(|labels| !labels.is_empty() && !labels.contains(['/', '@', ':']));
        prop_assert_eq!(admitted, below || origin == "https://a.test");
    }

    /// Over numbers that are spread evenly, a share is what it says.
    #[test]
    fn a_share_is_its_part_of_even_numbers(numerator in 0..=50_u32, denominator in 50..=1000_u32) {
        let mirror = mirrors([mirror("backend/default/b", Some((numerator, denominator)))]).unwrap().remove(0);
        let step = u64::MAX / 10_000;
        let taken = (0..10_000).filter(|index| mirror.takes(index * step)).count();
        let expected = 10_000.0 * f64::from(numerator) / f64::from(denominator);
        prop_assert!((taken as f64 - expected).abs() <= 1.0, "{taken} and not {expected}");
    }
}
