use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn keys(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<Key> {
    numbers.into_iter().map(|number| Key::new(Kind::Route, "x", format!("r{number:02}"))).collect()
}

/// A source with its guard and a clock.
struct Source {
    guard: Guard,
    known: BTreeSet<Key>,
    now: Instant,
}

impl Source {
    fn new(known: usize) -> Self {
        Self { guard: Guard::default(), known: keys(0..known), now: Instant::now() }
    }

    fn list(&mut self, listed: &BTreeSet<Key>) -> Absence {
        self.known.extend(listed.iter().cloned());
        let absence = self.guard.full_list(Kind::Route, &self.known, |key| listed.contains(key), self.now);
        self.known.retain(|key| !absence.gone.contains(key));
        absence
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

#[test]
fn up_to_a_half_is_believed() {
    let mut source = Source::new(10);
    let absence = source.list(&keys(5..10));
    assert_eq!(absence.gone, keys(0..5).into_iter().collect::<Vec<_>>());
    assert_eq!((absence.unproved.len(), absence.list_again), (0, None));
}

#[test]
fn more_than_a_half_needs_a_second_list() {
    let mut source = Source::new(10);
    let absence = source.list(&keys(6..10));
    assert!(absence.gone.is_empty());
    assert_eq!(absence.unproved, keys(0..6).into_iter().collect::<Vec<_>>());
    assert_eq!(absence.list_again, Some(source.now + PROOF));
    source.pass(29);
    assert!(source.list(&keys(6..10)).gone.is_empty(), "29 s are too early");
    source.pass(1);
    assert_eq!(source.list(&keys(6..10)).gone.len(), 6);
    assert_eq!(source.known, keys(6..10));
}

#[test]
fn few_objects_are_believed_at_once() {
    assert_eq!(Source::new(9).list(&BTreeSet::new()).gone.len(), 9);
    assert_eq!(Source::new(10).list(&BTreeSet::new()).gone.len(), 0);
}

#[test]
fn who_comes_back_has_to_be_missed_anew() {
    let mut source = Source::new(20);
    source.list(&keys(0..2));
    source.pass(20);
    source.list(&keys([0, 1, 5]));
    source.pass(10);
    // Of the two lists that lacked it, the first one doesn't count: it was there between.
    let absence = source.list(&keys(0..2));
    assert_eq!(absence.unproved, keys([5]).into_iter().collect::<Vec<_>>());
    assert_eq!(absence.list_again, Some(source.now + PROOF));
    assert_eq!(absence.gone.len(), 17);
}

#[test]
fn a_good_list_clears_the_suspicion() {
    let mut source = Source::new(20);
    source.list(&keys(0..2));
    source.pass(60);
    assert_eq!(source.list(&keys(0..20)), Absence::default());
    assert!(source.list(&keys(0..2)).gone.is_empty(), "the first list was wrong, so it proves nothing");
}

#[test]
fn a_watched_deletion_or_sight_starts_anew() {
    let mut source = Source::new(20);
    source.list(&BTreeSet::new());
    source.guard.settled(&keys([3]).into_iter().next().unwrap());
    source.pass(30);
    assert_eq!(source.list(&BTreeSet::new()).unproved, keys([3]).into_iter().collect::<Vec<_>>());
}

#[test]
fn kinds_are_judged_apart() {
    let mut source = Source::new(20);
    source.list(&BTreeSet::new());
    source.pass(30);
    let backends = BTreeSet::from([Key::new(Kind::Backend, "x", "b")]);
    source.guard.full_list(Kind::Backend, &backends, |_| true, source.now);
    assert_eq!(source.list(&BTreeSet::new()).gone.len(), 20, "a list of backends says nothing of routes");
}

proptest! {
    /// Nothing that is listed is dropped, everything absent is either gone or unproved, and more than a half of ten or
    /// more never goes without two lists at least 30 s apart.
    #[test]
    fn absence_is_proved(
        known in 0..30_usize,
        lists in proptest::collection::vec((proptest::collection::btree_set(0..30_usize, 0..30), 0..40_u64), 1..8),
    ) {
        let mut source = Source::new(known);
        let mut missed_since: BTreeMap<Key, Instant> = BTreeMap::new();
        for (listed, seconds) in lists {
            source.pass(seconds);
            let listed = keys(listed);
            let before: BTreeSet<Key> = source.known.union(&listed).cloned().collect();
            let absence = source.list(&listed);
            missed_since.retain(|key, _| !listed.contains(key));
            let absent: BTreeSet<Key> = before.difference(&listed).cloned().collect();
            for key in &absent {
                missed_since.entry(key.clone()).or_insert(source.now);
            }
            let told: BTreeSet<Key> = absence.gone.iter().chain(&absence.unproved).cloned().collect();
            prop_assert_eq!(&told, &absent);
            prop_assert_eq!(absence.unproved.is_empty(), absence.list_again.is_none());
            if before.len() >= FEWEST && absent.len() * 2 > before.len() {
                for key in &absence.gone {
                    prop_assert!(source.now - missed_since[key] >= PROOF, "{} went unproved", key);
                }
            } else {
                prop_assert!(absence.unproved.is_empty());
            }
        }
    }
}
