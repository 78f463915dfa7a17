//! An ordered map whose copies share what they have in common.
//!
//! A copy costs nothing, an edit of a copy the few nodes on the way to the edit, and what differs between a map and its
//! edited copy is found without looking at what they share. So what is done at each edit of one object among tens of
//! thousands doesn't depend on how many there are.

mod differences;
mod iter;
mod node;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use differences::Difference;
use differences::Differences;
use iter::Iter;
use node::Node;

#[derive(Clone)]
pub struct SharedMap<K, V> {
    root: Option<Arc<Node<K, V>>>,
    len: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SharedMap<K, V> {
    pub const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        Iter::new(self.root.as_deref())
    }

    /// Whether the two are copies without an edit. Of two that aren't the entries may be equal all the same.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.root.as_ref()?.get(key)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The entries from the first one on whose key isn't below `from`.
    pub fn range_from<'a>(&'a self, from: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        Iter::starting_at(self.root.as_deref(), from)
    }

    /// What is another entry in `next`, in the order of keys. `is_same` says whether two values of one key count as
    /// unchanged; it isn't asked about what both maps share.
    pub fn differences<'a, F: Fn(&V, &V) -> bool>(
        &'a self,
        next: &'a Self,
        is_same: F,
    ) -> impl Iterator<Item = Difference<'a, K, V>> + use<'a, K, V, F> {
        Differences::new(self.root.as_ref(), next.root.as_ref(), is_same)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// What was there under the key before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            *self = Self { root: Some(Arc::new(Node::Leaf(vec![(key, value)]))), len: 1 };
            return None;
        };
        let (old, split) = Arc::make_mut(root).insert(key, value);
        if let Some((first, right)) = split {
            // The key of a node's first child is never looked at; this one is as good as any.
            *root = Arc::new(Node::Inner(vec![(first.clone(), root.clone()), (first, right)]));
        }
        self.len += usize::from(old.is_none());
        old
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        // What isn't there must not cost a copy.
        self.get(key)?;
        let root = self.root.as_mut()?;
        let old = Arc::make_mut(root).remove(key);
        self.len -= usize::from(old.is_some());
        while let Node::Inner(children) = &**root
            && let [(_, child)] = children.as_slice()
        {
            *root = child.clone();
        }
        if root.is_empty() {
            self.root = None;
        }
        old
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Puts each value, and removes the key where there is none.
    pub fn apply(&mut self, entries: impl IntoIterator<Item = (K, Option<V>)>) {
        let entries = entries.into_iter();
        if self.is_empty() {
            // All at once: several times as fast as one by one.
            let last: BTreeMap<_, _> = entries.collect();
            *self = last.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            return;
        }
        for (key, value) in entries {
            match value {
                Some(value) => self.insert(key, value),
                None => self.remove(&key),
            };
        }
    }
}

/// Of several entries with one key the last one stays.
impl<K: Ord + Clone, V> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            // `dedup_by` drops the later of two and gives it first.
            entries.dedup_by(|later, kept| {
                let is_same = later.0 == kept.0;
                if is_same {
                    std::mem::swap(later, kept);
                }
                is_same
            });
        }
        let len = entries.len();
        Self { root: node::build(entries), len }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differences(other, V::eq).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes<K, V>(node: &Node<K, V>) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Inner(children) => 1 + children.iter().map(|(_, child)| nodes(child)).sum::<usize>(),
        }
    }

    #[test]
    fn removals_leave_no_sparse_nodes() {
        let mut map: SharedMap<u32, u32> = (0..100_000).map(|key| (key, key)).collect();
        (0..100_000).filter(|key| key % 50 != 0).for_each(|key| assert_eq!(map.remove(&key), Some(key)));
        let packed: SharedMap<u32, u32> = map.iter().map(|(key, value)| (*key, *value)).collect();
        let count = |map: &SharedMap<u32, u32>| map.root.as_deref().map_or(0, nodes);
        assert_eq!(map.len(), 2_000);
        assert!(count(&map) <= 5 * count(&packed), "{} nodes instead of {}", count(&map), count(&packed));
    }

    #[test]
    fn a_map_that_grows_at_its_end_stays_packed() {
        let mut map = SharedMap::new();
        (0..10_000).for_each(|key| assert_eq!(map.insert(key, key), None));
        let packed: SharedMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
        let count = |map: &SharedMap<u32, u32>| map.root.as_deref().map_or(0, nodes);
        assert_eq!(count(&map), count(&packed));
    }
}
