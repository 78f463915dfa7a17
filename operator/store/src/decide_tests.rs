use dataplane_snapshot::Kind;

use super::*;

fn key(name: &str) -> Key {
    Key::new(Kind::Backend, "default", name)
}

fn epoch(id: &str) -> Epoch {
    Epoch { id: id.to_owned(), created_at: 1 }
}

fn object(name: &str, revision: u64, spec: &str) -> StoredObject {
    StoredObject {
        owner: Owner::Store,
        key: key(name),
        generation: i64::try_from(revision).unwrap(),
        revision,
        labels: BTreeMap::new(),
        spec: spec.into(),
    }
}

fn known(revision: u64, objects: impl IntoIterator<Item = StoredObject>) -> Known {
    let as_of = SourceAsOf { epoch: epoch("store"), revisions: BTreeMap::new() };
    let objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
    Known { epoch: epoch("store"), revision, as_of: Some(as_of), fence: 0, objects }
}

fn put(name: &str, spec: &str) -> Write {
    let draft = Draft { generation: None, labels: BTreeMap::new(), spec: spec.into() };
    Write { key: key(name), expected: Expected::Any, draft: Some(draft) }
}

fn delete(name: &str) -> Write {
    Write { key: key(name), expected: Expected::Any, draft: None }
}

fn batch(writes: Vec<Write>) -> Batch {
    Batch { owner: Owner::Store, writes, as_of: None, fence: None }
}

#[test]
fn a_key_that_is_written_twice_has_one_last_state() {
    let writes = vec![put("a", "1"), delete("a"), put("a", "2"), put("b", "1"), delete("b")];
    let outcome = decide(&batch(writes), known(7, [object("a", 3, "0")])).unwrap();
    assert_eq!(outcome.committed.revision, 12);
    assert_eq!(outcome.written().collect::<Vec<_>>(), [&object("a", 10, "2")]);
    assert_eq!(outcome.deleted().collect::<Vec<_>>(), [(&key("b"), 12)]);
    assert_eq!(outcome.changes[&key("a")].before, Some(3), "what the store has to replace");
    assert_eq!(outcome.changes[&key("b")].before, None);
    let answers: Vec<_> = outcome
        .committed
        .objects
        .iter()
        .map(|object| object.as_ref().map(|object| object.revision))
        .collect();
    assert_eq!(answers, [Some(8), None, Some(10), Some(11), None]);
}

#[test]
fn a_deletion_says_what_it_takes_away() {
    let outcome = decide(&batch(vec![delete("a")]), known(7, [object("a", 3, "0")])).unwrap();
    assert_eq!(outcome.changes[&key("a")], Change { before: Some(3), after: After::Deleted(8) });
}

#[test]
fn what_changes_nothing_is_idle() {
    let outcome = decide(&batch(vec![put("a", "0"), delete("b")]), known(7, [object("a", 3, "0")])).unwrap();
    assert!(outcome.is_idle(), "{outcome:?}");
    assert_eq!(outcome.committed.revision, 7);
    assert_eq!(outcome.committed.objects, [Some(object("a", 3, "0")), None]);
}

#[test]
fn labels_and_a_given_generation_are_changes_too() {
    for change in [
        Draft { generation: Some(9), labels: BTreeMap::new(), spec: "0".into() },
        Draft { generation: None, labels: [("a".into(), "b".into())].into(), spec: "0".into() },
    ] {
        let write = Write { key: key("a"), expected: Expected::Revision(3), draft: Some(change) };
        let outcome = decide(&batch(vec![write]), known(7, [object("a", 3, "0")])).unwrap();
        assert_eq!(outcome.committed.revision, 8);
    }
}

#[test]
fn one_refused_write_refuses_all() {
    let last = Write { expected: Expected::Absent, ..put("b", "1") };
    let refused = decide(&batch(vec![put("a", "1"), put("b", "1"), last]), known(7, []));
    assert_eq!(refused, Err(StoreError::Exists { key: key("b") }), "it sees the write before it");
}

