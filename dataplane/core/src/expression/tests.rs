use std::collections::BTreeMap;

use dataplane_snapshot::wire::PathKind;
use proptest::prelude::*;

use super::*;
use crate::PathPattern;
use crate::sample::{Head, key};

fn expand(template: &str, head: &Head) -> String {
    let template = Template::parse(template).unwrap();
    let pattern = PathPattern::parse(PathKind::Prefix, "/api/:id").unwrap();
    let metadata = BTreeMap::from([("zone".to_owned(), "eu/west 1".to_owned())]);
    let scope = Scope {
        key: &key("route/default/users"),
        name: "Users é",
        domains: &["a.test".into(), "*.b.test".into()],
        metadata: &metadata,
        pattern: &pattern,
    };
    let mut out = Vec::new();
    Expansion::new(head, scope, &mut out).write(&template, 1 << 20);
    String::from_utf8(out).unwrap()
}

fn head() -> Head {
    Head::get("/api/a+b;c/x?q=1%2F2+3&e").header("x-name", "N/1 ?#%").header("cookie", "c=v=1")
}

#[test]
fn names_of_the_request() {
    for (name, expected) in [
        ("req.fullUrl", "http%3A%2F%2Fexample.com%2Fapi%2Fa%2Bb%3Bc%2Fx%3Fq%3D1%252F2%2B3%26e"),
        ("req.listener", "http"),
        ("req.id", "7"),
        ("req.path", "/api/a+b;c/x"),
        ("req.uri", "/api/a+b;c/x?q=1%2F2+3&e"),
        ("req.host", "example.com"),
        ("req.domain", "example.com"),
        ("req.method", "GET"),
        ("req.protocol", "http"),
        ("req.ip", "192.0.2.1"),
        ("req.ip_address", "192.0.2.1"),
        ("req.secured", "false"),
        ("req.version", "HTTP%2F1.1"),
        ("req.headers.X-Name", "N%2F1%20%3F%23%25"),
        ("req.query.q", "1%2F2%203"),
        ("req.query.e", ""),
        ("req.cookies.c", "v%3D1"),
        ("req.pathparams.id", "a+b;c"),
    ] {
        assert_eq!(expand(&format!("${{{name}}}"), &head()), expected, "{name}");
    }
}

#[test]
fn names_of_the_route() {
    for (name, expected) in [
        ("route.id", "users"),
        ("route.name", "Users%20%C3%A9"),
        ("route.domains['0']", "a.test"),
        ("route.domains['1']", "%2A.b.test"),
        ("route.metadata.zone", "eu/west%201"),
        ("service.id", "users"),
        ("service.metadata.zone", "eu/west%201"),
    ] {
        assert_eq!(expand(&format!("${{{name}}}"), &head()), expected, "{name}");
    }
}

#[test]
fn what_is_missing() {
    for (template, expected) in [
        ("${req.pathparams.x}", "no-path-param-x"),
        ("${req.headers.x}", "no-header-x"),
        ("${req.query.x}", "no-query-x"),
        ("${req.cookies.x}", "no-cookie-x"),
        ("${route.metadata.x}", "no-meta-x"),
        ("${route.domains['9']}", "no-domain-9"),
        ("${req.headers.x:a/b}", "a/b"),
        ("${req.headers.x:}", ""),
        ("${req.headers.x || req.query.y :: d}", "d"),
        ("${req.headers.x || req.query.q :: d}", "1%2F2%203"),
        ("${req.headers.x || req.query.y}", "no-query-y"),
        ("${req.headers.x:d || req.query.q}", "d"),
        ("${req.headers.x :: d e}", "d%20e"),
    ] {
        assert_eq!(expand(template, &head()), expected, "{template}");
    }
}

#[test]
fn after_a_question_mark_values_stay_one_piece() {
    assert_eq!(expand("/a?x=${req.pathparams.id}", &Head::get("/api/a&b=c+d")), "/a?x=a%26b%3Dc%2Bd");
    assert_eq!(expand("/a?x=${req.path}", &Head::get("/api/x")), "/a?x=%2Fapi%2Fx");
    assert_eq!(expand("/a?x=${req.uri}", &Head::get("/api/x?y=1")), "/a?x=%2Fapi%2Fx%3Fy%3D1");
}

#[test]
fn literal_text_is_spelled_as_in_a_uri() {
    assert_eq!(expand("/a b\r\n/é/%41/%4/$x/{y}", &head()), "/a%20b%0D%0A/%C3%A9/%41/%254/$x/%7By%7D");
    assert_eq!(expand("/base/${req.path}", &head()), "/base/api/a+b;c/x");
    assert_eq!(expand("", &head()), "");
}

#[test]
fn what_a_client_sends_is_never_an_expression() {
    let head = Head::get("/api/${req.method}").header("x-a", "${req.method}");
    assert_eq!(expand("/${req.pathparams.id}", &head), "/${req.method}");
    assert_eq!(expand("/${req.headers.x-a}", &head), "/%24%7Breq.method%7D");
}

#[test]
fn refuses_with_the_fitting_sentence() {
    let error = |text: &str| Template::parse(text).unwrap_err();
    assert_eq!(error("/${req.path"), ExpressionError::Unclosed("req.path".into()));
    assert_eq!(error("/${}"), ExpressionError::Empty);
    assert_eq!(error("/${req.path || }"), ExpressionError::Empty);
    assert_eq!(error("/${req.nope}"), ExpressionError::Unknown("req.nope".into()));
    assert_eq!(error("/${req.nope.x}"), ExpressionError::Unknown("req.nope.x".into()));
    assert_eq!(error("/${nope}"), ExpressionError::Unknown("nope".into()));
    assert_eq!(error("/${req.headers.}"), ExpressionError::NoKey("req.headers.".into()));
    assert_eq!(error("/${route.domains[0]}"), ExpressionError::Index("route.domains[0]".into()));
    for later in
        ["apikey.name", "env.HOME", "vault", "token.x", "req.client_cert.dn", "route.json", "now.plus_ms(1)"]
    {
        assert_eq!(error(&format!("/${{{later}}}")), ExpressionError::NotSupported(later.into()));
    }
    assert_eq!(error(&"a".repeat(4097)), ExpressionError::TooLong(4097));
    let shown = error("/${req.nope}").to_string();
    assert!(shown.starts_with("${req.nope} is not known: write req. or route."), "{shown}");
}

proptest! {
    /// Expanding is one pass: a value comes out as it went in, whatever it is, and never ends the path or the line.
    #[test]
    fn one_pass(value in prop::collection::vec(any::<u8>(), 0..40)) {
        let head = Head::get("/api/1").header("x-a", &value);
        let out = expand("/${req.headers.x-a}/", &head);
        let inner = out.strip_prefix('/').and_then(|out| out.strip_suffix('/')).unwrap();
        prop_assert!(inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        prop_assert_eq!(crate::query::decode(inner).collect::<Vec<_>>(), value);
    }

    #[test]
    fn parsing_never_panics(text in ".{0,60}") {
        let _ = Template::parse(&text);
        let _ = Template::parse(&format!("${{{text}}}"));
    }
}
