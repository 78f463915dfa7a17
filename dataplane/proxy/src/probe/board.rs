use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use dataplane_core::health::{Colour, Standing};
use dataplane_snapshot::Key;

/// What the health checks say about one target, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    pub backend: Key,
    /// The target's id.
    pub target: Box<str>,
    pub standing: Standing,
    /// What the last probe said.
    pub colour: Colour,
    /// Why.
    pub reason: String,
    /// Since when the standing is this one.
    pub since: SystemTime,
}

/// A backend and the id of one of its targets.
pub(super) type Subject = (Key, Box<str>);

/// What is known about all targets that are checked. Locked by the prober and by whoever looks, never by a request.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<Subject, TargetHealth>>>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Subject, TargetHealth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the order of backends and ids.
    pub(crate) fn all(&self) -> Vec<TargetHealth> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn put(&self, mut health: TargetHealth) {
        let mut all = self.lock();
        let subject = (health.backend.clone(), health.target.clone());
        if let Some(before) = all.get(&subject)
            && before.standing == health.standing
        {
            health.since = before.since;
        }
        all.insert(subject, health);
    }

    pub(super) fn keep(&self, subjects: &BTreeSet<Subject>) {
        self.lock().retain(|subject, _| subjects.contains(subject));
    }
}