#[test]
fn a_mirror_says_how_much_was_seen() {
    let as_of =
        |id: &str, kind, revision| SourceAsOf { epoch: epoch(id), revisions: [(kind, revision)].into() };
    let mirror =
        |as_of| Batch { owner: Owner::Kubernetes, writes: Vec::new(), as_of: Some(as_of), fence: None };
    let nothing = Known { as_of: None, ..known(7, []) };
    let first = decide(&mirror(as_of("a", Kind::Backend, 5)), nothing.clone()).unwrap();
    assert_eq!((first.as_of.as_ref(), first.committed.revision), (Some(&as_of("a", Kind::Backend, 5)), 8));

    let after = Known { as_of: first.as_of, ..nothing };
    let other_kind = decide(&mirror(as_of("a", Kind::Route, 6)), after.clone()).unwrap().as_of.unwrap();
    assert_eq!(other_kind.revisions, [(Kind::Backend, 5), (Kind::Route, 6)].into());
    assert!(decide(&mirror(as_of("a", Kind::Backend, 5)), after.clone()).unwrap().is_idle());
    let anew = decide(&mirror(as_of("b", Kind::Route, 1)), after).unwrap().as_of.unwrap();
    assert_eq!(anew, as_of("b", Kind::Route, 1), "what was seen of another life doesn't count");
}

#[test]
fn own_objects_count_by_kind() {
    let route = Write { key: Key::new(Kind::Route, "default", "r"), ..put("r", "1") };
    let outcome = decide(&batch(vec![put("a", "0"), route]), known(7, [object("a", 3, "0")])).unwrap();
    assert_eq!(outcome.as_of.unwrap().revisions, [(Kind::Route, 8)].into());
    let deleted = decide(&batch(vec![delete("a")]), known(7, [object("a", 3, "0")])).unwrap();
    assert_eq!(deleted.as_of.unwrap().revisions, [(Kind::Backend, 8)].into());
}

#[test]
fn who_takes_over_raises_the_revision_that_earlier_writers_decide_on() {
    let by = |fence| Batch { owner: Owner::Kubernetes, writes: Vec::new(), as_of: None, fence: Some(fence) };
    let before = Known { fence: 4, ..known(7, []) };
    let taken = decide(&by(5), before.clone()).unwrap();
    assert_eq!((taken.fence, taken.committed.revision), (Some(5), 8));
    assert!(decide(&by(4), before.clone()).unwrap().is_idle(), "the same writer once more");
    let refused = decide(&by(3), before).unwrap_err();
    assert_eq!(refused, StoreError::Fenced { fence: 3, newest: 4 });
}

#[test]
fn what_is_deleted_and_written_again_in_one_batch_is_written() {
    let outcome = decide(&batch(vec![delete("a"), put("a", "0")]), known(7, [object("a", 3, "0")])).unwrap();
    assert_eq!(outcome.written().map(|object| object.revision).collect::<Vec<_>>(), [9]);
    assert_eq!(outcome.deleted().count(), 0);
}

#[test]
fn a_write_expects_what_it_says() {
    let (there, gone) = (key("a"), key("b"));
    let not_found = || Err(StoreError::NotFound { key: gone.clone() });
    for (key, expected, result) in [
        (&there, Expected::Any, Ok(())),
        (&gone, Expected::Any, Ok(())),
        (&there, Expected::Present, Ok(())),
        (&gone, Expected::Present, not_found()),
        (&there, Expected::Absent, Err(StoreError::Exists { key: there.clone() })),
        (&gone, Expected::Absent, Ok(())),
        (&there, Expected::Revision(3), Ok(())),
        (
            &there,
            Expected::Revision(2),
            Err(StoreError::Conflict { key: there.clone(), expected: 2, actual: 3 }),
        ),
        (
            &there,
            Expected::Revision(4),
            Err(StoreError::Conflict { key: there.clone(), expected: 4, actual: 3 }),
        ),
        (&gone, Expected::Revision(3), not_found()),
    ] {
        let write = Write { key: key.clone(), expected, ..put("", "1") };
        let decided = decide(&batch(vec![write]), known(7, [object("a", 3, "0")]));
        assert_eq!(decided.map(|_| ()), result, "{key} {expected:?}");
    }
}

#[test]
fn a_mirror_with_writes_raises_the_revision_once() {
    let as_of = SourceAsOf { epoch: epoch("a"), revisions: [(Kind::Backend, 5)].into() };
    let mirror =
        Batch { owner: Owner::Kubernetes, as_of: Some(as_of), fence: Some(2), ..batch(vec![put("a", "1")]) };
    let outcome = decide(&mirror, known(7, [])).unwrap();
    assert_eq!((outcome.committed.revision, outcome.fence), (8, Some(2)));
    assert!(!outcome.is_idle() && outcome.written().all(|object| object.owner == Owner::Kubernetes));
}

#[test]
fn files_are_kept_in_no_store() {
    let files = Batch { owner: Owner::Files, ..batch(vec![put("a", "1")]) };
    assert_eq!(decide(&files, known(7, [])), Err(StoreError::NotKept { owner: Owner::Files }));
}
