use std::cmp::Ordering;
use std::sync::Arc;

use super::node::{Child, Node};

/// One key of which two maps have different entries: what the first has, and what the second has. Never neither.
pub type Difference<'a, K, V> = (&'a K, Option<&'a V>, Option<&'a V>);

/// What `SharedMap::differences` gives.
pub(super) struct Differences<'a, K, V, F> {
    old: Pending<'a, K, V>,
    new: Pending<'a, K, V>,
    is_same: F,
}

/// What of a tree hasn't been compared yet, the first at the end.
struct Pending<'a, K, V>(Vec<Part<'a, K, V>>);

enum Part<'a, K, V> {
    Tree(&'a Child<K, V>),
    Entry(&'a (K, V)),
}

impl<K, V> Clone for Part<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Part<'_, K, V> {}

impl<'a, K, V> Pending<'a, K, V> {
    fn new(root: Option<&'a Child<K, V>>) -> Self {
        Self(root.map(Part::Tree).into_iter().collect())
    }

    fn first(&self) -> Option<Part<'a, K, V>> {
        self.0.last().copied()
    }

    /// Puts the parts of the first tree in its place.
    fn open(&mut self) {
        match self.0.pop() {
            Some(Part::Tree(tree)) => match &**tree {
                Node::Leaf(entries) => self.0.extend(entries.iter().rev().map(Part::Entry)),
                Node::Inner(children) => {
                    self.0.extend(children.iter().rev().map(|(_, child)| Part::Tree(child)));
                }
            },
            Some(Part::Entry(_)) | None => {}
        }
    }
}

impl<'a, K: Ord, V, F: Fn(&V, &V) -> bool> Differences<'a, K, V, F> {
    pub(super) fn new(old: Option<&'a Child<K, V>>, new: Option<&'a Child<K, V>>, is_same: F) -> Self {
        Self { old: Pending::new(old), new: Pending::new(new), is_same }
    }

    fn removed(&mut self, (key, old): &'a (K, V)) -> Difference<'a, K, V> {
        self.old.0.pop();
        (key, Some(old), None)
    }

    fn added(&mut self, (key, new): &'a (K, V)) -> Difference<'a, K, V> {
        self.new.0.pop();
        (key, None, Some(new))
    }

    /// What there is to say about the first entries of both; `None` if they are the same.
    fn compare(&mut self, old: &'a (K, V), new: &'a (K, V)) -> Option<Difference<'a, K, V>> {
        match old.0.cmp(&new.0) {
            Ordering::Less => Some(self.removed(old)),
            Ordering::Greater => Some(self.added(new)),
            Ordering::Equal => {
                self.old.0.pop();
                self.new.0.pop();
                let is_same = (self.is_same)(&old.1, &new.1);
                (!is_same).then_some((&new.0, Some(&old.1), Some(&new.1)))
            }
        }
    }
}

impl<'a, K: Ord, V, F: Fn(&V, &V) -> bool> Iterator for Differences<'a, K, V, F> {
    type Item = Difference<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match (self.old.first(), self.new.first()) {
                (None, None) => return None,
                (Some(Part::Tree(old)), Some(Part::Tree(new))) if Arc::ptr_eq(old, new) => {
                    self.old.0.pop();
                    self.new.0.pop();
                }
                // The higher one is opened, so that both come to the trees that they share.
                (Some(Part::Tree(old)), Some(Part::Tree(new))) => match old.height().cmp(&new.height()) {
                    Ordering::Less => self.new.open(),
                    Ordering::Greater => self.old.open(),
                    Ordering::Equal => {
                        self.old.open();
                        self.new.open();
                    }
                },
                (Some(Part::Tree(_)), _) => self.old.open(),
                (_, Some(Part::Tree(_))) => self.new.open(),
                (Some(Part::Entry(old)), None) => return Some(self.removed(old)),
                (None, Some(Part::Entry(new))) => return Some(self.added(new)),
                (Some(Part::Entry(old)), Some(Part::Entry(new))) => {
                    if let Some(difference) = self.compare(old, new) {
                        return Some(difference);
                    }
                }
            }
        }
    }
}
