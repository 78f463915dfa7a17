use dataplane_snapshot::Root;

use super::region::{Acking, Persisting};
use super::{Action, Attempt, Moment, PERSIST_RETRY, Subscription};

impl Subscription {
    /// Tells the leader what is in service, also one that is behind that: it can't know otherwise that it is. Without a contact
    /// there is nobody to tell; the next contact asks again.
    pub(super) fn owe_ack(&mut self) {
        if let Acking::InFlight { again, .. } = &mut self.acking {
            *again = true;
            return;
        }
        let Some(leader) = self.contact.answering() else { return };
        if self.applied.is_none() {
            return;
        }
        let attempt = self.next_attempt();
        self.acking = Acking::InFlight { attempt, again: false };
        self.actions.extend(self.applied.as_ref().map(|applied| Action::Ack {
            attempt,
            leader,
            root: applied.snapshot.root(),
            as_of: applied.snapshot.as_of().clone(),
            rejected: applied.rejected.clone(),
            refused: self.refusal.as_ref().map(|refusal| (refusal.root, refusal.reason.clone())),
        }));
    }

    pub(super) fn on_ack_delivered(&mut self, delivered: Attempt) {
        let Acking::InFlight { attempt, again } = self.acking else { return };
        if attempt != delivered {
            return;
        }
        self.ack_failures = 0;
        self.acking = Acking::Idle;
        if again {
            self.owe_ack();
        }
    }

    pub(super) fn on_ack_failed(&mut self, failed: Attempt, at: Moment) {
        if matches!(self.acking, Acking::InFlight { attempt, .. } if attempt == failed) {
            let delay = self.settings.backoff.delay(self.ack_failures, at.random);
            self.ack_failures = self.ack_failures.saturating_add(1);
            self.acking = Acking::Owed { from: at.now + delay };
        }
    }

    pub(super) fn persist(&mut self) {
        let Some(applied) = &self.applied else { return };
        if let Persisting::Writing { again, .. } = &mut self.persisting {
            *again = true;
            return;
        }
        let root = applied.snapshot.root();
        self.actions.push(Action::Persist { root, as_of: applied.snapshot.as_of().clone() });
        self.persisting = Persisting::Writing { root, again: false };
    }

    pub(super) fn on_persisted(&mut self, written: Root) {
        if let Persisting::Writing { root, again } = self.persisting
            && root == written
        {
            self.persisting = Persisting::Idle;
            if again {
                self.persist();
            }
        }
    }

    pub(super) fn on_persist_failed(&mut self, failed: Root, reason: String, at: Moment) {
        if let Persisting::Writing { root, again } = self.persisting
            && root == failed
        {
            self.persisting = Persisting::Failed { reason, retry_at: at.now + PERSIST_RETRY };
            if again {
                self.persist();
            }
        }
    }
}
