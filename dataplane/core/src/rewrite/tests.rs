use std::collections::BTreeMap;

use dataplane_snapshot::wire::PathKind;
use proptest::prelude::*;

use super::*;
use crate::PathPattern;
use crate::sample::{Head, key};

fn write(
    root: &str,
    rewrite: bool,
    strip: bool,
    pattern: &str,
    target: &str,
) -> Result<String, RewriteError> {
    let head =
        Head::get(target).header("x-dots", "..").header("x-dot", ".").header("x-long", "a".repeat(40_000));
    let pattern = PathPattern::parse(PathKind::Prefix, pattern).unwrap();
    assert!(pattern.matches(head.path()));
    let scope = Scope {
        key: &key("route/default/users"),
        name: "Users",
        domains: &[],
        metadata: &BTreeMap::new(),
        pattern: &pattern,
    };
    let rest = if strip { pattern.rest(head.path()) } else { head.path() };
    let mut out = b"GET ".to_vec();
    let result = Root::parse(root, rewrite).unwrap().write(&head, scope, rest, &mut out);
    let written = String::from_utf8(out).unwrap().strip_prefix("GET ").unwrap().to_owned();
    assert!(result.is_ok() || written.is_empty(), "an error leaves the buffer as it was");
    result.map(|()| written)
}

#[test]
fn a_root_is_put_in_front_with_one_slash() {
    for (root, target, expected) in [
        ("/", "/api/x", "/api/x"),
        ("", "/api/x", "/api/x"),
        ("/v1", "/api/x", "/v1/api/x"),
        ("/v1/", "/api/x/", "/v1/api/x/"),
        ("v1", "/api/x", "/v1/api/x"),
        ("/v1", "/api//x?a=1&b", "/v1/api//x?a=1&b"),
        ("/v1", "/api?", "/v1/api?"),
        ("/v1//", "//api", "/v1/api"),
    ] {
        assert_eq!(write(root, false, false, "/", target).unwrap(), expected, "{root} {target}");
    }
}

#[test]
fn the_matched_part_is_stripped() {
    for (root, target, expected) in [
        ("/", "/api/users/7", "/7"),
        ("/", "/api/users", "/"),
        ("/v1", "/api/users", "/v1"),
        ("/v1", "/api/users/", "/v1/"),
        ("/v1/", "/api/users", "/v1/"),
        ("/v1/", "/api//users//7?x", "/v1/7?x"),
        ("/v1/${req.pathparams.kind}", "/api/users/7", "/v1/users/7"),
    ] {
        assert_eq!(write(root, false, true, "/api/:kind", target).unwrap(), expected, "{root} {target}");
    }
    assert_eq!(write("/v1", false, true, "/", "/x").unwrap(), "/v1/x");
}

#[test]
fn rewrite_replaces_the_path_and_keeps_the_query() {
    let bills = "/api/users/$id<[0-9]+>/bills";
    for (root, target, expected) in [
        (
            "/apis/v1/basic_users/${req.pathparams.id}/all_bills",
            "/api/users/42/bills",
            "/apis/v1/basic_users/42/all_bills",
        ),
        ("/u/${req.pathparams.id}", "/api/users/42/bills/more?p=1", "/u/42?p=1"),
        ("/u?id=${req.pathparams.id}", "/api/users/42/bills?p=1", "/u?id=42&p=1"),
        ("/u?id=${req.pathparams.id}", "/api/users/42/bills", "/u?id=42"),
        ("/u?id=1", "/api/users/42/bills?", "/u?id=1"),
        ("/u?", "/api/users/42/bills?p=1", "/u?p=1"),
        ("/old${req.uri}", "/api/users/42/bills?p=1", "/old/api/users/42/bills?p=1"),
        ("${req.path}", "/api/users/42/bills?p=1", "/api/users/42/bills?p=1"),
        ("${req.pathparams.id}", "/api/users/42/bills", "/42"),
        ("", "/api/users/42/bills", "/"),
    ] {
        assert_eq!(write(root, true, true, bills, target).unwrap(), expected, "{root} {target}");
    }
}

#[test]
fn the_result_has_no_dot_segment() {
    for root in [
        "/${req.headers.x-dots}",
        "/a/${req.headers.x-dot}/b",
        "/a/.${req.headers.x-dot}",
        "/%2e${req.headers.x-dot}",
    ] {
        assert_eq!(write(root, true, false, "/", "/x"), Err(RewriteError::DotSegment), "{root}");
        assert_eq!(write(root, false, false, "/", "/x"), Err(RewriteError::DotSegment), "{root}");
    }
    assert_eq!(write("/a${req.headers.x-dots}", true, false, "/", "/x").unwrap(), "/a..");
    assert_eq!(write("/a?p=/${req.headers.x-dots}/", true, false, "/", "/x").unwrap(), "/a?p=/../");
}

#[test]
fn an_expansion_is_bounded() {
    let root = "/${req.headers.x-long}".repeat(100);
    assert_eq!(write(&root, true, false, "/", "/x"), Err(RewriteError::TooLong));
}

#[test]
fn refuses_with_the_fitting_sentence() {
    assert_eq!(Root::parse("/a?b", false), Err(RootError::Query));
    assert_eq!(Root::parse("/a${req.uri}", false), Err(RootError::Uri));
    assert_eq!(Root::parse("/a#b", true), Err(RootError::Fragment));
    for root in ["/..", "/a/./b", "/%2E%2e/", "."] {
        assert_eq!(Root::parse(root, true), Err(RootError::DotSegment), "{root}");
    }
    assert!(matches!(Root::parse("/${x}", false), Err(RootError::Expression(_))));
}

proptest! {
    /// Whatever the root and the request, the result is a path, has no dot segment and can't end the request line.
    #[test]
    fn the_result_is_a_target(root in "[/a.%2e?$ \\u{e9}]{0,12}", path in "(/[a.%;é]{0,3}){1,4}", rewrite: bool, strip: bool) {
        let (Ok(_), Ok(path)) = (Root::parse(&root, rewrite), crate::path::normalize(&path)) else { return Ok(()) };
        let written = write(&root, rewrite, strip, "/", &path).unwrap();
        prop_assert!(written.starts_with('/'));
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert!(!written_has_dot_segment(written.as_bytes()), "{written}");
    }
}
