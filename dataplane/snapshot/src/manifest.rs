//! What somebody has, said in 16 bytes an object: for a peer that doesn't know its root. The peer answers with the objects
//! that are missing and the ids of those that are too many.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};

use crate::{Key, Object, Snapshot};

/// The front of the hash of key and content that goes into the root, too: two objects with one id would be a collision there.
type Id = [u8; 16];

/// The ids of all objects, in no order that means something.
pub fn manifest(snapshot: &Snapshot) -> Bytes {
    let mut ids = BytesMut::with_capacity(snapshot.len() * size_of::<Id>());
    snapshot.objects().for_each(|object| ids.extend_from_slice(&id(object)));
    ids.freeze()
}

/// What turns that of which `manifest` tells into `target`: objects to put, and ids of those to remove. An incomplete id at
/// its end is none.
pub fn difference<'t>(manifest: &[u8], target: &'t Snapshot) -> (Vec<&'t Object>, Bytes) {
    let (ids, _) = manifest.as_chunks::<{ size_of::<Id>() }>();
    let mut gone: HashSet<&Id> = ids.iter().collect();
    let upserts = target.objects().filter(|object| !gone.remove(&id(object))).collect();
    let removed = ids.iter().filter(|id| gone.contains(id)).flatten().copied().collect();
    (upserts, removed)
}

/// The keys of the objects of `snapshot` with these ids.
pub(crate) fn keys_of(snapshot: &Snapshot, ids: &[u8]) -> Vec<Key> {
    let (ids, _) = ids.as_chunks::<{ size_of::<Id>() }>();
    if ids.is_empty() {
        return Vec::new();
    }
    let ids: HashSet<&Id> = ids.iter().collect();
    snapshot.objects().filter(|object| ids.contains(&id(object))).map(|object| object.key().clone()).collect()
}

fn id(object: &Object) -> Id {
    let mut id = Id::default();
    object.digest().finalize_xof().fill(&mut id);
    id
}
