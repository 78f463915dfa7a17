use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane_snapshot::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use operator_core::conditions::{conditions, has_been_programmed, is_ours, settle};
use operator_core::healthy::Tally;
use operator_core::overview::Overview;
use operator_core::programmed::Programmed;

use super::changes::Changes;
use super::limits::Allowance;
use crate::read::Present;

/// How long workers have before it is shown that some are missing.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// The least time between two writes that show how far it is, or that show other counts only.
pub(super) const PROGRESS: Duration = Duration::from_secs(5);
/// How long workers have to tell of new targets, or of all of them to a leader that starts: they report at least every 5 s.
pub(super) const REPORTS: Duration = Duration::from_secs(6);
/// The pause after a first failed write of an object, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A status to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) observed_generation: i64,
    pub(crate) tally: Tally,
    pub(crate) conditions: Vec<Condition>,
    /// The conditions that it replaces.
    pub(crate) before: Vec<Condition>,
}

/// Which writes go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    Renewed,
    Flip,
    Mere,
}

/// One object: what is shown, and what should be.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) present: Option<Present>,
    pub(super) overview: Option<Arc<Overview>>,
    /// Where it is in a queue.
    pub(super) place: Option<(Urgency, Instant)>,
    /// Since when what is shown differs.
    differs_since: Option<Instant>,
    /// The last write that showed how far it is.
    progress_shown: Option<Instant>,
    /// The last write of nothing but counts and texts.
    mere_shown: Option<Instant>,
    flips: Allowance,
    in_flight: bool,
    failures: u32,
    not_before: Option<Instant>,
}

impl Entry {
    pub(super) const fn is_empty(&self) -> bool {
        self.present.is_none() && self.overview.is_none() && !self.in_flight
    }

    /// What the API server shows. Old news is dropped.
    pub(super) fn shown(&mut self, present: Present) -> bool {
        if let Some(known) = &self.present {
            if known.uid == present.uid && known.revision > present.revision {
                return false;
            }
            if known.generation != present.generation || known.uid != present.uid {
                self.differs_since = None;
            }
        }
        self.present = Some(present);
        true
    }

    /// When to write what is to be written; `None` if that is nothing, or while a write is in flight.
    pub(super) fn due(&mut self, now: Instant, clock: &Time) -> Option<(Urgency, Instant)> {
        let Some(changes) = self.changes(clock) else {
            self.differs_since = None;
            return None;
        };
        let since = *self.differs_since.get_or_insert(now);
        if self.in_flight {
            return None;
        }
        let (urgency, at) = self.due_at(changes, since);
        Some((urgency, self.not_before.map_or(at, |not_before| at.max(not_before))))
    }

    fn due_at(&self, changes: Changes, since: Instant) -> (Urgency, Instant) {
        let overview = self.overview.as_deref();
        let is_on_its_way = overview.is_some_and(is_on_its_way);
        let again = |shown: Option<Instant>| shown.map(|shown| shown + PROGRESS);
        if changes.is_renewed {
            let is_unfinished = is_on_its_way || overview.is_some_and(|overview| overview.awaits_reports);
            return (Urgency::Renewed, if is_unfinished { since + PATIENCE } else { since });
        }
        let after = |at: Instant, least: Option<Instant>| least.map_or(at, |least| at.max(least));
        let kinds = [
            (changes.is_reached, Urgency::Flip, since),
            (changes.is_flipped, Urgency::Flip, self.flips.next(since)),
            (changes.is_sized, Urgency::Flip, self.flips.next(since + PATIENCE)),
            (changes.is_progress && !is_on_its_way, Urgency::Flip, since),
            (
                changes.is_progress && is_on_its_way,
                Urgency::Mere,
                after(since + PATIENCE, again(self.progress_shown)),
            ),
            (changes.is_unreported, Urgency::Mere, since + REPORTS),
            (changes.is_mere, Urgency::Mere, after(since + PATIENCE, again(self.mere_shown))),
        ];
        let due = kinds.into_iter().filter(|(is, ..)| *is).map(|(_, urgency, at)| (at, urgency)).min();
        due.map_or((Urgency::Mere, since), |(at, urgency)| (urgency, at))
    }

    /// The write that is due; it is in flight until [`Self::ended`] or [`Self::failed`].
    pub(super) fn begin(&mut self, key: &Key, now: Instant, clock: &Time) -> Option<Write> {
        let changes = self.changes(clock)?;
        let write = self.write(key, clock)?;
        self.in_flight = true;
        self.progress_shown = self.overview.as_deref().is_some_and(is_on_its_way).then_some(now);
        if (changes.is_flipped || changes.is_sized) && !changes.is_renewed && !changes.is_reached {
            self.flips.take(now);
        }
        if changes == (Changes { is_mere: true, ..Changes::default() }) {
            self.mere_shown = Some(now);
        }
        Some(write)
    }

    pub(super) fn ended(&mut self) {
        self.in_flight = false;
        self.failures = 0;
        self.not_before = None;
        self.differs_since = None;
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.in_flight = false;
        let pause = PAUSE.0.saturating_mul(2_u32.saturating_pow(self.failures.min(10))).min(PAUSE.1);
        self.not_before = Some(now + pause);
        self.failures = self.failures.saturating_add(1);
    }

    /// Nobody writes for a while; then it is looked at anew.
    pub(super) const fn rest(&mut self) {
        self.place = None;
        self.differs_since = None;
    }

    /// What is shown and what should be; `None` if either isn't known.
    fn wanted(&self, clock: &Time) -> Option<(&Present, &Overview, Vec<Condition>)> {
        let (present, overview) = (self.present.as_ref()?, self.overview.as_deref()?);
        let status = &overview.verdict.status;
        // What is said about an older generation, or an object that is gone, is outdated, and the next pass is on its way.
        if status.generation != present.generation || status.is_of_another(&present.uid) {
            return None;
        }
        let has_been = has_been_programmed(&present.conditions, status);
        let programmed = if has_been { &Programmed::True } else { &overview.verdict.programmed };
        let settled = settle(&present.conditions, &conditions(overview, programmed), clock);
        // Those of others aren't sent: whoever sends a field owns it.
        Some((present, overview, settled.into_iter().filter(is_ours).collect()))
    }

    fn changes(&self, clock: &Time) -> Option<Changes> {
        let (present, overview, conditions) = self.wanted(clock)?;
        let changes = Changes::between(present, &conditions, &overview.tally, overview.awaits_reports);
        (!changes.are_none()).then_some(changes)
    }

    fn write(&self, key: &Key, clock: &Time) -> Option<Write> {
        let (present, overview, conditions) = self.wanted(clock)?;
        Some(Write {
            key: key.clone(),
            uid: present.uid.clone(),
            observed_generation: present.generation,
            tally: overview.tally.clone(),
            conditions,
            before: present.conditions.clone(),
        })
    }
}

/// Whether time alone is likely to change what is said of Programmed.
const fn is_on_its_way(overview: &Overview) -> bool {
    matches!(
        overview.verdict.programmed,
        Programmed::NoWorkers
            | Programmed::OutOfScope
            | Programmed::Propagating { .. }
            | Programmed::WorkerLost { .. }
    )
}
