//! Whether the workers behave as an object says: the `Programmed` condition.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dataplane_snapshot::{AsOf, Key, Root, SharedMap, Snapshot};

use crate::scoped::Part;
use crate::{ObjectStatus, Owner, Statuses};

/// A worker that is counted, and what it last said.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// For messages.
    pub name: String,
    /// `None`: it is known, but hasn't applied anything yet.
    pub ack: Option<Applied>,
    /// It is counted but doesn't answer.
    pub lost: bool,
    /// What it is counted for.
    pub share: Share,
}

/// How much of the current state a worker is to have.
#[derive(Clone, Debug, Default)]
pub enum Share {
    #[default]
    Whole,
    /// That of its scope. `None`: it isn't known yet, and may be everything.
    Part(Option<Part>),
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole, Self::Whole) => true,
            (Self::Part(one), Self::Part(other)) => {
                let identity = |part: &'_ Option<Part>| {
                    part.as_ref().map(|part| (part.state().root(), part.state().as_of().clone()))
                };
                identity(one) == identity(other)
            }
            _ => false,
        }
    }
}

impl Share {
    /// The part, if it has seen this write.
    fn as_of(&self, write: &AsOf) -> Option<&Snapshot> {
        match self {
            Self::Part(Some(part)) if part.state().as_of().covers(write) => Some(part.state()),
            _ => None,
        }
    }

    /// Whether a worker that has seen `seen` has what this status is about: as of its write, and as of when it came into the part.
    fn is_had_by(&self, seen: &AsOf, status: &ObjectStatus, write: &AsOf) -> bool {
        let has_come = |key: &Key| match self {
            Self::Part(Some(part)) => part.entered(key).is_none_or(|entered| seen.covers(entered)),
            _ => true,
        };
        seen.covers(write) && status.objects.iter().all(has_come)
    }

    /// Whether the worker counts for an object with this status. Who could count does: what a write takes out of a state is
    /// in no part any more, and a part that is older than the write says nothing about it.
    fn has(&self, status: &ObjectStatus, write: &AsOf) -> bool {
        status.objects.is_empty()
            || self.as_of(write).is_none_or(|part| status.objects.iter().any(|key| part.get(key).is_some()))
    }

    /// The root at which the worker has everything up to this write; `root` is that of the whole.
    pub(crate) fn root(&self, write: &AsOf, root: Root) -> Option<Root> {
        match self {
            Self::Whole => Some(root),
            Self::Part(_) => self.as_of(write).map(Snapshot::root),
        }
    }
}

/// What a worker has applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub root: Root,
    pub as_of: AsOf,
    /// The objects of that snapshot that it couldn't use, with the reason.
    pub rejected: BTreeMap<Key, String>,
    /// There are more of them than it has told, and any may be one.
    pub more_rejected: bool,
}

/// What there is to say about an object: what planning made of it and what the workers made of that.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub status: Arc<ObjectStatus>,
    pub programmed: Programmed,
}

impl PartialEq for Verdict {
    /// Quick where the status is shared, as it is from pass to pass.
    fn eq(&self, other: &Self) -> bool {
        self.programmed == other.programmed
            && (Arc::ptr_eq(&self.status, &other.status) || self.status == other.status)
    }
}

/// The verdict on every object that has its key for itself.
pub type Verdicts = SharedMap<Key, Verdict>;

/// The verdict on one generation of an object. Its text is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programmed {
    True,
    /// Never on its way to a worker as it is written.
    NotAccepted,
    /// A reference is missing; workers keep the last good version or answer 503.
    Held,
    NoWorkers,
    /// There are workers, but it is in nobody's scope.
    OutOfScope,
    Propagating {
        applied: usize,
        counted: usize,
    },
    /// As `Propagating`, but a worker that is missing doesn't answer.
    WorkerLost {
        applied: usize,
        counted: usize,
        lost: String,
    },
    Rejected {
        worker: String,
        key: Key,
        reason: String,
    },
}

impl Programmed {
    pub const fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }

    /// Whether workers can make it another one, as long as the object stays as it is.
    const fn is_open(&self) -> bool {
        !matches!(self, Self::True | Self::NotAccepted | Self::Held)
    }

    /// The `reason` of the condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::True => "Programmed",
            Self::NotAccepted => "NotAccepted",
            Self::Held => "Held",
            Self::NoWorkers | Self::OutOfScope => "NoWorkers",
            Self::Propagating { .. } => "Propagating",
            Self::WorkerLost { .. } => "WorkerLost",
            Self::Rejected { .. } => "Rejected",
        }
    }
}

impl fmt::Display for Programmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => Ok(()),
            Self::NotAccepted => f.write_str("not accepted, see the Accepted condition"),
            Self::Held => f.write_str("held: a worker with a good version keeps it, any other answers 503"),
            Self::NoWorkers => f.write_str("no worker is connected"),
            Self::OutOfScope => f.write_str("no connected worker selects it"),
            Self::Propagating { applied, counted } => write!(f, "{applied}/{counted}"),
            Self::WorkerLost { applied, counted, lost } => {
                write!(f, "{applied}/{counted}; worker {lost} doesn't answer")
            }
            Self::Rejected { worker, key, reason } => write!(f, "worker {worker} rejects {key}: {reason}"),
        }
    }
}

