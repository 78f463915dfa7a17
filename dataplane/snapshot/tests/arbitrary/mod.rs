//! Random objects, snapshots and as-of vectors, small enough that they meet.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;

use bytes::Bytes;
use dataplane_snapshot::{AsOf, Epoch, Key, Kind, Object, Snapshot, SourceAsOf};
use proptest::prelude::*;
use proptest::{collection, sample};

pub(crate) fn key() -> impl Strategy<Value = Key> {
    let kind = sample::select(Kind::ALL.to_vec());
    let name =
        prop_oneof![sample::select(vec!["a", "b", "a~0", "b/c"]).prop_map(str::to_owned), "[a-e]{1,2}"];
    (kind, sample::select(vec!["x", "y"]), name)
        .prop_map(|(kind, namespace, name)| Key::new(kind, namespace, name))
}

pub(crate) fn object() -> impl Strategy<Value = Object> {
    (key(), collection::vec(any::<u8>(), 0..4)).prop_map(|(key, bytes)| Object::new(key, bytes.into()))
}

pub(crate) fn objects(most: usize) -> impl Strategy<Value = Vec<Object>> {
    collection::vec(object(), 0..most)
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    (objects(16), as_of()).prop_map(|(objects, as_of)| Snapshot::new(objects, as_of))
}

pub(crate) fn as_of() -> impl Strategy<Value = AsOf> {
    let name = sample::select(vec!["files", "kubernetes", "store"]).prop_map(str::to_owned);
    collection::btree_map(name, source_as_of(), 0..4).prop_map(AsOf)
}

/// Of the same two sources every time.
pub(crate) fn as_of_of_two_sources() -> impl Strategy<Value = AsOf> {
    let named = |(files, store)| [("files".to_owned(), files), ("store".to_owned(), store)];
    (source_as_of(), source_as_of()).prop_map(move |sources| AsOf(named(sources).into()))
}

/// As a leader has it: one epoch, named by its creation, and the kinds that it watches.
fn source_as_of() -> impl Strategy<Value = SourceAsOf> {
    let kind = sample::select(vec![Kind::Backend, Kind::Route]);
    (epoch(), collection::btree_map(kind, 0..4_u64, 0..3))
        .prop_map(|(epoch, revisions)| SourceAsOf { epoch, revisions })
}

fn epoch() -> impl Strategy<Value = Epoch> {
    let epochs = [("one", 1), ("two", 2), ("twin", 2)];
    sample::select(epochs.to_vec()).prop_map(|(id, created_at)| Epoch { id: id.to_owned(), created_at })
}

/// One source in one epoch, so that two of them can be compared entry by entry.
pub(crate) fn as_of_of_one_epoch() -> impl Strategy<Value = AsOf> {
    let kind = sample::select(vec![Kind::Backend, Kind::Route]);
    collection::btree_map(kind, 0..4_u64, 0..3).prop_map(|revisions| one_source("store", revisions))
}

pub(crate) fn one_source(name: &str, revisions: BTreeMap<Kind, u64>) -> AsOf {
    let epoch = Epoch { id: "one".to_owned(), created_at: 1 };
    AsOf([(name.to_owned(), SourceAsOf { epoch, revisions })].into())
}

pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}
