//! A shared map is an ordered map, whatever edits led to it; and copies of it share what wasn't edited.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::collections::BTreeMap;

use dataplane_snapshot::SharedMap;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Edit {
    Insert(u16, u8),
    Remove(u16),
    /// All keys from one to another.
    RemoveRange(u16, u16),
    /// So many keys in a row.
    InsertRow(u16, u16),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let key = || 0_u16..600;
    let edit = prop_oneof![
        (key(), any::<u8>()).prop_map(|(key, value)| Edit::Insert(key, value)),
        key().prop_map(Edit::Remove),
        (key(), 0_u16..300).prop_map(|(from, count)| Edit::RemoveRange(from, from + count)),
        (key(), 0_u16..200).prop_map(|(from, count)| Edit::InsertRow(from, from + count)),
    ];
    prop::collection::vec(edit, 0..24)
}

/// The same edit of both.
fn apply(edit: &Edit, map: &mut SharedMap<u16, u8>, model: &mut BTreeMap<u16, u8>) {
    let (keys, value) = match *edit {
        Edit::Insert(key, value) => (key..key + 1, Some(value)),
        Edit::Remove(key) => (key..key + 1, None),
        Edit::RemoveRange(from, to) => (from..to, None),
        Edit::InsertRow(from, to) => (from..to, Some(7)),
    };
    for key in keys {
        match value {
            Some(value) => assert_eq!(map.insert(key, value), model.insert(key, value)),
            None => assert_eq!(map.remove(&key), model.remove(&key)),
        }
        assert_eq!(map.len(), model.len());
    }
}

fn entries<'a>(map: impl IntoIterator<Item = (&'a u16, &'a u8)>) -> Vec<(u16, u8)> {
    map.into_iter().map(|(key, value)| (*key, *value)).collect()
}

fn made_by(edits: &[Edit], base: &SharedMap<u16, u8>) -> (SharedMap<u16, u8>, BTreeMap<u16, u8>) {
    let (mut map, mut model) = (base.clone(), entries(base.iter()).into_iter().collect());
    edits.iter().for_each(|edit| apply(edit, &mut map, &mut model));
    (map, model)
}

proptest! {
    #[test]
    fn is_an_ordered_map(edits in edits(), from in 0_u16..700) {
        let (map, model) = made_by(&edits, &SharedMap::new());
        prop_assert_eq!(entries(map.iter()), entries(&model));
        prop_assert_eq!(entries(map.range_from(&from)), entries(model.range(from..)));
        for key in 0..800 {
            prop_assert_eq!(map.get(&key), model.get(&key));
        }
        let again: SharedMap<u16, u8> = entries(&model).into_iter().collect();
        prop_assert_eq!(entries(again.iter()), entries(&model));
        prop_assert!(again == map);
        prop_assert_eq!(map.is_empty(), model.is_empty());
    }

    #[test]
    fn of_several_with_one_key_the_last_one_stays(list in prop::collection::vec((0_u16..40, any::<u8>()), 0..200)) {
        let map: SharedMap<u16, u8> = list.iter().copied().collect();
        let model: BTreeMap<u16, u8> = list.into_iter().collect();
        prop_assert_eq!(entries(map.iter()), entries(&model));
        prop_assert_eq!(map.len(), model.len());
    }

    #[test]
    fn many_edits_at_once_are_those_one_by_one(
        base in edits(),
        list in prop::collection::vec((0_u16..600, prop::option::of(any::<u8>())), 0..200),
    ) {
        for base in [made_by(&base, &SharedMap::new()).0, SharedMap::new()] {
            let (mut map, mut model): (_, BTreeMap<u16, u8>) = (base.clone(), entries(base.iter()).into_iter().collect());
            map.apply(list.iter().copied());
            for (key, value) in &list {
                match value {
                    Some(value) => model.insert(*key, *value),
                    None => model.remove(key),
                };
            }
            prop_assert_eq!(entries(map.iter()), entries(&model));
            prop_assert_eq!(map.len(), model.len());
        }
    }

    #[test]
    fn an_edited_copy_leaves_the_original(first in edits(), second in edits()) {
        let (map, model) = made_by(&first, &SharedMap::new());
        let _ = made_by(&second, &map);
        prop_assert_eq!(entries(map.iter()), entries(&model));
    }

    #[test]
    fn tells_each_difference_once(first in edits(), second in edits(), other in edits()) {
        let (base, _) = made_by(&first, &SharedMap::new());
        // Of one origin, and of different ones.
        for next in [made_by(&second, &base).0, made_by(&other, &SharedMap::new()).0] {
            let told: Vec<_> = base
                .differences(&next, |a, b| a == b)
                .map(|(key, old, new)| (*key, old.copied(), new.copied()))
                .collect();
            let differs = |key: &u16| base.get(key) != next.get(key);
            let expected: Vec<_> = (0..1200_u16)
                .filter(differs)
                .map(|key| (key, base.get(&key).copied(), next.get(&key).copied()))
                .collect();
            prop_assert_eq!(told, expected);
            prop_assert_eq!(base == next, entries(base.iter()) == entries(next.iter()));
        }
    }
}

/// The number of entries that are looked at for a difference doesn't depend on how many there are.
#[test]
fn a_difference_costs_what_differs() {
    for count in [1_000_u32, 100_000] {
        let base: SharedMap<u32, u32> = (0..count).map(|key| (key * 2, key)).collect();
        let mut next = base.clone();
        next.insert(count, 1);
        next.insert(count + 1, 1);
        next.remove(&(count / 2 * 2 + 10));
        let looked = Cell::new(0);
        let is_same = |a: &u32, b: &u32| {
            looked.set(looked.get() + 1);
            a == b
        };
        assert_eq!(base.differences(&next, is_same).count(), 3);
        assert!(looked.get() <= 128, "{} entries of {count} were looked at", looked.get());
    }
}

/// A node whose first child went took in a lower key since; then it is joined with the one before.
#[test]
fn joined_nodes_keep_their_bounds() {
    let mut map: SharedMap<u32, u32> = (0..4_096).map(|key| (key, key)).collect();
    let remove = |keys: std::ops::Range<u32>, map: &mut SharedMap<u32, u32>| {
        keys.for_each(|key| assert_eq!(map.remove(&key), Some(key)));
    };
    remove(1_024..1_056, &mut map);
    assert_eq!(map.insert(1_030, 1_030), None);
    remove(1_200..2_048, &mut map);
    remove(200..1_024, &mut map);
    let left = (0..200).chain([1_030]).chain(1_056..1_200).chain(2_048..4_096);
    assert!(map.keys().copied().eq(left.clone()));
    for key in left {
        assert_eq!(map.get(&key), Some(&key));
    }
}
