//! When a worker tells its leader how it is, and how much of it, without I/O.
//!
//! A report says how things are. The first one to a leader, and the first after one that failed, has everything; each
//! further one has of the targets what is otherwise than in the last one that was taken. So a report can be lost, and the
//! next one makes up for it.

use std::cmp::Ordering;
use std::time::Duration;

use dataplane_snapshot::wire::{self, MAX_NODE_BYTES, MAX_REPORT_BYTES, MAX_TARGETS};
use prost::Message as _;

/// How often it is looked whether there is something to tell, and so how often changes are told at most.
pub const STEP: Duration = Duration::from_secs(1);

/// No report follows the one before sooner. Less than a step: one that comes a little early would wait for another step.
const SHORTEST: Duration = Duration::from_millis(900);

/// Without changes, it is told this often that there are none, and what the process does and takes.
pub const LONGEST: Duration = Duration::from_secs(5);

/// How long a leader that doesn't know reports isn't told any: it may be replaced by one that does.
pub const REST: Duration = Duration::from_secs(60);

/// What targets may take of a report, in bytes: the rest is for what else is in it.
const MAX_TARGET_BYTES: usize = MAX_REPORT_BYTES - 2 * MAX_NODE_BYTES;

/// How things are at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    pub node: wire::Node,
    pub usage: wire::Usage,
    /// In the order of backends and ids, each once.
    targets: Vec<wire::TargetLevel>,
}

impl Levels {
    /// Of more than a leader takes those that are out or whose breaker is open are kept first.
    pub fn new(node: wire::Node, usage: wire::Usage, mut targets: Vec<wire::TargetLevel>) -> Self {
        if fitting(&targets) < targets.len() {
            targets.sort_by_key(|level| !is_bad(level));
            targets.truncate(fitting(&targets));
        }
        targets.sort_by(by_name);
        targets.dedup_by(|one, other| by_name(one, other).is_eq());
        Self { node, usage, targets }
    }

    pub fn targets(&self) -> &[wire::TargetLevel] {
        &self.targets
    }
}

/// How many of the first of them a leader takes.
fn fitting(targets: &[wire::TargetLevel]) -> usize {
    /// The most that is before a level in a message.
    const FRAMING: usize = 6;
    let sizes = targets.iter().take(MAX_TARGETS).map(|level| level.encoded_len() + FRAMING);
    let ends = sizes.scan(0, |end: &mut usize, size| {
        *end += size;
        Some(*end)
    });
    ends.take_while(|end| *end <= MAX_TARGET_BYTES).count()
}

fn is_bad(level: &wire::TargetLevel) -> bool {
    level.standing() == wire::TargetStanding::Out || level.breaker() != wire::TargetBreaker::Closed
}

fn by_name(one: &wire::TargetLevel, other: &wire::TargetLevel) -> Ordering {
    (&one.backend, &one.target).cmp(&(&other.backend, &other.target))
}

/// How the delivery of a report ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Taken,
    /// The leader doesn't have the report that this one is based on.
    Gap,
    /// The leader doesn't know reports: it is older.
    Unknown,
    Failed,
}

/// What one leader was told.
#[derive(Debug, Default)]
pub struct Reporting {
    sequence: u64,
    /// The last report that was taken.
    taken: Option<(u64, Levels)>,
    under_way: Option<(u64, Levels)>,
    /// No report before this time.
    not_before: Duration,
    last: Duration,
}

impl Reporting {
    /// The leader is another one, or was away: it is told everything, now.
    pub fn begin(&mut self, now: Duration) {
        *self = Self { sequence: self.sequence, not_before: now, ..Self::default() };
    }

    /// The report to deliver now, if it is time for one; its end has to be told by [`Self::delivered`]. Times are measured
    /// from any fixed moment and never go back.
    pub fn next(&mut self, levels: Levels, now: Duration) -> Option<wire::Report> {
        if self.under_way.is_some() || now < self.not_before {
            return None;
        }
        let mut base = match &self.taken {
            Some((_, taken)) if now < self.last + LONGEST && !is_news(taken, &levels) => return None,
            Some((sequence, _)) => *sequence,
            None => 0,
        };
        let before = self.taken.as_ref().map_or(&[][..], |(_, taken)| &taken.targets);
        let mut targets = changes(before, &levels.targets);
        // With those that are gone a change may be more than a leader takes, and more than all that there is now.
        if fitting(&targets) < targets.len() {
            (base, targets) = (0, levels.targets.clone());
        }
        self.sequence += 1;
        let report = wire::Report {
            member: None,
            sequence: self.sequence,
            base,
            node: Some(levels.node.clone()),
            usage: Some(levels.usage),
            targets,
        };
        self.under_way = Some((self.sequence, levels));
        (self.last, self.not_before) = (now, now + SHORTEST);
        Some(report)
    }

    /// How the report with this sequence ended. One to a leader of before doesn't count any more.
    pub fn delivered(&mut self, sequence: u64, delivery: Delivery, now: Duration) {
        let Some(ended) = self.under_way.take_if(|(number, _)| *number == sequence) else { return };
        match delivery {
            Delivery::Taken => self.taken = Some(ended),
            // One that failed may have been taken: what it changed and has changed back since would be missed.
            Delivery::Gap | Delivery::Failed => self.taken = None,
            Delivery::Unknown => {
                self.taken = None;
                self.not_before = now + REST;
            }
        }
    }
}

/// What the process does and takes is different each time, and no news.
fn is_news(before: &Levels, after: &Levels) -> bool {
    before.node != after.node || before.targets != after.targets
}

/// The targets of `after` that are new or otherwise than in `before`, and those that are gone. Both are in order.
fn changes(before: &[wire::TargetLevel], after: &[wire::TargetLevel]) -> Vec<wire::TargetLevel> {
    let gone = |level: &wire::TargetLevel| wire::TargetLevel {
        backend: level.backend.clone(),
        target: level.target.clone(),
        gone: true,
        ..Default::default()
    };
    let mut changed = Vec::new();
    let mut old = before.iter().peekable();
    for level in after {
        while let Some(left) = old.next_if(|left| by_name(left, level).is_lt()) {
            changed.push(gone(left));
        }
        let same = old.next_if(|left| by_name(left, level).is_eq());
        if same != Some(level) {
            changed.push(level.clone());
        }
    }
    changed.extend(old.map(gone));
    changed
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
