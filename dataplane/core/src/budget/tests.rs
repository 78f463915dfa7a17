use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

fn withdraw_all(budget: &RetryBudget, now: Moment) -> u64 {
    let mut taken = 0;
    while budget.withdraw(now) {
        taken += 1;
    }
    taken
}

fn count(budget: &RetryBudget, requests: u64, now: Moment) {
    (0..requests).for_each(|_| budget.count_request(now));
}

#[test]
fn a_fifth_of_the_requests_but_ten_a_second_always() {
    for (requests, expected) in [(0, 100), (499, 100), (500, 100), (505, 101), (10_000, 2000)] {
        let budget = RetryBudget::default();
        count(&budget, requests, at(123_456));
        assert_eq!(withdraw_all(&budget, at(123_456)), expected, "{requests} requests");
    }
}

#[test]
fn what_is_longer_ago_than_ten_seconds_counts_no_more() {
    let budget = RetryBudget::default();
    count(&budget, 10_000, at(5_000));
    assert_eq!(withdraw_all(&budget, at(9_999)), 2000);
    // Half of the last window still counts: half of its requests, and half of its retries.
    assert_eq!(withdraw_all(&budget, at(15_000)), 0);
    count(&budget, 10_000, at(15_000));
    assert_eq!(withdraw_all(&budget, at(15_000)), 2000);
    assert_eq!(withdraw_all(&budget, at(40_000)), 100);
}

#[test]
fn a_late_thread_counts_for_the_window_that_is_there() {
    let budget = RetryBudget::default();
    count(&budget, 1000, at(25_000));
    count(&budget, 1000, at(5_000));
    assert_eq!(withdraw_all(&budget, at(25_000)), 400);
}

#[test]
fn threads_take_no_more_than_there_is() {
    for _ in 0..20 {
        let budget = RetryBudget::default();
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    count(&budget, 1000, at(0));
                });
            }
        });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| taken.fetch_add(withdraw_all(&budget, at(0)), Relaxed));
            }
        });
        assert_eq!(taken.into_inner(), 1600);
    }
}

proptest! {
    /// By an exact account of what happened: in each window no more than the bound of what was counted by then.
    #[test]
    fn retries_stay_within_the_bound(steps in prop::collection::vec((0..3000_u64, 0..300_u64, 0..80_u64), 1..60)) {
        let budget = RetryBudget::default();
        let (mut now, mut requests, mut retries) = (0, Vec::new(), Vec::new());
        for (wait, counted, wanted) in steps {
            now += wait;
            count(&budget, counted, at(now));
            requests.push((now, counted));
            let granted = (0..wanted).filter(|_| budget.withdraw(at(now))).count() as u64;
            retries.push((now, granted));
            let begin = now / 10_000 * 10_000;
            let within = |all: &[(u64, u64)], from: u64| {
                all.iter().filter(|(at, _)| *at >= from).map(|(_, count)| count).sum::<u64>()
            };
            // Requests of the window before count in part, retries of this one in full.
            let most = (within(&requests, begin.saturating_sub(10_000)) / 5).max(100);
            prop_assert!(within(&retries, begin) <= most);
            prop_assert!(granted == wanted || within(&retries, begin.saturating_sub(10_000)) >= 100);
        }
    }
}
