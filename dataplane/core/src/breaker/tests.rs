use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;

use super::*;

const RULE: BreakerRule =
    BreakerRule { max_errors: 3, interval: Duration::from_secs(2), server_errors: true };

fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

/// One request that fails; `true`: it opened the breaker.
fn fail(breaker: &Breaker, millis: u64) -> bool {
    breaker.fail(breaker.enter(at(millis)).unwrap(), &RULE, at(millis), || true)
}

fn succeed(breaker: &Breaker, millis: u64) {
    breaker.succeed(breaker.enter(at(millis)).unwrap());
}

/// Open until 3000.
fn open() -> Breaker {
    let breaker = Breaker::default();
    assert_eq!([0, 500, 1000].map(|millis| fail(&breaker, millis)), [false, false, true]);
    breaker
}

#[test]
fn opens_after_errors_in_a_row_and_stays_so_for_its_interval() {
    let breaker = open();
    assert_eq!(breaker.state(), BreakerState::Open);
    assert!(!breaker.admits(at(2999)) && breaker.enter(at(2999)).is_none());
    assert!(breaker.admits(at(3000)) && breaker.enter(at(3000)).is_some());
}

#[test]
fn a_success_begins_the_row_anew() {
    let breaker = Breaker::default();
    for millis in [0, 10, 20, 30] {
        assert!(!fail(&breaker, millis) && !fail(&breaker, millis));
        succeed(&breaker, millis);
    }
    assert!(!fail(&breaker, 40) && !fail(&breaker, 50) && fail(&breaker, 60));
}

#[test]
fn errors_that_take_longer_than_the_interval_to_come_open_nothing() {
    let breaker = Breaker::default();
    assert!((0..20).all(|round| !fail(&breaker, round * 1001)));
    // The row begins anew with the error that is too late for it.
    let breaker = Breaker::default();
    assert_eq!(
        [0, 1000, 2000, 2001, 2002].map(|millis| fail(&breaker, millis)),
        [false, false, false, false, true]
    );
}

#[test]
fn one_trial_decides() {
    let breaker = open();
    let trial = breaker.enter(at(3000)).unwrap();
    assert_eq!(breaker.state(), BreakerState::Trying);
    assert!(!breaker.admits(at(9000)) && breaker.enter(at(9000)).is_none(), "one, however long it takes");
    breaker.succeed(trial);
    assert_eq!((breaker.state(), fail(&breaker, 9000)), (BreakerState::Closed, false));

    let breaker = open();
    let trial = breaker.enter(at(3000)).unwrap();
    assert!(breaker.fail(trial, &RULE, at(4000), || panic!("a trial doesn't ask")));
    assert!(breaker.enter(at(5999)).is_none() && breaker.enter(at(6000)).is_some());
}

