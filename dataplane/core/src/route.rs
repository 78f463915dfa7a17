use std::collections::BTreeMap;

use dataplane_snapshot::Key;

use crate::Schedule;
use crate::state::Cursor;

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
    pub(crate) action: Action,
}

/// What becomes of the requests of a route.
#[derive(Debug)]
pub(crate) enum Action {
    /// By the index of the rule.
    Forward(Box<[CompiledRule]>),
    /// Answered 503 with the reason.
    Held(Box<str>),
}

/// Where the requests of a rule go.
#[derive(Debug)]
pub struct CompiledRule {
    pub(crate) destinations: Box<[CompiledDestination]>,
    pub(crate) schedule: Schedule,
    /// Only where there is a choice.
    pub(crate) cursor: Option<Box<Cursor>>,
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
    /// The destination whose turn it is; `None` if all have weight 0.
    pub(crate) fn pick(&self) -> Option<&CompiledDestination> {
        let turn = self.cursor.as_ref().map_or(0, |cursor| cursor.advance());
        self.destinations.get(self.schedule.at(turn)?)
    }
}
