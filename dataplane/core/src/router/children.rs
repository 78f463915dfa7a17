use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use smol_str::SmolStr;

use super::tree::Node;

/// Nodes by their label. Looked up by hash and not by order, so that ten thousand cost what ten do. The label is within
/// the node, which a lookup reads next anyway; an only child, the usual case, needs no table.
///
/// The hash isn't keyed: what clients send is looked up, never put in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    one: Option<Arc<Node>>,
    others: HashTable<Arc<Node>>,
}

impl Children {
    #[inline]
    pub(crate) fn get(&self, label: &str) -> Option<&Node> {
        match &self.one {
            Some(node) if node.label() == label => Some(node),
            _ if self.others.is_empty() => None,
            _ => self.others.find(hash(label), |node| node.label() == label).map(|node| &**node),
        }
    }

    pub(crate) fn get_mut(&mut self, label: &str) -> Option<&mut Arc<Node>> {
        match &mut self.one {
            Some(node) if node.label() == label => Some(node),
            _ => self.others.find_mut(hash(label), |node| node.label() == label),
        }
    }

    /// The node with this label; an empty one is put there if there is none.
    pub(crate) fn get_or_insert(&mut self, label: &SmolStr) -> &mut Arc<Node> {
        let new = || Arc::new(Node::new(label.clone()));
        if self.others.is_empty() && self.one.is_none() {
            return self.one.insert(new());
        }
        match &mut self.one {
            Some(node) if node.label() == label => node,
            _ => self
                .others
                .entry(hash(label), |node| node.label() == label, |node| hash(node.label()))
                .or_insert_with(new)
                .into_mut(),
        }
    }

    pub(crate) fn remove(&mut self, label: &str) {
        if self.one.take_if(|node| node.label() == label).is_some() {
            return;
        }
        if let Ok(entry) = self.others.find_entry(hash(label), |node| node.label() == label) {
            entry.remove();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.one.is_none() && self.others.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.one.iter().chain(&self.others)
    }
}

fn hash(label: &str) -> u64 {
    let mut hasher = FxBuildHasher.build_hasher();
    hasher.write(label.as_bytes());
    hasher.finish()
}
