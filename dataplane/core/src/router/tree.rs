use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::placement::{Placement, Request};
use crate::RequestHead;
use crate::path::next_segment;
use crate::pattern::{Matcher, PatternEnd, Segment};

/// The placements of one host by path: a level per segment. Two trees with the same placements are equal in shape,
/// whatever edits led there, and an edited copy shares all nodes but those on the way to the edit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    // Looked up by hash, not by order, so that a node with ten thousand children costs what one with ten does. The hash
    // isn't keyed: clients can't add children.
    literals: FxHashMap<Arc<str>, Arc<Node>>,
    /// All other matchers, the most specific first.
    patterns: Vec<(Matcher, Arc<Node>)>,
    exact: Vec<Arc<Placement>>,
    exact_slash: Vec<Arc<Placement>>,
    prefix: Vec<Arc<Placement>>,
}

impl Node {
    /// The first placement, in the order of patterns, that the path from byte `from` on meets and that accepts the
    /// request. A node belongs to one depth, so no node is seen twice.
    pub(crate) fn find<H: RequestHead>(&self, request: &Request<'_, H>, from: usize) -> Option<&Placement> {
        let below = match next_segment(request.path.as_bytes(), from) {
            Some(segment) => {
                let end = segment.end;
                self.find_below(request, request.path.get(segment)?, end)
            }
            None if request.slash => first(&self.exact_slash, request),
            None => first(&self.exact, request),
        };
        below.or_else(|| first(&self.prefix, request))
    }

    fn find_below<H: RequestHead>(
        &self,
        request: &Request<'_, H>,
        segment: &str,
        end: usize,
    ) -> Option<&Placement> {
        if !self.literals.is_empty()
            && let Some(child) = self.literals.get(segment)
            && let Some(found) = child.find(request, end)
        {
            return Some(found);
        }
        let mut children = self.patterns.iter().filter(|(matcher, _)| matcher.matches(segment));
        children.find_map(|(_, child)| child.find(request, end))
    }

    pub(crate) fn insert(&mut self, placement: &Arc<Placement>) {
        let mut node = self;
        for Segment { matcher, .. } in placement.pattern.segments() {
            node = Arc::make_mut(node.child_mut(matcher));
        }
        let list = node.list_mut(placement.pattern.end());
        let place = list.partition_point(|other| other.order(placement).is_lt());
        list.insert(place, Arc::clone(placement));
    }

    pub(crate) fn remove(&mut self, placement: &Arc<Placement>) {
        self.remove_below(placement.pattern.segments(), placement);
    }

    fn remove_below(&mut self, segments: &[Segment], placement: &Arc<Placement>) {
        let Some((Segment { matcher, .. }, rest)) = segments.split_first() else {
            return self.list_mut(placement.pattern.end()).retain(|other| !Arc::ptr_eq(other, placement));
        };
        if let Matcher::Literal(text) = matcher {
            if let Some(child) = self.literals.get_mut(&**text) {
                let child = Arc::make_mut(child);
                child.remove_below(rest, placement);
                if child.is_empty() {
                    self.literals.remove(&**text);
                }
            }
        } else if let Ok(index) = self.pattern_index(matcher)
            && let Some((_, child)) = self.patterns.get_mut(index)
        {
            let child = Arc::make_mut(child);
            child.remove_below(rest, placement);
            if child.is_empty() {
                self.patterns.remove(index);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { literals, patterns, exact, exact_slash, prefix } = self;
        literals.is_empty()
            && patterns.is_empty()
            && exact.is_empty()
            && exact_slash.is_empty()
            && prefix.is_empty()
    }

    fn child_mut(&mut self, matcher: &Matcher) -> &mut Arc<Self> {
        if let Matcher::Literal(text) = matcher {
            return self.literals.entry(Arc::clone(text)).or_default();
        }
        let index = self.pattern_index(matcher).unwrap_or_else(|index| {
            self.patterns.insert(index, (matcher.clone(), Arc::default()));
            index
        });
        #[expect(clippy::indexing_slicing, reason = "found or put there in the line before")]
        &mut self.patterns[index].1
    }

    fn pattern_index(&self, matcher: &Matcher) -> Result<usize, usize> {
        self.patterns.binary_search_by(|(other, _)| other.cmp(matcher))
    }

    fn list_mut(&mut self, end: PatternEnd) -> &mut Vec<Arc<Placement>> {
        match end {
            PatternEnd::Exact => &mut self.exact,
            PatternEnd::ExactSlash => &mut self.exact_slash,
            PatternEnd::Prefix => &mut self.prefix,
        }
    }
}

#[inline]
fn first<'n, H: RequestHead>(list: &'n [Arc<Placement>], request: &Request<'_, H>) -> Option<&'n Placement> {
    list.iter().find(|placement| placement.accepts(request)).map(|placement| &**placement)
}

#[cfg(test)]
impl Node {
    /// The whole tree as text, for comparing two of them.
    pub(crate) fn outline(&self, at: &str, lines: &mut Vec<String>) {
        for list in [&self.exact, &self.exact_slash, &self.prefix] {
            for placement in list {
                lines.push(format!(
                    "{at} {:?} {:?}",
                    placement.pattern.end(),
                    (&placement.route.key, &placement.rank)
                ));
            }
        }
        for (text, child) in &self.literals {
            child.outline(&format!("{at}/={text}"), lines);
        }
        for (matcher, child) in &self.patterns {
            assert!(!child.is_empty());
            child.outline(&format!("{at}/{matcher:?}"), lines);
        }
    }
}
