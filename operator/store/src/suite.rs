//! The tests that every store must pass. A store's own tests call [`state_store_suite!`](crate::state_store_suite) with an
//! async function that makes an empty store which remembers the given number of deletions.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, kept here so that each store's crate can run them"
)]

mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{Owner, Spec};

use crate::{
    Batch, ChangeSet, Changes, Draft, Expected, StateStore, StoreError, StoredObject, Write, view, watch_view,
};

pub use usage::*;

/// Defines one test per check. `$open` is an async function from the number of deletions to remember to the store.
#[macro_export]
macro_rules! state_store_suite {
    ($open:path) => {
        $crate::state_store_suite!($open:
            writes_are_conditional, a_batch_is_all_or_nothing, revisions_rise_and_idle_writes_do_not_raise_them,
            a_new_life_has_a_new_generation, changes_tell_the_last_state, old_changes_are_refused, owners_are_apart,
            a_mirror_keeps_its_as_of, as_of_rises_per_kind, one_of_two_racing_writers_wins,
            no_increment_is_lost_in_a_race, views_keep_what_did_not_change, a_watch_follows,
            an_unreadable_spec_is_invalid, files_are_not_kept, what_is_mirrored_is_read_as_what_it_is, a_later_fence_keeps_earlier_writers_out,
            counts_are_read_by_window_and_route, the_further_of_two_counts_is_kept, a_window_is_forgotten_alone,
            many_counts_come_at_once, no_count_is_lost_in_a_race, a_count_that_no_store_can_keep_is_left_out
        );
    };
    ($open:path: $($check:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                $crate::suite::$check(async |deletions| $open(deletions).await).await;
            }
        )+
    };
}

pub fn key(name: &str) -> Key {
    Key::new(Kind::Backend, "default", name)
}

