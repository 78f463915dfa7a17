mod backends;
mod children;
mod compile;
mod hosts;
mod placement;
mod routes;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use dataplane_snapshot::{Key, SharedMap};

use self::backends::Backends;
use self::hosts::Hosts;
use self::placement::{Placement, Request};
use self::routes::RouteEntry;
use crate::certificates::Certificates;
use crate::health::Probe;
use crate::pattern::ends_with_slash;
use crate::route::Action;
use crate::served::Served;
use crate::{
    Answered, BackendStates, CompiledBackend, CompiledListener, Decision, ListenerId, Matched, RequestHead,
};

/// Everything that a worker knows about requests, compiled. Immutable; shares with its predecessor what stayed the same.
///
/// Among the matches that a request meets at its listener, the one with the most specific host goes first (exact, the
/// wildcard with the longest suffix, any), then the one with the most specific path (see
/// [`PathPattern`](crate::PathPattern)), then the one with the lowest precedence.
#[derive(Clone, Debug, Default)]
pub struct Router {
    certificates: Certificates,
    listeners: Arc<[CompiledListener]>,
    hosts: Arc<Hosts>,
    backends: Backends,
    routes: SharedMap<Key, Arc<RouteEntry>>,
    /// What it was made of.
    made_of: Served,
    rejected: Rejected,
}

/// What can't be used, but for what the backends know themselves.
#[derive(Clone, Debug, Default)]
struct Rejected {
    certificates: Arc<[(Key, String)]>,
    listeners: Arc<[(Key, String)]>,
    /// Their entries say why.
    routes: SharedMap<Key, ()>,
}

/// A router, and the objects that couldn't be made part of it. The others are served all the same.
#[derive(Debug)]
pub struct Compiled {
    pub router: Router,
    pub rejected: Vec<(Key, String)>,
}

impl Router {
    /// What of `previous` is still right is used again; the result is the same without it. Takes time by the number of
    /// objects that changed.
    pub fn compile(objects: &Served, previous: Option<&Self>, states: &BackendStates) -> Compiled {
        compile::Step::new(previous, states).run(objects)
    }

    /// In the order of their names.
    pub fn listeners(&self) -> impl Iterator<Item = &CompiledListener> {
        self.listeners.iter()
    }

    pub fn listener_id(&self, name: &str) -> Option<ListenerId> {
        self.listeners.binary_search_by(|listener| (*listener.name).cmp(name)).ok().map(ListenerId)
    }

    /// Those that can be served.
    pub fn backends(&self) -> impl Iterator<Item = &CompiledBackend> {
        self.backends.compiled()
    }

    /// The route objects, good or not.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// What has to be probed.
    pub fn probes(&self) -> impl Iterator<Item = Probe> {
        self.backends.compiled().flat_map(CompiledBackend::probes)
    }

    /// Never allocates, never locks. `head.path()` must come from [`path::normalize`](crate::path::normalize).
    pub fn route<H: RequestHead>(&self, listener: ListenerId, head: &H) -> Decision<'_> {
        match self.find(listener, head) {
            Some(placement) => self.decide(placement),
            None => Decision::NotFound,
        }
    }

    /// Where the copy of a request goes for the mirror at `index` of its filters. `None`: the backend isn't there, or can't
    /// be served.
    pub fn mirror<H: RequestHead>(
        &self,
        listener: ListenerId,
        head: &H,
        index: usize,
    ) -> Option<Matched<'_>> {
        let Placement { route, pattern, action: Action::Forward(rule), .. } = self.find(listener, head)?
        else {
            return None;
        };
        let destination = rule.mirrors().get(index)?;
        let backend = self.backends.get(destination.slot).ok()?;
        let (filters, limits) = (rule.filters(), rule.limits());
        Some(Matched { route, pattern, filters, limits, destination, backend })
    }

    #[inline]
    fn find<H: RequestHead>(&self, listener: ListenerId, head: &H) -> Option<&Placement> {
        let listener = self.listeners.get(listener.0)?;
        let path = head.path();
        let request = Request { head, path, slash: ends_with_slash(path), listener: &listener.name };
        // A dot at the end makes a name absolute (RFC 1034, 3.1); it is the same host.
        let host = head.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        self.hosts.find(host, |tree| tree.find(&request, 0))
    }

    fn decide<'r>(&'r self, placement: &'r Placement) -> Decision<'r> {
        let Placement { route, pattern, action, .. } = placement;
        let held = |backend, reason| Decision::Held { route, backend, reason };
        let rule = match action {
            Action::Forward(rule) => rule,
            Action::Held(reason) => return held(None, reason),
        };
        let Some(destination) = rule.pick() else {
            if let Some((filters, answer)) = rule.answers() {
                let limits = rule.limits();
                return Decision::Answered(Answered { route, pattern, filters, limits, answer });
            }
            return held(None, "all its destinations have weight 0");
        };
        match self.backends.get(destination.slot) {
            Ok(backend) => {
                let (filters, limits) = (rule.filters(), rule.limits());
                Decision::Found(Matched { route, pattern, filters, limits, destination, backend })
            }
            Err(reason) => held(Some(&destination.backend), reason),
        }
    }
}
