//! Unreadiness must be proved after an outage of the API server. Kubernetes' node controller hears of no node while it lasts, and
//! then calls all their pods unready (node-monitor-grace-period: 50 s, before 1.32 40 s) until the kubelets have said otherwise.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::{Endpoint, SliceSpec};

/// After a shorter outage nothing is doubted: half of what the node controller waits, at the least that is usual.
const LEAST_AWAY: Duration = Duration::from_secs(20);
/// How long unreadiness is doubted. After as long Kubernetes evicts the pods of a node that doesn't come back
/// (default-not-ready-toleration-seconds).
const DOUBT: Duration = Duration::from_secs(300);

/// Watches when the API server is away, and marks endpoints whose unreadiness may come from that ([`Endpoint::doubted`]).
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    away_since: Option<Instant>,
    until: Option<Instant>,
    /// Addresses whose readiness was told since then: that of others is what it was before.
    settled: BTreeSet<String>,
}

impl Doubts {
    /// As of a leader before this one, some of whose endpoints were doubted.
    pub fn inherited(now: Instant) -> Self {
        Self { until: Some(now + DOUBT), ..Self::default() }
    }

    /// The API server doesn't answer.
    pub fn away(&mut self, now: Instant) {
        self.away_since.get_or_insert(now);
    }

    /// The API server answers. If it was away for long: until when it is doubted.
    pub fn back(&mut self, now: Instant) -> Option<Instant> {
        let away = now.saturating_duration_since(self.away_since.take()?);
        let until = (away >= LEAST_AWAY).then(|| now + DOUBT)?;
        self.until = Some(until);
        self.settled.clear();
        Some(until)
    }

    /// Until when unreadiness is doubted, if it ever was.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What `told` is with its marks, if they are to be others. `known` is the slice as it was taken before: an endpoint that was
    /// ready then, or is doubted already, and now isn't ready, is doubted. One that ends isn't, as the node controller ends none;
    /// nor is one whose readiness was told since the outage.
    pub fn judge(&mut self, told: &SliceSpec, known: Option<&SliceSpec>, now: Instant) -> Option<SliceSpec> {
        // It may speak before it has answered.
        let is_away = self.away_since.is_some_and(|since| now.saturating_duration_since(since) >= LEAST_AWAY);
        let is_time = is_away || self.until.is_some_and(|until| now < until);
        if is_time {
            self.settle(told, known);
        } else {
            self.settled.clear();
        }
        let is_doubted = |endpoint: &Endpoint| {
            is_time && is_unready(endpoint) && !self.is_settled(endpoint) && was_trusted(known, endpoint)
        };
        if told.endpoints.iter().all(|endpoint| endpoint.doubted == is_doubted(endpoint)) {
            return None;
        }
        let mut marked = told.clone();
        for endpoint in &mut marked.endpoints {
            endpoint.doubted = is_doubted(endpoint);
        }
        Some(marked)
    }

    /// Takes the endpoints that are ready and weren't.
    fn settle(&mut self, told: &SliceSpec, known: Option<&SliceSpec>) {
        for endpoint in told.endpoints.iter().filter(|endpoint| endpoint.conditions.is_ready()) {
            let before = known.and_then(|known| of_address(known, endpoint));
            if before.is_none_or(|before| !before.conditions.is_ready()) {
                self.settled.extend(endpoint.addresses.first().cloned());
            }
        }
    }

    fn is_settled(&self, endpoint: &Endpoint) -> bool {
        endpoint.addresses.first().is_some_and(|address| self.settled.contains(address))
    }
}

fn is_unready(endpoint: &Endpoint) -> bool {
    !endpoint.conditions.is_ready() && !endpoint.conditions.is_terminating()
}

fn was_trusted(known: Option<&SliceSpec>, endpoint: &Endpoint) -> bool {
    let before = known.and_then(|known| of_address(known, endpoint));
    before.is_some_and(|before| before.doubted || before.conditions.is_ready())
}

fn of_address<'s>(slice: &'s SliceSpec, endpoint: &Endpoint) -> Option<&'s Endpoint> {
    slice.endpoints.iter().find(|one| one.addresses.first() == endpoint.addresses.first())
}

#[cfg(test)]
#[path = "unready_tests.rs"]
mod tests;
