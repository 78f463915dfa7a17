//! Every order in which threads can meet at a budget.

use loom::sync::Arc;
use loom::thread;

use super::*;

/// The first moment of the window `number`.
const fn begin(number: u64) -> Moment {
    Moment::from_micros(number * RetryBudget::WINDOW)
}

/// The last one.
const fn end(number: u64) -> Moment {
    Moment::from_micros(number * RetryBudget::WINDOW + RetryBudget::WINDOW - 1)
}

fn set(windows: &Windows, number: u64, count: u64) {
    windows.slot(number).store(number << 40 | count, Relaxed);
}

fn budget(number: u64, requests: u64, retries: u64) -> Arc<RetryBudget> {
    let budget = RetryBudget::default();
    set(&budget.requests, number, requests);
    set(&budget.retries, number, retries);
    Arc::new(budget)
}

/// How many of the threads say yes.
fn count<const N: usize>(budget: &Arc<RetryBudget>, work: [fn(&RetryBudget) -> bool; N]) -> usize {
    let threads = work.map(|work| {
        let budget = budget.clone();
        thread::spawn(move || work(&budget))
    });
    threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
}

#[test]
fn the_last_retry_is_given_once() {
    loom::model(|| {
        let budget = budget(2, 1000, 199);
        assert_eq!(count(&budget, [|budget| budget.withdraw(begin(2)); 2]), 1);
        assert_eq!(budget.retries.count(2), 200);
    });
}

#[test]
fn requests_are_all_counted_also_at_the_turn_of_a_window() {
    loom::model(|| {
        let budget = budget(2, 7, 0);
        let counts = |budget: &RetryBudget| {
            budget.count_request(begin(4));
            false
        };
        count(&budget, [counts; 2]);
        assert_eq!(budget.requests.count(4), 2, "and none of the window whose place it took");
    });
}

#[test]
fn what_a_late_thread_counts_is_within_the_window_that_is_there() {
    loom::model(|| {
        let budget = budget(2, 7, 0);
        let (late, current): (fn(&RetryBudget) -> bool, fn(&RetryBudget) -> bool) = (
            |budget| {
                budget.count_request(end(2));
                false
            },
            |budget| {
                budget.count_request(begin(4));
                false
            },
        );
        count(&budget, [late, current]);
        assert!(matches!(budget.requests.count(4), 1 | 2));
    });
}

#[test]
fn a_retry_takes_no_more_than_what_was_counted_allows() {
    loom::model(|| {
        // 504 requests have 100 retries, 505 have 101.
        let budget = budget(2, 504, 100);
        let counts: fn(&RetryBudget) -> bool = |budget| {
            budget.count_request(begin(2));
            false
        };
        let withdraws: fn(&RetryBudget) -> bool = |budget| budget.withdraw(begin(2));
        let given = count(&budget, [counts, withdraws]) + usize::from(budget.withdraw(begin(2)));
        assert_eq!((given, budget.withdraw(begin(2))), (1, false));
    });
}

/// Two threads, and one of them is still in the window before.
#[test]
fn the_turn_of_a_window_gives_one_more_per_late_thread_at_most() {
    loom::model(|| {
        let budget = budget(2, 0, RetryBudget::FLOOR - 1);
        let late: fn(&RetryBudget) -> bool = |budget| budget.withdraw(end(2));
        let current: fn(&RetryBudget) -> bool = |budget| budget.withdraw(begin(3));
        let given = count(&budget, [late, current]);
        assert!((1..=2).contains(&given), "{given} given, 1 was left");
    });
}
