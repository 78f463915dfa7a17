//! Which statuses to write, and when. Pure: time is an argument.
//!
//! Few writes: one when an object's last worker has it. That some are missing is said only when it lasts, and then now and
//! then, and so are counts; what flips is said at once, unless it flips all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use dataplane_snapshot::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator_core::Owner;
use operator_core::overview::{Overview, Overviews};

use super::entry::{Entry, Urgency, Write};
use super::limits::Bucket;
use crate::read::Present;

/// Writes per second in the long run, and how many at once after a quiet time.
const RATE: f64 = 50.0;
const BURST: f64 = 500.0;

/// What an event costs is what it changes, however many objects there are.
pub(crate) struct Pace {
    objects: BTreeMap<Key, Entry>,
    overviews: Overviews,
    /// Of which something is otherwise than when they were looked at last.
    touched: BTreeSet<Key>,
    /// What is to be written later, the soonest first.
    waiting: BTreeSet<(Instant, Key)>,
    /// What is due, the most urgent first.
    due: BTreeSet<(Urgency, Instant, Key)>,
    bucket: Bucket,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            objects: BTreeMap::new(),
            overviews: Overviews::default(),
            touched: BTreeSet::new(),
            waiting: BTreeSet::new(),
            due: BTreeSet::new(),
            bucket: Bucket::new(RATE, BURST, now),
        }
    }

    /// What the API server shows.
    pub(crate) fn shown(&mut self, key: Key, present: Present) {
        if self.objects.entry(key.clone()).or_default().shown(present) {
            self.touched.insert(key);
        }
    }

    /// The object doesn't exist any more.
    pub(crate) fn gone(&mut self, key: &Key) {
        if let Some(entry) = self.objects.get_mut(key) {
            entry.present = None;
            self.touched.insert(key.clone());
        }
    }

    /// Only these objects exist among those that `is_meant`.
    pub(crate) fn only(&mut self, listed: &BTreeMap<Key, Present>, is_meant: impl Fn(&Key) -> bool) {
        let gone = self.objects.keys().filter(|key| is_meant(key) && !listed.contains_key(*key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.gone(&key);
        }
    }

    /// What there is to say about all objects.
    pub(crate) fn looked(&mut self, overviews: &Overviews) {
        let before = std::mem::replace(&mut self.overviews, overviews.clone());
        for (key, _, new) in before.differences(overviews, Arc::ptr_eq) {
            let is_ours = |overview: &&Arc<Overview>| overview.verdict.status.owner == Owner::Kubernetes;
            let new = new.filter(is_ours).cloned();
            if new.is_some() || self.objects.contains_key(key) {
                self.objects.entry(key.clone()).or_default().overview = new;
                self.touched.insert(key.clone());
            }
        }
    }

    /// At most `most` writes that are due, those of changed generations first. Each is in flight until [`Self::done`] or
    /// [`Self::failed`] tells its end.
    pub(crate) fn due(&mut self, most: usize, now: Instant, clock: &Time) -> Vec<Write> {
        for key in std::mem::take(&mut self.touched) {
            self.place(key, now, clock);
        }
        while let Some((_, key)) = self.waiting.first().filter(|(at, _)| *at <= now).cloned() {
            self.place(key, now, clock);
        }
        let allowed = self.bucket.take(most.min(self.due.len()), now);
        let mut writes = Vec::new();
        while writes.len() < allowed
            && let Some((_, _, key)) = self.due.pop_first()
        {
            if let Some(entry) = self.objects.get_mut(&key) {
                entry.place = None;
                writes.extend(entry.begin(&key, now, clock));
            }
        }
        writes
    }

    /// Puts the object into the queue that it belongs to now.
    fn place(&mut self, key: Key, now: Instant, clock: &Time) {
        let Some(entry) = self.objects.get_mut(&key) else { return };
        if let Some((urgency, at)) = entry.place.take() {
            self.waiting.remove(&(at, key.clone()));
            self.due.remove(&(urgency, at, key.clone()));
        }
        if entry.is_empty() {
            self.objects.remove(&key);
            return;
        }
        entry.place = entry.due(now, clock);
        match entry.place {
            Some((_, at)) if at > now => {
                self.waiting.insert((at, key));
            }
            Some((urgency, at)) => {
                self.due.insert((urgency, at, key));
            }
            None => {}
        }
    }

    /// When to ask [`Self::due`] again, if nothing happens until then.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let is_now = !self.due.is_empty() || !self.touched.is_empty();
        let soonest = if is_now { now } else { self.waiting.first()?.0 };
        Some(soonest.max(self.bucket.next(now)))
    }

    /// The write succeeded, and this is what the API server shows now.
    pub(crate) fn done(&mut self, key: Key, present: Present) {
        let Some(entry) = self.objects.get_mut(&key) else { return };
        entry.ended();
        self.touched.insert(key.clone());
        // Else it is gone, or another one, and the watch has told that before.
        if entry.present.as_ref().is_some_and(|known| known.uid == present.uid) {
            self.shown(key, present);
        }
    }

    /// The write failed; it is tried again later, if there is still something to write.
    pub(crate) fn failed(&mut self, key: &Key, now: Instant) {
        if let Some(entry) = self.objects.get_mut(key) {
            entry.failed(now);
            self.touched.insert(key.clone());
        }
    }

    /// Somebody else writes from now on. What is to be written is looked at anew at the next [`Self::due`].
    pub(crate) fn rest(&mut self) {
        let later = std::mem::take(&mut self.waiting).into_iter().map(|(_, key)| key);
        let due = std::mem::take(&mut self.due).into_iter().map(|(_, _, key)| key);
        for key in later.chain(due) {
            if let Some(entry) = self.objects.get_mut(&key) {
                entry.rest();
            }
            self.touched.insert(key);
        }
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
