//! Each rule of the subscription, with fake time.

#![expect(clippy::expect_used, reason = "what the driver expects is what the test expects")]

mod harness;
#[path = "subscription/plain.rs"]
mod plain;
mod samples;

use std::time::Duration;

use dataplane_core::subscription::{
    Action, Answer, Attempt, DAMAGED_RETRY, EARLIER_PATIENCE, Event, Failure, Leader, PERSIST_RETRY,
    Readiness, Source, UNHELD_INTERVAL, Unready,
};
use dataplane_snapshot::{AsOf, Epoch, Kind, Root, Snapshot, SourceAsOf};
use harness::{Acked, Driver};
use samples::{as_of, snapshot};

const HOLD: Duration = Duration::from_secs(25);
const BOOT: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

fn unreachable() -> Answer {
    Answer::Failed(Failure::Unreachable("connection refused".into()))
}

#[test]
fn the_first_state_is_applied_then_acknowledged_then_persisted() {
    let mut worker = Driver::start(1, None);
    assert_eq!(worker.polls(), [(0, None, Duration::ZERO)]);
    let state = snapshot(1, "a");
    worker.answer(Answer::State(state.clone()));
    assert_eq!(worker.applies(), [state.root()]);
    assert_eq!(worker.polls(), [], "while it is applied nothing newer is fetched");
    assert_eq!(worker.readiness(), Readiness::NotReady(Unready::Applying));
    worker.applied(state.root());
    assert_eq!(worker.order(), ["ack", "persist", "poll"]);
    assert_eq!(worker.polls(), [(0, Some(state.root()), HOLD)]);
    assert_eq!(worker.readiness(), Readiness::Ready);
}

#[test]
fn an_equal_root_merges_the_as_of_and_applies_nothing() {
    let mut worker = Driver::following(snapshot(5, "a"));
    worker.answer(Answer::State(snapshot(7, "a")));
    assert_eq!(worker.applies(), []);
    assert_eq!(worker.status_as_of(), as_of(7));
    assert_eq!(
        worker.acks(),
        [Acked { leader: 0, root: snapshot(5, "a").root(), as_of: as_of(7), refused: None }]
    );
    assert_eq!(worker.persists(), [as_of(7)]);
    worker.answer(Answer::State(snapshot(6, "a")));
    assert_eq!(worker.status_as_of(), as_of(7), "and never lowers it");
}

#[test]
fn a_lower_as_of_is_refused_and_shown() {
    let mut worker = Driver::following(snapshot(5, "a"));
    worker.answer(Answer::State(snapshot(4, "b")));
    assert_eq!(worker.applies(), []);
    assert_eq!(worker.machine.status().leader, Leader::Stale { leader: 0 });
    assert_eq!(worker.polls(), [], "it isn't asked again at once");
    let told = Acked { leader: 0, root: snapshot(5, "a").root(), as_of: as_of(5), refused: None };
    assert_eq!(worker.acks(), [told], "so that it knows how far it is behind");
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.polls(), [(0, Some(snapshot(5, "a").root()), Duration::ZERO)]);
    worker.answer(Answer::State(snapshot(6, "b")));
    assert_eq!(worker.applies(), [snapshot(6, "b").root()], "it has caught up");
}

#[test]
fn a_leader_that_is_behind_is_told_though_the_one_before_was_not() {
    let mut worker = Driver::following_the_first_of(2, snapshot(5, "a"));
    worker.answer(Answer::State(snapshot(6, "b")));
    worker.applied(snapshot(6, "b").root());
    worker.answer(unreachable());
    worker.ack_failed();
    worker.acks();
    worker.pass(SECOND);
    worker.answer(Answer::State(snapshot(4, "c")));
    assert_eq!(worker.machine.status().leader, Leader::Stale { leader: 1 });
    let owed = Acked { leader: 1, root: snapshot(6, "b").root(), as_of: as_of(6), refused: None };
    assert_eq!(worker.acks(), [owed]);
}

/// Of another leader, whose store began before: nobody can tell which of the two has more.
fn of_an_earlier_store(text: &str) -> Snapshot {
    let epoch = Epoch { id: "other".into(), created_at: 0 };
    let seen = SourceAsOf { epoch, revisions: [(Kind::Route, 9)].into() };
    snapshot(0, text).with_as_of(AsOf([("files".to_owned(), seen)].into()))
}

