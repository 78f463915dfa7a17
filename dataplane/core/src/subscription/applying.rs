use std::time::Duration;

use dataplane_snapshot::{AsOf, Key, Root, Snapshot};

use super::region::{Refusal, RefusedFrom};
use super::{Action, Applied, Moment, Readiness, Source, Subscription, Unready};

impl Subscription {
    pub(super) fn apply(&mut self, snapshot: Snapshot, source: Source) {
        self.actions.extend(self.applying.put(snapshot, source).map(Action::Apply));
    }

    pub(super) fn on_applied(&mut self, root: Root, rejected: Vec<(Key, String)>, at: Moment) {
        let Some((snapshot, source)) = self.applying.finish(root) else { return };
        self.applied = Some(Applied { snapshot, rejected, source });
        self.owe_ack();
        if source == Source::Leader {
            self.persist();
        }
        self.after_apply(at);
    }

    pub(super) fn on_apply_failed(&mut self, root: Root, reason: String, at: Moment) {
        if self.applying.finish(root).is_none() {
            return;
        }
        self.refusal = Some(Refusal { root, from: RefusedFrom::Anyone, reason });
        self.owe_ack();
        self.after_apply(at);
    }

    /// Equal content: the later of both as-of vectors counts.
    pub(super) fn merge(&mut self, as_of: &AsOf) {
        if let Some(snapshot) = self.applying.newest_mut() {
            *snapshot = merged(snapshot, as_of);
        } else if let Some(applied) = &mut self.applied {
            let snapshot = merged(&applied.snapshot, as_of);
            let risen = snapshot.as_of() != applied.snapshot.as_of();
            applied.snapshot = snapshot;
            if risen {
                self.persist();
            }
        }
    }

    /// A leader's current state has the root `known`. If that is ours, it is no longer just what was on disk.
    pub(super) fn confirm(&mut self, known: Option<Root>) {
        if let Some(applied) = self.applied.as_mut().filter(|applied| Some(applied.snapshot.root()) == known)
        {
            applied.source = Source::Leader;
        }
        self.applying.confirm(known);
    }

    pub(super) fn settle_readiness(&mut self, now: Duration) {
        if self.readiness == Readiness::Ready {
            return;
        }
        let booting = now < self.booting_until;
        let leaders_state_comes = self.applying.has_leaders_state();
        self.readiness = match &self.applied {
            Some(Applied { source: Source::Leader, .. }) => Readiness::Ready,
            Some(Applied { source: Source::Disk, .. }) if !booting && !leaders_state_comes => {
                Readiness::Ready
            }
            _ if leaders_state_comes => Readiness::NotReady(Unready::Applying),
            _ if booting => Readiness::NotReady(Unready::WaitingForLeader),
            _ if !self.applying.is_idle() => Readiness::NotReady(Unready::Applying),
            _ => Readiness::NotReady(Unready::NoState),
        };
    }

    fn after_apply(&mut self, at: Moment) {
        self.actions.extend(self.applying.next().map(Action::Apply));
        self.poll(at);
    }
}

fn merged(snapshot: &Snapshot, other: &AsOf) -> Snapshot {
    let mut as_of = snapshot.as_of().clone();
    as_of.merge(other);
    snapshot.with_as_of(as_of)
}
