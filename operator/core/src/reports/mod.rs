//! What workers say about themselves and their targets, merged, without I/O.
//!
//! A report is a level: one that comes twice or late changes nothing, and who is silent for [`MEMBER_TTL`] is no longer
//! believed. After a restart nothing is known until the reports are back, within one interval.

mod colour;
mod health;
mod levels;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use dataplane_snapshot::Key;
use dataplane_snapshot::wire::{MAX_TARGETS, Node, Usage};

use crate::session::MEMBER_TTL;

pub use colour::{BEHIND_AFTER, Colour, SILENT_AFTER, Trouble, colour, troubles};
pub use health::{BackendHealth, Breaker, Counts, Level, Standing, Subject, Sums, TargetHealth};
pub use levels::Health;
pub(crate) use read::as_told;
pub use read::{MAX_TEXT, Report, ReportError};

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Taken,
    /// It, or a newer one, is known.
    Late,
    /// It tells what changed since a report that isn't known: all of it is needed.
    Gap,
}

/// The newest of each worker, and the health of targets as all of them see it.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    reporters: BTreeMap<String, Reporter>,
    health: Health,
    /// Names reporters in `health`.
    next: u32,
}

/// What one worker said last.
#[derive(Clone, Debug)]
pub struct Reporter {
    number: u32,
    sequence: u64,
    wants_all: bool,
    /// When it came.
    pub at: Duration,
    /// Where it came from.
    pub from: Option<IpAddr>,
    pub node: Node,
    pub usage: Usage,
}

impl Reporter {
    /// How long the process has been running.
    pub fn uptime(&self, now: Duration) -> Duration {
        Duration::from_millis(self.usage.uptime).saturating_add(now.saturating_sub(self.at))
    }
}

impl Reports {
    /// Takes what the worker with this id says. Times are measured from any fixed moment and never go back.
    pub fn take(&mut self, id: &str, report: Report, now: Duration) -> Taken {
        let known = self.reporters.get(id).map(|reporter| reporter.sequence);
        if known.is_some_and(|known| known >= report.sequence) {
            return Taken::Late;
        }
        let wants_all = self.reporters.get(id).is_some_and(|reporter| reporter.wants_all);
        if report.base > known.unwrap_or_default() || (report.base > 0 && wants_all) {
            return Taken::Gap;
        }
        // Who has so many targets tells all of them again, so that changes don't add up to more.
        let of = self.reporters.get(id).map(|reporter| reporter.number);
        let grown = of.map_or(0, |number| self.health.grown(number, &report.targets));
        if report.base > 0 && grown > MAX_TARGETS {
            return Taken::Gap;
        }
        let number = match self.reporters.get(id) {
            Some(reporter) => reporter.number,
            None => {
                self.next = self.next.wrapping_add(1);
                self.next
            }
        };
        let Report { sequence, base, from, node, usage, targets } = report;
        if base == 0 {
            self.health.replace(number, targets);
        } else {
            self.health.change(number, targets);
        }
        self.reporters.insert(
            id.to_owned(),
            Reporter { number, sequence, wants_all: false, at: now, from, node, usage },
        );
        Taken::Taken
    }

    /// Whatever this worker tells next as a change isn't understood, so that it tells all. What is known stays until then.
    pub fn ask_for_all(&mut self, id: &str) {
        if let Some(reporter) = self.reporters.get_mut(id) {
            reporter.wants_all = true;
        }
    }

    pub fn forget(&mut self, id: &str) {
        if let Some(reporter) = self.reporters.remove(id) {
            self.health.replace(reporter.number, Vec::new());
        }
    }

    /// Forgets who is no member any more, and who hasn't reported for [`MEMBER_TTL`], though it is heard of in other ways.
    pub fn sweep(&mut self, now: Duration, is_member: impl Fn(&str) -> bool) {
        let is_stale = |(id, reporter): &(&String, &Reporter)| {
            now.saturating_sub(reporter.at) >= MEMBER_TTL || !is_member(id)
        };
        let stale: Vec<String> = self.reporters.iter().filter(is_stale).map(|(id, _)| id.clone()).collect();
        stale.iter().for_each(|id| self.forget(id));
    }

    pub fn of(&self, id: &str) -> Option<&Reporter> {
        self.reporters.get(id)
    }

    /// Of how many targets the worker with this id says what. `None`: it hasn't reported.
    pub fn counts(&self, id: &str) -> Option<Counts> {
        self.reporters.get(id).map(|reporter| self.health.counts(reporter.number))
    }

    /// Whether [`Self::take_changed`] would give some.
    pub fn has_changed(&self) -> bool {
        self.health.has_changed()
    }

    /// The backends of whose targets something else is said than at the last call.
    pub fn take_changed(&mut self) -> BTreeSet<Key> {
        self.health.take_changed()
    }

    pub const fn health(&self) -> &Health {
        &self.health
    }
}

#[cfg(test)]
#[path = "../reports_tests.rs"]
mod tests;
