//! Whatever bytes come, compiling gives a router and reasons, never a panic.

use bytes::Bytes;
use dataplane_snapshot::{Object, wire};
use proptest::prelude::*;
use prost::Message as _;

use super::{compile, goes_to};
use crate::sample::{Head, endpoints, on, route, with_header};
use crate::{FullRegex, HostPattern, PathPattern};

fn whole() -> Vec<Object> {
    let given = with_header("x-a", "1", on("*.a.test", "/a/$x<[0-9]+>/:y/b*/*"));
    vec![route("r", vec![given, on("", "/")]), endpoints("b", &[("t", 1), ("u", 0)])]
}

/// The object with one byte changed, or cut off there.
fn damaged(object: &Object, at: prop::sample::Index, byte: Option<u8>) -> Object {
    let mut bytes = object.bytes().to_vec();
    let at = at.index(bytes.len());
    match byte {
        Some(byte) => bytes[at] = byte,
        None => bytes.truncate(at),
    }
    Object::new(object.key().clone(), bytes.into())
}

proptest! {
    #[test]
    fn damaged_objects(which in 0_usize..2, at: prop::sample::Index, byte: Option<u8>) {
        let mut objects = whole();
        objects[which] = damaged(&objects[which], at, byte);
        let compiled = compile(objects);
        goes_to(&compiled.router, &Head::get("/a/1/2/b/c").host("x.a.test"));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60), kind in 0_usize..4) {
        let kind = ["listener", "route", "backend", "endpoints"][kind];
        let key = format!("{kind}/default/b").parse().unwrap();
        goes_to(&compile([Object::new(key, Bytes::from(bytes))]).router, &Head::get("/"));
    }

    #[test]
    fn any_text(text in ".{0,30}", regex in "[a-c(){}|*+?\\[\\]^$.0-9-]{0,12}") {
        let _ = HostPattern::parse(&text);
        let _ = PathPattern::parse(wire::PathKind::Exact, &format!("/{text}"));
        if let Ok(regex) = FullRegex::parse(&regex) {
            regex.matches(text.as_bytes());
        }
    }
}

/// A route whose fields are all absent, field by field.
#[test]
fn absent_fields() {
    let wire::Payload::Route(full) = whole()[0].decode().unwrap() else { panic!("not a route") };
    let without: [fn(&mut wire::Route); 8] = [
        |route| route.rules[0] = wire::Rule::default(),
        |route| route.rules[0].matches[0] = wire::Match::default(),
        |route| route.rules[0].matches[0].paths[0] = wire::PathMatch::default(),
        |route| route.rules[0].matches[0].headers[0] = wire::Condition::default(),
        |route| route.rules[0].matches[0].hostnames[0].clear(),
        |route| route.rules[0].matches[0].precedence.clear(),
        |route| route.rules[0].destinations[0] = wire::Destination::default(),
        |route| route.name.clear(),
    ];
    for clear in without {
        let mut route = full.clone();
        clear(&mut route);
        let content = wire::Content::from(wire::Payload::Route(route));
        let key = "route/default/r".parse().unwrap();
        compile([Object::new(key, content.encode_to_vec().into())]);
    }
}
