//! Every order in which threads can meet at a target whose trial ends.

use std::time::Duration;

use loom::thread;

use super::tests::backend;
use super::*;
use crate::{BreakerState, Warmth};

#[test]
fn nobody_sees_a_target_back_that_takes_its_whole_share() {
    loom::model(|| {
        let backend = Arc::new(backend(1, &BackendStates::new()));
        let [target] = backend.targets() else { panic!("one") };
        let now = Moment::default();
        assert!(backend.failed(target, backend.admit(target, now).unwrap(), now));
        let later = now.after(Duration::from_mins(1));
        let tries = {
            let backend = backend.clone();
            thread::spawn(move || {
                let [target] = backend.targets() else { panic!("one") };
                let trial = backend.admit(target, later).unwrap();
                backend.answered(target, trial, 200, || later)
            })
        };
        if target.state.breaker.state() == BreakerState::Closed {
            assert!(target.state.warmth.share(later) < Warmth::FULL);
        }
        assert!(!tries.join().unwrap());
        assert!(target.state.breaker.admits(later));
    });
}
