use std::collections::BTreeMap;

use dataplane_snapshot::{AsOf, Epoch, Key, Kind, Object, Snapshot, SourceAsOf, wire};

pub(crate) fn as_of(revision: u64) -> AsOf {
    let epoch = Epoch { id: "e".into(), created_at: 1 };
    let revisions = BTreeMap::from([(Kind::Route, revision)]);
    AsOf(BTreeMap::from([("files".into(), SourceAsOf { epoch, revisions })]))
}

/// One route named `text`, as of `revision`.
pub(crate) fn snapshot(revision: u64, text: &str) -> Snapshot {
    let route = wire::Route { name: text.into(), ..Default::default() };
    let object = Object::encode(Key::new(Kind::Route, "default", "r"), &wire::Payload::Route(route).into());
    Snapshot::new([object], as_of(revision))
}