#[test]
fn a_leader_with_an_earlier_store_is_followed_once_no_other_is_left() {
    let mut worker = Driver::following_the_first_of(2, snapshot(5, "a"));
    let busy = Answer::Failed(Failure::Busy { retry_after: SECOND });
    for first_fails in [unreachable(), busy] {
        worker.answer(first_fails);
        worker.pass(2 * SECOND);
        worker.answer(Answer::State(of_an_earlier_store("b")));
        assert_eq!(worker.applies(), [], "the first one may come back");
        assert_eq!(worker.machine.status().leader, Leader::Stale { leader: 1 });
        worker.pass(SECOND);
    }
    worker.answer(unreachable());
    worker.pass(SECOND);
    worker.answer(Answer::State(of_an_earlier_store("b")));
    assert_eq!(worker.applies(), [of_an_earlier_store("b").root()], "the first one is gone");
}

#[test]
fn a_good_answer_begins_the_search_for_another_leader_anew() {
    let mut worker = Driver::following_the_first_of(2, snapshot(5, "a"));
    worker.answer(unreachable());
    worker.pass(SECOND);
    worker.answer(Answer::State(of_an_earlier_store("b")));
    worker.pass(SECOND);
    worker.answer(Answer::NotModified);
    worker.answer(unreachable());
    worker.pass(SECOND);
    worker.answer(Answer::State(of_an_earlier_store("b")));
    assert_eq!(worker.applies(), []);
}

#[test]
fn one_leader_with_an_earlier_store_is_followed_after_a_while() {
    let mut worker = Driver::following(snapshot(5, "a"));
    let mut passed = Duration::ZERO;
    while worker.applies().is_empty() {
        worker.answer(Answer::State(of_an_earlier_store("b")));
        worker.pass(Duration::from_secs(1));
        passed += Duration::from_secs(1);
    }
    assert!(passed > EARLIER_PATIENCE && passed < 2 * EARLIER_PATIENCE, "{passed:?}");
}

#[test]
fn other_content_with_the_same_as_of_is_applied() {
    // As when the leader's listeners changed, which no source counts.
    let mut worker = Driver::following(snapshot(5, "a"));
    worker.answer(Answer::State(snapshot(5, "b")));
    assert_eq!(worker.applies(), [snapshot(5, "b").root()]);
}

#[test]
fn a_state_that_fails_as_a_whole_is_not_applied_again() {
    let (old, bad) = (snapshot(1, "a"), snapshot(2, "b"));
    let mut worker = Driver::following(old.clone());
    worker.answer(Answer::State(bad.clone()));
    worker.applies();
    worker.apply_failed(bad.root());
    assert_eq!(worker.status_root(), old.root());
    let refused = worker.acks();
    assert_eq!((refused[0].root, refused[0].refused), (old.root(), Some(bad.root())));
    assert_eq!(worker.polls(), [(0, Some(bad.root()), HOLD)], "so that the leader doesn't send it again");
    worker.answer(Answer::State(bad.clone()));
    assert_eq!(worker.applies(), [], "and if it does, it isn't used");
    worker.pass(Duration::from_secs(10));
    worker.answer(Answer::State(snapshot(3, "c")));
    assert_eq!(worker.applies(), [snapshot(3, "c").root()]);
    assert_eq!(worker.machine.status().refused, None);
}

#[test]
fn going_back_to_what_is_served_ends_a_refusal() {
    let (old, bad) = (snapshot(1, "a"), snapshot(2, "b"));
    let mut worker = Driver::following(old.clone());
    worker.answer(Answer::State(bad.clone()));
    worker.apply_failed(bad.root());
    worker.answer(Answer::State(snapshot(3, "a")));
    assert_eq!(worker.applies(), [bad.root()], "only the first time");
    assert_eq!(worker.machine.status().refused, None);
    assert_eq!(worker.status_as_of(), as_of(3));
}

#[test]
fn a_damaged_state_is_asked_for_again_only_after_a_while() {
    let old = snapshot(1, "a");
    let damaged = snapshot(2, "b").root();
    let mut worker = Driver::following(old.clone());
    worker.answer(Answer::Failed(Failure::Damaged { root: Some(damaged), reason: "a bit flipped".into() }));
    assert_eq!(worker.machine.status().refused.map(|(root, _)| root), Some(damaged));
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.polls(), [(0, Some(damaged), Duration::ZERO)]);
    worker.answer(Answer::NotModified);
    assert_eq!(worker.polls(), [(0, Some(damaged), HOLD)]);
    worker.pass(DAMAGED_RETRY);
    worker.answer(Answer::NotModified);
    assert_eq!(worker.polls(), [(0, Some(old.root()), HOLD)]);
    assert_eq!(worker.status_root(), old.root());
}

