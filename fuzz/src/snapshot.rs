use bytes::Bytes;
use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_snapshot::wire::State;
use dataplane_snapshot::{Key, Kind, Object, Snapshot};

/// Bytes from the network are decoded or refused, and whatever decodes is compiled or rejected object by object.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(snapshot) = State::decode_snapshot(Bytes::copy_from_slice(bytes)) {
        compile(snapshot);
    }
    // The root is hard to guess, so the same bytes are tried as the content of each kind too.
    let object = |kind| Object::new(Key::new(kind, "default", "fuzzed"), Bytes::copy_from_slice(bytes));
    compile(Snapshot::new(Kind::ALL.map(object), dataplane_snapshot::AsOf::default()));
}

fn compile(snapshot: Snapshot) {
    let keys: Vec<_> = snapshot.objects().map(|object| object.key().clone()).collect();
    let compiled = Router::compile(&Served::new(snapshot), None, &BackendStates::default());
    for (key, reason) in compiled.rejected {
        assert!(keys.contains(&key), "{key} was rejected but isn't there");
        assert!(!reason.is_empty(), "{key} was rejected without a reason");
    }
}
