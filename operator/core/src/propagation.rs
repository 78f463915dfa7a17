//! How long a change takes until every counted worker has it in service.

use std::collections::VecDeque;
use std::time::Duration;

use dataplane_snapshot::{AsOf, Root};

use crate::programmed::Counted;

/// The most changes that are waited for; with more, the oldest aren't measured. A worker that is away isn't to fill the memory.
pub const MAX_PENDING: usize = 4_096;

/// The changes that not every counted worker has applied.
#[derive(Debug, Default)]
pub struct Propagation {
    pending: VecDeque<Pending>,
    root: Option<Root>,
}

#[derive(Debug)]
struct Pending {
    root: Root,
    as_of: AsOf,
    since: Duration,
}

impl Propagation {
    /// There is a snapshot with this root, by a change that was seen at `since`. One that leaves the root as it was changes
    /// nothing for workers, and isn't measured.
    pub fn planned(&mut self, root: Root, as_of: &AsOf, since: Duration) {
        if self.root.replace(root) == Some(root) {
            return;
        }
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { root, as_of: as_of.clone(), since });
    }

    /// How long each change took that all workers have by now, the oldest first. Without a worker nothing is propagated, and
    /// nothing measured.
    pub fn applied(&mut self, workers: &[Counted], now: Duration) -> Vec<Duration> {
        if workers.is_empty() {
            self.pending.clear();
        }
        let mut took = Vec::new();
        // Who has a change has all before it.
        while let Some(first) =
            self.pending.pop_front_if(|first| workers.iter().all(|worker| first.is_had_by(worker)))
        {
            took.push(now.saturating_sub(first.since));
        }
        took
    }

    /// How many changes some worker lacks.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

impl Pending {
    /// Who has only a part has a change that isn't about it as soon as that is known.
    fn is_had_by(&self, worker: &Counted) -> bool {
        let root = worker.share.root(&self.as_of, self.root);
        worker.ack.as_ref().is_some_and(|ack| Some(ack.root) == root || ack.as_of.covers(&self.as_of))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dataplane_snapshot::{Epoch, Kind, SourceAsOf};

    use super::*;
    use crate::programmed::{Applied, Share};

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn as_of(revision: u64) -> AsOf {
        let epoch = Epoch { id: "e".into(), created_at: 1 };
        let seen = SourceAsOf { epoch, revisions: BTreeMap::from([(Kind::Route, revision)]) };
        AsOf(BTreeMap::from([("files".into(), seen)]))
    }

    fn root(revision: u64) -> Root {
        Root([u8::try_from(revision).unwrap(); 32])
    }

    /// `None`: it has nothing yet.
    fn workers(revisions: &[Option<u64>]) -> Vec<Counted> {
        let ack = |revision: u64| Applied {
            root: root(revision),
            as_of: as_of(revision),
            rejected: BTreeMap::new(),
            more_rejected: false,
        };
        let worker = |revision: &Option<u64>| Counted {
            name: "w".into(),
            ack: revision.map(ack),
            lost: false,
            share: Share::Whole,
        };
        revisions.iter().map(worker).collect()
    }

    #[test]
    fn a_change_has_arrived_when_the_last_worker_has_it() {
        let mut propagation = Propagation::default();
        propagation.planned(root(1), &as_of(1), at(10));
        propagation.planned(root(2), &as_of(2), at(20));
        assert!(propagation.applied(&workers(&[Some(1), None]), at(25)).is_empty());
        assert_eq!(propagation.applied(&workers(&[Some(2), Some(1)]), at(30)), [at(20)]);
        assert_eq!(propagation.pending(), 1);
        assert_eq!(propagation.applied(&workers(&[Some(2), Some(2)]), at(50)), [at(30)]);
        assert!(propagation.applied(&workers(&[Some(2), Some(2)]), at(60)).is_empty(), "once");
    }

    #[test]
    fn who_skips_a_state_has_it_all_the_same() {
        let mut propagation = Propagation::default();
        propagation.planned(root(1), &as_of(1), at(0));
        propagation.planned(root(2), &as_of(2), at(5));
        assert_eq!(propagation.applied(&workers(&[Some(2)]), at(9)), [at(9), at(4)]);
    }

    #[test]
    fn equal_content_and_nobody_to_have_it_are_not_measured() {
        let mut propagation = Propagation::default();
        propagation.planned(root(1), &as_of(1), at(0));
        propagation.planned(root(1), &as_of(2), at(5));
        assert_eq!(propagation.pending(), 1);
        assert!(propagation.applied(&[], at(9)).is_empty());
        assert_eq!(propagation.pending(), 0);
    }

    #[test]
    fn a_worker_that_is_away_does_not_fill_the_memory() {
        let mut propagation = Propagation::default();
        for number in 0..=MAX_PENDING {
            let mut root = [0; 32];
            root[..8].copy_from_slice(&number.to_le_bytes());
            propagation.planned(Root(root), &as_of(1), at(0));
        }
        assert_eq!(propagation.pending(), MAX_PENDING);
    }
}