#[test]
fn another_leader_may_have_a_good_copy_of_a_damaged_state() {
    let (old, new) = (snapshot(1, "a"), snapshot(2, "b"));
    let mut worker = Driver::start(2, None);
    worker.answer(Answer::State(old.clone()));
    worker.applied(old.root());
    worker.polls();
    worker.answer(Answer::Failed(Failure::Damaged { root: Some(new.root()), reason: "cut".into() }));
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.polls(), [(1, Some(old.root()), Duration::ZERO)]);
    worker.answer(Answer::State(new.clone()));
    assert_eq!(worker.applies().last(), Some(&new.root()));
}

#[test]
fn an_incompatible_state_is_never_asked_for_again() {
    let newer = snapshot(2, "b").root();
    let mut worker = Driver::following(snapshot(1, "a"));
    worker.answer(Answer::Failed(Failure::Incompatible { root: Some(newer), reason: "version 2".into() }));
    worker.pass(DAMAGED_RETRY * 10);
    assert_eq!(worker.polls(), [(0, Some(newer), Duration::ZERO)]);
}

#[test]
fn what_one_leader_gives_in_another_format_is_taken_from_another_leader() {
    let (old, new) = (snapshot(1, "a"), snapshot(2, "b"));
    let mut worker = Driver::start(2, None);
    worker.answer(Answer::State(old.clone()));
    worker.applied(old.root());
    let failure = Failure::Incompatible { root: Some(new.root()), reason: "version 2".into() };
    worker.answer(Answer::Failed(failure));
    worker.polls();
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.polls(), [(1, Some(old.root()), Duration::ZERO)], "the other one may know this format");
    worker.answer(unreachable());
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.polls(), [(0, Some(new.root()), Duration::ZERO)], "it isn't sent again");
    worker.answer(Answer::NotModified);
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.polls(), [(1, Some(old.root()), Duration::ZERO)], "nor is that one stayed with");
    worker.answer(Answer::State(new.clone()));
    assert_eq!(worker.applies(), [old.root(), new.root()]);
    assert_eq!(worker.machine.status().refused, None);
}

#[test]
fn a_format_that_no_leader_gives_is_fetched_once_from_each() {
    let mut worker = Driver::start(2, None);
    let root = snapshot(1, "a").root();
    let failure = Failure::Incompatible { root: Some(root), reason: "version 2".into() };
    for (leader, known) in [(0, None), (1, None), (0, Some(root)), (1, Some(root)), (0, Some(root))] {
        assert_eq!(worker.polls(), [(leader, known, Duration::ZERO)]);
        worker.answer(match known {
            None => Answer::Failed(failure.clone()),
            Some(_) => Answer::NotModified,
        });
        worker.pass(Duration::from_secs(4));
    }
}

#[test]
fn nothing_never_replaces_something() {
    let mut worker = Driver::following(snapshot(1, "a"));
    let empty = Snapshot::new([], as_of(2));
    worker.answer(Answer::State(empty.clone()));
    assert_eq!(worker.applies(), []);
    assert_eq!(worker.status_root(), snapshot(1, "a").root());
    assert_eq!(worker.machine.status().refused.map(|(root, _)| root), Some(empty.root()));

    let mut worker = Driver::start(1, None);
    worker.answer(Answer::State(empty));
    assert_eq!(worker.applies(), [], "nor is it a beginning");
}

#[test]
fn delays_are_full_jitter_and_doubled_with_each_failure() {
    let mut worker = Driver::start(1, None);
    worker.pass(BOOT);
    worker.random = 0.5;
    for milliseconds in [125, 250, 500, 1000, 1500, 1500] {
        worker.polls();
        let before = worker.now;
        worker.answer(unreachable());
        assert_eq!(worker.poll_due(), before + Duration::from_millis(milliseconds));
        worker.pass(Duration::from_millis(milliseconds));
        assert_eq!(worker.polls().len(), 1, "after {milliseconds} ms");
    }
    worker.answer(Answer::State(snapshot(1, "a")));
    worker.applied(snapshot(1, "a").root());
    let before = worker.now;
    worker.answer(unreachable());
    assert_eq!(worker.poll_due(), before + Duration::from_millis(125), "success begins anew");
}

