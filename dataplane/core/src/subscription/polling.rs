use std::collections::BTreeMap;
use std::time::Duration;

use dataplane_snapshot::{Recency, Root, Snapshot};

use super::region::{Contact, Outlived, Polling, Refusal, RefusedFrom, Waiting};
use super::{
    Action, Answer, Attempt, DAMAGED_RETRY, Failure, Moment, PLAIN_RETRY, Source, Subscription,
    UNHELD_INTERVAL,
};

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
        let held = self.contact.is_following(leader) && !self.settings.plain && self.holding.try_hold(at.now);
        let hold = if held { self.settings.hold } else { Duration::ZERO };
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
        let was_held = !waiting.hold.is_zero();
        match &answer {
            Answer::Failed(Failure::Unreachable(_) | Failure::Late(_)) => self.holding.failed(was_held),
            Answer::Failed(_) => {}
            _ => self.holding.answered(was_held, at.now, PLAIN_RETRY),
        }
        match answer {
            Answer::NotModified => self.on_not_modified(waiting, at),
            Answer::State(snapshot) => self.on_state(waiting, snapshot, at),
            Answer::Failed(failure) => self.on_failure(waiting.leader, failure, at),
        }
    }

    fn on_not_modified(&mut self, waiting: Waiting, at: Moment) {
        let refusal = self.refusal.as_ref().filter(|refusal| refusal.is_of_leaders());
        match refusal.filter(|refusal| Some(refusal.root) == waiting.known) {
            // It still has what can't be read as it gives it: another one may give it better.
            Some(refusal) if self.settings.leaders > 1 => {
                self.contact = Contact::Failing { leader: waiting.leader, reason: refusal.reason.clone() };
                self.retry(waiting.leader, at);
            }
            _ => self.on_current(waiting, waiting.known, at),
        }
    }

    /// The leader has nothing new: its root is `known`.
    fn on_current(&mut self, waiting: Waiting, known: Option<Root>, at: Moment) {
        self.contacted(waiting.leader, at);
        self.confirm(known);
        self.owe_ack();
        if self.is_plain() {
            self.rest(waiting);
        } else if at.now < waiting.since + waiting.hold.min(UNHELD_INTERVAL) {
            self.polling = Polling::BackingOff { until: waiting.since + UNHELD_INTERVAL };
        } else {
            self.poll(at);
        }
    }

    /// Until the next poll, where they aren't held.
    fn rest(&mut self, waiting: Waiting) {
        self.polling = Polling::BackingOff { until: waiting.since + self.settings.hold };
    }

    /// Whether a leader is asked at an interval instead of holding polls.
    pub(super) const fn is_plain(&self) -> bool {
        self.settings.plain || self.holding.is_plain()
    }

    fn on_state(&mut self, waiting: Waiting, snapshot: Snapshot, at: Moment) {
        let (leader, root) = (waiting.leader, snapshot.root());
        if let Some(newest) = self.newest() {
            if newest.root() == root {
                self.refusal = None;
                self.merge(snapshot.as_of());
                return self.on_current(waiting, Some(root), at);
            }
            let is_refused = match newest.as_of().recency_of(snapshot.as_of()) {
                Recency::Same | Recency::Newer => false,
                Recency::Stale => true,
                Recency::Earlier => !self.may_go_back(leader, at.now),
            };
            if is_refused {
                self.contact = Contact::Stale { leader };
                self.owe_ack();
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
        if self.is_plain() {
            self.rest(waiting);
        }
        self.apply(snapshot, Source::Leader);
    }

    /// Whether a state of an earlier epoch may be taken from this leader.
    fn may_go_back(&mut self, leader: usize, now: Duration) -> bool {
        let outlived = self.outlived.get_or_insert(Outlived::new(now));
        outlived.asked(leader);
        outlived.is_over(self.settings.leaders, now)
    }

    fn on_failure(&mut self, leader: usize, failure: Failure, at: Moment) {
        let reason = failure.to_string();
        match failure {
            Failure::Damaged { root: Some(root), .. } => {
                self.refuse(root, leader, Some(at.now + DAMAGED_RETRY), &reason);
            }
            Failure::Incompatible { root: Some(root), .. } => self.refuse(root, leader, None, &reason),
            _ => {}
        }
        // One that is busy is there, and may know the later epoch.
        if let Some(outlived) = self.outlived.as_mut().filter(|_| !matches!(failure, Failure::Busy { .. })) {
            outlived.asked(leader);
        }
        self.contact = Contact::Failing { leader, reason };
        self.retry(leader, at);
        if let (Failure::Busy { retry_after }, Polling::BackingOff { until }) = (failure, &mut self.polling) {
            // The leader is alive and says when; half as much again keeps its workers apart.
            *until = at.now + retry_after.mul_f64(1.0 + at.random / 2.0);
        }
    }

    /// Besides what is known of the same root already.
    fn refuse(&mut self, root: Root, leader: usize, until: Option<Duration>, reason: &str) {
        let earlier = self.refusal.take().filter(|refusal| refusal.root == root).map(|refusal| refusal.from);
        let mut from = earlier.unwrap_or_else(|| RefusedFrom::Leaders(BTreeMap::new()));
        if let RefusedFrom::Leaders(leaders) = &mut from {
            leaders.insert(leader, until);
        }
        self.refusal = Some(Refusal { root, from, reason: reason.to_owned() });
    }

    fn retry(&mut self, leader: usize, at: Moment) {
        self.polling = Polling::BackingOff { until: at.now + self.leaders.failed(leader, at.random) };
    }

    fn contacted(&mut self, leader: usize, at: Moment) {
        self.leaders.worked(leader);
        self.outlived = None;
        self.contact = Contact::Following { leader, at: at.now };
    }
}
