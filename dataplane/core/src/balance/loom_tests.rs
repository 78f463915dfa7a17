//! Every order in which threads can meet at a target's latency.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use super::{Latency, Outcome};
use crate::Moment;

const fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

/// Milliseconds of the observation, and those that the answer took.
const EARLIER: (u64, u64) = (1000, 100);
const LATER: (u64, u64) = (11_000, 50);

fn observe(latency: &Latency, (now, took): (u64, u64)) {
    latency.observe(at(now), Duration::from_millis(took), Outcome::Answered);
}

/// What is expected without and with a request on its way: the latter is the average, and both tell its age.
fn seen(latency: &Latency) -> [u32; 2] {
    [0, 1].map(|in_flight| latency.expected(at(LATER.0), in_flight).to_bits())
}

fn after(observations: &[(u64, u64)]) -> [u32; 2] {
    let latency = Latency::default();
    observations.iter().for_each(|observation| observe(&latency, *observation));
    seen(&latency)
}

/// The two as one thread would have made them, or one of them lost.
#[test]
fn two_that_observe_leave_what_one_or_both_say() {
    loom::model(|| {
        let latency = Arc::new(Latency::default());
        let threads = [EARLIER, LATER].map(|observation| {
            let latency = latency.clone();
            thread::spawn(move || observe(&latency, observation))
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let possible: [&[_]; 4] = [&[EARLIER], &[LATER], &[EARLIER, LATER], &[LATER, EARLIER]];
        assert!(possible.iter().any(|observations| after(observations) == seen(&latency)));
    });
}

#[test]
fn nobody_sees_an_average_without_its_age() {
    loom::model(|| {
        let latency = Arc::new(Latency::default());
        observe(&latency, EARLIER);
        let writes = {
            let latency = latency.clone();
            thread::spawn(move || observe(&latency, LATER))
        };
        let average = latency.expected(at(LATER.0), 0).to_bits();
        let before = after(&[EARLIER]);
        let then = after(&[EARLIER, LATER]);
        assert!([before[0], then[0]].contains(&average));
        writes.join().unwrap();
        assert_eq!(seen(&latency), then);
    });
}
