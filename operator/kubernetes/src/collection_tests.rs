use std::time::Duration;

use dataplane_snapshot::Kind;
use serde_json::json;

use super::*;

fn object(name: &str, revision: u64, generation: i64) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {
            "namespace": "default", "name": name, "uid": format!("uid-{name}"),
            "generation": generation, "resourceVersion": revision.to_string(),
        },
        "spec": { "targets": [{ "hostname": "a.test", "port": 80, "weight": generation }] },
    }))
    .unwrap()
}

fn epoch(id: &str) -> Epoch {
    Epoch { id: id.to_owned(), created_at: 1 }
}

fn listed(names: &[&str], revision: u64) -> Listed {
    let objects = names.iter().map(|name| object(name, 1, 1)).collect();
    Listed { epoch: epoch("one"), revision, objects }
}

fn collection() -> Collection {
    Collection::new(Scope::new(Kind::Backend, None), BTreeMap::new(), None, Instant::now())
}

fn names(collection: &Collection) -> Vec<String> {
    collection.objects().keys().map(|key| key.name().to_owned()).collect()
}

fn changed(names: &[&str]) -> Outcome {
    let keys = names.iter().map(|name| Key::new(Kind::Backend, "default", name)).collect();
    Outcome { changed: true, keys, list_again: None }
}

const TEN: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

#[test]
fn a_first_list_is_a_change_even_if_it_is_empty() {
    let mut it = collection();
    assert_eq!(it.listed(), None);
    assert!(it.list(listed(&[], 5), Instant::now()).changed);
    assert_eq!(it.listed(), Some(&epoch("one")));
    assert!(!it.list(listed(&[], 5), Instant::now()).changed);
}

#[test]
fn a_list_with_the_same_objects_at_a_later_revision_is_news() {
    let mut it = collection();
    it.list(listed(&TEN, 5), Instant::now());
    let outcome = it.list(listed(&TEN, 6), Instant::now());
    assert!(outcome.changed, "workers that have seen 6 elsewhere wait for it");
    assert_eq!(outcome.keys, BTreeSet::new());
    assert_eq!(it.revision(), 6);
}

#[test]
fn watched_events_apply_at_once_and_raise_the_revision() {
    let mut it = collection();
    it.list(listed(&TEN, 5), Instant::now());
    assert!(it.apply(&object("k", 6, 1), Instant::now()).changed);
    assert!(!it.apply(&object("k", 7, 1), Instant::now()).changed, "only the status has changed");
    assert!(it.apply(&object("k", 8, 2), Instant::now()).changed);
    for name in TEN {
        assert_eq!(it.delete(&object(name, 9, 1)), changed(&[name]));
    }
    assert_eq!(names(&it), ["k"]);
    assert_eq!(it.revision(), 9);
    assert!(it.reach(Some(20)));
    assert!(!it.reach(Some(10)));
    assert_eq!(it.revision(), 20);
}

#[test]
fn a_list_that_lacks_most_needs_a_second_one() {
    let start = Instant::now();
    let mut it = collection();
    it.list(listed(&TEN, 5), start);
    let outcome = it.list(listed(&["a"], 6), start);
    assert_eq!(outcome.keys, BTreeSet::new());
    let again = outcome.list_again.unwrap();
    assert_eq!(again, start + Duration::from_secs(30));
    assert_eq!(names(&it), TEN);
    // What is deleted in between is gone at once; what comes is there at once.
    assert!(it.delete(&object("b", 7, 1)).changed);
    assert!(it.apply(&object("k", 8, 1), Instant::now()).changed);
    let outcome = it.list(listed(&["a", "k"], 9), again);
    assert_eq!(outcome, changed(&TEN[2..]));
    assert_eq!(names(&it), ["a", "k"]);
}

#[test]
fn a_second_list_that_has_all_again_takes_the_doubt_away() {
    let start = Instant::now();
    let mut it = collection();
    it.list(listed(&TEN, 5), start);
    assert!(it.list(listed(&[], 6), start).list_again.is_some());
    let again = it.list(listed(&TEN, 7), start + Duration::from_secs(30));
    assert_eq!((again.keys, again.list_again), (BTreeSet::new(), None));
    assert!(it.list(listed(&[], 8), start + Duration::from_secs(31)).list_again.is_some());
    assert_eq!(names(&it), TEN);
}

