use std::collections::BTreeMap;

use dataplane_snapshot::{Epoch, Kind, SourceAsOf};

use super::*;
use crate::{Acceptance, Refusal, RefusalReason, Unresolved, UnresolvedReason};

const OLD: Root = Root([1; 32]);
const CURRENT: Root = Root([2; 32]);

fn as_of(revision: u64) -> AsOf {
    let epoch = Epoch { id: "one".into(), created_at: 1 };
    AsOf([("store".to_owned(), SourceAsOf { epoch, revisions: [(Kind::Route, revision)].into() })].into())
}

fn key() -> Key {
    "route/default/users".parse().unwrap()
}

fn status(generation: i64) -> ObjectStatus {
    ObjectStatus {
        key: key(),
        owner: Owner::Store,
        generation,
        uid: String::new(),
        accepted: Ok(Acceptance::Active),
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        overlaps: Vec::new(),
        targets: Vec::new(),
        destinations: Vec::new(),
        backends: Vec::new(),
        objects: vec![key()],
    }
}

fn held(generation: i64) -> ObjectStatus {
    let unresolved = Unresolved { reason: UnresolvedReason::BackendNotFound, problems: Vec::new() };
    ObjectStatus { resolved_refs: Err(unresolved), ..status(generation) }
}

fn refused(generation: i64) -> ObjectStatus {
    let refusal = Refusal { reason: RefusalReason::Invalid, problems: Vec::new() };
    ObjectStatus { accepted: Err(refusal), ..status(generation) }
}

fn worker(name: &str, ack: Option<(Root, u64)>) -> Counted {
    let ack = ack.map(|(root, revision)| Applied {
        root,
        as_of: as_of(revision),
        rejected: BTreeMap::new(),
        more_rejected: false,
    });
    Counted { name: name.into(), ack, lost: false, share: Share::Whole }
}

fn rejecting(name: &str, ack: (Root, u64), object: &str) -> Counted {
    let mut worker = worker(name, Some(ack));
    let ack = worker.ack.as_mut().unwrap();
    ack.rejected.insert(object.parse().unwrap(), "too deep".into());
    worker
}

fn judged(workers: &[Counted]) -> Programmed {
    verdict(&status(1), &as_of(5), workers, CURRENT)
}

#[test]
fn true_when_each_counted_worker_has_applied_it() {
    assert_eq!(judged(&[worker("a", Some((OLD, 5))), worker("b", Some((OLD, 9)))]), Programmed::True);
    let propagating = Programmed::Propagating { applied: 1, counted: 3 };
    let waiting = [worker("a", Some((OLD, 5))), worker("b", Some((OLD, 4))), worker("c", None)];
    assert_eq!(judged(&waiting), propagating);
    assert_eq!(propagating.to_string(), "1/3");
}

/// A write that leaves the root as it was reaches no worker: whoever is at that root has it.
#[test]
fn whoever_is_at_the_current_root_has_it() {
    assert_eq!(judged(&[worker("a", Some((CURRENT, 4)))]), Programmed::True);
}

#[test]
fn no_worker_is_false() {
    assert_eq!(judged(&[]), Programmed::NoWorkers);
}

#[test]
fn a_lost_worker_is_named_while_it_is_missing() {
    let lost = |ack| Counted { lost: true, ..worker("b", ack) };
    let verdict = judged(&[worker("a", Some((OLD, 5))), lost(Some((OLD, 4)))]);
    assert_eq!(verdict, Programmed::WorkerLost { applied: 1, counted: 2, lost: "b".into() });
    assert_eq!(verdict.to_string(), "1/2; worker b doesn't answer");
    assert_eq!(judged(&[worker("a", Some((OLD, 5))), lost(Some((OLD, 5)))]), Programmed::True);
}

