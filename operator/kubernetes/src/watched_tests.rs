use std::time::Instant;

use serde_json::json;

use super::*;
use crate::collection::Listed;

fn epoch(id: &str) -> Epoch {
    Epoch { id: id.to_owned(), created_at: 7 }
}

fn listed(epoch_id: &str, revision: u64, namespace: &str, names: &[&str]) -> Listed {
    let object = |name: &&str| {
        let metadata = json!({ "namespace": namespace, "name": name, "uid": "u", "generation": 1, "resourceVersion": "1" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": {} })).unwrap()
    };
    Listed { epoch: epoch(epoch_id), revision, objects: names.iter().map(object).collect() }
}

fn list(watched: &mut Watched, index: usize, list: Listed) {
    watched.update(index, |collection| collection.list(list, Instant::now()));
}

/// All scopes from `first` on, of which the API server has nothing.
fn list_nothing(watched: &mut Watched, first: usize, epoch_id: &str) {
    for index in first..watched.collections.len() {
        list(watched, index, listed(epoch_id, 9, "default", &[]));
    }
}

#[test]
fn there_is_no_view_before_everything_is_listed() {
    let mut watched = Watched::new(Scope::all(&[]), &BTreeMap::new(), None);
    assert!(watched.view().is_none());
    list(&mut watched, 0, listed("one", 11, "default", &["users"]));
    list(&mut watched, 1, listed("one", 12, "default", &["shop"]));
    assert!(watched.view().is_none());
    list_nothing(&mut watched, 2, "one");
    let view = watched.view().unwrap().source_view();
    assert_eq!(view.owner, Owner::Kubernetes);
    let keys: Vec<_> = view.objects.keys().map(Key::to_string).collect();
    assert_eq!(keys, ["route/default/shop", "backend/default/users"]);
    let rest = [Kind::Service, Kind::Slice, Kind::Grant].map(|kind| (kind, 9));
    let revisions = [(Kind::Backend, 11), (Kind::Route, 12)].into_iter().chain(rest).collect();
    assert_eq!(view.as_of, SourceAsOf { epoch: epoch("one"), revisions });
}

#[test]
fn there_is_no_view_of_two_clusters() {
    let mut watched = Watched::new(Scope::all(&[]), &BTreeMap::new(), None);
    list(&mut watched, 0, listed("one", 11, "default", &["users"]));
    list_nothing(&mut watched, 1, "two");
    assert!(watched.view().is_none());
    list(&mut watched, 0, listed("two", 13, "default", &[]));
    let view = watched.view().unwrap();
    assert_eq!(view.as_of.epoch, epoch("two"));
    assert!(view.observed.is_empty() && view.seen.is_empty());
}

#[test]
fn of_several_namespaces_the_one_that_lags_counts() {
    let namespaces = ["b", "a", "b"].map(str::to_owned);
    let mut watched = Watched::new(Scope::all(&namespaces), &BTreeMap::new(), None);
    assert_eq!(watched.collections.len(), 10);
    for (index, (namespace, revision)) in [("a", 20), ("b", 10), ("a", 30), ("b", 40)].into_iter().enumerate()
    {
        list(&mut watched, index, listed("one", revision, namespace, &["x"]));
    }
    list_nothing(&mut watched, 4, "one");
    let view = watched.view().unwrap();
    let revision = |kind| view.as_of.revisions.get(&kind).copied();
    assert_eq!((revision(Kind::Backend), revision(Kind::Route)), (Some(10), Some(30)));
    assert_eq!(view.observed.len(), 4);
}
