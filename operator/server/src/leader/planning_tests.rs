use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{Observed, Origin, Owner, Spec};
use prometheus_client::registry::Registry;

use super::*;

fn view(owner: Owner, revision: u64, names: &[&str]) -> Option<Arc<SourceView>> {
    let epoch = Epoch { id: owner.to_string(), created_at: 1 };
    let as_of = SourceAsOf { epoch, revisions: BTreeMap::from([(Kind::Backend, revision)]) };
    let objects = names.iter().map(|name| {
        let key = Key::new(Kind::Backend, "default", *name);
        let observed = Observed {
            key: key.clone(),
            spec: Spec::Backend(Arc::default()),
            labels: BTreeMap::new(),
            generation: 1,
            uid: String::new(),
            origin: Origin::Store,
        };
        (key, Arc::new(observed))
    });
    Some(Arc::new(SourceView { owner, as_of, objects: objects.collect() }))
}

fn revision(planned: &Planned, owner: Owner) -> u64 {
    planned.world.as_of.0[owner.as_str()].revisions[&Kind::Backend]
}

/// Waits for a result that fits.
async fn until(handle: &LeaderHandle, fits: impl Fn(&Planned) -> bool) -> Arc<Planned> {
    let mut planned = handle.planned.clone();
    let found = planned.wait_for(|planned| planned.as_ref().is_some_and(|planned| fits(planned)));
    found.await.unwrap().clone().unwrap()
}

#[tokio::test]
async fn nothing_is_planned_before_every_source_has_spoken() {
    static PASSES: AtomicUsize = AtomicUsize::new(0);
    fn counted(world: &World, memo: &Memo) -> (Plan, Memo) {
        PASSES.fetch_add(1, Ordering::SeqCst);
        operator_core::plan(world, memo)
    }
    let (store, store_views) = watch::channel(None);
    let (files, file_views) = watch::channel(None);
    let handle = start(Arc::default(), vec![store_views, file_views].into(), Metrics::default(), counted);
    for revision in 1..5 {
        store.send_replace(view(Owner::Store, revision, &["a"]));
        tokio::task::yield_now().await;
    }
    assert!(handle.planned.borrow().is_none() && handle.snapshot.borrow().is_none());
    files.send_replace(view(Owner::Files, 1, &["b"]));
    let planned = until(&handle, |_| true).await;
    assert_eq!(PASSES.load(Ordering::SeqCst), 1);
    assert_eq!(planned.world.backends.len(), 2);
    assert_eq!(
        handle.snapshot.clone().wait_for(Option::is_some).await.unwrap().as_ref().unwrap().root(),
        planned.snapshot.root()
    );
}

/// Lets a test decide when a pass goes on.
static GATE: Mutex<Vec<std::sync::mpsc::Receiver<()>>> = Mutex::new(Vec::new());

#[tokio::test]
async fn what_arrives_during_a_pass_is_merged_into_one() {
    static PASSES: AtomicUsize = AtomicUsize::new(0);
    fn gated(world: &World, memo: &Memo) -> (Plan, Memo) {
        PASSES.fetch_add(1, Ordering::SeqCst);
        let gate = GATE.lock().unwrap().pop();
        if let Some(gate) = gate {
            gate.recv().unwrap();
        }
        operator_core::plan(world, memo)
    }
    let (open, gate) = std::sync::mpsc::channel();
    GATE.lock().unwrap().push(gate);
    let (store, views) = watch::channel(view(Owner::Store, 1, &["a"]));
    let handle = start(Arc::default(), vec![views].into(), Metrics::default(), gated);
    while PASSES.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for revision in 2..=50 {
        store.send_replace(view(Owner::Store, revision, &["a", "b"]));
    }
    open.send(()).unwrap();
    let planned = until(&handle, |planned| revision(planned, Owner::Store) == 50).await;
    assert_eq!(PASSES.load(Ordering::SeqCst), 2, "the first change at once, the other 49 together");
    assert_eq!(planned.world.backends.len(), 2);
}

#[tokio::test]
async fn a_panic_keeps_the_last_result_and_the_loop() {
    fn fragile(world: &World, memo: &Memo) -> (Plan, Memo) {
        assert!(world.backends.len() != 2, "two are too many");
        operator_core::plan(world, memo)
    }
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let shown = |registry: &Registry| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    };
    let (store, views) = watch::channel(view(Owner::Store, 1, &["a"]));
    let handle = start(Arc::default(), vec![views].into(), metrics, fragile);
    let first = until(&handle, |_| true).await;
    store.send_replace(view(Owner::Store, 2, &["a", "b"]));
    while !shown(&registry).contains("leader_plan_failures_total 1") {
        tokio::task::yield_now().await;
    }
    assert!(Arc::ptr_eq(&first, handle.planned.borrow().as_ref().unwrap()));
    store.send_replace(view(Owner::Store, 3, &["a", "b", "c"]));
    let third = until(&handle, |planned| revision(planned, Owner::Store) == 3).await;
    assert_eq!(third.world.backends.len(), 3);
    let text = shown(&registry);
    assert!(text.contains(r#"leader_snapshot_objects{kind="backend"} 3"#), "{text}");
    assert!(text.contains("leader_plan_duration_seconds_count 2"), "{text}");
}

#[tokio::test]
async fn a_source_that_ends_leaves_what_it_gave() {
    let (store, store_views) = watch::channel(view(Owner::Store, 1, &["a"]));
    let (files, file_views) = watch::channel(view(Owner::Files, 1, &["b"]));
    let handle =
        start(Arc::default(), vec![store_views, file_views].into(), Metrics::default(), operator_core::plan);
    until(&handle, |_| true).await;
    drop(files);
    store.send_replace(view(Owner::Store, 2, &["a", "c"]));
    let planned = until(&handle, |planned| revision(planned, Owner::Store) == 2).await;
    let names: Vec<_> = planned.world.backends.keys().map(Key::name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let (store, views) = watch::channel(view(Owner::Store, 1, &["a"]));
    let handle = start(Arc::default(), vec![views].into(), Metrics::default(), operator_core::plan);
    until(&handle, |_| true).await;
    drop(handle);
    store.closed().await;
}