#[test]
fn a_first_list_that_lacks_most_of_the_mirror_needs_a_second_one() {
    let mirrored = || {
        let mut earlier = collection();
        earlier.list(listed(&TEN, 5), Instant::now());
        earlier.objects().clone()
    };
    let scope = Scope::new(Kind::Backend, None);
    let mut it = Collection::new(scope.clone(), mirrored(), Some(epoch("one")), Instant::now());
    assert_eq!(it.listed(), None);
    assert!(it.list(listed(&["a"], 6), Instant::now()).list_again.is_some());
    assert_eq!(names(&it), TEN);
    // Another cluster is another matter.
    let mut it = Collection::new(scope, mirrored(), Some(epoch("zero")), Instant::now());
    assert_eq!(it.list(listed(&["a"], 6), Instant::now()), changed(&TEN));
    assert_eq!(names(&it), ["a"]);
}

#[test]
fn an_object_without_a_namespace_is_passed_over() {
    let mut it = collection();
    let mut nameless = object("a", 1, 1);
    nameless.metadata.namespace = None;
    assert_eq!(it.apply(&nameless, Instant::now()), Outcome::default());
    assert_eq!(it.delete(&nameless), Outcome::default());
}

fn slice(revision: u64, ready: bool) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {
            "namespace": "default", "name": "a-1", "uid": "uid", "resourceVersion": revision.to_string(),
            "labels": { "kubernetes.io/service-name": "a" },
        },
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }],
        "ports": [{ "port": 80 }],
    }))
    .unwrap()
}

fn doubted(it: &Collection) -> Vec<bool> {
    let endpoints = it.objects().values().flat_map(|seen| match &seen.observed.spec {
        Spec::Slice(slice) => slice.endpoints.clone(),
        other => panic!("{other:?}"),
    });
    endpoints.map(|endpoint| endpoint.doubted).collect()
}

#[test]
fn after_a_long_outage_unreadiness_is_doubted_until_a_list_after_the_time_for_it() {
    let begun = Instant::now();
    let mut it = Collection::new(Scope::new(Kind::Slice, None), BTreeMap::new(), None, Instant::now());
    let listed = |object: DynamicObject| Listed { epoch: epoch("one"), revision: 9, objects: vec![object] };
    it.list(listed(slice(5, true)), begun);
    it.away(begun);
    let back = begun + Duration::from_secs(60);
    let until = it.back(back).unwrap();
    assert_eq!(it.back(back), None, "it is said once");
    assert!(it.apply(&slice(6, false), back).changed);
    assert_eq!(doubted(&it), [true]);
    let again = it.list(listed(slice(6, false)), back + Duration::from_secs(1));
    assert!(!again.changed, "{again:?}");
    assert!(it.list(listed(slice(6, false)), until).changed);
    assert_eq!(doubted(&it), [false]);
}

#[test]
fn what_the_mirror_has_counts_as_known_before_an_outage() {
    let begun = Instant::now();
    let scope = || Scope::new(Kind::Slice, None);
    let mut earlier = Collection::new(scope(), BTreeMap::new(), None, Instant::now());
    let list = |object| Listed { epoch: epoch("one"), revision: 9, objects: vec![object] };
    earlier.list(list(slice(5, true)), begun);
    let mut it = Collection::new(scope(), earlier.objects().clone(), Some(epoch("one")), begun);
    it.away(begun);
    let back = begun + Duration::from_secs(60);
    assert!(it.back(back).is_some());
    it.list(list(slice(6, false)), back);
    assert_eq!(doubted(&it), [true]);

    // The mirror keeps the text, and the next leader doubts what this one did.
    let text = it.objects().values().map(|seen| seen.spec.to_string()).collect::<String>();
    assert!(text.contains(r#""doubted":true"#), "{text}");
    let next = Collection::new(scope(), it.objects().clone(), Some(epoch("one")), back);
    assert!(next.doubted_until() > Some(back));
    assert_eq!(earlier.doubted_until(), None);
}
