//! Every order in which threads can meet at the state of a target.

use loom::thread;

use super::*;

#[test]
fn what_is_in_flight_is_counted_and_let_go_of() {
    loom::model(|| {
        let target = Arc::new(TargetState::default());
        let threads = [(); 2].map(|()| {
            let target = target.clone();
            thread::spawn(move || {
                let request = target.enter();
                assert!((1..=2).contains(&target.in_flight()));
                drop(request);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(target.in_flight(), 0);
    });
}

#[test]
fn no_turn_is_taken_twice() {
    loom::model(|| {
        let cursor = Arc::new(Cursor::default());
        let threads = [(); 3].map(|()| {
            let cursor = cursor.clone();
            thread::spawn(move || cursor.advance())
        });
        let mut turns = threads.map(|thread| thread.join().unwrap());
        turns.sort_unstable();
        assert_eq!(turns, [0, 1, 2]);
    });
}

#[test]
fn nobody_sees_a_healed_target_that_takes_its_whole_share() {
    let (sick, healed) = (Moment::from_micros(5), Moment::from_micros(9));
    loom::model(move || {
        let target = Arc::new(TargetState::default());
        target.set_health(Health { standing: Standing::Out, since: sick });
        let heals = {
            let target = target.clone();
            thread::spawn(move || target.set_health(Health { standing: Standing::In, since: healed }))
        };
        if target.is_healthy() {
            assert!(target.warmth.share(healed) < Warmth::FULL);
        }
        let seen = target.health();
        let possible = [(Standing::Out, sick), (Standing::In, healed)];
        assert!(possible.contains(&(seen.standing, seen.since)), "{seen:?}");
        heals.join().unwrap();
        assert!(target.is_healthy());
    });
}
