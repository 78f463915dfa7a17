use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane_snapshot::Root;
use tokio::sync::OnceCell;

use super::coding::{Coded, Coding};

/// The most small changes that are kept of one state, and the most large ones. There are as many as workers stand at different
/// states, which are few unless the leader was away.
const MAX_SMALL: usize = 256;
const MAX_LARGE: usize = 8;

/// What turns an earlier state into the current one.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Encoded on the spot, as that takes less time than to hand it to another thread.
    Small(Coded),
    /// Encoded by the first who gets a turn, off the threads that serve.
    Large(Arc<OnceCell<Coded>>),
}

/// The changes of one state that somebody asked for; beyond a bound the oldest are forgotten, and are made again.
#[derive(Default)]
pub(super) struct Changes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    small: VecDeque<(Start, Change)>,
    large: VecDeque<(Start, Change)>,
}

/// The root that a change starts at, and how it is coded.
type Start = (Root, Coding);

impl Changes {
    pub(super) fn find(&self, base: Root, coding: Coding) -> Option<Change> {
        self.kept().find((base, coding))
    }

    /// Keeps it, and gives what is kept: another one if somebody was faster.
    pub(super) fn keep(&self, base: Root, coding: Coding, change: Change) -> Change {
        let mut kept = self.kept();
        if let Some(faster) = kept.find((base, coding)) {
            return faster;
        }
        let (queue, most) = match change {
            Change::Small(_) => (&mut kept.small, MAX_SMALL),
            Change::Large(_) => (&mut kept.large, MAX_LARGE),
        };
        queue.push_back(((base, coding), change.clone()));
        if queue.len() > most {
            queue.pop_front();
        }
        change
    }

    /// Never held while something is encoded.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&self, start: Start) -> Option<Change> {
        let mut all = self.small.iter().chain(&self.large);
        all.find(|(of, _)| *of == start).map(|(_, change)| change.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn root(number: usize) -> Root {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&number.to_le_bytes());
        Root(root)
    }

    #[test]
    fn so_many_changes_are_kept_and_the_oldest_are_forgotten() {
        let changes = Changes::default();
        let small = Change::Small(Coded { coding: Coding::Identity, bytes: Bytes::new() });
        for number in 0..=MAX_SMALL {
            changes.keep(root(number), Coding::Zstd, small.clone());
        }
        for number in 1000..=1000 + MAX_LARGE {
            changes.keep(root(number), Coding::Zstd, Change::Large(Arc::default()));
        }
        let is_kept = |number| changes.find(root(number), Coding::Zstd).is_some();
        assert!(!is_kept(0) && is_kept(1) && is_kept(MAX_SMALL));
        assert!(!is_kept(1000) && is_kept(1001) && is_kept(1000 + MAX_LARGE));
        assert!(changes.find(root(1), Coding::Gzip).is_none());
    }

    #[test]
    fn two_who_ask_at_once_share_one() {
        let changes = Changes::default();
        let keep = || changes.keep(root(1), Coding::Zstd, Change::Large(Arc::default()));
        let (Change::Large(first), Change::Large(second)) = (keep(), keep()) else {
            panic!("they are large")
        };
        assert!(Arc::ptr_eq(&first, &second));
    }
}
