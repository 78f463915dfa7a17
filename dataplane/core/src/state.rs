use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use dataplane_snapshot::Key;
use rustc_hash::FxHashMap;

use crate::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use crate::health::{Health, HealthState, Standing};
use crate::limit::UsageStates;
use crate::{Breaker, Latency, Location, Moment, RetryBudget, Warmth};

/// What is remembered about backends and targets from one router to the next. A record lives as long as a router that
/// uses it, so what vanished is forgotten; one that comes back begins anew.
#[derive(Debug, Default)]
pub struct BackendStates {
    /// Locked by the compile step only, never by a request.
    records: Mutex<FxHashMap<Key, Record>>,
    /// Read by the compile step only.
    location: RwLock<Arc<Location>>,
    usage: Arc<UsageStates>,
}

#[derive(Debug, Default)]
struct Record {
    cursor: Weak<Cursor>,
    budget: Weak<RetryBudget>,
    targets: FxHashMap<Box<str>, Weak<TargetState>>,
}

/// Whose turn it is. On a cache line of its own: threads that serve different backends don't slow each other down.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Cursor(AtomicUsize);

impl Cursor {
    /// The number of earlier calls, modulo the width of a word.
    #[inline]
    pub(crate) fn advance(&self) -> usize {
        self.0.fetch_add(1, Relaxed)
    }
}

/// What the whole process knows about one target of a backend.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct TargetState {
    in_flight: AtomicU64,
    health: HealthState,
    /// How much of its share it takes since it came back. Whoever finds that it did, calls [`Warmth::begin`].
    pub warmth: Warmth,
    /// How fast it answers, if its backend [measures](crate::CompiledBackend::measures) that.
    pub latency: Latency,
    pub breaker: Breaker,
    waiting: AtomicU64,
    #[cfg(test)]
    pub(crate) forced: Forced,
}

/// What tests say about a target.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Forced {
    pub(crate) open: std::sync::atomic::AtomicBool,
}

impl TargetState {
    /// Whether the target may get requests: it is healthy, and its breaker lets them through.
    #[inline]
    pub fn is_eligible(&self, now: Moment) -> bool {
        self.is_healthy() && self.is_closed(now)
    }

    /// Whether health checks found nothing against the target. Disbelieved when they find too much.
    #[inline]
    pub fn is_healthy(&self) -> bool {
        !self.health.is_out()
    }

    /// What the health checks say.
    pub fn health(&self) -> Health {
        self.health.load()
    }

    /// Takes over what the health checks say. A target that was out and is healthy again has to warm up.
    pub fn set_health(&self, health: Health) {
        let before = self.health.load();
        if before == health {
            return;
        }
        if (before.standing, health.standing) == (Standing::Out, Standing::In) {
            // Before the health, so that nobody who sees it healthy gives it its whole share.
            self.warmth.begin(health.since);
        }
        self.health.store(health);
    }

    /// Whether the target's breaker lets requests through. Always respected.
    #[inline]
    pub fn is_closed(&self, now: Moment) -> bool {
        #[cfg(test)]
        if self.forced.open.load(Relaxed) {
            return false;
        }
        self.breaker.admits(now)
    }

    /// Counts a request until the result is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts a request that waits for a connection, until the result is dropped; `None`: `most` do already, of all threads.
    pub fn queue(&self, most: u32) -> Option<Queued<'_>> {
        let before = self.waiting.fetch_add(1, Relaxed);
        let queued = Queued(&self.waiting);
        (before < u64::from(most)).then_some(queued)
    }

    /// The requests that are with the target now, of all threads.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }
}

/// A request that waits for a connection to a target.
#[derive(Debug)]
pub struct Queued<'t>(&'t AtomicU64);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A request that is with a target.
#[derive(Debug)]
pub struct InFlight(Arc<TargetState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl BackendStates {
    pub fn new() -> Self {
        Self::default()
    }

    /// For a worker that knows where it runs.
    pub fn at(location: Location) -> Self {
        Self { location: RwLock::new(Arc::new(location)), ..Self::default() }
    }

    /// The worker runs there, as is known by now. Counts for what is compiled from then on, but not for what is used again.
    pub fn set_location(&self, location: Location) {
        *self.location.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(location);
    }

    /// What the requests of routes come to.
    pub fn usage(&self) -> &Arc<UsageStates> {
        &self.usage
    }

    pub(crate) fn location(&self) -> Arc<Location> {
        self.location.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn cursor(&self, backend: &Key) -> Arc<Cursor> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        revive(&mut records.entry(backend.clone()).or_default().cursor)
    }

    pub(crate) fn budget(&self, backend: &Key) -> Arc<RetryBudget> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        revive(&mut records.entry(backend.clone()).or_default().budget)
    }

    pub(crate) fn target(&self, backend: &Key, id: &str) -> Arc<TargetState> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        revive(records.entry(backend.clone()).or_default().targets.entry(id.into()).or_default())
    }

    /// Drops the records that no router uses any more.
    pub(crate) fn forget_vanished(&self) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|_, record| {
            record.targets.retain(|_, target| target.strong_count() > 0);
            let shared = record.cursor.strong_count() + record.budget.strong_count();
            shared > 0 || !record.targets.is_empty()
        });
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.records.lock().unwrap().len()
    }
}

fn revive<T: Default>(slot: &mut Weak<T>) -> Arc<T> {
    slot.upgrade().unwrap_or_else(|| {
        let fresh = Arc::new(T::default());
        *slot = Arc::downgrade(&fresh);
        fresh
    })
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_heals_warms_up_and_one_that_is_new_does_not() {
        let (state, now) = (TargetState::default(), Moment::from_micros(5));
        let set = |standing| state.set_health(Health { standing, since: now });
        set(Standing::In);
        assert_eq!((state.is_healthy(), state.warmth.share(now)), (true, Warmth::FULL));
        set(Standing::Out);
        assert!(!state.is_healthy() && !state.is_eligible(now));
        set(Standing::In);
        assert!(state.is_healthy() && state.warmth.share(now) < Warmth::FULL);
        assert_eq!(state.health(), Health { standing: Standing::In, since: now });
    }

    #[test]
    fn so_many_requests_wait_and_no_more() {
        let state = TargetState::default();
        let first = state.queue(2);
        let second = state.queue(2);
        assert!(first.is_some() && second.is_some() && state.queue(2).is_none());
        drop(first);
        assert!(state.queue(2).is_some(), "those that were refused don't count");
        assert!(state.queue(0).is_none());
    }

    #[test]
    fn records_live_as_long_as_they_are_used() {
        let (states, key): (_, Key) = (BackendStates::new(), "backend/a/b".parse().unwrap());
        let cursor = states.cursor(&key);
        assert_eq!([cursor.advance(), states.cursor(&key).advance()], [0, 1]);
        let request = states.target(&key, "t").enter();
        assert_eq!(states.target(&key, "t").in_flight(), 1);
        drop(cursor);
        states.forget_vanished();
        assert_eq!(states.len(), 1, "a request still holds the target");
        drop(request);
        states.forget_vanished();
        assert_eq!(states.len(), 0);
        assert_eq!(states.cursor(&key).advance(), 0);
    }
}
