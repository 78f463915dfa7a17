//! Polls that aren't held, where something on the way cuts those that are.

use std::time::Duration;

use dataplane_core::subscription::{Answer, Failure, PLAIN_RETRY, Settings};

use super::harness::Driver;
use super::samples::snapshot;
use super::{HOLD, SECOND, unreachable};

/// Longer than any wait after failures.
const BACKOFF: Duration = Duration::from_secs(3);

fn is_plain(worker: &Driver) -> bool {
    worker.machine.status().plain
}

fn holds(worker: &mut Driver) -> Vec<Duration> {
    worker.polls().into_iter().map(|(_, _, hold)| hold).collect()
}

/// A held poll is cut after some seconds; the next one isn't held, and is answered.
fn cut(worker: &mut Driver) {
    worker.polls();
    worker.pass(SECOND * 5);
    worker.answer(unreachable());
    // The random part of the wait is nothing here.
    worker.pass(Duration::ZERO);
    assert_eq!(holds(worker), [Duration::ZERO]);
    worker.answer(Answer::NotModified);
}

/// A worker whose held polls were cut three times in a row.
fn plain() -> Driver {
    let mut worker = Driver::following(snapshot(1, "a"));
    for number in 0..3 {
        assert!(!is_plain(&worker), "after {number}");
        cut(&mut worker);
        worker.pass(SECOND);
        worker.polls();
    }
    assert!(is_plain(&worker));
    worker
}

#[test]
fn cut_again_and_again_a_leader_is_asked_at_the_interval() {
    let mut worker = plain();
    worker.pass(HOLD - SECOND);
    for _ in 0..3 {
        assert_eq!(holds(&mut worker), [Duration::ZERO]);
        worker.answer(Answer::NotModified);
        worker.pass(HOLD - SECOND);
        assert_eq!(holds(&mut worker), []);
        worker.pass(SECOND);
    }
}

#[test]
fn a_new_state_is_applied_and_the_next_poll_comes_at_the_interval() {
    let mut worker = plain();
    worker.pass(HOLD - SECOND);
    worker.polls();
    let new = snapshot(2, "b");
    worker.answer(Answer::State(new.clone()));
    assert_eq!(worker.applies(), [new.root()]);
    worker.applied(new.root());
    assert_eq!(holds(&mut worker), []);
    worker.pass(HOLD);
    assert_eq!(worker.polls(), [(0, Some(new.root()), Duration::ZERO)]);
}

#[test]
fn a_poll_that_lasts_or_brings_a_state_ends_the_row() {
    let state = |number| Answer::State(snapshot(number, &number.to_string()));
    for number in 2..6 {
        let mut worker = Driver::following(snapshot(1, "1"));
        cut(&mut worker);
        worker.pass(SECOND);
        cut(&mut worker);
        worker.pass(SECOND);
        worker.polls();
        if number % 2 == 0 {
            worker.answer(state(number));
            worker.applied(snapshot(number, &number.to_string()).root());
        } else {
            worker.pass(HOLD);
            worker.answer(Answer::NotModified);
        }
        worker.polls();
        cut(&mut worker);
        assert!(!is_plain(&worker));
    }
}

#[test]
fn a_leader_that_is_down_is_no_reason() {
    let mut worker = Driver::following(snapshot(1, "a"));
    for _ in 0..5 {
        worker.answer(unreachable());
        worker.pass(BACKOFF);
        worker.answer(unreachable());
        worker.pass(BACKOFF);
        worker.answer(Answer::NotModified);
        worker.pass(SECOND);
    }
    assert!(!is_plain(&worker));
}

#[test]
fn a_leader_that_stops_is_no_reason() {
    let mut worker = Driver::following(snapshot(1, "a"));
    for _ in 0..5 {
        worker.answer(Answer::Failed(Failure::Busy { retry_after: SECOND }));
        worker.pass(BACKOFF);
        worker.answer(Answer::NotModified);
        worker.pass(SECOND);
    }
    assert!(!is_plain(&worker));
}

#[test]
fn holding_is_tried_again_and_goes_on_if_it_lasts() {
    let mut worker = plain();
    for _ in 1..PLAIN_RETRY.as_secs() / HOLD.as_secs() {
        worker.pass(HOLD);
        assert_eq!(holds(&mut worker), [Duration::ZERO]);
        worker.answer(Answer::NotModified);
    }
    worker.pass(HOLD);
    assert_eq!(holds(&mut worker), [HOLD]);
    assert!(is_plain(&worker), "until it has lasted");
    worker.pass(HOLD);
    worker.answer(Answer::NotModified);
    assert!(!is_plain(&worker));
    assert_eq!(holds(&mut worker), [HOLD]);
}

#[test]
fn one_cut_of_the_trial_is_enough() {
    let mut worker = plain();
    worker.pass(PLAIN_RETRY);
    worker.answer(Answer::NotModified);
    worker.pass(HOLD);
    assert_eq!(holds(&mut worker).last(), Some(&HOLD));
    cut(&mut worker);
    worker.pass(HOLD);
    assert_eq!(holds(&mut worker), [Duration::ZERO]);
}

#[test]
fn by_the_settings_polls_are_never_held() {
    let mut worker = Driver::start_with(Settings { plain: true, ..Settings::new(1) }, None);
    let state = snapshot(1, "a");
    worker.answer(Answer::State(state.clone()));
    worker.applied(state.root());
    for _ in 0..3 {
        worker.polls();
        worker.pass(HOLD);
        assert_eq!(holds(&mut worker), [Duration::ZERO]);
        worker.answer(Answer::NotModified);
    }
    assert!(is_plain(&worker));
}
