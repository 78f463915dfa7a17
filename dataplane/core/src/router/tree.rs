use std::sync::Arc;

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::children::Children;
use super::placement::{Placement, Request};
use crate::RequestHead;
use crate::path::next_segment;
use crate::pattern::{Matcher, PatternEnd, Segment};

/// The placements of one host by path: a level per segment. Two trees with the same placements are equal in shape,
/// whatever edits led there, and an edited copy shares all nodes but those on the way to the edit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// The literal segment that leads here, or the host name; empty below a pattern.
    label: SmolStr,
    literals: Children,
    /// All other matchers, the most specific first.
    patterns: Vec<(Matcher, Arc<Node>)>,
    /// What ends here: exact ones first.
    placements: SmallVec<[Arc<Placement>; 1]>,
}

impl Node {
    pub(crate) fn new(label: SmolStr) -> Self {
        Self { label, ..Self::default() }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The first placement, in the order of patterns, that the path from byte `from` on meets and that accepts the
    /// request. A node belongs to one depth, so no node is seen twice.
    pub(crate) fn find<H: RequestHead>(&self, request: &Request<'_, H>, from: usize) -> Option<&Placement> {
        let Some(segment) = next_segment(request.path.as_bytes(), from) else {
            let exact = if request.slash { PatternEnd::ExactSlash } else { PatternEnd::Exact };
            return self.find_here(request, exact);
        };
        let end = segment.end;
        let below = self.find_below(request, request.path.get(segment)?, end);
        below.or_else(|| self.find_here(request, PatternEnd::Prefix))
    }

    fn find_here<H: RequestHead>(&self, request: &Request<'_, H>, exact: PatternEnd) -> Option<&Placement> {
        let mut placements = self.placements.iter().map(|placement| &**placement);
        placements.find(|placement| {
            (placement.end == PatternEnd::Prefix || placement.end == exact) && placement.accepts(request)
        })
    }

    fn find_below<H: RequestHead>(
        &self,
        request: &Request<'_, H>,
        segment: &str,
        end: usize,
    ) -> Option<&Placement> {
        if let Some(child) = self.literals.get(segment)
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
        let list = &mut node.placements;
        let place = list.partition_point(|other| other.order(placement).is_lt());
        list.insert(place, Arc::clone(placement));
    }

    pub(crate) fn remove(&mut self, placement: &Arc<Placement>) {
        self.remove_below(placement.pattern.segments(), placement);
    }

    fn remove_below(&mut self, segments: &[Segment], placement: &Arc<Placement>) {
        let Some((Segment { matcher, .. }, rest)) = segments.split_first() else {
            return self.placements.retain(|other| !Arc::ptr_eq(other, placement));
        };
        if let Matcher::Literal(text) = matcher {
            if let Some(child) = self.literals.get_mut(text) {
                let child = Arc::make_mut(child);
                child.remove_below(rest, placement);
                if child.is_empty() {
                    self.literals.remove(text);
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
        let Self { label: _, literals, patterns, placements } = self;
        literals.is_empty() && patterns.is_empty() && placements.is_empty()
    }

    fn child_mut(&mut self, matcher: &Matcher) -> &mut Arc<Self> {
        if let Matcher::Literal(text) = matcher {
            return self.literals.get_or_insert(text);
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
}

#[cfg(test)]
impl Node {
    /// The whole tree as text, for comparing two of them.
    pub(crate) fn outline(&self, at: &str, lines: &mut Vec<String>) {
        for placement in &self.placements {
            lines.push(format!("{at} {:?} {} {:?}", placement.end, placement.route.key, placement.rank));
        }
        for child in self.literals.iter() {
            assert!(!child.is_empty());
            child.outline(&format!("{at}/={}", child.label), lines);
        }
        for (matcher, child) in &self.patterns {
            assert!(!child.is_empty());
            child.outline(&format!("{at}/{matcher:?}"), lines);
        }
    }
}
