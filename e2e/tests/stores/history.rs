//! What clients saw of objects that they change by compare-and-set, and whether one object in one place could have given that.

use std::collections::BTreeMap;
use std::time::Instant;

/// Revisions name the states of an object, so their order is the order in which the object had them.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A read, or a refused write, found this state; the value if it was told.
    State { revision: u64, value: Option<u64> },
    /// A write was acknowledged that took the state `expected` away.
    Written { expected: u64, revision: u64, value: u64 },
}

impl Seen {
    fn revision(&self) -> u64 {
        match self {
            Self::State { revision, .. } | Self::Written { revision, .. } => *revision,
        }
    }

    fn value(&self) -> Option<u64> {
        match self {
            Self::State { value, .. } => *value,
            Self::Written { value, .. } => Some(*value),
        }
    }
}

/// Why no order of the events of one object explains them, if so. Writes without an answer aren't among them: they may have
/// happened at any time or never.
pub(crate) fn explain(events: &[Event]) -> Result<(), String> {
    let mut values = BTreeMap::new();
    for event in events {
        let (revision, value) = (event.seen.revision(), event.seen.value());
        let known = values.entry(revision).or_insert(value);
        if known.is_some() && value.is_some() && *known != value {
            return Err(format!("revision {revision} was {known:?} for one and {value:?} for another"));
        }
        *known = known.or(value);
    }
    for event in events {
        let Seen::Written { expected, revision, .. } = event.seen else { continue };
        if let Some((between, _)) = values.range(expected + 1..revision).next() {
            return Err(format!(
                "{revision} was written over {expected}, though {between} was there by then"
            ));
        }
    }
    in_real_time(events)
}

/// Who begins after another one has ended sees what that one saw, or later.
fn in_real_time(events: &[Event]) -> Result<(), String> {
    let mut by_begin: Vec<_> = events.iter().collect();
    by_begin.sort_by_key(|event| event.begin);
    let mut by_end = by_begin.clone();
    by_end.sort_by_key(|event| event.end);
    let (mut ended, mut newest) = (by_end.into_iter().peekable(), 0);
    for event in by_begin {
        while let Some(before) = ended.next_if(|before| before.end < event.begin) {
            newest = newest.max(before.seen.revision());
        }
        if event.seen.revision() < newest {
            return Err(format!("{:?} was seen after {newest} had been", event.seen));
        }
    }
    Ok(())
}

#[test]
fn only_what_one_object_can_give_is_explained() {
    use std::time::Duration;
    let start = Instant::now();
    let at = |begin: u64, end: u64, seen| Event {
        begin: start + Duration::from_secs(begin),
        end: start + Duration::from_secs(end),
        seen,
    };
    let read = |revision, value| Seen::State { revision, value: Some(value) };
    let write = |expected, revision, value| Seen::Written { expected, revision, value };
    let good =
        [at(0, 1, read(1, 10)), at(1, 9, write(1, 3, 11)), at(2, 3, read(3, 11)), at(2, 3, read(1, 10))];
    assert_eq!(explain(&good), Ok(()), "reads beside a write see before or after");
    let lost = [at(0, 1, write(1, 3, 11)), at(2, 3, read(1, 10))];
    assert!(explain(&lost).is_err());
    let twice = [at(0, 1, write(1, 3, 11)), at(0, 1, write(1, 5, 12))];
    assert!(explain(&twice).is_err());
    let torn = [at(0, 1, write(1, 3, 11)), at(0, 1, read(3, 12))];
    assert!(explain(&torn).is_err());
    let back = [at(0, 1, read(5, 1)), at(2, 3, read(4, 1))];
    assert!(explain(&back).is_err());
}
