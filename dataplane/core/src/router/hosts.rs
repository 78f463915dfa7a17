use std::sync::Arc;

use super::children::Children;
use super::placement::Placement;
use super::tree::Node;
use crate::HostPattern;

/// The trees of all hosts. An edited copy shares all trees but those of the edited hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    exact: Children,
    /// By what follows `*.`.
    wildcard: Children,
    any: Arc<Node>,
    /// In bytes; longer ones need not be looked for.
    longest_suffix: usize,
}

impl Hosts {
    /// What `find` gives for the tree of the most specific host pattern for which it gives anything.
    #[inline]
    pub(crate) fn find<'h, T>(
        &'h self,
        host: &str,
        mut find: impl FnMut(&'h Node) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.exact.get(host).and_then(&mut find) {
            return Some(found);
        }
        if !self.wildcard.is_empty()
            && let Some(found) = self.suffixes(host).find_map(|suffix| find(self.wildcard.get(suffix)?))
        {
            return Some(found);
        }
        find(&self.any)
    }

    /// What follows each dot that isn't the first character, the longest first.
    fn suffixes<'n>(&self, host: &'n str) -> impl Iterator<Item = &'n str> {
        // A dot right before the longest suffix is the first that counts.
        let from = host.len().saturating_sub(self.longest_suffix + 1).max(1);
        let dots = host.bytes().enumerate().skip(from).filter(|(_, byte)| *byte == b'.');
        dots.filter_map(move |(dot, _)| host.get(dot + 1..))
    }

    pub(crate) fn insert(&mut self, placement: &Arc<Placement>) {
        let tree = match &placement.host {
            HostPattern::Exact(name) => self.exact.get_or_insert(name),
            HostPattern::Wildcard(suffix) => {
                self.longest_suffix = self.longest_suffix.max(suffix.len());
                self.wildcard.get_or_insert(suffix)
            }
            HostPattern::Any => &mut self.any,
        };
        Arc::make_mut(tree).insert(placement);
    }

    pub(crate) fn remove(&mut self, placement: &Arc<Placement>) {
        let (trees, name) = match &placement.host {
            HostPattern::Any => return Arc::make_mut(&mut self.any).remove(placement),
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix),
        };
        let Some(tree) = trees.get_mut(name) else { return };
        let tree = Arc::make_mut(tree);
        tree.remove(placement);
        if tree.is_empty() {
            trees.remove(name);
            self.longest_suffix =
                self.wildcard.iter().map(|tree| tree.label().len()).max().unwrap_or_default();
        }
    }
}

#[cfg(test)]
impl Hosts {
    /// Everything as text, for comparing two of them.
    pub(crate) fn outline(&self) -> Vec<String> {
        let mut lines = vec![format!("longest suffix {}", self.longest_suffix)];
        self.any.outline("*", &mut lines);
        self.exact.iter().for_each(|tree| tree.outline(tree.label(), &mut lines));
        self.wildcard.iter().for_each(|tree| tree.outline(&format!("*.{}", tree.label()), &mut lines));
        lines.sort();
        lines
    }

    pub(crate) fn tree(&self, host: &HostPattern) -> Option<&Node> {
        match host {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix),
            HostPattern::Any => Some(&self.any),
        }
    }
}
