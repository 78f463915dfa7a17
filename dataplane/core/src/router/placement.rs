use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use crate::condition::Conditions;
use crate::pattern::PatternEnd;
use crate::route::Action;
use crate::{CompiledRoute, HostPattern, PathPattern, RequestHead};

/// One host pattern and one path pattern of a match, with what else must hold and what is done.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) end: PatternEnd,
    /// Every request is meant that has come here by host and path; there is no need to look.
    unconditional: bool,
    pub(crate) action: Action,
    pub(crate) route: Arc<CompiledRoute>,
    pub(crate) pattern: Arc<PathPattern>,
    conditions: Arc<Conditions>,
    pub(crate) host: HostPattern,
    pub(crate) rank: Rank,
}

/// The order of placements with equal host and path. The precedence decides; the rest only keeps the order total.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) precedence: Bytes,
    pub(crate) rule: usize,
    pub(crate) index: usize,
}

/// A request at a listener, as a tree sees it.
pub(crate) struct Request<'a, H> {
    pub(crate) head: &'a H,
    pub(crate) path: &'a str,
    /// A slash follows the last segment.
    pub(crate) slash: bool,
    pub(crate) listener: &'a str,
}

impl Placement {
    pub(crate) fn new(
        host: HostPattern,
        pattern: Arc<PathPattern>,
        conditions: Arc<Conditions>,
        (route, action): (Arc<CompiledRoute>, Action),
        rank: Rank,
    ) -> Self {
        let unconditional = route.listeners.is_empty() && conditions.is_empty();
        Self { end: pattern.end(), unconditional, action, route, pattern, conditions, host, rank }
    }

    /// Whether a request that has come to this placement by host and path is meant by it.
    #[inline]
    pub(crate) fn accepts<H: RequestHead>(&self, request: &Request<'_, H>) -> bool {
        self.unconditional || self.route.serves(request.listener) && self.conditions.hold(request.head)
    }

    /// Within one node.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let by_precedence = || self.rank.precedence.cmp(&other.rank.precedence);
        let by_route = || self.route.key.cmp(&other.route.key);
        self.end
            .cmp(&other.end)
            .then_with(by_precedence)
            .then_with(by_route)
            .then_with(|| self.rank.cmp(&other.rank))
    }
}
