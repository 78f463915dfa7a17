//! Which statuses to write, and when. Pure: time is an argument.
//!
//! Few writes: one when an object's last worker has it. That some are missing is said only when it lasts, and then now and
//! then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dataplane_snapshot::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use operator_core::Owner;
use operator_core::conditions::{conditions, settle};
use operator_core::programmed::{Programmed, Verdict, Verdicts};

use crate::read::Present;

/// How long workers have before it is shown that some are missing.
const PATIENCE: Duration = Duration::from_millis(500);
/// The least time between two writes that show how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// Writes per second in the long run, and how many at once after a quiet time.
const RATE: f64 = 50.0;
const BURST: f64 = 500.0;
/// The pause after a first failed write of an object, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A status to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) observed_generation: i64,
    pub(crate) conditions: Vec<Condition>,
}

pub(crate) struct Pace {
    objects: BTreeMap<Key, Entry>,
    /// What may differ from what is shown.
    pending: BTreeSet<Key>,
    bucket: Bucket,
}

#[derive(Default)]
struct Entry {
    present: Option<Present>,
    verdict: Option<Verdict>,
    /// Since when what is shown differs.
    differs_since: Option<Instant>,
    /// The last write that showed how far it is.
    progress_shown: Option<Instant>,
    in_flight: bool,
    failures: u32,
    not_before: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { objects: BTreeMap::new(), pending: BTreeSet::new(), bucket: Bucket { tokens: BURST, at: now } }
    }

    /// What the API server shows. Old news is dropped.
    pub(crate) fn shown(&mut self, key: Key, present: Present) {
        let entry = self.objects.entry(key.clone()).or_default();
        if entry
            .present
            .as_ref()
            .is_some_and(|known| known.uid == present.uid && known.revision > present.revision)
        {
            return;
        }
        entry.present = Some(present);
        self.pending.insert(key);
    }

    /// The object doesn't exist any more.
    pub(crate) fn gone(&mut self, key: &Key) {
        if let Some(entry) = self.objects.get_mut(key) {
            entry.present = None;
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
    pub(crate) fn judged(&mut self, verdicts: &Verdicts) {
        for (key, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.status.owner == Owner::Kubernetes)
        {
            let entry = self.objects.entry(key.clone()).or_default();
            if entry.verdict.as_ref() != Some(verdict) {
                entry.verdict = Some(verdict.clone());
                self.pending.insert(key.clone());
            }
        }
        self.objects.retain(|key, entry| {
            if verdicts.get(key).is_none_or(|verdict| verdict.status.owner != Owner::Kubernetes) {
                entry.verdict = None;
            }
            entry.present.is_some() || entry.verdict.is_some() || entry.in_flight
        });
    }

    /// At most `most` writes that are due, those of changed generations first. Each is in flight until [`Self::done`] or
    /// [`Self::failed`] tells its end.
    pub(crate) fn due(&mut self, most: usize, now: Instant, clock: &Time) -> Vec<Write> {
        let mut due = self.differing(now, clock);
        due.sort_by_key(|(is_renewed, _)| !is_renewed);
        due.truncate(most);
        let allowed = self.bucket.take(due.len(), now);
        due.truncate(allowed);
        for (_, write) in &due {
            if let Some(entry) = self.objects.get_mut(&write.key) {
                entry.begin(now);
            }
        }
        due.into_iter().map(|(_, write)| write).collect()
    }

    /// The writes whose time has come, with whether nothing was said about that generation yet. What is shown as it should
    /// be is no longer pending.
    fn differing(&mut self, now: Instant, clock: &Time) -> Vec<(bool, Write)> {
        let mut due = Vec::new();
        let objects = &mut self.objects;
        self.pending.retain(|key| {
            let Some(entry) = objects.get_mut(key) else { return false };
            let Some(write) = entry.write(key, clock) else {
                entry.differs_since = None;
                return entry.in_flight;
            };
            entry.differs_since.get_or_insert(now);
            if entry.due_at(now).is_some_and(|at| at <= now) {
                due.push((entry.is_renewed(), write));
            }
            true
        });
        due
    }

    /// When to ask [`Self::due`] again, if nothing happens until then.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let waiting = self.pending.iter().filter_map(|key| self.objects.get(key));
        let soonest =
            waiting.filter_map(|entry| entry.differs_since.and_then(|_| entry.due_at(now))).min()?;
        Some(soonest.max(self.bucket.next(now)))
    }

    /// The write succeeded, and this is what the API server shows now.
    pub(crate) fn done(&mut self, key: Key, present: Present) {
        if let Some(entry) = self.objects.get_mut(&key) {
            entry.in_flight = false;
            entry.failures = 0;
            entry.not_before = None;
            entry.differs_since = None;
        }
        self.shown(key, present);
    }

    /// The write failed; it is tried again later, if there is still something to write.
    pub(crate) fn failed(&mut self, key: &Key, now: Instant) {
        if let Some(entry) = self.objects.get_mut(key) {
            entry.in_flight = false;
            let pause = PAUSE.0.saturating_mul(2_u32.saturating_pow(entry.failures.min(10))).min(PAUSE.1);
            entry.not_before = Some(now + pause);
            entry.failures = entry.failures.saturating_add(1);
        }
    }
}

