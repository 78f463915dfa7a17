//! The bodies of the fuzz targets, with input that is near to what they expect.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use dataplane_snapshot::wire;

fn nearly_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET / HTTP/1.1\r\n"),
        Just("POST /a?b HTTP/1.0\r\n"),
        Just("host: a\r\n"),
        Just("content-length: 3\r\n"),
        Just("transfer-encoding: chunked\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just(" x: y"),
        Just("\0"),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
}

fn nearly_response_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.0 204\r\n"),
        Just("HTTP/1.1 103 \r\n"),
        Just("content-length: 3\r\n"),
        Just("transfer-encoding: chunked\r\n"),
        Just("connection: close, x\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just(" x: y"),
        Just("\0"),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
}

fn nearly_chunks() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("3\r\nabc\r\n"),
        Just("0\r\n"),
        Just("\r\n"),
        Just("a;x=y\r\n"),
        Just("t: v\r\n"),
        Just("-1")
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
}

const MANIFEST: &str = "apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: a}
spec:
  matches: [{paths: [{value: /a}]}]
  backends: [{inline: {targets: [{hostname: a, port: 1}]}}]
";

/// A good manifest with a piece replaced.
fn nearly_yaml() -> impl Strategy<Value = Vec<u8>> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~\n]{0,12}").prop_map(
        |(from, to, text)| {
            let (from, to) = (from.index(MANIFEST.len()), to.index(MANIFEST.len()));
            let (from, to) = (from.min(to), from.max(to));
            [&MANIFEST[..from], &text, &MANIFEST[to..]].concat().into_bytes()
        },
    )
}

/// A content whose fields are there, absent or empty.
fn nearly_content() -> impl Strategy<Value = Vec<u8>> {
    let text =
        prop_oneof![Just(String::new()), Just("/a/$x<[0-9]+>".to_owned()), Just("*.b".to_owned()), ".{0,8}"];
    let path = (text.clone(), -1..3).prop_map(|(pattern, kind)| wire::PathMatch { kind, pattern });
    let condition = (text.clone(), -1..6, text.clone()).prop_map(|(name, kind, value)| wire::Condition {
        name,
        kind,
        value,
    });
    let rule = (vec(text.clone(), 0..2), vec(path, 0..2), vec(condition, 0..2), vec(text.clone(), 0..2))
        .prop_map(|(hostnames, paths, headers, backends)| {
            let destination = |backend| wire::Destination { backend, weight: 1, filters: Vec::new() };
            wire::Rule {
                matches: vec![wire::Match { hostnames, paths, headers, ..wire::Match::default() }],
                filters: vec![wire::Filter { kind: 99, settings: None }],
                destinations: backends.into_iter().map(destination).collect(),
            }
        });
    let route = vec(rule, 0..2)
        .prop_map(|rules| wire::Payload::Route(wire::Route { rules, ..wire::Route::default() }));
    let target =
        (text.clone(), any::<u32>(), any::<u32>(), text.clone()).prop_map(|(hostname, port, weight, ip)| {
            wire::Target { hostname, port, weight, ip_address: ip, ..wire::Target::default() }
        });
    let endpoints =
        vec(target, 0..3).prop_map(|targets| wire::Payload::Endpoints(wire::Endpoints { targets }));
    let backend = (text, any::<bool>()).prop_map(|(root, rewrite)| {
        wire::Payload::Backend(wire::Backend { root, rewrite, ..wire::Backend::default() })
    });
    prop_oneof![route, endpoints, backend].prop_map(|payload| wire::Content::from(payload).encode_to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn head(bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly_head()]) {
        fuzz::head(&bytes);
    }

    #[test]
    fn response_head(bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly_response_head()]) {
        fuzz::response_head(&bytes);
    }

    #[test]
    fn chunks(bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly_chunks()]) {
        fuzz::chunks(&bytes);
    }

    #[test]
    fn snapshot(bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly_content()]) {
        fuzz::snapshot(&bytes);
    }

    #[test]
    fn yaml(bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly_yaml()]) {
        fuzz::yaml(&bytes);
    }
}
