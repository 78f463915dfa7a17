//! Drives a subscription with fake time and remembers what it asked for.

use std::time::Duration;

use dataplane_core::subscription::{
    Action, Answer, Attempt, Event, Moment, Readiness, Settings, Subscription,
};
use dataplane_snapshot::{AsOf, Root, Snapshot};

#[derive(Debug, PartialEq)]
pub(crate) struct Acked {
    pub(crate) leader: usize,
    pub(crate) root: Root,
    pub(crate) as_of: AsOf,
    pub(crate) refused: Option<Root>,
}

pub(crate) struct Driver {
    pub(crate) machine: Subscription,
    pub(crate) now: Duration,
    pub(crate) random: f64,
    /// Of the last poll.
    pub(crate) attempt: Attempt,
    ack: Attempt,
    timer: Option<Duration>,
    /// All actions since the start that weren't taken by one of the questions below.
    taken: Vec<Action>,
    /// The actions of the last event.
    pub(crate) last: Vec<Action>,
}

impl Driver {
    pub(crate) fn start(leaders: usize, disk: Option<Snapshot>) -> Self {
        Self::start_with(Settings::new(leaders), disk)
    }

    pub(crate) fn start_with(settings: Settings, disk: Option<Snapshot>) -> Self {
        let mut driver = Self {
            machine: Subscription::new(settings),
            now: Duration::ZERO,
            random: 0.0,
            attempt: Attempt(0),
            ack: Attempt(0),
            timer: None,
            taken: Vec::new(),
            last: Vec::new(),
        };
        driver.send(Event::Started { disk });
        driver
    }

    /// Serves `state`, has told so, has it on disk, and waits for the next.
    pub(crate) fn following(state: Snapshot) -> Self {
        Self::following_the_first_of(1, state)
    }

    pub(crate) fn following_the_first_of(leaders: usize, state: Snapshot) -> Self {
        let root = state.root();
        let mut driver = Self::start(leaders, None);
        driver.answer(Answer::State(state));
        driver.applied(root);
        driver.ack_delivered();
        driver.persisted(root);
        driver.taken.clear();
        driver
    }

    pub(crate) fn send(&mut self, event: Event) {
        let at = Moment { now: self.now, random: self.random };
        self.last = self.machine.handle(event, at);
        for action in &self.last {
            match action {
                Action::Poll { attempt, .. } => self.attempt = *attempt,
                Action::Ack { attempt, .. } => self.ack = *attempt,
                Action::SetTimer(at) => self.timer = Some(*at),
                _ => {}
            }
        }
        self.taken.extend(self.last.iter().cloned());
    }

    pub(crate) fn answer(&mut self, answer: Answer) {
        self.send(Event::Answer { attempt: self.attempt, answer });
    }

    pub(crate) fn applied(&mut self, root: Root) {
        self.send(Event::Applied { root, rejected: Vec::new() });
    }

    pub(crate) fn apply_failed(&mut self, root: Root) {
        self.send(Event::ApplyFailed { root, reason: "a panic".into() });
    }

    pub(crate) fn ack_delivered(&mut self) {
        self.send(Event::AckDelivered { attempt: self.ack });
    }

    pub(crate) fn ack_failed(&mut self) {
        self.send(Event::AckFailed { attempt: self.ack });
    }

    pub(crate) fn persisted(&mut self, root: Root) {
        self.send(Event::Persisted { root });
    }

    pub(crate) fn persist_failed(&mut self, root: Root) {
        self.send(Event::PersistFailed { root, reason: "disk full".into() });
    }

    /// Lets time pass, with the timer events that belong into it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.timer.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.timer = None;
            self.send(Event::Timer);
        }
        self.now = until;
    }

    /// Leader, known root and hold of each poll since the last question.
    pub(crate) fn polls(&mut self) -> Vec<(usize, Option<Root>, Duration)> {
        self.take(|action| match action {
            Action::Poll { leader, known, hold, .. } => Some((*leader, *known, *hold)),
            _ => None,
        })
    }

    pub(crate) fn applies(&mut self) -> Vec<Root> {
        self.take(|action| match action {
            Action::Apply(snapshot) => Some(snapshot.root()),
            _ => None,
        })
    }

    pub(crate) fn acks(&mut self) -> Vec<Acked> {
        self.take(|action| match action {
            Action::Ack { leader, root, as_of, refused, .. } => {
                let refused = refused.as_ref().map(|(root, _)| *root);
                Some(Acked { leader: *leader, root: *root, as_of: as_of.clone(), refused })
            }
            _ => None,
        })
    }

    /// The as-of of each write since the last question.
    pub(crate) fn persists(&mut self) -> Vec<AsOf> {
        self.take(|action| match action {
            Action::Persist { as_of, .. } => Some(as_of.clone()),
            _ => None,
        })
    }

    /// What the last event led to.
    pub(crate) fn order(&self) -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::Poll { .. } => Some("poll"),
            Action::Apply(_) => Some("apply"),
            Action::Persist { .. } => Some("persist"),
            Action::Ack { .. } => Some("ack"),
            Action::SetTimer(_) => None,
        };
        self.last.iter().filter_map(name).collect()
    }

    /// When the next poll is due, while no other time is set before it.
    pub(crate) fn poll_due(&self) -> Duration {
        self.timer.expect("a time is set")
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.machine.status().readiness
    }

    pub(crate) fn status_root(&self) -> Root {
        self.machine.status().applied.expect("something is applied").0
    }

    pub(crate) fn status_as_of(&self) -> AsOf {
        self.machine.status().applied.expect("something is applied").1
    }

    fn take<T>(&mut self, kind: impl Fn(&Action) -> Option<T>) -> Vec<T> {
        let found = self.taken.iter().filter_map(&kind).collect();
        self.taken.retain(|action| kind(action).is_none());
        found
    }
}
