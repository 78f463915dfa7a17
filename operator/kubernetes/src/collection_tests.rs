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
    Collection::new(Scope::new(Kind::Backend, None), BTreeMap::new(), None)
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
    assert!(!it.list(listed(&[], 6), Instant::now()).changed);
    assert_eq!(it.revision(), 6);
}

#[test]
fn watched_events_apply_at_once_and_raise_the_revision() {
    let mut it = collection();
    it.list(listed(&TEN, 5), Instant::now());
    assert!(it.apply(&object("k", 6, 1)).changed);
    assert!(!it.apply(&object("k", 7, 1)).changed, "only the status has changed");
    assert!(it.apply(&object("k", 8, 2)).changed);
    for name in TEN {
        assert_eq!(it.delete(&object(name, 9, 1)), changed(&[name]));
    }
    assert_eq!(names(&it), ["k"]);
    assert_eq!(it.revision(), 9);
    it.reach(Some(20));
    it.reach(Some(10));
    assert_eq!(it.revision(), 20);
}

#[test]
fn a_list_that_lacks_most_needs_a_second_one() {
    let start = Instant::now();
    let mut it = collection();
    it.list(listed(&TEN, 5), start);
    let outcome = it.list(listed(&["a"], 6), start);
    assert!(!outcome.changed);
    let again = outcome.list_again.unwrap();
    assert_eq!(again, start + Duration::from_secs(30));
    assert_eq!(names(&it), TEN);
    // What is deleted in between is gone at once; what comes is there at once.
    assert!(it.delete(&object("b", 7, 1)).changed);
    assert!(it.apply(&object("k", 8, 1)).changed);
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
    assert_eq!(it.list(listed(&TEN, 7), start + Duration::from_secs(30)), Outcome::default());
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
    let mut it = Collection::new(scope.clone(), mirrored(), Some(epoch("one")));
    assert_eq!(it.listed(), None);
    assert!(it.list(listed(&["a"], 6), Instant::now()).list_again.is_some());
    assert_eq!(names(&it), TEN);
    // Another cluster is another matter.
    let mut it = Collection::new(scope, mirrored(), Some(epoch("zero")));
    assert_eq!(it.list(listed(&["a"], 6), Instant::now()), changed(&TEN));
    assert_eq!(names(&it), ["a"]);
}

#[test]
fn an_object_without_a_namespace_is_passed_over() {
    let mut it = collection();
    let mut nameless = object("a", 1, 1);
    nameless.metadata.namespace = None;
    assert_eq!(it.apply(&nameless), Outcome::default());
    assert_eq!(it.delete(&nameless), Outcome::default());
}
