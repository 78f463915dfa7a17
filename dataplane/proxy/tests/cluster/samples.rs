use std::collections::BTreeMap;

use dataplane_snapshot::{AsOf, Epoch, Key, Kind, Object, Snapshot, SourceAsOf, wire};

pub(crate) fn key(name: &str) -> Key {
    Key::new(Kind::Route, "default", name)
}

pub(crate) fn as_of(revision: u64) -> AsOf {
    let epoch = Epoch { id: "e".into(), created_at: 1 };
    let revisions = BTreeMap::from([(Kind::Route, revision)]);
    AsOf(BTreeMap::from([("files".into(), SourceAsOf { epoch, revisions })]))
}

pub(crate) fn route(name: &str, text: &str) -> Object {
    let route = wire::Route { name: text.into(), ..Default::default() };
    Object::encode(key(name), &wire::Payload::Route(route).into())
}

pub(crate) fn held(name: &str) -> Object {
    let held = wire::Held { reason: "broken".into(), route: None };
    Object::encode(key(name), &wire::Payload::Held(held).into())
}

/// One route named `text`, as of `revision`.
pub(crate) fn snapshot(revision: u64, text: &str) -> Snapshot {
    Snapshot::new([route("r", text)], as_of(revision))
}
