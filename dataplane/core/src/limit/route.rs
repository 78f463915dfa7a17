use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use dataplane_snapshot::Key;

use super::admit::Instant;
use super::bucket::WHOLE;
use super::consumer::Consumer;
use super::consumers::Consumers;
use super::quota::Grant;
use crate::atomic::Ordering::Relaxed;
use crate::filter::{LimitGroup, LimitKey, RateLimits};

/// So many threads count apart for a route.
const LANES: usize = 4;

/// What the requests of all routes came to. Outlives routers.
#[derive(Debug)]
pub struct UsageStates {
    /// Locked by the compile step and whoever collects, never by a request.
    routes: Mutex<BTreeMap<Key, Arc<RouteUsage>>>,
    shared: Arc<Shared>,
}

/// What is known of all limits.
#[derive(Debug)]
pub(super) struct Shared {
    /// How many workers share the limits, as far as this one knows.
    workers: AtomicU32,
    /// Others should hear soon of what has passed here.
    pub(super) is_urgent: AtomicBool,
    /// Some consumers have no room of their own.
    pub(super) is_crowded: AtomicBool,
    hasher: RandomState,
}

/// What the requests of one route came to.
#[derive(Debug)]
pub struct RouteUsage {
    pub key: Key,
    pub whole: Arc<Consumer>,
    groups: Mutex<BTreeMap<LimitKey, Weak<Group>>>,
}

/// Consumers by one key of a route, with their limits.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) limits: LimitGroup,
    /// `None`: they are all one, the whole route.
    pub(super) consumers: Option<Arc<Consumers<RandomState>>>,
    /// What is left in the day and the month for consumers that other workers know, by name. Locked for one that is new here.
    left: Mutex<Left>,
}

#[derive(Debug, Default)]
struct Left {
    at: Option<Instant>,
    of: BTreeMap<Box<str>, [Option<u64>; 2]>,
}

/// The limits of a rule, with what they remember.
#[derive(Debug)]
pub struct ActiveLimits {
    pub(super) groups: Box<[Arc<Group>]>,
    pub(super) whole: Arc<Consumer>,
    pub(super) shared: Arc<Shared>,
}

impl Default for UsageStates {
    fn default() -> Self {
        let shared = Shared {
            workers: AtomicU32::new(1),
            is_urgent: AtomicBool::new(false),
            is_crowded: AtomicBool::new(false),
            hasher: RandomState::new(),
        };
        Self { routes: Mutex::default(), shared: Arc::new(shared) }
    }
}

impl UsageStates {
    pub(crate) fn route(&self, key: &Key) -> Arc<RouteUsage> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let whole = Consumer::new(Box::default(), self.shared.even_share());
            let whole = Arc::new(whole.with_lanes(LANES));
            Arc::new(RouteUsage { key: key.clone(), whole, groups: Mutex::default() })
        };
        routes.entry(key.clone()).or_insert_with(made).clone()
    }

    /// The limits of a rule of this route. Consumers stay what they are when their limits change.
    pub(crate) fn limits(&self, usage: &RouteUsage, limits: &RateLimits) -> Option<Box<ActiveLimits>> {
        if limits.groups.is_empty() {
            return None;
        }
        let groups = limits.groups.iter().map(|group| usage.group(group, &self.shared)).collect();
        Some(Box::new(ActiveLimits { groups, whole: usage.whole.clone(), shared: self.shared.clone() }))
    }

    /// In the order of keys.
    pub fn routes(&self) -> Vec<Arc<RouteUsage>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets routes that no router has any more; their usage is to be collected before.
    pub(super) fn forget_vanished(&self) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|_, route| Arc::strong_count(route) > 1);
    }

    /// Makes room for more consumers, where there is too little.
    pub fn make_room(&self, at: Instant) {
        if self.shared.is_crowded.swap(false, Relaxed) {
            self.routes().iter().flat_map(|route| route.groups()).for_each(|group| group.tidy(at));
        }
    }

    /// Whether others should hear soon of what has passed here; not again until there is more.
    pub fn take_urgency(&self) -> bool {
        self.shared.is_urgent.swap(false, Relaxed)
    }

    /// How many workers share the limits, as far as this one knows.
    pub fn workers(&self) -> u32 {
        self.shared.workers.load(Relaxed)
    }

    pub(super) fn set_workers(&self, workers: u32) {
        self.shared.workers.store(workers.max(1), Relaxed);
    }
}

impl Group {
    /// Forgets who is gone, and makes room where it is needed.
    pub(super) fn tidy(&self, at: Instant) {
        let limits = self.limits.limits;
        if let Some(consumers) = &self.consumers {
            consumers.tidy(|consumer, is_full| consumer.is_forgettable(limits, at, is_full));
        }
    }

    pub(super) fn know(&self, of: BTreeMap<Box<str>, [Option<u64>; 2]>, at: Instant) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Left { at: Some(at), of };
    }

    /// One that is new here, but maybe not elsewhere. `even`: what it gets of what is left.
    pub(super) fn consumer(&self, name: String, even: u32) -> Consumer {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let known = left.at.zip(left.of.get(&*name));
        // Who comes with a key of its own usually comes to one worker alone.
        let consumer = Consumer::new(name.into(), WHOLE);
        if let Some((at, [day, month])) = known {
            let grant = |left| Grant { own: 0, others: 0, left, share: even };
            for (left, quota, window) in
                [(day, &consumer.day, at.calendar.day()), (month, &consumer.month, at.calendar.month())]
            {
                left.iter().for_each(|left| quota.grant(grant(*left), window, at.now, Duration::ZERO));
            }
        }
        consumer
    }
}

impl Shared {
    /// Of a limit what a worker takes that has heard nothing about its consumer, of [`WHOLE`].
    pub(super) fn even_share(&self) -> u32 {
        (WHOLE / self.workers.load(Relaxed).max(1)).max(1)
    }
}

impl RouteUsage {
    fn group(&self, limits: &LimitGroup, shared: &Shared) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let known = groups.get(&limits.key).and_then(Weak::upgrade);
        let group = match known {
            Some(known) if known.limits == *limits => return known,
            known => {
                let made = || {
                    Arc::new(Consumers::new(shared.hasher.clone(), &limits.key.label(), shared.even_share()))
                };
                let consumers = match limits.key {
                    LimitKey::Route => None,
                    _ => Some(known.and_then(|known| known.consumers.clone()).unwrap_or_else(made)),
                };
                Arc::new(Group { limits: limits.clone(), consumers, left: Mutex::default() })
            }
        };
        groups.insert(limits.key.clone(), Arc::downgrade(&group));
        group
    }

    /// Those that are in use.
    pub(super) fn groups(&self) -> Vec<Arc<Group>> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, group| group.strong_count() > 0);
        groups.values().filter_map(Weak::upgrade).collect()
    }

    /// Whether it has limits.
    pub fn is_limited(&self) -> bool {
        !self.groups().is_empty()
    }
}
