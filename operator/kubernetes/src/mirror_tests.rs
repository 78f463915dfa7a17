use dataplane_snapshot::{Epoch, Kind};
use operator_core::{Observed, Origin, Spec};
use operator_store::{EmbeddedSettings, EmbeddedStore};
use proptest::prelude::*;

use super::*;

fn as_of(revision: u64) -> SourceAsOf {
    SourceAsOf {
        epoch: Epoch { id: "one".to_owned(), created_at: 1 },
        revisions: BTreeMap::from([(Kind::Backend, revision), (Kind::Route, revision)]),
    }
}

fn key(name: u8) -> Key {
    Key::new(Kind::Backend, "default", format!("b{name}"))
}

fn view(objects: &BTreeMap<u8, (i64, u8)>) -> View {
    let object = |(name, (generation, spec)): (&u8, &(i64, u8))| {
        let observed = Observed {
            key: key(*name),
            spec: Spec::Invalid(Vec::new()),
            labels: BTreeMap::new(),
            generation: *generation,
            uid: String::new(),
            origin: Origin::Kubernetes,
        };
        (
            key(*name),
            Seen { uid: String::new(), spec: Arc::from(spec.to_string()), observed: Arc::new(observed) },
        )
    };
    let seen: SharedMap<_, _> = objects.iter().map(object).collect();
    let observed = seen.iter().map(|(key, seen)| (key.clone(), seen.observed.clone())).collect();
    View { as_of: as_of(1), seen, observed }
}

fn kept(view: &View) -> BTreeMap<Key, Kept> {
    view.seen.iter().map(|(key, wanted)| (key.clone(), Kept::wanted(wanted))).collect()
}

proptest! {
    #[test]
    fn what_differs_makes_the_mirror_the_same(
        before in proptest::collection::btree_map(0..8_u8, (0..3_i64, 0..3_u8), 0..8),
        after in proptest::collection::btree_map(0..8_u8, (0..3_i64, 0..3_u8), 0..8),
    ) {
        let (before, after) = (view(&before), view(&after));
        let writes = difference(&Objects::Read(kept(&before)), &after);
        prop_assert_eq!(writes.is_empty(), kept(&before) == kept(&after));
        for write in &writes {
            let was = kept(&before).remove(&write.key);
            prop_assert_ne!(write.draft.clone().map(now), was, "what is the same isn't written");
        }
        prop_assert_eq!(written(kept(&before), writes), kept(&after));
        // From view to view an object that stays is the same one; here none is.
        let writes = difference(&Objects::Written(before.seen.clone()), &after);
        prop_assert_eq!(written(kept(&before), writes), kept(&after));
        prop_assert_eq!(difference(&Objects::Written(after.seen.clone()), &after), vec![]);
    }
}

fn now(Draft { generation, labels, spec }: Draft) -> Kept {
    Kept { generation: generation.unwrap(), labels, spec }
}

/// What a store that has `stored` has after these writes.
fn written(mut stored: BTreeMap<Key, Kept>, writes: Vec<Write>) -> BTreeMap<Key, Kept> {
    for Write { key, draft, .. } in writes {
        match draft {
            None => drop(stored.remove(&key)),
            Some(draft) => drop(stored.insert(key, now(draft))),
        }
    }
    stored
}

#[test]
fn only_the_last_batch_claims_the_as_of() {
    let write = Write { key: key(1), expected: Expected::Any, draft: None };
    let made = batches(vec![write; 101], &as_of(9));
    let sizes: Vec<_> = made.iter().map(|batch| (batch.writes.len(), batch.as_of.is_some())).collect();
    assert_eq!(sizes, [(100, false), (1, true)]);
    // That a cluster has nothing is worth knowing too.
    let made = batches(Vec::new(), &as_of(9));
    assert_eq!(made.len(), 1);
    assert_eq!(made.first().unwrap().as_of, Some(as_of(9)));
}

#[tokio::test]
async fn the_mirror_is_as_of_the_newest_view() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("store"), EmbeddedSettings::default()).unwrap();
    let mut stored = None;
    let first = view(&BTreeMap::from([(1, (1, 1))]));
    bring(&store, &mut stored, &first, Mirroring::Own).await.unwrap();
    // The same objects, for instance because a change was taken back before the mirror saw it.
    let second = View { as_of: as_of(2), ..first };
    bring(&store, &mut stored, &second, Mirroring::Own).await.unwrap();
    let revision = store.list(Owner::Kubernetes).await.unwrap().revision;
    assert_eq!(load(&store, |_| true).await.unwrap().as_of, as_of(2));
    bring(&store, &mut stored, &second, Mirroring::Own).await.unwrap();
    // As after a start: what the store has is read first.
    bring(&store, &mut None, &View { as_of: as_of(3), ..second }, Mirroring::Own).await.unwrap();
    let listing = store.list(Owner::Kubernetes).await.unwrap();
    assert_eq!(listing.as_of, Some(as_of(3)));
    assert_eq!(listing.objects.len(), 1);
    assert_eq!(listing.revision, revision + 1, "what is the same isn't written again");
}