#[test]
fn a_rejection_is_told_before_all_have_answered() {
    let workers = [worker("a", None), rejecting("b", (OLD, 5), "route/default/users")];
    let expected = Programmed::Rejected { worker: "b".into(), key: key(), reason: "too deep".into() };
    assert_eq!(judged(&workers), expected);
    assert_eq!(expected.to_string(), "worker b rejects route/default/users: too deep");
}

#[test]
fn of_a_worker_that_cannot_tell_all_that_it_rejects_nothing_is_believed() {
    let mut other = rejecting("b", (OLD, 5), "route/default/other");
    other.ack.as_mut().unwrap().more_rejected = true;
    let judgement = judged(&[worker("a", Some((OLD, 5))), other.clone()]);
    let Programmed::Rejected { worker: who, key: which, reason } = judgement else { panic!("{judgement:?}") };
    assert_eq!((&*who, which), ("b", key()));
    assert!(reason.contains("maybe this one: see its log"), "{reason}");

    other.ack = other.ack.map(|ack| Applied { as_of: as_of(4), ..ack });
    let expected = Programmed::Propagating { applied: 0, counted: 1 };
    assert_eq!(judged(&[other.clone()]), expected, "of what it hasn't, it says nothing");

    let told = rejecting("b", (OLD, 5), &key().to_string());
    other.ack = told.ack.map(|ack| Applied { more_rejected: true, ..ack });
    let expected = Programmed::Rejected { worker: "b".into(), key: key(), reason: "too deep".into() };
    assert_eq!(judged(&[other]), expected);
}

#[test]
fn rejections_of_others_or_of_older_versions_dont_count() {
    let older = rejecting("a", (OLD, 4), "route/default/users");
    assert_eq!(judged(&[older]), Programmed::Propagating { applied: 0, counted: 1 });
    let other = rejecting("a", (OLD, 5), "route/default/shoes");
    assert_eq!(judged(&[other]), Programmed::True);
}

#[test]
fn what_isnt_planned_isnt_programmed() {
    let workers = [worker("a", Some((CURRENT, 9)))];
    let judged = |status| verdict(&status, &as_of(5), &workers, CURRENT);
    assert_eq!(judged(refused(1)), Programmed::NotAccepted);
    assert_eq!(judged(held(1)), Programmed::Held);
    // A disabled route is gone from every worker: that is what it says.
    let disabled = ObjectStatus { accepted: Ok(Acceptance::Disabled), objects: Vec::new(), ..held(1) };
    assert_eq!(judged(disabled), Programmed::True);
}

/// A ledger with the passes so far.
#[derive(Default)]
struct Passes(Ledger);

impl Passes {
    fn record(&mut self, status: ObjectStatus, revision: u64) {
        let statuses = [(status.key.clone(), Arc::new(status))].into_iter().collect();
        self.0.record(&statuses, &Snapshot::new([], as_of(revision)));
    }

    fn verdict(&mut self, workers: &[Counted]) -> Programmed {
        self.0.verdicts(workers, CURRENT).get(&key()).unwrap().programmed.clone()
    }
}

/// A source that is restored from a backup counts on from there: another write may get the number of one that is gone.
#[test]
fn a_generation_of_another_epoch_is_another_write() {
    let mut passes = Passes::default();
    passes.record(status(7), 7);
    assert!(passes.verdict(&[worker("a", Some((OLD, 7)))]).is_true());
    let mut restored = as_of(7);
    let source = restored.0.get_mut("store").unwrap();
    source.epoch = Epoch { id: "two".into(), created_at: 2 };
    let statuses = Statuses::from_iter([(key(), Arc::new(status(7)))]);
    passes.0.record(&statuses, &Snapshot::new([], restored.clone()));
    assert!(!passes.verdict(&[worker("a", Some((OLD, 9)))]).is_true(), "it has seen the first epoch only");
    let ack = Some(Applied { root: OLD, as_of: restored, rejected: BTreeMap::new(), more_rejected: false });
    assert!(passes.verdict(&[Counted { name: "a".into(), ack, lost: false, share: Share::Whole }]).is_true());
}

