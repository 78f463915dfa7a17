//! Nothing that arrives makes the decoder panic, and what it accepts is what was sent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod arbitrary;

use arbitrary::{bytes, snapshot};
use bytes::Bytes;
use dataplane_snapshot::wire::{self, FORMAT_VERSION, State, StateError, StateObject};
use dataplane_snapshot::{AsOf, Key, Kind, Object, Snapshot, manifest};
use proptest::prelude::*;
use proptest::{collection, option, sample};
use prost::Message as _;

/// A state of which every field may be absent, empty or wrong.
fn any_state() -> impl Strategy<Value = State> {
    let key = prop_oneof![
        sample::select(vec!["", "route", "route//", "route/x/y", "shoe/x/y", "route/x/y/z"])
            .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let object =
        (key, prop_oneof![bytes(8), any_content()]).prop_map(|(key, bytes)| StateObject { key, bytes });
    let root = prop_oneof![bytes(40), Just(Bytes::new()), Just(Bytes::from_static(&[0; 32]))];
    (0..3_u32, root, option::of(any_as_of()), collection::vec(object, 0..4), any::<bool>()).prop_map(
        |(format_version, root, as_of, objects, with_good_root)| {
            let mut state = State { format_version, root, as_of, objects, ..State::default() };
            if with_good_root {
                state.root = good_root(&state);
            }
            state
        },
    )
}

/// The root of those objects that have a key, so that states get past the check of the root.
fn good_root(state: &State) -> Bytes {
    let objects = state.objects.iter();
    let objects =
        objects.filter_map(|it| Some(Object::new(Key::of_any_kind(&it.key).ok()?, it.bytes.clone())));
    Bytes::copy_from_slice(&Snapshot::new(objects, AsOf::default()).root().0)
}

fn any_as_of() -> impl Strategy<Value = wire::WireAsOf> {
    let revisions =
        collection::btree_map(prop_oneof![Just("route".to_owned()), ".{0,4}"], any::<u64>(), 0..3);
    let source = (".{0,4}", any::<u64>(), revisions).prop_map(|(epoch_id, epoch_created_at, revisions)| {
        wire::WireSource { epoch_id, epoch_created_at, revisions }
    });
    collection::btree_map(".{0,4}", source, 0..3).prop_map(|sources| wire::WireAsOf { sources })
}

/// An object's bytes with a payload of which every field may be absent.
fn any_content() -> impl Strategy<Value = Bytes> {
    let matched = (option::of(Just("a.test")), any::<i32>()).prop_map(|(host, kind)| wire::Match {
        hostnames: host.into_iter().map(str::to_owned).collect(),
        paths: vec![wire::PathMatch { kind, pattern: String::new() }],
        headers: vec![wire::Condition { kind, ..Default::default() }],
        ..Default::default()
    });
    let route = collection::vec(matched, 0..2).prop_map(|matches| wire::Route {
        rules: vec![wire::Rule { matches, ..Default::default() }],
        ..Default::default()
    });
    let payload = prop_oneof![
        Just(wire::Payload::Listener(wire::Listener::default())),
        Just(wire::Payload::Backend(wire::Backend::default())),
        Just(wire::Payload::Endpoints(wire::Endpoints { targets: vec![wire::Target::default()] })),
        route.clone().prop_map(wire::Payload::Route),
        option::of(route).prop_map(|route| wire::Payload::Held(wire::Held { reason: String::new(), route })),
    ];
    option::of(payload).prop_map(|payload| {
        wire::Content { labels: std::collections::BTreeMap::new(), payload }.encode_to_vec().into()
    })
}

/// Decodes as a worker does: the state, then every object of it.
fn decode(bytes: Bytes) -> Result<Snapshot, StateError> {
    let snapshot = State::decode_snapshot(bytes)?;
    for object in snapshot.objects() {
        if let Ok(payload) = object.decode() {
            assert!(payload.kind().is_none_or(|kind| kind == object.key().kind()));
        }
    }
    Ok(snapshot)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in bytes(256)) {
        let _ = decode(bytes);
    }

    #[test]
    fn any_state_never_panics(state in any_state()) {
        let accepted = decode(state.encode_to_vec().into());
        if let Ok(snapshot) = accepted {
            prop_assert_eq!(state.format_version, FORMAT_VERSION);
            prop_assert_eq!(snapshot.len(), state.objects.len());
            prop_assert_eq!(&snapshot.root().0[..], &state.root[..]);
        }
    }

    #[test]
    fn a_cut_or_damaged_state_never_panics(
        snapshot in snapshot(),
        cut in any::<sample::Index>(),
        flips in collection::vec((any::<sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = State::from_snapshot(&snapshot).encode_to_vec();
        for (at, with) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        let _ = decode(Bytes::copy_from_slice(&bytes));
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode(bytes.into());
    }

    #[test]
    fn a_snapshot_arrives_as_it_was(snapshot in snapshot()) {
        let arrived = decode(State::from_snapshot(&snapshot).encode_to_vec().into()).unwrap();
        prop_assert_eq!(arrived.root(), snapshot.root());
        prop_assert_eq!(arrived.as_of(), snapshot.as_of());
        prop_assert!(arrived.objects().eq(snapshot.objects()));
    }
}

fn state_of(objects: Vec<StateObject>) -> State {
    let mut state = State { format_version: FORMAT_VERSION, objects, ..State::default() };
    state.root = good_root(&state);
    state
}

fn refusal(state: &State) -> StateError {
    State::decode_snapshot(state.encode_to_vec().into()).unwrap_err()
}

#[test]
fn the_whole_is_refused_for_what_it_is() {
    let object = |key: &str| StateObject { key: key.to_owned(), bytes: Bytes::new() };
    let good = state_of(vec![object("route/x/y")]);
    assert!(State::decode_snapshot(good.encode_to_vec().into()).is_ok());

    assert_eq!(refusal(&State { format_version: 2, ..good.clone() }), StateError::Version { theirs: 2 });
    assert_eq!(refusal(&State { root: Bytes::new(), ..good.clone() }), StateError::RootLength(0));
    let other = State { objects: vec![object("route/x/z")], ..good };
    assert!(matches!(refusal(&other), StateError::WrongRoot { .. }));
    assert!(matches!(refusal(&state_of(vec![object("shoe/x")])), StateError::Key(_)));
    let twice = state_of(vec![object("route/x/y"), object("route/x/y")]);
    assert_eq!(refusal(&twice), StateError::Repeated(Key::new(Kind::Route, "x", "y")));
    let bytes = Bytes::from(vec![0; Object::MAX_BYTES + 1]);
    let large = state_of(vec![StateObject { key: "route/x/y".to_owned(), bytes }]);
    assert!(
        matches!(refusal(&large), StateError::ObjectSize { bytes, .. } if bytes == Object::MAX_BYTES + 1)
    );
}

/// An object that one program can't read is passed on as it came: its bytes and hash, so also the root, stay.
#[test]
fn unknown_objects_are_kept() {
    let unknown = Bytes::from_static(&[0xf8, 0x07, 0x01]);
    let state = state_of(vec![StateObject { key: "limit/x/y".to_owned(), bytes: unknown.clone() }]);
    let snapshot = State::decode_snapshot(state.encode_to_vec().into()).unwrap();
    let object = snapshot.objects().next().unwrap();
    assert_eq!(object.bytes(), &unknown);
    assert!(object.decode().is_err());
    assert_eq!(State::from_snapshot(&snapshot).objects[0].bytes, unknown);
}

/// A leader of a later version may have kinds that this one doesn't know. All of the state is refused if they aren't kept.
#[test]
fn objects_of_kinds_of_a_later_version_are_kept() {
    let object = |key: &str, byte: u8| StateObject { key: key.to_owned(), bytes: Bytes::from(vec![byte]) };
    let first = state_of(vec![object("shoe/x/y", 1), object("route/x/y", 2), object("shoe/x/z", 3)]);
    let known = State::decode_snapshot(first.encode_to_vec().into()).unwrap();
    let keys: Vec<_> = known.objects().map(|object| object.key().to_string()).collect();
    assert_eq!(keys, ["route/x/y", "shoe/x/y", "shoe/x/z"], "after those that are known");
    assert_eq!((known.count_of(Kind::Route), known.objects_of(Kind::Route).count()), (1, 1));
    assert_eq!((known.count_of(Kind::Limit), known.objects_of(Kind::Limit).count()), (0, 0));
    assert!(known.objects_of(Kind::Unknown).all(|object| object.decode().is_err()));
    let again = State::from_snapshot(&known);
    assert_eq!(State::decode_snapshot(again.encode_to_vec().into()).unwrap().root(), known.root());

    let second = state_of(vec![object("shoe/x/y", 4), object("route/x/y", 2)]);
    let change = State {
        base: first.root.clone(),
        objects: second.objects[..1].to_vec(),
        removals: vec!["shoe/x/z".to_owned()],
        ..second.clone()
    };
    let changed = State::decode_onto(change.encode_to_vec().into(), Some(&known)).unwrap();
    let whole = State::decode_snapshot(second.encode_to_vec().into()).unwrap();
    assert_eq!(changed.root(), whole.root());
    assert_eq!(manifest::manifest(&changed).len(), manifest::manifest(&whole).len());
    assert!(manifest::difference(&manifest::manifest(&changed), &whole).0.is_empty());
}

#[test]
fn payload_of_another_kind_is_refused() {
    let payload = wire::Payload::Backend(wire::Backend::default());
    let object = |key: &str, payload: wire::Payload| Object::encode(key.parse().unwrap(), &payload.into());
    assert!(object("backend/x/y", payload.clone()).decode().is_ok());
    assert!(object("route/x/y", payload).decode().is_err());
    let held = wire::Payload::Held(wire::Held::default());
    assert!(Kind::ALL.iter().all(|kind| object(&format!("{kind}/x/y"), held.clone()).decode().is_ok()));
}

/// The root doesn't cover it, and one that looks later than all that ever comes would keep a worker where it is.
#[test]
fn an_as_of_that_was_changed_on_the_way_is_noticed() {
    let source = wire::WireSource {
        epoch_id: "e".into(),
        epoch_created_at: 1,
        revisions: [("route".to_owned(), 7)].into(),
    };
    let as_of = wire::as_of_from_wire(wire::WireAsOf { sources: [("files".to_owned(), source)].into() });
    let sent = State::from_snapshot(&Snapshot::new([], as_of.clone()));
    let changes: [fn(&mut wire::WireAsOf); 4] = [
        |as_of| as_of.sources.clear(),
        |as_of| as_of.sources.values_mut().for_each(|source| source.epoch_id = "u".into()),
        |as_of| as_of.sources.values_mut().for_each(|source| source.epoch_created_at += 1),
        |as_of| as_of.sources.values_mut().for_each(|source| source.revisions = [("route".into(), 8)].into()),
    ];
    for change in changes {
        let mut state = sent.clone();
        change(state.as_of.as_mut().unwrap());
        assert_eq!(State::decode_snapshot(state.encode_to_vec().into()).unwrap_err(), StateError::Seal);
        let older = State { seal: Bytes::new(), ..state };
        assert!(State::decode_snapshot(older.encode_to_vec().into()).is_ok(), "an older leader sends none");
    }
    assert_eq!(State::decode_snapshot(sent.encode_to_vec().into()).unwrap().as_of(), &as_of);
}