/// The verdict on `status`, whose last change is in every snapshot as of `write` or later, by the workers whose scope has it.
/// `root` is that of the current snapshot: who is there has everything, also a write that left the root as it was.
pub fn verdict(status: &ObjectStatus, write: &AsOf, workers: &[Counted], root: Root) -> Programmed {
    if status.accepted.is_err() {
        return Programmed::NotAccepted;
    }
    if status.is_held() {
        return Programmed::Held;
    }
    if workers.is_empty() {
        return Programmed::NoWorkers;
    }
    let counted: Vec<_> = workers.iter().filter(|worker| worker.share.has(status, write)).collect();
    if counted.is_empty() {
        return Programmed::OutOfScope;
    }
    let mut applied = 0;
    let mut lost = None;
    for worker in &counted {
        let current = worker.share.root(write, root);
        let has_it =
            |ack: &&Applied| Some(ack.root) == current || worker.share.is_had_by(&ack.as_of, status, write);
        match worker.ack.as_ref().filter(has_it) {
            Some(ack) => {
                if let Some((key, reason)) = rejection(status, ack) {
                    return Programmed::Rejected { worker: worker.name.clone(), key, reason };
                }
                applied += 1;
            }
            None if worker.lost => lost = lost.or(Some(&worker.name)),
            None => {}
        }
    }
    match (applied, counted.len(), lost) {
        (applied, counted, _) if applied == counted => Programmed::True,
        (applied, counted, Some(lost)) => Programmed::WorkerLost { applied, counted, lost: lost.clone() },
        (applied, counted, None) => Programmed::Propagating { applied, counted },
    }
}

fn rejection(status: &ObjectStatus, ack: &Applied) -> Option<(Key, String)> {
    const MORE: &str = "it rejects more objects than it can tell, maybe this one: see its log";
    let told = status.objects.iter().find_map(|key| Some((key.clone(), ack.rejected.get(key)?.clone())));
    let untold = status.objects.first().filter(|_| ack.more_rejected);
    told.or_else(|| untold.map(|key| (key.clone(), MORE.to_owned())))
}

/// Remembers, per object, the as-of of the write that made it what it is, and which generations have been programmed. Judging
/// costs what isn't decided yet, however many objects there are.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    recorded: Statuses,
    entries: BTreeMap<Key, Entry>,
    verdicts: Verdicts,
    /// What has to be judged with the next words of workers.
    open: BTreeSet<Key>,
}

#[derive(Clone, Debug)]
struct Entry {
    status: Arc<ObjectStatus>,
    write: Arc<AsOf>,
    latched: bool,
}

impl Ledger {
    /// Takes the result of a pass.
    pub fn record(&mut self, statuses: &Statuses, snapshot: &Snapshot) {
        let before = std::mem::replace(&mut self.recorded, statuses.clone());
        let now = Arc::new(snapshot.as_of().clone());
        for (key, _, status) in before.differences(statuses, Arc::ptr_eq) {
            match (self.entries.get_mut(key), status) {
                (Some(entry), Some(status)) => entry.update(status, &now),
                (None, Some(status)) => {
                    let entry = Entry { status: status.clone(), write: now.clone(), latched: false };
                    self.entries.insert(key.clone(), entry);
                }
                (_, None) => {
                    self.entries.remove(key);
                    self.verdicts.remove(key);
                }
            }
            self.open.insert(key.clone());
        }
    }

    /// The generation has been programmed, as an earlier leader has told.
    pub fn latch(&mut self, key: &Key, owner: Owner, generation: i64) {
        if let Some(entry) = self.entries.get_mut(key)
            && (entry.status.owner, entry.status.generation) == (owner, generation)
        {
            entry.latched = true;
            self.open.insert(key.clone());
        }
    }

    /// The verdict on every object. What has been true for a generation stays true for it, unless the object is refused.
    pub fn verdicts(&mut self, workers: &[Counted], root: Root) -> &Verdicts {
        let Self { entries, verdicts, open, .. } = self;
        open.retain(|key| {
            let Some(entry) = entries.get_mut(key) else { return false };
            let verdict = entry.verdict(workers, root);
            let is_open = verdict.programmed.is_open();
            if verdicts.get(key) != Some(&verdict) {
                verdicts.insert(key.clone(), verdict);
            }
            is_open
        });
        verdicts
    }
}

impl Entry {
    fn update(&mut self, status: &Arc<ObjectStatus>, now: &Arc<AsOf>) {
        let of = |status: &ObjectStatus, as_of: &AsOf| {
            let source = as_of.0.get(status.owner.as_str());
            (status.owner, status.generation, source.map(|source| source.epoch.clone()))
        };
        // A restored source counts its generations anew: the same number in another epoch is another write.
        let renewed =
            of(&self.status, &self.write) != of(status, now) || self.status.is_of_another(&status.uid);
        // A reference that appears makes another object of the same generation.
        if renewed || self.status.is_held() != status.is_held() {
            self.write = now.clone();
        }
        self.latched &= !renewed;
        self.status = status.clone();
    }

    fn verdict(&mut self, workers: &[Counted], root: Root) -> Verdict {
        let programmed = match self.latched && self.status.accepted.is_ok() {
            true => Programmed::True,
            false => verdict(&self.status, &self.write, workers, root),
        };
        self.latched |= programmed.is_true();
        Verdict { status: self.status.clone(), programmed }
    }
}

#[cfg(test)]
#[path = "programmed_tests.rs"]
mod tests;