#[test]
fn a_busy_leader_says_when_to_come_back() {
    let mut worker = Driver::start(1, None);
    worker.random = 0.5;
    worker.answer(Answer::Failed(Failure::Busy { retry_after: SECOND * 2 }));
    assert_eq!(worker.poll_due(), Duration::from_millis(2500));
}

#[test]
fn a_failed_leader_is_left_for_another() {
    let mut worker = Driver::start(3, None);
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.extend(worker.polls().into_iter().map(|(leader, ..)| leader));
        worker.answer(unreachable());
        worker.pass(Duration::from_secs(10));
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
}

#[test]
fn a_working_leader_is_kept() {
    let mut worker = Driver::start(3, None);
    worker.answer(unreachable());
    worker.pass(Duration::from_secs(10));
    let (leader, ..) = *worker.polls().last().unwrap();
    worker.answer(Answer::State(snapshot(1, "a")));
    worker.applied(snapshot(1, "a").root());
    for _ in 0..5 {
        assert_eq!(worker.polls(), [(leader, Some(snapshot(1, "a").root()), HOLD)]);
        worker.pass(HOLD);
        worker.answer(Answer::NotModified);
    }
}

#[test]
fn the_disk_serves_at_once_and_is_ready_when_a_leader_confirms_it() {
    let state = snapshot(3, "a");
    let mut worker = Driver::start(1, Some(state.clone()));
    assert_eq!(worker.order(), ["apply", "poll"]);
    assert_eq!(worker.polls(), [(0, Some(state.root()), Duration::ZERO)]);
    worker.applied(state.root());
    assert_eq!(worker.readiness(), Readiness::NotReady(Unready::WaitingForLeader));
    assert_eq!(worker.persists(), [] as [AsOf; 0], "it is on disk");
    worker.answer(Answer::NotModified);
    assert_eq!(worker.readiness(), Readiness::Ready);
    assert_eq!(worker.machine.status().applied.map(|(_, _, source)| source), Some(Source::Leader));
    assert_eq!(worker.acks().len(), 1);
}

#[test]
fn without_a_leader_the_disk_is_ready_after_the_boot_wait() {
    let state = snapshot(3, "a");
    let mut worker = Driver::start(1, Some(state.clone()));
    worker.applied(state.root());
    worker.answer(unreachable());
    worker.pass(BOOT - Duration::from_millis(1));
    assert_eq!(worker.readiness(), Readiness::NotReady(Unready::WaitingForLeader));
    worker.pass(Duration::from_millis(1));
    assert_eq!(worker.readiness(), Readiness::Ready);
    assert_eq!(worker.machine.status().applied.map(|(_, _, source)| source), Some(Source::Disk));
}

#[test]
fn a_leaders_answer_at_boot_is_waited_for_until_it_is_applied() {
    let (disk, new) = (snapshot(3, "a"), snapshot(4, "b"));
    let mut worker = Driver::start(1, Some(disk.clone()));
    worker.answer(Answer::State(new.clone()));
    assert_eq!(worker.applies(), [disk.root()], "one at a time");
    worker.applied(disk.root());
    assert_eq!(worker.applies(), [new.root()]);
    worker.pass(BOOT * 2);
    assert_eq!(worker.readiness(), Readiness::NotReady(Unready::Applying));
    worker.applied(new.root());
    assert_eq!(worker.readiness(), Readiness::Ready);
}

#[test]
fn if_the_leaders_answer_fails_at_boot_the_disk_is_ready() {
    let (disk, new) = (snapshot(3, "a"), snapshot(4, "b"));
    let mut worker = Driver::start(1, Some(disk.clone()));
    worker.answer(Answer::State(new.clone()));
    worker.applied(disk.root());
    worker.pass(BOOT);
    worker.apply_failed(new.root());
    assert_eq!(worker.readiness(), Readiness::Ready);
    assert_eq!(worker.status_root(), disk.root());
}

#[test]
fn with_neither_leader_nor_disk_it_says_why_it_is_not_ready() {
    let mut worker = Driver::start(1, None);
    worker.answer(unreachable());
    worker.pass(BOOT);
    assert_eq!(worker.readiness(), Readiness::NotReady(Unready::NoState));
    worker.polls();
    worker.answer(Answer::State(snapshot(1, "a")));
    worker.applied(snapshot(1, "a").root());
    assert_eq!(worker.readiness(), Readiness::Ready);
}

#[test]
fn ready_is_never_withdrawn() {
    let mut worker = Driver::following(snapshot(1, "a"));
    worker.answer(unreachable());
    worker.pass(Duration::from_secs(3600));
    assert_eq!(worker.readiness(), Readiness::Ready);
    worker.answer(Answer::State(snapshot(2, "b")));
    assert_eq!(worker.readiness(), Readiness::Ready);
}