#[test]
fn the_write_is_that_of_the_generation() {
    let mut passes = Passes::default();
    passes.record(status(1), 5);
    // Others are edited, this one stays.
    passes.record(status(1), 8);
    assert!(passes.verdict(&[worker("a", Some((OLD, 5)))]).is_true());
    passes.record(status(2), 9);
    let before = [worker("a", Some((OLD, 8)))];
    assert_eq!(passes.verdict(&before), Programmed::Propagating { applied: 0, counted: 1 });
    assert!(passes.verdict(&[worker("a", Some((OLD, 9)))]).is_true());
}

#[test]
fn true_is_latched_for_the_generation() {
    let mut passes = Passes::default();
    passes.record(status(1), 5);
    assert!(passes.verdict(&[worker("a", Some((OLD, 5)))]).is_true());
    assert!(passes.verdict(&[]).is_true(), "a loss withdraws nothing");
    passes.record(held(1), 6);
    assert!(passes.verdict(&[]).is_true(), "nor does a reference that goes away");
    passes.record(refused(1), 7);
    assert_eq!(passes.verdict(&[]), Programmed::NotAccepted);
    passes.record(status(2), 8);
    assert_eq!(passes.verdict(&[]), Programmed::NoWorkers);
}

/// The backend that a held route names appears: the route is another object from then on, in the same generation.
#[test]
fn what_is_held_no_longer_is_a_new_write() {
    let mut passes = Passes::default();
    passes.record(held(1), 5);
    assert_eq!(passes.verdict(&[worker("a", Some((OLD, 5)))]), Programmed::Held);
    passes.record(status(1), 6);
    assert!(!passes.verdict(&[worker("a", Some((OLD, 5)))]).is_true());
    assert!(passes.verdict(&[worker("a", Some((OLD, 6)))]).is_true());
}

/// Deleted and created anew between two passes, each has the generation 1.
#[test]
fn another_object_of_the_same_name_is_another_write() {
    let of = |uid: &str| ObjectStatus { uid: uid.to_owned(), ..status(1) };
    let mut passes = Passes::default();
    passes.record(of(""), 5);
    assert!(passes.verdict(&[worker("a", Some((OLD, 5)))]).is_true());
    passes.record(of("one"), 6);
    assert!(passes.verdict(&[]).is_true(), "it wasn't known which one it is");
    passes.record(of("other"), 7);
    assert!(!passes.verdict(&[worker("a", Some((OLD, 6)))]).is_true());
    assert!(passes.verdict(&[worker("a", Some((OLD, 7)))]).is_true());
    passes.record(of(""), 8);
    assert!(passes.verdict(&[]).is_true(), "it isn't known any more");
}

#[test]
fn what_an_earlier_leader_told_stays_told() {
    let mut passes = Passes::default();
    passes.record(status(3), 5);
    passes.0.latch(&key(), Owner::Store, 2);
    passes.0.latch(&key(), Owner::Kubernetes, 3);
    assert_eq!(passes.verdict(&[]), Programmed::NoWorkers, "another generation or another owner's");
    passes.0.latch(&key(), Owner::Store, 3);
    assert!(passes.verdict(&[]).is_true());
}