#[test]
fn a_trial_that_nobody_ends_leaves_its_place_to_the_next() {
    let breaker = open();
    drop(breaker.enter(at(3000)).unwrap());
    let trial = breaker.enter(at(3000)).unwrap();
    assert!(breaker.enter(at(3000)).is_none());
    breaker.succeed(trial);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn what_was_sent_before_says_nothing_any_more() {
    let breaker = Breaker::default();
    let mut early: Vec<_> = (0..4).map(|_| breaker.enter(at(0)).unwrap()).collect();
    assert!([0, 1, 2].map(|millis| fail(&breaker, millis))[2]);
    breaker.succeed(early.pop().unwrap());
    assert!(!breaker.fail(early.pop().unwrap(), &RULE, at(500), || true));
    assert_eq!(breaker.state(), BreakerState::Open);
    let trial = breaker.enter(at(2002)).unwrap();
    breaker.succeed(early.pop().unwrap());
    assert!(!breaker.fail(early.pop().unwrap(), &RULE, at(2003), || true));
    assert_eq!(breaker.state(), BreakerState::Trying);
    breaker.succeed(trial);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn stays_closed_as_long_as_it_may_not_open() {
    let breaker = Breaker::default();
    let refused = |millis| breaker.fail(breaker.enter(at(millis)).unwrap(), &RULE, at(millis), || false);
    assert!((0..50).all(|millis| !refused(millis)));
    assert!(fail(&breaker, 60), "the row isn't forgotten");
}

#[test]
fn rules() {
    let parse = |max_errors, interval| {
        BreakerRule::parse(Some(&wire::Breaker { max_errors, interval, server_errors: false }))
    };
    assert_eq!(BreakerRule::parse(None), Ok(None));
    assert_eq!(parse(20, 0), Ok(None));
    assert!(parse(0, 1).is_err() && parse(1_000_001, 1).is_err());
    let rule = parse(1_000_000, 1).unwrap().unwrap();
    assert!(!rule.is_error(500));
    assert!(RULE.is_error(500) && RULE.is_error(599) && !RULE.is_error(499));
}

#[test]
fn a_part_of_the_share_makes_a_part_of_the_errors_enough() {
    let errors = |max_errors, share| BreakerRule { max_errors, ..RULE }.for_share(share).max_errors;
    assert_eq!([Warmth::FULL, Warmth::FULL / 2, 51, 0].map(|share| errors(20, share)), [20, 10, 5, 5]);
    assert_eq!([1, 2, 3, 5].map(|max_errors| errors(max_errors, 51)), [1, 1, 1, 2]);
}

/// Eight threads, each time a breaker whose time is over: one of them is let through, whoever it is.
#[test]
fn threads_get_one_trial_between_them() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2_000;
    let breakers: Vec<Breaker> = (0..ROUNDS).map(|_| open()).collect();
    let admitted: Vec<AtomicUsize> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    let barrier = std::sync::Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut trials = Vec::new();
                for (breaker, admitted) in breakers.iter().zip(&admitted) {
                    barrier.wait();
                    if let Some(trial) = breaker.enter(at(3000)) {
                        admitted.fetch_add(1, Relaxed);
                        trials.push(trial);
                    }
                }
                // Only now, so that a late thread doesn't find a breaker that was let go of.
                barrier.wait();
            });
        }
    });
    assert!(admitted.iter().all(|count| count.load(Relaxed) == 1));
}

/// Each thread fails as often as it can; together they open the breaker once.
#[test]
fn threads_open_a_breaker_once() {
    for _ in 0..200 {
        let breaker = Breaker::default();
        let rule = BreakerRule { max_errors: 100, ..RULE };
        let opened = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let permit = breaker.enter(at(1)).unwrap();
                        opened.fetch_add(usize::from(breaker.fail(permit, &rule, at(1), || true)), Relaxed);
                    }
                });
            }
        });
        assert_eq!((opened.into_inner(), breaker.state()), (1, BreakerState::Open), "no error was lost");
    }
}

proptest! {
    #[test]
    fn a_word_holds_what_is_put_in(errors in 1..=BreakerRule::MAX_ERRORS, time in 0..=MILLIS) {
        for word in [
            Word::Closed { errors, since: time },
            Word::Open { until: time },
            Word::Trying { since: time },
        ] {
            prop_assert_eq!(Word::unpack(word.pack()), word);
        }
    }

    /// Whatever happens, there is at most one trial, and a breaker whose time is over lets one request through.
    #[test]
    fn never_more_than_one_trial(steps in prop::collection::vec((0..4_u8, 0..1500_u64), 0..200)) {
        let breaker = Breaker::default();
        let (mut now, mut out) = (0, Vec::new());
        for (action, wait) in steps {
            now += wait;
            let permit = breaker.enter(at(now));
            prop_assert!(permit.is_some() || breaker.state() != BreakerState::Closed);
            out.extend(permit);
            match action {
                0 => drop(out.pop()),
                1 => out.pop().into_iter().for_each(|permit| {
                    breaker.succeed(permit);
                }),
                2 => out.pop().into_iter().for_each(|permit| {
                    breaker.fail(permit, &RULE, at(now), || true);
                }),
                _ => {}
            }
            let trials = out.iter().filter(|permit| permit.trial.is_some()).count();
            prop_assert_eq!(trials, usize::from(breaker.state() == BreakerState::Trying));
        }
        drop(out);
        prop_assert!(breaker.enter(at(now + 2000)).is_some());
    }
}
