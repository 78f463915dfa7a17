//! The last changes of a state, so that who has an older one needs only what differs.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use dataplane_snapshot::{Key, Root};

/// The most changes that are remembered.
pub const MAX_CHANGES: usize = 1024;

/// The most keys that all remembered changes may name together: a change of everything takes the place of many small ones.
pub const MAX_KEYS: usize = 256 * 1024;

/// Which objects changed, from root to root. Clones share what they remember.
#[derive(Clone, Debug, Default)]
pub struct History {
    changes: VecDeque<Arc<Change>>,
    keys: usize,
}

#[derive(Debug)]
struct Change {
    /// What the state before was known by: its root, and that for those who may not have all of it.
    from: Vec<Root>,
    keys: Vec<Key>,
}

impl History {
    /// The state that was known by the roots `from` is followed by one that differs in `keys`.
    pub fn push(&mut self, from: Vec<Root>, keys: Vec<Key>) {
        self.keys += keys.len();
        self.changes.push_back(Arc::new(Change { from, keys }));
        while self.changes.len() > MAX_CHANGES || self.keys > MAX_KEYS {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.keys -= oldest.keys.len();
        }
    }

    /// The keys of all objects that may differ between the state with root `base` and the newest one. `None`: it isn't
    /// remembered.
    pub fn since(&self, base: Root) -> Option<BTreeSet<&Key>> {
        Some(self.after(base)?.flat_map(|change| &change.keys).collect())
    }

    /// No fewer than [`Self::since`] gives, without going through them.
    pub fn count_since(&self, base: Root) -> Option<usize> {
        Some(self.after(base)?.map(|change| change.keys.len()).sum())
    }

    fn after(&self, base: Root) -> Option<impl Iterator<Item = &Arc<Change>>> {
        // A root can come back, and the last time is the nearest.
        let at = self.changes.iter().rposition(|change| change.from.contains(&base))?;
        Some(self.changes.iter().skip(at))
    }
}

#[cfg(test)]
mod tests {
    use dataplane_snapshot::Kind;

    use super::*;

    fn root(number: usize) -> Root {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&number.to_le_bytes());
        Root(root)
    }

    fn key(number: usize) -> Key {
        Key::new(Kind::Route, "x", number.to_string())
    }

    fn since(history: &History, base: usize) -> Option<Vec<Key>> {
        history.since(root(base)).map(|keys| keys.into_iter().cloned().collect())
    }

    #[test]
    fn all_changes_since_a_root_are_joined() {
        let mut history = History::default();
        history.push(vec![root(0)], vec![key(1), key(2)]);
        history.push(vec![root(1), root(101)], vec![key(2), key(3)]);
        assert_eq!(since(&history, 0), Some(vec![key(1), key(2), key(3)]));
        assert_eq!(since(&history, 1), Some(vec![key(2), key(3)]));
        assert_eq!(since(&history, 101), since(&history, 1));
        assert_eq!(since(&history, 2), None);
        let counts = [0, 1, 101, 2].map(|base| history.count_since(root(base)));
        assert_eq!(counts, [Some(4), Some(2), Some(2), None], "a key that changed twice counts twice");
    }

    #[test]
    fn a_root_that_comes_back_counts_from_the_last_time() {
        let mut history = History::default();
        history.push(vec![root(0)], vec![key(1)]);
        history.push(vec![root(1)], vec![key(1)]);
        history.push(vec![root(0)], vec![key(2)]);
        assert_eq!(since(&history, 0), Some(vec![key(2)]));
    }

    #[test]
    fn the_oldest_changes_are_forgotten() {
        let mut history = History::default();
        for number in 0..=MAX_CHANGES {
            history.push(vec![root(number)], vec![key(number)]);
        }
        assert_eq!(since(&history, 0), None);
        assert_eq!(since(&history, 1).map(|keys| keys.len()), Some(MAX_CHANGES));
        history.push(vec![root(5000)], (0..MAX_KEYS - 1).map(key).collect());
        assert_eq!(since(&history, MAX_CHANGES - 1), None);
        assert_eq!(since(&history, MAX_CHANGES).map(|keys| keys.len()), Some(MAX_KEYS - 1));
        history.push(vec![root(5001)], vec![key(0); MAX_KEYS + 1]);
        assert_eq!(since(&history, 5001), None);
    }
}