impl Entry {
    /// What would make the API server show what there is to say; `None` if it does already, or if either isn't known.
    fn write(&self, key: &Key, clock: &Time) -> Option<Write> {
        let (present, verdict) = (self.present.as_ref()?, self.verdict.as_ref()?);
        // What is said about an older generation is outdated, and the next pass is on its way.
        if verdict.status.generation != present.generation {
            return None;
        }
        let wanted = conditions(&verdict.status, &verdict.programmed);
        let is_ours = |one: &Condition| wanted.iter().any(|ours| ours.type_.as_str() == one.type_);
        let settled = settle(&present.conditions, &wanted, clock);
        let is_shown = settled.iter().all(|one| present.conditions.contains(one));
        if is_shown && present.observed_generation == Some(present.generation) {
            return None;
        }
        Some(Write {
            key: key.clone(),
            uid: present.uid.clone(),
            observed_generation: present.generation,
            // Those of others aren't sent: whoever sends a field owns it.
            conditions: settled.into_iter().filter(is_ours).collect(),
        })
    }

    /// `None` while a write is in flight.
    fn due_at(&self, now: Instant) -> Option<Instant> {
        if self.in_flight {
            return None;
        }
        let mut at = self.differs_since.unwrap_or(now);
        if self.is_on_its_way() {
            at += PATIENCE;
            if let Some(shown) = self.progress_shown.filter(|_| !self.is_renewed()) {
                at = at.max(shown + PROGRESS);
            }
        }
        Some(self.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    fn begin(&mut self, now: Instant) {
        self.in_flight = true;
        self.progress_shown = self.is_on_its_way().then_some(now);
    }

    /// Whether time alone is likely to change it.
    fn is_on_its_way(&self) -> bool {
        let programmed = self.verdict.as_ref().map(|verdict| &verdict.programmed);
        matches!(
            programmed,
            Some(
                Programmed::NoWorkers
                    | Programmed::OutOfScope
                    | Programmed::Propagating { .. }
                    | Programmed::WorkerLost { .. }
            )
        )
    }

    /// Nothing has been said about this generation yet.
    fn is_renewed(&self) -> bool {
        self.present.as_ref().is_some_and(|present| present.observed_generation != Some(present.generation))
    }
}

/// Allows [`RATE`] a second, and [`BURST`] at once.
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// How many of `wanted` may be done now; they are taken.
    fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * RATE).min(BURST);
        self.at = now;
        let mut taken = 0;
        while taken < wanted && self.tokens >= 1.0 {
            self.tokens -= 1.0;
            taken += 1;
        }
        taken
    }

    /// When one more is allowed.
    fn next(&self, now: Instant) -> Instant {
        let missing = (1.0 - self.tokens).max(0.0) / RATE;
        now.max(self.at + Duration::from_secs_f64(missing))
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
