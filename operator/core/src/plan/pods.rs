//! The pods behind a port of a Service, and which of them take requests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::Endpoint;

/// Where a pod takes requests.
pub(super) type Place = (IpAddr, NonZeroU16);

/// Pods, each once, though several slices may have it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pods<'a>(BTreeMap<Place, State<'a>>);

/// What all slices together say of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State<'a> {
    ready: bool,
    serving: bool,
    terminating: bool,
    doubted: bool,
    zone: Option<&'a str>,
}

impl<'a> Pods<'a> {
    /// Takes what a slice says. While a pod moves from one slice to another, one of them may tell an older state: a pod never comes
    /// back from its end.
    pub(super) fn see(&mut self, place: Place, endpoint: &'a Endpoint) {
        let state = self.0.entry(place).or_default();
        let conditions = endpoint.conditions;
        state.ready |= conditions.is_ready();
        state.serving |= conditions.is_serving();
        state.terminating |= conditions.is_terminating();
        state.doubted |= endpoint.doubted;
        state.zone = state.zone.or(endpoint.zone.as_deref());
    }

    /// Those that take requests, and the zone of each, if that is known: those that are ready, or, if none is, those that end but
    /// still serve, as kube-proxy does (KEP-1669). One that ends gets nothing while another is ready, whatever else is said of it.
    /// After an outage of the API server those that are doubted to be unready count as ready, if they are most.
    pub(super) fn taking(&self) -> impl Iterator<Item = (Place, Option<&'a str>)> {
        let (ready, doubted) = (self.count(State::is_ready), self.doubted());
        let takes = match (ready, doubted) {
            (0, 0) => State::still_serves,
            (_, 0) => State::is_ready,
            _ => State::may_be_ready,
        };
        self.0.iter().filter(move |(_, state)| takes(state)).map(|(place, state)| (*place, state.zone))
    }

    /// How many take requests though they are called unready.
    pub(super) fn doubted(&self) -> usize {
        let doubted = self.count(|state| state.may_be_ready() && !state.is_ready());
        if doubted > self.count(State::is_ready) { doubted } else { 0 }
    }

    fn count(&self, is: impl Fn(&State<'a>) -> bool) -> usize {
        self.0.values().filter(|state| is(state)).count()
    }
}

impl State<'_> {
    fn is_ready(&self) -> bool {
        self.ready && !self.terminating
    }

    fn may_be_ready(&self) -> bool {
        (self.ready || self.doubted) && !self.terminating
    }

    fn still_serves(&self) -> bool {
        self.serving && self.terminating
    }
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
