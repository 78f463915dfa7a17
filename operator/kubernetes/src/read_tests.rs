use serde_json::json;

use super::*;

fn object(spec: Value, change: impl FnOnce(&mut Value)) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "komainu.dev/v1alpha1",
        "kind": "Backend",
        "metadata": { "namespace": "team-a", "name": "users", "uid": "u1", "generation": 3, "resourceVersion": "17" },
        "spec": spec,
    });
    change(&mut object);
    serde_json::from_value(object).unwrap()
}

fn backend(change: impl FnOnce(&mut Value)) -> DynamicObject {
    object(json!({ "targets": [{ "hostname": "users.test", "port": 80 }] }), change)
}

fn key() -> Key {
    "backend/team-a/users".parse().unwrap()
}

fn problem(spec: Value) -> Problem {
    let Spec::Invalid(problems) = read(&key(), &object(spec, |_| {}), None).observed.spec.clone() else {
        panic!("it was read")
    };
    problems.into_iter().next().unwrap()
}

#[test]
fn reads_spec_generation_and_labels() {
    let seen =
        read(&key(), &backend(|it| it["metadata"]["labels"] = json!({ "komainu.dev/tenant": "a" })), None);
    assert_eq!(seen.observed.generation, 3);
    assert_eq!(seen.observed.labels, BTreeMap::from([("komainu.dev/tenant".to_owned(), "a".to_owned())]));
    let Spec::Backend(spec) = &seen.observed.spec else { panic!("{:?}", seen.observed.spec) };
    assert_eq!(spec.targets.first().unwrap().hostname.as_deref(), Some("users.test"));
}

#[test]
fn a_change_of_the_status_keeps_the_arc() {
    let known = read(&key(), &backend(|_| {}), None);
    let changed = backend(|it| {
        it["metadata"]["resourceVersion"] = json!("18");
        it["status"] = json!({ "observedGeneration": 3, "conditions": [] });
    });
    assert!(Arc::ptr_eq(&read(&key(), &changed, Some(&known)).observed, &known.observed));
}

#[test]
fn each_other_change_is_one() {
    let known = read(&key(), &backend(|_| {}), None);
    let changes: [fn(&mut Value); 4] = [
        |it| it["metadata"]["uid"] = json!("u2"),
        |it| it["metadata"]["generation"] = json!(4),
        |it| it["metadata"]["labels"] = json!({ "a": "b" }),
        // As after new definitions with another default: the generation stays.
        |it| it["spec"]["root"] = json!("/v2"),
    ];
    for change in changes {
        assert!(!Arc::ptr_eq(&read(&key(), &backend(change), Some(&known)).observed, &known.observed));
    }
}

#[test]
fn what_comes_from_the_mirror_is_the_same_object() {
    let seen = read(&key(), &backend(|_| {}), None);
    let stored = StoredObject {
        owner: operator_core::Owner::Kubernetes,
        key: key(),
        generation: 3,
        revision: 9,
        labels: BTreeMap::new(),
        spec: seen.spec.clone(),
    };
    let (_, from_mirror) = mirrored(stored);
    let seen = Observed { uid: String::new(), ..Observed::clone(&seen.observed) };
    assert_eq!(*from_mirror.observed, seen, "the mirror doesn't keep uids");
    let again = read(&key(), &backend(|_| {}), Some(&from_mirror));
    assert_eq!((again.uid.as_str(), again.observed.uid.as_str()), ("u1", "u1"));
    let other = read(&key(), &backend(|value| value["metadata"]["uid"] = "u2".into()), Some(&again));
    assert_eq!(other.observed.uid, "u2", "though it says the same");
}

/// It is planned for what it says alone.
#[test]
fn a_service_from_the_mirror_keeps_its_arc() {
    let key: Key = "service/team-a/users".parse().unwrap();
    let service = object(json!({ "ports": [{ "port": 80 }] }), |_| {});
    let seen = read(&key, &service, None);
    let stored = StoredObject {
        owner: operator_core::Owner::Kubernetes,
        key: key.clone(),
        generation: 0,
        revision: 9,
        labels: BTreeMap::new(),
        spec: seen.spec,
    };
    let (_, from_mirror) = mirrored(stored);
    let again = read(&key, &service, Some(&from_mirror));
    assert!(Arc::ptr_eq(&again.observed, &from_mirror.observed));
}

#[test]
fn says_where_an_object_does_not_fit_its_type() {
    let wrong =
        problem(json!({ "targets": [{ "hostname": "a", "port": 80 }, { "hostname": "b", "port": "http" }] }));
    assert_eq!(wrong.field, "spec.targets[1].port");
    assert!(wrong.message.contains("http") && !wrong.message.contains("line"), "{}", wrong.message);
    let unknown = problem(json!({ "target": [] }));
    assert!(unknown.message.contains("unknown field `target`"), "{}", unknown.message);
    assert_eq!(problem(Value::Null).field, "spec");
    assert_eq!(problem(json!("text")).field, "spec");
}

#[test]
fn a_condition_that_is_none_is_as_good_as_absent() {
    let shown = present(&backend(|it| {
        it["status"] = json!({ "observedGeneration": 2, "conditions": [
            { "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
              "observedGeneration": 2, "lastTransitionTime": "2026-01-02T03:04:05Z" },
            { "type": "Odd" },
        ], "ready": "3/4", "routes": 2, "worst": [{ "id": "a", "state": "Out", "reason": "", "workers": 1 }] });
    }));
    assert_eq!((shown.uid.as_str(), shown.revision, shown.generation), ("u1", 17, 3));
    assert_eq!(shown.observed_generation, Some(2));
    let types: Vec<_> = shown.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Accepted"]);
    assert_eq!((shown.tally.ready.as_deref(), shown.tally.routes), (Some("3/4"), Some(2)));
    assert_eq!(shown.tally.worst.first().unwrap().id, "a");
    let odd = present(&backend(|it| it["status"] = json!({ "worst": "all of them" })));
    assert_eq!(odd.tally, Tally::default());
}
