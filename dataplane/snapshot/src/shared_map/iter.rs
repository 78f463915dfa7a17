use std::slice;

use super::node::{Child, Node, place_of};

/// The entries of a map in the order of keys.
pub(super) struct Iter<'a, K, V> {
    /// What is still to come of the nodes on the way to the leaf, from the root down.
    above: Vec<slice::Iter<'a, (K, Child<K, V>)>>,
    leaf: slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn new(root: Option<&'a Node<K, V>>) -> Self {
        let mut iter = Self { above: Vec::new(), leaf: [].iter() };
        if let Some(root) = root {
            iter.descend(root);
        }
        iter
    }

    pub(super) fn starting_at(root: Option<&'a Node<K, V>>, from: &K) -> Self
    where
        K: Ord,
    {
        let mut iter = Self { above: Vec::new(), leaf: [].iter() };
        let mut next = root;
        while let Some(node) = next {
            next = match node {
                Node::Leaf(entries) => {
                    let index = entries.partition_point(|(key, _)| key < from);
                    iter.leaf = entries.get(index..).unwrap_or_default().iter();
                    None
                }
                Node::Inner(children) => {
                    let mut rest = children.get(place_of(children, from)..).unwrap_or_default().iter();
                    let child = rest.next();
                    iter.above.push(rest);
                    child.map(|(_, child)| &**child)
                }
            };
        }
        iter
    }

    fn descend(&mut self, node: &'a Node<K, V>) {
        let mut next = Some(node);
        while let Some(node) = next {
            next = match node {
                Node::Leaf(entries) => {
                    self.leaf = entries.iter();
                    None
                }
                Node::Inner(children) => {
                    let mut rest = children.iter();
                    let child = rest.next();
                    self.above.push(rest);
                    child.map(|(_, child)| &**child)
                }
            };
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            match self.above.last_mut()?.next() {
                Some((_, child)) => self.descend(child),
                None => {
                    self.above.pop();
                }
            }
        }
    }
}