pub fn draft(root: &str) -> Draft {
    Draft {
        generation: None,
        labels: BTreeMap::from([("root".to_owned(), root.to_owned())]),
        spec: format!(r#"{{"root":"/{root}"}}"#).into(),
    }
}

fn put(key: Key, expected: Expected, draft: Draft) -> Write {
    Write { key, expected, draft: Some(draft) }
}

fn delete(key: Key) -> Write {
    Write { key, expected: Expected::Present, draft: None }
}

async fn commit(store: &dyn StateStore, writes: Vec<Write>) -> Result<u64, StoreError> {
    let batch = Batch { owner: Owner::Store, writes, as_of: None, fence: None };
    store.commit(batch).await.map(|committed| committed.revision)
}

async fn changes(store: &dyn StateStore, owner: Owner, revision: u64) -> ChangeSet {
    match store.changes_since(owner, revision).await.unwrap() {
        Changes::Since(changes) => changes,
        Changes::TooOld => panic!("revision {revision} is too old"),
    }
}

type Opened = Arc<dyn StateStore>;

pub async fn writes_are_conditional(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let a = key("a");
    let not_found = Err(StoreError::NotFound { key: a.clone() });
    assert_eq!(store.put(&a, Expected::Present, draft("1")).await, not_found);
    assert_eq!(store.put(&a, Expected::Revision(0), draft("1")).await, not_found);
    assert_eq!(store.delete(&a, Expected::Any).await, Ok(0));
    let first = store.put(&a, Expected::Absent, draft("1")).await.unwrap();
    assert_eq!(store.get(Owner::Store, &a).await.unwrap(), Some(first.clone()));
    assert_eq!(first.spec, draft("1").spec);
    let exists = Err(StoreError::Exists { key: a.clone() });
    assert_eq!(store.put(&a, Expected::Absent, draft("2")).await, exists);
    let second = store.put(&a, Expected::Revision(first.revision), draft("2")).await.unwrap();
    let conflict = StoreError::Conflict { key: a.clone(), expected: first.revision, actual: second.revision };
    assert_eq!(store.put(&a, Expected::Revision(first.revision), draft("3")).await, Err(conflict.clone()));
    assert_eq!(store.delete(&a, Expected::Revision(first.revision)).await, Err(conflict));
    assert_eq!(store.get(Owner::Store, &a).await.unwrap(), Some(second.clone()));
    store.delete(&a, Expected::Revision(second.revision)).await.unwrap();
    assert_eq!(store.get(Owner::Store, &a).await.unwrap(), None);
    assert_eq!(store.delete(&a, Expected::Present).await, Err(StoreError::NotFound { key: a }));
}

pub async fn a_batch_is_all_or_nothing(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let before = commit(&*store, vec![put(key("a"), Expected::Absent, draft("1"))]).await.unwrap();
    let failed = commit(
        &*store,
        vec![
            put(key("b"), Expected::Absent, draft("1")),
            delete(key("a")),
            put(key("c"), Expected::Present, draft("1")),
        ],
    )
    .await;
    assert_eq!(failed, Err(StoreError::NotFound { key: key("c") }));
    let listing = store.list(Owner::Store).await.unwrap();
    assert_eq!(listing.revision, before);
    assert_eq!(listing.objects.iter().map(|object| object.key.name()).collect::<Vec<_>>(), ["a"]);
}

pub async fn revisions_rise_and_idle_writes_do_not_raise_them(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let first = store.put(&key("a"), Expected::Any, draft("1")).await.unwrap();
    let other = store.put(&key("b"), Expected::Any, draft("1")).await.unwrap();
    assert!(other.revision > first.revision);
    let same = store.put(&key("a"), Expected::Any, draft("1")).await.unwrap();
    assert_eq!(same, first);
    assert_eq!(store.list(Owner::Store).await.unwrap().revision, other.revision);
    let changed = store.put(&key("a"), Expected::Any, draft("2")).await.unwrap();
    assert!(changed.revision > other.revision && changed.generation > first.generation);
    let both = vec![put(key("a"), Expected::Any, draft("3")), put(key("b"), Expected::Any, draft("3"))];
    let batch = Batch { owner: Owner::Store, writes: both, as_of: None, fence: None };
    let committed = store.commit(batch).await.unwrap();
    let revisions: Vec<_> = committed.objects.iter().flatten().map(|object| object.revision).collect();
    assert!(revisions[0] > changed.revision && revisions[1] > revisions[0]);
    assert_eq!(committed.revision, revisions[1]);
}

pub async fn a_new_life_has_a_new_generation(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let first = store.put(&key("a"), Expected::Absent, draft("1")).await.unwrap();
    store.delete(&key("a"), Expected::Present).await.unwrap();
    let second = store.put(&key("a"), Expected::Absent, draft("1")).await.unwrap();
    assert!(second.generation > first.generation, "a status of the first would be taken for the second's");
}

pub async fn changes_tell_the_last_state(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let start = commit(&*store, vec![put(key("a"), Expected::Any, draft("1"))]).await.unwrap();
    assert_eq!(changes(&*store, Owner::Store, start).await.written, []);
    store.put(&key("b"), Expected::Any, draft("1")).await.unwrap();
    store.put(&key("b"), Expected::Any, draft("2")).await.unwrap();
    store.delete(&key("a"), Expected::Any).await.unwrap();
    store.put(&key("c"), Expected::Any, draft("1")).await.unwrap();
    store.delete(&key("c"), Expected::Any).await.unwrap();
    let back = store.put(&key("c"), Expected::Any, draft("2")).await.unwrap();
    let changes = changes(&*store, Owner::Store, start).await;
    assert_eq!(changes.revision, back.revision);
    let written: Vec<_> = changes.written.iter().map(|object| (object.key.name(), &*object.spec)).collect();
    assert_eq!(written, [("b", &*draft("2").spec), ("c", &*draft("2").spec)]);
    assert_eq!(changes.deleted, [key("a")]);
}

pub async fn old_changes_are_refused(open: impl AsyncFn(u64) -> Opened) {
    let store = open(2).await;
    let mut revisions = Vec::new();
    for name in ["a", "b", "c", "d"] {
        store.put(&key(name), Expected::Any, draft("1")).await.unwrap();
        let write = vec![delete(key(name))];
        revisions.push(commit(&*store, write).await.unwrap());
    }
    assert_eq!(store.changes_since(Owner::Store, 0).await.unwrap(), Changes::TooOld);
    assert_eq!(store.changes_since(Owner::Store, revisions[0]).await.unwrap(), Changes::TooOld);
    assert_eq!(changes(&*store, Owner::Store, revisions[1]).await.deleted, [key("c"), key("d")]);
    let future = store.changes_since(Owner::Store, revisions[3] + 1).await.unwrap();
    assert_eq!(future, Changes::TooOld, "a revision of another life of the store");
}

fn mirrored(name: &str, generation: i64, epoch: &str, revision: u64) -> Batch {
    let draft = Draft { generation: Some(generation), ..draft("mirror") };
    let epoch = Epoch { id: epoch.to_owned(), created_at: 7 };
    Batch {
        owner: Owner::Kubernetes,
        writes: vec![put(key(name), Expected::Any, draft)],
        as_of: Some(SourceAsOf { epoch, revisions: BTreeMap::from([(Kind::Backend, revision)]) }),
        fence: None,
    }
}

pub async fn owners_are_apart(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let own = store.put(&key("a"), Expected::Absent, draft("own")).await.unwrap();
    store.commit(mirrored("a", 3, "cluster", 10)).await.unwrap();
    store.commit(mirrored("b", 4, "cluster", 11)).await.unwrap();
    assert_eq!(store.get(Owner::Store, &key("a")).await.unwrap(), Some(own.clone()));
    assert_eq!(store.list(Owner::Store).await.unwrap().objects, [own]);
    let names = |objects: &[StoredObject]| -> Vec<_> {
        objects.iter().map(|object| (object.key.name().to_owned(), object.generation)).collect()
    };
    let mirror = [("a".to_owned(), 3), ("b".to_owned(), 4)];
    assert_eq!(names(&store.list(Owner::Kubernetes).await.unwrap().objects), mirror);
    assert_eq!(names(&changes(&*store, Owner::Kubernetes, 0).await.written), mirror);
    assert_eq!(changes(&*store, Owner::Store, 0).await.written.len(), 1);
}

pub async fn a_mirror_keeps_its_as_of(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    assert!(
        view(&*store, Owner::Kubernetes).await.unwrap().is_none(),
        "an empty mirror isn't an empty cluster"
    );
    let first = mirrored("a", 1, "cluster", 10);
    let committed = store.commit(first.clone()).await.unwrap();
    let seen = view(&*store, Owner::Kubernetes).await.unwrap().unwrap();
    assert_eq!(Some(seen.as_of), first.as_of);
    let later = Batch { writes: Vec::new(), ..mirrored("a", 1, "cluster", 12) };
    let raised = store.commit(later.clone()).await.unwrap();
    assert!(raised.revision > committed.revision, "who follows must hear of it");
    assert_eq!(changes(&*store, Owner::Kubernetes, committed.revision).await.as_of, later.as_of);
    assert_eq!(store.commit(later).await.unwrap().revision, raised.revision);
    let mut renewed = Batch { writes: Vec::new(), ..mirrored("a", 1, "another cluster", 3) };
    renewed.as_of.as_mut().unwrap().revisions = BTreeMap::from([(Kind::Route, 3)]);
    store.commit(renewed.clone()).await.unwrap();
    assert_eq!(store.list(Owner::Kubernetes).await.unwrap().as_of, renewed.as_of);
}

pub async fn as_of_rises_per_kind(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let epoch = store.list(Owner::Store).await.unwrap().as_of.unwrap().epoch;
    let as_of = async || store.list(Owner::Store).await.unwrap().as_of.unwrap();
    assert_eq!(as_of().await, SourceAsOf { epoch: epoch.clone(), revisions: BTreeMap::new() });
    let backend = store.put(&key("a"), Expected::Any, draft("1")).await.unwrap();
    let route = Key::new(Kind::Route, "default", "r");
    let route = store.put(&route, Expected::Any, Draft { spec: "{}".into(), ..draft("1") }).await.unwrap();
    store.commit(mirrored("m", 1, "cluster", 900)).await.unwrap();
    let revisions = BTreeMap::from([(Kind::Backend, backend.revision), (Kind::Route, route.revision)]);
    assert_eq!(as_of().await, SourceAsOf { epoch, revisions });
    store.delete(&key("a"), Expected::Any).await.unwrap();
    let after = as_of().await.revisions;
    assert!(after[&Kind::Backend] > route.revision, "a deletion is a write too");
    assert_eq!(after[&Kind::Route], route.revision);
}

pub async fn one_of_two_racing_writers_wins(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let start = store.put(&key("a"), Expected::Any, draft("0")).await.unwrap();
    let expected = Expected::Revision(start.revision);
    let (a, b) = (key("a"), key("a"));
    let (one, two) = tokio::join!(store.put(&a, expected, draft("1")), store.put(&b, expected, draft("2")));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let won = won.expect("one of them is first");
    assert_eq!(store.get(Owner::Store, &key("a")).await.unwrap(), Some(won.clone()));
    let conflict = StoreError::Conflict { key: key("a"), expected: start.revision, actual: won.revision };
    assert_eq!(lost, Err(conflict));
}

pub async fn no_increment_is_lost_in_a_race(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    store.put(&key("a"), Expected::Any, draft("0")).await.unwrap();
    let writers: Vec<_> = (0..4).map(|_| tokio::spawn(increment(store.clone(), 10))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.get(Owner::Store, &key("a")).await.unwrap().unwrap().labels["root"], "40");
}

async fn increment(store: Opened, times: usize) {
    for _ in 0..times {
        loop {
            let current = store.get(Owner::Store, &key("a")).await.unwrap().unwrap();
            let next = draft(&(current.labels["root"].parse::<u64>().unwrap() + 1).to_string());
            match store.put(&key("a"), Expected::Revision(current.revision), next).await {
                Ok(_) => break,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub async fn views_keep_what_did_not_change(open: impl AsyncFn(u64) -> Opened) {
    let store = open(1).await;
    let (views, mut seen) = tokio::sync::watch::channel(None);
    for name in ["a", "b", "c", "d"] {
        store.put(&key(name), Expected::Any, draft("1")).await.unwrap();
    }
    tokio::spawn(watch_view(store.clone(), Owner::Store, views));
    let first = seen.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    store.put(&key("b"), Expected::Any, draft("2")).await.unwrap();
    let changed = |view: &Option<Arc<operator_core::SourceView>>| {
        view.as_ref().is_some_and(|view| view.objects.get(&key("b")) != first.objects.get(&key("b")))
    };
    let second = seen.wait_for(changed).await.unwrap().clone().unwrap();
    // More deletions at once than are remembered: read all, and keep what is the same.
    commit(&*store, vec![delete(key("b")), delete(key("c"))]).await.unwrap();
    let shrunk = |view: &Option<Arc<operator_core::SourceView>>| {
        view.as_ref().is_some_and(|view| view.objects.len() == 2)
    };
    let third = seen.wait_for(shrunk).await.unwrap().clone().unwrap();
    for later in [&second, &third] {
        for name in ["a", "d"] {
            assert!(
                Arc::ptr_eq(first.objects.get(&key(name)).unwrap(), later.objects.get(&key(name)).unwrap()),
                "{name}"
            );
        }
    }
}

pub async fn a_watch_follows(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let (views, mut seen) = tokio::sync::watch::channel(None);
    let watching = tokio::spawn(watch_view(store.clone(), Owner::Store, views));
    seen.wait_for(|view| view.as_ref().is_some_and(|view| view.objects.is_empty())).await.unwrap();
    for n in 0..20_usize {
        let object = store.put(&key(&format!("{n}")), Expected::Any, draft("1")).await.unwrap();
        let current = |view: &Option<Arc<operator_core::SourceView>>| {
            view.as_ref().is_some_and(|view| view.objects.len() == n + 1)
        };
        let view = seen.wait_for(current).await.unwrap().clone().unwrap();
        assert_eq!(view.as_of.revisions[&Kind::Backend], object.revision);
    }
    drop(seen);
    watching.await.expect("it ends when nobody listens");
}

pub async fn an_unreadable_spec_is_invalid(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let unreadable = Draft { spec: r#"{"root":"/","wheels":4}"#.into(), ..draft("1") };
    store.put(&key("a"), Expected::Any, unreadable).await.unwrap();
    store.put(&key("b"), Expected::Any, draft("1")).await.unwrap();
    let view = view(&*store, Owner::Store).await.unwrap().unwrap();
    let Spec::Invalid(problems) = &view.objects.get(&key("a")).unwrap().spec else { panic!("{view:?}") };
    assert!(problems[0].message.contains("wheels"), "{problems:?}");
    assert!(
        matches!(&view.objects.get(&key("b")).unwrap().spec, Spec::Backend(backend) if backend.root == "/1")
    );
}

pub async fn files_are_not_kept(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let batch = Batch { owner: Owner::Files, ..mirrored("a", 1, "folder", 1) };
    assert_eq!(store.commit(batch).await, Err(StoreError::NotKept { owner: Owner::Files }));
}

pub async fn a_later_fence_keeps_earlier_writers_out(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let by = |fence, name, revision| Batch { fence, ..mirrored(name, 1, "cluster", revision) };
    store.commit(by(None, "a", 1)).await.unwrap();
    store.commit(by(Some(7), "b", 2)).await.unwrap();
    store.commit(by(Some(7), "c", 3)).await.unwrap();
    // Only taking over, with nothing to write, is enough.
    let taking_over = Batch { writes: Vec::new(), as_of: None, ..by(Some(9), "", 3) };
    store.commit(taking_over).await.unwrap();
    let refused = store.commit(by(Some(8), "d", 4)).await;
    assert_eq!(refused, Err(StoreError::Fenced { fence: 8, newest: 9 }));
    assert_eq!(store.get(Owner::Kubernetes, &key("d")).await.unwrap(), None);
    store.commit(by(Some(9), "d", 4)).await.unwrap();
    store.put(&key("d"), Expected::Absent, draft("1")).await.expect("others have nothing to do with it");

    let new = open(100).await;
    new.commit(Batch { writes: Vec::new(), as_of: None, ..by(Some(1), "", 1) }).await.unwrap();
    assert_eq!(new.list(Owner::Kubernetes).await.unwrap().as_of, None, "who takes over has seen nothing yet");
    new.commit(Batch { as_of: None, ..by(Some(1), "a", 1) }).await.unwrap();
    assert_eq!(new.list(Owner::Kubernetes).await.unwrap().as_of, None, "nor with the first part");
    new.commit(by(Some(1), "b", 2)).await.unwrap();
    assert!(new.list(Owner::Kubernetes).await.unwrap().as_of.is_some());
}

pub async fn what_is_mirrored_is_read_as_what_it_is(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let service = Key::new(Kind::Service, "default", "s");
    let draft =
        Draft { generation: Some(0), labels: BTreeMap::new(), spec: r#"{"ports":[{"port":80}]}"#.into() };
    let write = put(service.clone(), Expected::Any, draft.clone());
    store.commit(Batch { writes: vec![write.clone()], ..mirrored("", 1, "cluster", 1) }).await.unwrap();
    let mirror = view(&*store, Owner::Kubernetes).await.unwrap().unwrap();
    assert!(matches!(mirror.objects.get(&service).unwrap().spec, Spec::Service(_)), "{mirror:?}");
    commit(&*store, vec![write]).await.unwrap();
    let own = view(&*store, Owner::Store).await.unwrap().unwrap();
    assert!(
        matches!(own.objects.get(&service).unwrap().spec, Spec::Invalid(_)),
        "nobody writes one: {own:?}"
    );
}
