//! A snapshot is a set: its root depends on its content and on nothing else, and differences lead from one to another.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod arbitrary;

use arbitrary::{as_of, key, objects, snapshot};
use dataplane_snapshot::wire::{State, StateError};
use dataplane_snapshot::{ApplyError, AsOf, Key, Kind, Object, Root, Snapshot, apply, diff, manifest};
use proptest::prelude::*;
use prost::Message as _;

fn content(snapshot: &Snapshot) -> Vec<Object> {
    snapshot.objects().cloned().collect()
}

proptest! {
    #[test]
    fn apply_leads_where_diff_says(base in snapshot(), target in snapshot()) {
        let diff = diff(&base, &target);
        let result = apply(&diff, &base).unwrap();
        prop_assert_eq!(result.root(), target.root());
        prop_assert_eq!(content(&result), content(&target));
        prop_assert_eq!(result.as_of(), target.as_of());
    }

    #[test]
    fn diff_says_no_more_than_needed(base in snapshot(), target in snapshot()) {
        let diff = diff(&base, &target);
        for object in &diff.upserts {
            prop_assert_ne!(base.get(object.key()), Some(object));
        }
        for key in &diff.removals {
            prop_assert!(base.get(key).is_some() && target.get(key).is_none());
        }
        let same = content(&base) == content(&target);
        prop_assert_eq!(diff.upserts.is_empty() && diff.removals.is_empty(), same);
    }

    /// Of one root are one content, and of two roots two; the order of insertion and the as-of don't count.
    #[test]
    fn root_is_content(one in objects(12), other in objects(12), as_of in as_of()) {
        let (a, b) = (Snapshot::new(one.clone(), AsOf::default()), Snapshot::new(other, as_of.clone()));
        prop_assert_eq!(a.root() == b.root(), content(&a) == content(&b));
        let mut reversed = content(&a);
        reversed.reverse();
        prop_assert_eq!(Snapshot::new(reversed, as_of).root(), a.root());
    }

    /// However a snapshot came about, its root is that of one made at once.
    #[test]
    fn edits_end_at_the_same_root(base in snapshot(), upserts in objects(8), removals in proptest::collection::vec(key(), 0..8)) {
        let edited = base.edit(upserts.clone(), &removals, base.as_of().clone());
        let mut expected: Vec<Object> =
            content(&base).into_iter().filter(|object| !removals.contains(object.key())).collect();
        expected.extend(upserts);
        let made = Snapshot::new(expected, AsOf::default());
        prop_assert_eq!(edited.root(), made.root());
        prop_assert_eq!(content(&edited), content(&made));
    }

    /// A peer that knows the base, and one that knows only its manifest, both lead there by what they send.
    #[test]
    fn what_is_sent_for_a_base_leads_to_the_target(base in snapshot(), target in snapshot()) {
        let diff = diff(&base, &target);
        let sent = State::from_base(base.root(), &target, &diff.upserts, diff.removals.clone());
        let (upserts, removed_ids) = manifest::difference(&manifest::manifest(&base), &target);
        let by_ids = State { removed_ids, ..State::from_base(base.root(), &target, upserts, []) };
        prop_assert_eq!(by_ids.objects.len(), sent.objects.len());
        for state in [sent, by_ids] {
            let bytes: bytes::Bytes = state.encode_to_vec().into();
            let result = State::decode_onto(bytes.clone(), Some(&base)).unwrap();
            prop_assert_eq!(content(&result), content(&target));
            prop_assert_eq!(result.as_of(), target.as_of());
            let missing = State::decode_onto(bytes, None);
            prop_assert!(matches!(missing, Err(StateError::Base { .. })), "{:?}", missing);
        }
    }

    #[test]
    fn another_base_is_refused(base in snapshot(), target in snapshot(), at in snapshot()) {
        prop_assume!(at.root() != base.root());
        let error = apply(&diff(&base, &target), &at).unwrap_err();
        prop_assert_eq!(error, ApplyError::WrongBase { from: base.root(), at: at.root() });
    }

    #[test]
    fn a_damaged_difference_is_refused(base in snapshot(), target in snapshot(), which in any::<proptest::sample::Index>()) {
        let mut diff = diff(&base, &target);
        prop_assume!(!diff.upserts.is_empty());
        let damaged = which.get(&diff.upserts).clone();
        let mut bytes = damaged.bytes().to_vec();
        bytes.push(0);
        let at = which.index(diff.upserts.len());
        diff.upserts[at] = Object::new(damaged.key().clone(), bytes.into());
        let is_refused = matches!(apply(&diff, &base), Err(ApplyError::WrongResult { .. }));
        prop_assert!(is_refused);
    }

    #[test]
    fn kinds_are_found_apart(snapshot in snapshot()) {
        for kind in Kind::ALL {
            let found: Vec<_> = snapshot.objects_of(kind).cloned().collect();
            let expected: Vec<_> = content(&snapshot).into_iter().filter(|object| object.key().kind() == kind).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn keys_are_text_and_back(key in key()) {
        prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
    }

    #[test]
    fn roots_are_text_and_back(bytes in any::<[u8; 32]>()) {
        prop_assert_eq!(Root::from_hex(&Root(bytes).to_string()), Some(Root(bytes)));
    }
}

/// The wire and the state files depend on it: a root that is computed another way fits no peer. Made once by this code.
#[test]
fn root_is_what_it_has_always_been() {
    let object = |key: &str, bytes: &'static [u8]| Object::new(key.parse().unwrap(), bytes.into());
    let two = [object("route/default/users", b"one"), object("backend/default/users", b"two")];
    let roots = [Snapshot::default().root(), Snapshot::new(two, AsOf::default()).root()];
    assert_eq!(
        roots.map(|root| root.to_string()),
        [
            "e5a00aa9991ac8a5ee3109844d84a55583bd20572ad3ffcd42792f3c36b183ad",
            "4f071f7b1462a099e5c483c8dc593a456a4e340ff72a64e20154f9450dce958a"
        ]
    );
}

#[test]
fn hexadecimal_of_another_form_is_no_root() {
    let good = "ab".repeat(32);
    assert!(Root::from_hex(&good).is_some());
    for bad in [
        "",
        &good[1..],
        &format!("{good}0"),
        &good.replace('a', "g"),
        &good.to_uppercase(),
        &"é".repeat(32),
        &good.replacen("ab", "+b", 1),
    ] {
        assert_eq!(Root::from_hex(bad), None, "{bad}");
    }
}
