//! Every order in which threads can meet at a breaker.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use super::*;

/// The second error opens it.
const RULE: BreakerRule =
    BreakerRule { max_errors: 2, interval: Duration::from_secs(2), server_errors: true };

const fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

fn fail(breaker: &Breaker, now: Moment) -> bool {
    breaker.enter(now).is_some_and(|permit| breaker.fail(permit, &RULE, now, || true))
}

/// Open from 0 to 2000.
fn open() -> Arc<Breaker> {
    let breaker = Arc::new(Breaker::default());
    assert_eq!([0, 0].map(|millis| fail(&breaker, at(millis))), [false, true]);
    breaker
}

/// What each thread says that does `work` on the breaker.
fn meet<T: 'static, const N: usize>(breaker: &Arc<Breaker>, work: [fn(&Breaker) -> T; N]) -> [T; N] {
    let threads = work.map(|work| {
        let breaker = breaker.clone();
        thread::spawn(move || work(&breaker))
    });
    threads.map(|thread| thread.join().unwrap())
}

/// Enters, and stays.
fn occupies(breaker: &Breaker) -> bool {
    let permit = breaker.enter(at(2000));
    let entered = permit.is_some();
    std::mem::forget(permit);
    entered
}

#[test]
fn exactly_one_is_the_trial() {
    loom::model(|| {
        let breaker = open();
        let entered = meet(&breaker, [occupies; 2]);
        assert_eq!(entered.iter().filter(|entered| **entered).count(), 1);
        assert_eq!(breaker.state(), BreakerState::Trying);
    });
}

#[test]
fn a_trial_that_failed_is_the_last_of_its_interval() {
    loom::model(|| {
        let breaker = open();
        let reopened = meet(&breaker, [|breaker| fail(breaker, at(2000)); 2]);
        assert_eq!(reopened.iter().filter(|reopened| **reopened).count(), 1);
        assert!(!breaker.admits(at(3999)) && breaker.admits(at(4000)));
    });
}

#[test]
fn the_place_of_a_trial_that_nobody_ends_is_never_lost() {
    loom::model(|| {
        let breaker = open();
        meet(&breaker, [|breaker| drop(breaker.enter(at(2000))); 2]);
        assert!(breaker.enter(at(2000)).is_some());
    });
}

#[test]
fn no_error_is_lost_and_one_of_them_opens() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::default());
        let opened = meet(&breaker, [|breaker| fail(breaker, at(1)); 2]);
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

/// Requests from before the breaker opened end while one is the trial.
#[test]
fn who_comes_late_neither_ends_a_trial_nor_opens_anything() {
    let late: [fn(&Breaker) -> bool; 2] = [
        |breaker| {
            breaker.succeed(Permit::FREE);
            false
        },
        |breaker| breaker.fail(Permit::FREE, &RULE, at(2000), || true),
    ];
    for late in late {
        loom::model(move || {
            let breaker = open();
            assert_eq!(meet(&breaker, [late, occupies]), [false, true]);
            assert_eq!(breaker.state(), BreakerState::Trying);
        });
    }
}

/// A success forgets the errors that it found and none that comes after it: two errors open the breaker unless the success
/// came between them.
#[test]
fn a_success_forgets_what_was_before_it() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::default());
        let opened = meet(
            &breaker,
            [
                |breaker| {
                    breaker.succeed(Permit::FREE);
                    false
                },
                |breaker| fail(breaker, at(1)),
            ],
        );
        assert_eq!(opened, [false; 2]);
        let after = breaker.load();
        assert!(matches!(after, Word::Closed { errors: 0 | 1, .. }), "{after:?}");
        let errors = if let Word::Closed { errors, .. } = after { errors } else { 0 };
        assert_eq!(fail(&breaker, at(1)), errors == 1);
    });
}
