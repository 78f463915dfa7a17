use std::collections::BTreeMap;
use std::ops::Bound;

use dataplane_snapshot::Key;

/// A backend and the id of one of its targets.
pub type Subject = (Key, Box<str>);

/// What the health checks of one worker decided about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    NotChecked,
    /// It gets traffic.
    In,
    Out,
}

/// Whether the circuit breaker of one worker lets requests through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Closed,
    Open,
}

/// How a target stands with one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    pub standing: Standing,
    pub breaker: Breaker,
    /// Since when it stands so, in milliseconds since 1970-01-01 UTC, by the worker's clock.
    pub since: u64,
    /// What the last probe found wrong.
    pub reason: Option<Box<str>>,
}

/// Of how many targets one worker says what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ready: usize,
    pub out: usize,
    pub not_checked: usize,
    pub open_breakers: usize,
}

/// The levels of all targets by all workers. Each text is kept once, as a large cluster has many levels of each target.
#[derive(Clone, Debug, Default)]
pub struct Health {
    targets: BTreeMap<Subject, Vec<(u32, Level)>>,
}

/// A target as all workers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    pub target: Box<str>,
    /// Workers that give it traffic by their checks.
    pub ready: usize,
    /// Workers that give it none.
    pub out: usize,
    /// Workers whose circuit breakers keep requests from it.
    pub open_breakers: usize,
    /// Since when the first of those that agree with the verdict has been of this opinion.
    pub since: Option<u64>,
    /// What one of those found for which it is out.
    pub reason: Option<Box<str>>,
}

impl TargetHealth {
    /// Most of the workers that check it say that it is ready. `None`: nobody has decided.
    pub const fn is_ready(&self) -> Option<bool> {
        match self.ready + self.out {
            0 => None,
            _ => Some(self.ready > self.out),
        }
    }

    /// Workers are of two minds: it may be the network between some of them and the target.
    pub const fn is_disputed(&self) -> bool {
        self.ready > 0 && self.out > 0
    }
}

/// A backend's targets as all workers see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendHealth {
    /// In the order of their ids.
    pub targets: Vec<TargetHealth>,
}

impl BackendHealth {
    /// How many targets are ready.
    pub fn ready(&self) -> usize {
        self.targets.iter().filter(|target| target.is_ready() == Some(true)).count()
    }
}

impl Health {
    /// All that the reporter says.
    pub(super) fn replace(&mut self, reporter: u32, targets: Vec<(Subject, Option<Level>)>) {
        self.targets.retain(|_, levels| {
            levels.retain(|(by, _)| *by != reporter);
            !levels.is_empty() || !targets.is_empty()
        });
        self.change(reporter, targets);
        self.targets.retain(|_, levels| !levels.is_empty());
    }

    /// What the reporter says otherwise than before.
    pub(super) fn change(&mut self, reporter: u32, targets: Vec<(Subject, Option<Level>)>) {
        for (subject, level) in targets {
            match (self.targets.get_mut(&subject), level) {
                (Some(levels), Some(level)) => match levels.iter_mut().find(|(by, _)| *by == reporter) {
                    Some((_, old)) => *old = level,
                    None => levels.push((reporter, level)),
                },
                (Some(levels), None) => {
                    levels.retain(|(by, _)| *by != reporter);
                    if levels.is_empty() {
                        self.targets.remove(&subject);
                    }
                }
                (None, Some(level)) => {
                    self.targets.insert(subject, vec![(reporter, level)]);
                }
                (None, None) => {}
            }
        }
    }

    /// By reporter.
    pub(super) fn counts(&self) -> BTreeMap<u32, Counts> {
        let mut all: BTreeMap<u32, Counts> = BTreeMap::new();
        for (reporter, level) in self.targets.values().flatten() {
            let counts = all.entry(*reporter).or_default();
            match level.standing {
                Standing::NotChecked => counts.not_checked += 1,
                Standing::In => counts.ready += 1,
                Standing::Out => counts.out += 1,
            }
            counts.open_breakers += usize::from(level.breaker == Breaker::Open);
        }
        all
    }

    /// The targets of a backend that somebody says something about.
    pub fn of(&self, backend: &Key) -> BackendHealth {
        let from = (Bound::Included((backend.clone(), Box::default())), Bound::Unbounded);
        let targets = self.targets.range::<Subject, _>(from).take_while(|((key, _), _)| key == backend);
        BackendHealth { targets: targets.map(|((_, target), levels)| merge(target, levels)).collect() }
    }

    /// All backends with such targets.
    pub fn backends(&self) -> BTreeMap<Key, BackendHealth> {
        let mut backends: BTreeMap<Key, BackendHealth> = BTreeMap::new();
        for ((key, target), levels) in &self.targets {
            backends.entry(key.clone()).or_default().targets.push(merge(target, levels));
        }
        backends
    }
}

fn merge(target: &str, levels: &[(u32, Level)]) -> TargetHealth {
    let with = |standing| levels.iter().map(|(_, level)| level).filter(move |it| it.standing == standing);
    let (ready, out) = (with(Standing::In).count(), with(Standing::Out).count());
    let verdict = match (ready, out) {
        (0, 0) => None,
        _ if ready > out => Some(Standing::In),
        _ => Some(Standing::Out),
    };
    TargetHealth {
        target: target.into(),
        ready,
        out,
        open_breakers: levels.iter().filter(|(_, level)| level.breaker == Breaker::Open).count(),
        since: verdict.and_then(|verdict| with(verdict).map(|level| level.since).min()),
        reason: with(Standing::Out).find_map(|level| level.reason.clone()),
    }
}
