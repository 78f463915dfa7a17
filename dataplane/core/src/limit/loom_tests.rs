//! Requests that come at once to one limit, in every order.

use loom::sync::Arc;
use loom::thread;

use super::bucket::{Bucket, Pace, WHOLE};
use super::calendar::Window;
use super::quota::Quota;
use crate::Moment;
use crate::filter::Rate;

#[test]
fn of_two_that_come_at_once_one_passes_a_bucket() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::default());
        let passes = |bucket: &Bucket| {
            let pace = Pace::new(Rate { requests: 1, burst: 1 }, 60, WHOLE);
            bucket.take(pace, Moment::from_micros(1)).wait.is_none()
        };
        let other = bucket.clone();
        let first = thread::spawn(move || passes(&other));
        let second = passes(&bucket);
        assert!(first.join().unwrap() != second);
    });
}

#[test]
fn of_two_that_come_at_once_one_gets_the_last_of_a_quota() {
    loom::model(|| {
        let quota = Arc::new(Quota::default());
        let passes = |quota: &Quota| quota.take(1, WHOLE, Window::Day(20_000)).passes;
        let other = quota.clone();
        let first = thread::spawn(move || passes(&other));
        let second = passes(&quota);
        assert!(first.join().unwrap() != second);
    });
}
