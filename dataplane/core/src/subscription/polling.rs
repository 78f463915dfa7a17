use std::time::Duration;

use dataplane_snapshot::{Recency, Root, Snapshot};

use super::region::{Contact, Polling, Refusal, Waiting};
use super::{Action, Answer, Attempt, DAMAGED_RETRY, Failure, Moment, Source, Subscription, UNHELD_INTERVAL};

impl Subscription {
    /// Polls, unless a poll is under way or due later, or a leader's state is being applied: what changes meanwhile comes
    /// as one answer afterwards.
    pub(super) fn poll(&mut self, at: Moment) {
        if self.polling != Polling::Idle || self.applying.has_leaders_state() || self.settings.leaders == 0 {
            return;
        }
        let leader = self.leaders.current();
        let refused = self.refusal.as_ref().filter(|refusal| refusal.holds(leader, at.now));
        let known = refused.map(|refusal| refusal.root).or_else(|| self.newest().map(Snapshot::root));
        // The first poll of a contact isn't held, so that it is known at once whether what we serve is current.
        let hold = if self.contact.is_following(leader) { self.settings.hold } else { Duration::ZERO };
        let attempt = self.next_attempt();
        self.polling = Polling::Waiting(Waiting { attempt, leader, known, hold, since: at.now });
        self.actions.push(Action::Poll { attempt, leader, known, hold });
    }

    pub(super) fn on_answer(&mut self, attempt: Attempt, answer: Answer, at: Moment) {
        let Polling::Waiting(waiting) = self.polling else { return };
        if waiting.attempt != attempt {
            return;
        }
        self.polling = Polling::Idle;
        match answer {
            Answer::NotModified => self.on_current(waiting, waiting.known, at),
            Answer::State(snapshot) => self.on_state(waiting, snapshot, at),
            Answer::Failed(failure) => self.on_failure(waiting.leader, failure, at),
        }
    }

    /// The leader has nothing new: its root is `known`.
    fn on_current(&mut self, waiting: Waiting, known: Option<Root>, at: Moment) {
        self.contacted(waiting.leader, at);
        self.confirm(known);
        self.owe_ack();
        if at.now < waiting.since + waiting.hold.min(UNHELD_INTERVAL) {
            self.polling = Polling::BackingOff { until: waiting.since + UNHELD_INTERVAL };
        } else {
            self.poll(at);
        }
    }

    fn on_state(&mut self, waiting: Waiting, snapshot: Snapshot, at: Moment) {
        let (leader, root) = (waiting.leader, snapshot.root());
        if let Some(newest) = self.newest() {
            if newest.root() == root {
                self.refusal = None;
                self.merge(snapshot.as_of());
                return self.on_current(waiting, Some(root), at);
            }
            if newest.as_of().recency_of(snapshot.as_of()) == Recency::Stale {
                self.contact = Contact::Stale { leader };
                return self.retry(leader, at);
            }
        }
        if snapshot.is_empty() {
            let reason = "it is empty, without even a listener".to_owned();
            return self.on_failure(leader, Failure::Incompatible { root: Some(root), reason }, at);
        }
        if let Some(refusal) = self.refusal.as_ref().filter(|refusal| refusal.is_of(root, leader, at.now)) {
            self.contact = Contact::Failing { leader, reason: refusal.reason.clone() };
            return self.retry(leader, at);
        }
        self.contacted(leader, at);
        self.refusal = None;
        self.apply(snapshot, Source::Leader);
    }

    fn on_failure(&mut self, leader: usize, failure: Failure, at: Moment) {
        let reason = failure.to_string();
        match failure {
            Failure::Damaged { root: Some(root), .. } => {
                let until = Some(at.now + DAMAGED_RETRY);
                self.refusal = Some(Refusal { root, leader: Some(leader), until, reason: reason.clone() });
            }
            Failure::Incompatible { root: Some(root), .. } => {
                self.refusal = Some(Refusal { root, leader: None, until: None, reason: reason.clone() });
            }
            _ => {}
        }
        self.contact = Contact::Failing { leader, reason };
        self.retry(leader, at);
        if let (Failure::Busy { retry_after }, Polling::BackingOff { until }) = (failure, &mut self.polling) {
            // The leader is alive and says when; half as much again keeps its workers apart.
            *until = at.now + retry_after.mul_f64(1.0 + at.random / 2.0);
        }
    }

    fn retry(&mut self, leader: usize, at: Moment) {
        self.polling = Polling::BackingOff { until: at.now + self.leaders.failed(leader, at.random) };
    }

    fn contacted(&mut self, leader: usize, at: Moment) {
        self.leaders.worked(leader);
        self.contact = Contact::Following { leader, at: at.now };
    }
}
