use std::collections::{BTreeMap, BTreeSet};
use std::mem::replace;
use std::ops::Bound;
use std::sync::Arc;

use dataplane_snapshot::Key;

use super::health::{BackendHealth, Counts, Level, Standing, Subject, Sums, TargetHealth};

/// The levels of all targets by all workers. Each text is kept once, as a large cluster has many levels of each target; and what
/// is counted is counted as it changes, as nobody who asks can wait for two million of them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    targets: BTreeMap<Arc<Subject>, Target>,
    /// By number.
    reporters: BTreeMap<u32, Told>,
    sums: Sums,
    /// Backends of whose targets something else is said now.
    changed: BTreeSet<Key>,
}

/// What all workers say about one target.
#[derive(Clone, Debug, Default)]
struct Target {
    /// In the order of the reporters' numbers.
    levels: Vec<(u32, Level)>,
    counts: Counts,
}

/// What one worker says something about.
#[derive(Clone, Debug, Default)]
struct Told {
    subjects: BTreeSet<Arc<Subject>>,
    counts: Counts,
}

impl Health {
    /// All that the reporter says.
    pub(super) fn replace(&mut self, reporter: u32, targets: Vec<(Subject, Option<Level>)>) {
        if let Some(told) = self.reporters.get(&reporter) {
            let kept: BTreeSet<&Subject> = targets.iter().map(|(subject, _)| subject).collect();
            let gone = told.subjects.iter().filter(|subject| !kept.contains(&***subject));
            gone.cloned()
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|subject| self.set(reporter, subject, None));
        }
        self.change(reporter, targets);
    }

    /// What the reporter says otherwise than before.
    pub(super) fn change(&mut self, reporter: u32, targets: Vec<(Subject, Option<Level>)>) {
        for (subject, level) in targets {
            self.set(reporter, Arc::new(subject), level);
        }
        if self.reporters.get(&reporter).is_some_and(|told| told.subjects.is_empty()) {
            self.reporters.remove(&reporter);
        }
    }

    fn set(&mut self, reporter: u32, subject: Arc<Subject>, level: Option<Level>) {
        let told = self.reporters.entry(reporter).or_default();
        let entry = self.targets.entry(subject);
        let subject = entry.key().clone();
        let target = entry.or_default();
        let before = target.counts;
        if let Some(level) = &level {
            target.counts.add(level);
            told.counts.add(level);
            told.subjects.insert(subject.clone());
        } else {
            told.subjects.remove(&subject);
        }
        let said = level.clone();
        let old = target.put(reporter, level);
        if let Some(old) = &old {
            target.counts.take(old);
            told.counts.take(old);
        }
        if old != said {
            self.changed.insert(subject.0.clone());
        }
        self.sums.follow(before, target.counts);
        if target.levels.is_empty() {
            self.targets.remove(&subject);
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn take_changed(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.changed)
    }

    /// Of how many targets the reporter would say something with these, those that are gone not taken off.
    pub(super) fn grown(&self, reporter: u32, targets: &[(Subject, Option<Level>)]) -> usize {
        let told = self.reporters.get(&reporter);
        let is_new = |subject: &Subject| told.is_none_or(|told| !told.subjects.contains(subject));
        let new = targets.iter().filter(|(subject, level)| level.is_some() && is_new(subject));
        told.map_or(0, |told| told.subjects.len()) + new.count()
    }

    /// What one reporter says of how many targets.
    pub(super) fn counts(&self, reporter: u32) -> Counts {
        self.reporters.get(&reporter).map(|told| told.counts).unwrap_or_default()
    }

    /// Of all targets.
    pub const fn sums(&self) -> Sums {
        self.sums
    }

    /// The targets of a backend that somebody says something about.
    pub fn of(&self, backend: &Key) -> BackendHealth {
        let from = (Bound::Included((backend.clone(), Box::default())), Bound::Unbounded);
        let all = self.targets.range::<Subject, _>(from).map(|(subject, target)| (&**subject, target));
        let own = all.take_while(|((key, _), _)| key == backend);
        BackendHealth { targets: own.map(|((_, id), target)| target.merge(id)).collect() }
    }

    /// All backends with such targets. Takes time by the number of targets and workers.
    pub fn backends(&self) -> BTreeMap<Key, BackendHealth> {
        let mut backends: BTreeMap<Key, BackendHealth> = BTreeMap::new();
        for (subject, target) in &self.targets {
            let (key, id) = &**subject;
            backends.entry(key.clone()).or_default().targets.push(target.merge(id));
        }
        backends
    }
}

impl Target {
    /// Gives what the reporter said before.
    fn put(&mut self, reporter: u32, level: Option<Level>) -> Option<Level> {
        match (self.levels.binary_search_by_key(&reporter, |(by, _)| *by), level) {
            (Ok(at), Some(level)) => self.levels.get_mut(at).map(|(_, old)| replace(old, level)),
            (Ok(at), None) => Some(self.levels.remove(at).1),
            (Err(at), Some(level)) => {
                self.levels.insert(at, (reporter, level));
                None
            }
            (Err(_), None) => None,
        }
    }

    fn merge(&self, id: &str) -> TargetHealth {
        let Counts { ready, out, open_breakers, .. } = self.counts;
        let with = |standing| {
            self.levels.iter().map(|(_, level)| level).filter(move |level| level.standing == standing)
        };
        let mut health =
            TargetHealth { target: id.into(), ready, out, open_breakers, since: None, reason: None };
        let agreed = health.is_ready().map(|is_ready| if is_ready { Standing::In } else { Standing::Out });
        health.since = agreed.and_then(|agreed| with(agreed).map(|level| level.since).min());
        health.reason = with(Standing::Out).find_map(|level| level.reason.clone());
        health
    }
}
