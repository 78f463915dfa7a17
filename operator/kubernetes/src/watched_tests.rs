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

fn watched(namespaces: &[String]) -> Watched {
    Watched::new(Scope::all(namespaces), &BTreeMap::new(), None, &[], Instant::now())
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
    let mut watched = watched(&[]);
    assert!(watched.view().is_none());
    list(&mut watched, 0, listed("one", 11, "default", &["users"]));
    list(&mut watched, 1, listed("one", 12, "default", &["shop"]));
    assert!(watched.view().is_none());
    list_nothing(&mut watched, 2, "one");
    let view = watched.view().unwrap().source_view();
    assert_eq!(view.owner, Owner::Kubernetes);
    let keys: Vec<_> = view.objects.keys().map(Key::to_string).collect();
    assert_eq!(keys, ["route/default/shop", "backend/default/users"]);
    let rest = [(Kind::Service, 9), (Kind::Slice, 9), (Kind::Grant, 9), (Kind::Secret, 11)];
    let revisions = [(Kind::Backend, 11), (Kind::Route, 12)].into_iter().chain(rest).collect();
    assert_eq!(view.as_of, SourceAsOf { epoch: epoch("one"), revisions });
}

#[test]
fn there_is_no_view_of_two_clusters() {
    let mut watched = watched(&[]);
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
    let mut watched = watched(&namespaces);
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

#[test]
fn named_secrets_are_waited_for_and_let_go_of() {
    let mut watched = watched(&[]);
    let proxied = |name: &str| {
        let proxy = json!({ "host": "p", "port": 1, "principal": "u", "passwordSecret": { "name": name, "key": "k" } });
        let metadata =
            json!({ "namespace": "default", "name": "users", "uid": "u", "resourceVersion": "12" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "client": { "proxy": proxy } } }))
            .unwrap()
    };
    let objects = vec![proxied("p")];
    list(&mut watched, 0, Listed { epoch: epoch("one"), revision: 11, objects });
    list_nothing(&mut watched, 1, "one");
    let name = |name: &str| SecretName { namespace: "default".to_owned(), name: name.to_owned() };
    assert_eq!(watched.named().iter().collect::<Vec<_>>(), [&name("p")]);
    assert!(watched.view().is_none(), "it isn't known what the Secret has");

    let secret = |name: &str, text: &str| {
        let entries = [("k".to_owned(), text.to_owned())].into();
        let spec = operator_core::Spec::Secret(Arc::new(operator_core::SecretSpec { entries }));
        let key = Key::new(Kind::Secret, "default", name);
        let origin = operator_core::Origin::Kubernetes;
        Arc::new(Observed { key, spec, labels: BTreeMap::new(), generation: 0, uid: String::new(), origin })
    };
    assert!(watched.secret(&name("p"), vec![secret("p", "one")], 20));
    let view = watched.view().unwrap();
    assert_eq!(view.observed.len(), 2);
    assert_eq!(view.seen.len(), 1, "the mirror gets no Secret");
    assert_eq!(view.as_of.revisions.get(&Kind::Secret), Some(&20));
    assert!(!watched.secret(&name("p"), vec![secret("p", "one")], 21), "nothing has changed");
    assert!(watched.secret(&name("p"), vec![secret("p", "two")], 22));
    assert!(!watched.secret_failed(&name("p")), "what is known stays");
    assert!(!watched.secret(&name("q"), vec![secret("q", "one")], 22), "nobody names it");

    watched.update(0, |collection| collection.apply(&proxied("q"), Instant::now()));
    assert_eq!(watched.named().iter().collect::<Vec<_>>(), [&name("q")]);
    assert!(watched.view().is_none());
    assert!(watched.secret_failed(&name("q")), "nobody waits for one that can't be read");
    let view = watched.view().unwrap();
    assert_eq!(view.observed.len(), 1);
    assert_eq!(view.as_of.revisions.get(&Kind::Secret), Some(&20), "it never falls below what was told");
    assert!(
        !watched.secret(&name("q"), Vec::new(), 30),
        "it is known by now that there is none, as it was said"
    );
    assert_eq!(watched.view().unwrap().as_of.revisions.get(&Kind::Secret), Some(&30));
}
