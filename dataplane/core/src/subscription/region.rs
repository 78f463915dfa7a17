//! The parts of the machine that go on at the same time, each with its own states.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane_snapshot::{Root, Snapshot};

use super::{Attempt, EARLIER_PATIENCE, Source};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polling {
    Idle,
    Waiting(Waiting),
    BackingOff { until: Duration },
}

/// A poll under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) attempt: Attempt,
    pub(super) leader: usize,
    pub(super) known: Option<Root>,
    pub(super) hold: Duration,
    pub(super) since: Duration,
}

/// How it stands between this worker and the leaders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// No answer yet.
    None,
    /// The last answer was a good one; `at` is when it came.
    Following {
        leader: usize,
        at: Duration,
    },
    Failing {
        leader: usize,
        reason: String,
    },
    /// The last answer was behind what is in service.
    Stale {
        leader: usize,
    },
}

impl Contact {
    pub(super) fn is_following(&self, leader: usize) -> bool {
        matches!(self, Self::Following { leader: followed, .. } if *followed == leader)
    }

    /// The leader that answers, whether what it has is taken or not.
    pub(super) const fn answering(&self) -> Option<usize> {
        match self {
            Self::Following { leader, .. } | Self::Stale { leader } => Some(*leader),
            Self::None | Self::Failing { .. } => None,
        }
    }
}

/// One state at a time is applied; the newest one that came meanwhile waits.
#[derive(Debug)]
pub(super) enum Applying {
    Idle,
    Busy {
        snapshot: Snapshot,
        source: Source,
        next: Option<Snapshot>,
    },
    /// The one before is done; the caller takes this one with [`Applying::next`].
    Due(Snapshot),
}

impl Applying {
    /// Gives the snapshot back if it is to be applied now.
    pub(super) fn put(&mut self, snapshot: Snapshot, source: Source) -> Option<Snapshot> {
        if let Self::Busy { next, .. } = self {
            *next = Some(snapshot);
            return None;
        }
        *self = Self::Busy { snapshot: snapshot.clone(), source, next: None };
        Some(snapshot)
    }

    /// Ends the one that is being applied, if it has this root.
    pub(super) fn finish(&mut self, root: Root) -> Option<(Snapshot, Source)> {
        let Self::Busy { snapshot, source, next } = self else { return None };
        if snapshot.root() != root {
            return None;
        }
        let done = (snapshot.clone(), *source);
        *self = next.take().map_or(Self::Idle, Self::Due);
        Some(done)
    }

    /// The one to apply now, after [`Applying::finish`].
    pub(super) fn next(&mut self) -> Option<Snapshot> {
        let Self::Due(snapshot) = self else { return None };
        let snapshot = snapshot.clone();
        *self = Self::Idle;
        self.put(snapshot, Source::Leader)
    }

    pub(super) fn newest(&self) -> Option<&Snapshot> {
        match self {
            Self::Idle => None,
            Self::Busy { snapshot, next, .. } => Some(next.as_ref().unwrap_or(snapshot)),
            Self::Due(snapshot) => Some(snapshot),
        }
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Snapshot> {
        match self {
            Self::Idle => None,
            Self::Busy { snapshot, next, .. } => Some(next.as_mut().unwrap_or(snapshot)),
            Self::Due(snapshot) => Some(snapshot),
        }
    }

    /// A leader's current state has this root.
    pub(super) fn confirm(&mut self, known: Option<Root>) {
        if let Self::Busy { snapshot, source, .. } = self
            && Some(snapshot.root()) == known
        {
            *source = Source::Leader;
        }
    }

    /// Whether something of a leader is being applied or waits for it.
    pub(super) const fn has_leaders_state(&self) -> bool {
        match self {
            Self::Idle => false,
            Self::Busy { source: Source::Disk, next: None, .. } => false,
            Self::Busy { .. } | Self::Due(_) => true,
        }
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acking {
    Idle,
    InFlight { attempt: Attempt, again: bool },
    Owed { from: Duration },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Persisting {
    Idle,
    Writing { root: Root, again: bool },
    Failed { reason: String, retry_at: Duration },
}

/// Leaders give states of an earlier epoch than what is in service has, and nothing better has come since.
#[derive(Debug)]
pub(super) struct Outlived {
    since: Duration,
    /// Who failed, or gave such a state.
    asked: BTreeSet<usize>,
}

impl Outlived {
    pub(super) const fn new(since: Duration) -> Self {
        Self { since, asked: BTreeSet::new() }
    }

    pub(super) fn asked(&mut self, leader: usize) {
        self.asked.insert(leader);
    }

    /// Whether nobody who may know the later epoch is left: of several leaders none, of one it isn't there for long enough. Behind
    /// one URL there may be several.
    pub(super) fn is_over(&self, leaders: usize, now: Duration) -> bool {
        (leaders > 1 && self.asked.len() >= leaders) || now >= self.since + EARLIER_PATIENCE
    }
}

/// A state that was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) root: Root,
    pub(super) from: RefusedFrom,
    pub(super) reason: String,
}

/// From whom a state is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RefusedFrom {
    /// It couldn't be applied: from any leader, until another root comes.
    Anyone,
    /// It couldn't be read as these leaders gave it, each until a time or, without one, until another root comes. Another
    /// leader may give it so that it can: on a whole line, or in a format that this program knows.
    Leaders(BTreeMap<usize, Option<Duration>>),
}

impl Refusal {
    /// Whether this leader isn't asked for it now.
    pub(super) fn holds(&self, leader: usize, now: Duration) -> bool {
        match &self.from {
            RefusedFrom::Anyone => true,
            RefusedFrom::Leaders(leaders) => {
                leaders.get(&leader).is_some_and(|until| until.is_none_or(|until| now < until))
            }
        }
    }

    pub(super) fn is_of(&self, root: Root, leader: usize, now: Duration) -> bool {
        self.root == root && self.holds(leader, now)
    }

    /// Whether another leader may give it so that it can be used.
    pub(super) const fn is_of_leaders(&self) -> bool {
        matches!(self.from, RefusedFrom::Leaders(_))
    }
}
