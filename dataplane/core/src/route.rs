use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::Key;
use smallvec::SmallVec;

use crate::filter::Answer;
use crate::limit::{ActiveLimits, RouteUsage};
use crate::state::Cursor;
use crate::{Filters, Schedule};

/// A route, ready for requests.
#[derive(Debug)]
pub struct CompiledRoute {
    pub key: Key,
    /// The name shown to people.
    pub name: Box<str>,
    pub metadata: BTreeMap<String, String>,
    /// Empty: all.
    pub(crate) listeners: Box<[Box<str>]>,
    /// The host names of all matches, in order.
    pub(crate) domains: Box<[Box<str>]>,
    /// What its requests come to.
    pub usage: Arc<RouteUsage>,
}

/// What becomes of the requests of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Forward(Arc<CompiledRule>),
    /// Answered 503 with the reason.
    Held(Arc<str>),
}

/// Where the requests of a rule go.
#[derive(Debug)]
pub struct CompiledRule {
    /// In place if it is one, as is usual: a lookup then reads no further line of memory.
    destinations: SmallVec<[CompiledDestination; 1]>,
    turns: Turns,
    /// `None`: none but what destinations say.
    filters: Option<Box<Filters>>,
    /// Where copies go, for each mirror of `filters`.
    mirrors: Box<[CompiledDestination]>,
    /// Those of `filters`.
    limits: Option<Box<ActiveLimits>>,
}

#[derive(Debug)]
enum Turns {
    /// There is no choice.
    Always,
    /// All have weight 0.
    Never,
    ByWeight(Box<(Schedule, Cursor)>),
}

/// One place where requests can go, with what is done on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledDestination {
    pub backend: Key,
    /// The matched part of the path is removed before the backend's root is put in front.
    pub strip_path: bool,
    /// The target's host name is sent as `Host`; otherwise the client's is kept.
    pub override_host: bool,
    pub(crate) slot: usize,
}

impl CompiledRoute {
    #[inline]
    pub(crate) fn serves(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|name| **name == *listener)
    }
}

impl CompiledRule {
    /// Each destination with its weight.
    pub(crate) fn new(
        destinations: impl IntoIterator<Item = (CompiledDestination, u32)>,
        filters: Option<Box<Filters>>,
        mirrors: Box<[CompiledDestination]>,
        limits: Option<Box<ActiveLimits>>,
    ) -> Self {
        let (destinations, weights): (SmallVec<_>, Vec<_>) = destinations.into_iter().unzip();
        let schedule = Schedule::new(weights);
        let turns = match destinations.len() {
            _ if schedule.is_empty() => Turns::Never,
            1 => Turns::Always,
            _ => Turns::ByWeight(Box::new((schedule, Cursor::default()))),
        };
        Self { destinations, turns, filters, mirrors, limits }
    }

    #[inline]
    pub(crate) fn filters(&self) -> Option<&Filters> {
        self.filters.as_deref()
    }

    #[inline]
    pub(crate) fn limits(&self) -> Option<&ActiveLimits> {
        self.limits.as_deref()
    }

    /// All requests are answered by a filter.
    pub(crate) fn answers(&self) -> Option<(&Filters, &Answer)> {
        let filters = self.filters()?;
        Some((filters, filters.answer.as_ref()?))
    }

    pub fn destinations(&self) -> &[CompiledDestination] {
        &self.destinations
    }

    pub(crate) fn mirrors(&self) -> &[CompiledDestination] {
        &self.mirrors
    }

    /// The destination whose turn it is; `None` if all have weight 0.
    pub(crate) fn pick(&self) -> Option<&CompiledDestination> {
        match &self.turns {
            Turns::Always => self.destinations.first(),
            Turns::Never => None,
            Turns::ByWeight(turns) => self.destinations.get(turns.0.at(turns.1.advance())?),
        }
    }
}