#[test]
fn a_leader_older_than_the_disk_is_refused() {
    let disk = snapshot(3, "a");
    let mut worker = Driver::start(1, Some(disk.clone()));
    worker.answer(Answer::State(snapshot(2, "b")));
    worker.applied(disk.root());
    worker.pass(BOOT);
    assert_eq!(worker.readiness(), Readiness::Ready);
    assert_eq!(worker.status_root(), disk.root());
}

#[test]
fn an_acknowledgement_is_repeated_until_delivered() {
    let mut worker = Driver::start(1, None);
    worker.random = 0.5;
    let state = snapshot(1, "a");
    worker.answer(Answer::State(state.clone()));
    worker.applied(state.root());
    assert_eq!(worker.acks().len(), 1);
    worker.ack_failed();
    assert_eq!(worker.acks(), []);
    worker.pass(Duration::from_millis(250));
    assert_eq!(worker.acks().len(), 1);
    worker.ack_delivered();
    worker.pass(Duration::from_secs(20));
    assert_eq!(worker.acks(), [], "delivered is delivered");
}

#[test]
fn a_new_contact_is_told_again() {
    let mut worker = Driver::following(snapshot(1, "a"));
    worker.answer(unreachable());
    worker.pass(Duration::from_secs(10));
    assert_eq!(worker.acks(), []);
    worker.answer(Answer::NotModified);
    assert_eq!(worker.acks().len(), 1, "a restarted leader knows nobody");
}

#[test]
fn what_changes_while_an_acknowledgement_is_under_way_is_told_after_it() {
    let mut worker = Driver::start(1, None);
    for (revision, text) in [(1, "a"), (2, "b"), (3, "c")] {
        let state = snapshot(revision, text);
        worker.answer(Answer::State(state.clone()));
        worker.applied(state.root());
    }
    assert_eq!(worker.acks().len(), 1);
    worker.ack_delivered();
    assert_eq!(worker.acks().into_iter().map(|ack| ack.root).collect::<Vec<_>>(), [snapshot(3, "c").root()]);
}

#[test]
fn a_failed_write_gates_nothing_and_is_tried_again() {
    let mut worker = Driver::start(1, None);
    let state = snapshot(1, "a");
    worker.answer(Answer::State(state.clone()));
    worker.applied(state.root());
    worker.persists();
    worker.persist_failed(state.root());
    assert_eq!(worker.machine.status().not_persisted.as_deref(), Some("disk full"));
    assert_eq!(worker.readiness(), Readiness::Ready);
    assert_eq!(worker.acks().len(), 1);
    worker.pass(PERSIST_RETRY);
    assert_eq!(worker.persists(), [as_of(1)]);
    worker.persisted(state.root());
    assert_eq!(worker.machine.status().not_persisted, None);
}

#[test]
fn late_and_repeated_answers_are_ignored() {
    let mut worker = Driver::following(snapshot(1, "a"));
    let attempt = worker.attempt;
    worker.answer(Answer::NotModified);
    worker.polls();
    for attempt in [attempt, Attempt(attempt.0 + 1000)] {
        let answer = Answer::State(snapshot(9, "z"));
        worker.send(Event::Answer { attempt, answer });
    }
    worker.send(Event::Applied { root: Root([9; 32]), rejected: Vec::new() });
    worker.send(Event::Persisted { root: Root([9; 32]) });
    assert_eq!(worker.applies(), []);
    assert_eq!(worker.polls(), []);
    assert_eq!(worker.status_root(), snapshot(1, "a").root());
}

#[test]
fn a_leader_that_does_not_hold_is_asked_once_a_second() {
    let mut worker = Driver::following(snapshot(1, "a"));
    worker.polls();
    for _ in 0..3 {
        worker.answer(Answer::NotModified);
        assert_eq!(worker.polls(), []);
        worker.pass(UNHELD_INTERVAL);
        assert_eq!(worker.polls().len(), 1);
    }
}

#[test]
fn an_early_timer_does_no_harm() {
    let mut worker = Driver::start(1, None);
    worker.random = 0.9;
    worker.answer(unreachable());
    worker.polls();
    worker.send(Event::Timer);
    assert_eq!(worker.polls(), []);
    assert!(matches!(worker.last.last(), Some(Action::SetTimer(_))), "and the time is set again");
}