/// Thousands of objects are decided; only what isn't is looked at when a worker says something.
#[test]
fn what_is_decided_is_not_judged_again() {
    let mut passes = Passes::default();
    passes.record(status(1), 5);
    passes.verdict(&[]);
    assert_eq!(passes.0.open.len(), 1);
    passes.verdict(&[worker("a", Some((OLD, 5)))]);
    let decided = passes.0.verdicts(&[], CURRENT).clone();
    assert!(passes.0.open.is_empty() && passes.0.verdicts(&[], OLD).is_copy_of(&decided));
    for (status, expected) in [(refused(2), Programmed::NotAccepted), (held(3), Programmed::Held)] {
        passes.record(status, 6);
        assert_eq!(passes.verdict(&[]), expected);
        assert!(passes.0.open.is_empty());
    }
    passes.record(status(4), 7);
    assert_eq!(passes.verdict(&[]), Programmed::NoWorkers);
    assert_eq!(passes.verdict(&[worker("a", None)]), Programmed::Propagating { applied: 0, counted: 1 });
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut passes = Passes::default();
    passes.record(status(1), 5);
    assert!(passes.verdict(&[worker("a", Some((OLD, 5)))]).is_true());
    passes.0.record(&Statuses::new(), &Snapshot::new([], as_of(6)));
    assert!(passes.0.verdicts(&[], CURRENT).is_empty());
    passes.record(status(1), 7);
    assert_eq!(passes.verdict(&[]), Programmed::NoWorkers);
}

/// A worker whose part, as of a revision, has the object or not; it is at that part, unless it has nothing yet.
fn with_part(name: &str, part_as_of: u64, has_it: bool, is_there: bool) -> Counted {
    let object = has_it.then(|| dataplane_snapshot::Object::new(key(), bytes::Bytes::new()));
    let part = Arc::new(Snapshot::new(object, as_of(part_as_of)));
    let ack = is_there.then(|| Applied {
        root: part.root(),
        as_of: as_of(1),
        rejected: BTreeMap::new(),
        more_rejected: false,
    });
    Counted { name: name.into(), ack, lost: false, share: Share::Part(Some(Part::new(part))) }
}

/// A Backend that was written long ago comes into the part of a tenant with the first Route that references it.
#[test]
fn what_came_into_a_part_after_its_write_is_there_only_then() {
    let scoped = |seen: u64| {
        let mut late = with_part("a", 8, true, true);
        late.ack.as_mut().unwrap().as_of = as_of(seen);
        late.ack.as_mut().unwrap().root = OLD;
        late
    };
    assert_eq!(judged(&[scoped(7)]), Programmed::Propagating { applied: 0, counted: 1 });
    assert_eq!(judged(&[scoped(8)]), Programmed::True);
}

#[test]
fn only_workers_whose_part_has_it_are_counted() {
    assert_eq!(judged(&[with_part("a", 5, true, true), with_part("b", 5, false, false)]), Programmed::True);
    let waiting =
        [with_part("a", 5, true, false), with_part("b", 5, false, true), worker("c", Some((OLD, 5)))];
    assert_eq!(judged(&waiting), Programmed::Propagating { applied: 1, counted: 2 });
    assert_eq!(judged(&[with_part("b", 5, false, true)]), Programmed::OutOfScope);
    assert_eq!(Programmed::OutOfScope.reason(), "NoWorkers");
}

/// What was planned is judged before its parts are made.
#[test]
fn a_part_that_is_older_than_the_write_or_unknown_proves_nothing() {
    let missing = Programmed::Propagating { applied: 1, counted: 2 };
    let whole = || worker("c", Some((OLD, 5)));
    assert_eq!(judged(&[whole(), with_part("a", 4, false, true)]), missing);
    assert_eq!(judged(&[whole(), with_part("a", 4, true, true)]), missing);
    let unknown = Counted { share: Share::Part(None), ..worker("a", Some((CURRENT, 4))) };
    assert_eq!(judged(&[whole(), unknown]), missing);
}

/// A worker has to lose it too.
#[test]
fn what_gives_no_object_counts_all() {
    let disabled = ObjectStatus { objects: Vec::new(), ..status(1) };
    let of = |workers: &[Counted]| verdict(&disabled, &as_of(5), workers, CURRENT);
    assert_eq!(of(&[with_part("a", 5, false, true)]), Programmed::True);
    assert_eq!(of(&[with_part("a", 5, false, false)]), Programmed::Propagating { applied: 0, counted: 1 });
}
