//! The worker's side of the protocol, without I/O: events come in, actions go out, time and randomness are arguments.
//!
//! The rules:
//! - Identity is the root, order is the as-of vector. An equal root only merges the as-of; a lower as-of is refused and
//!   shown as a stale leader. One of an earlier epoch of another source, as that of a leader with a store of its own, is taken
//!   once no leader is left that knows the later one.
//! - A state that is refused as a whole changes nothing, and the same root isn't fetched or applied again.
//! - What is applied is acknowledged at once and then written to disk; the disk gates nothing.
//! - What is on disk serves from the first moment. Ready is said when a leader's current state is applied, or when no
//!   leader gave one for the boot wait and there was something on disk. It is never withdrawn.
//! - What is served is never replaced by nothing.
//! - Reports are levels: an acknowledgement is repeated with each answer of a leader and on each new contact, so a leader
//!   that restarted soon knows everything again, and one that is behind knows that it is.
//! - Where held polls are cut on the way, again and again, they aren't held any more: a leader is asked at an interval, and
//!   holding is tried again later.

mod applying;
mod event;
mod fetch;
mod holding;
mod leaders;
mod polling;
mod region;
mod reporting;
mod status;

use std::time::Duration;

use dataplane_snapshot::{Key, Snapshot};

pub use event::{Action, Answer, Attempt, Event, Failure, Moment};
pub use fetch::{Ask, LATE_MANIFESTS, Outcome, decode};
pub use leaders::Backoff;
pub use status::{Leader, Readiness, Source, Status, Unready};

use holding::Holding;
use leaders::Leaders;
use region::{Acking, Applying, Contact, Outlived, Persisting, Polling, Refusal};

/// How long a state that arrived damaged isn't asked for again from the same leader: long enough not to load it, short
/// enough that a fault on the way doesn't leave this worker behind until the next change.
pub const DAMAGED_RETRY: Duration = Duration::from_secs(60);

/// When a failed write of the state file is tried again, if no new state is applied before.
pub const PERSIST_RETRY: Duration = Duration::from_secs(30);

/// How long a state of an earlier epoch is refused if there is no other leader to ask.
pub const EARLIER_PATIENCE: Duration = Duration::from_secs(10);

/// How often a leader that doesn't hold polls, though asked to, is asked.
pub const UNHELD_INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker whose held polls are cut does without holding before it tries again.
pub const PLAIN_RETRY: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How many leaders there are to choose from; an action names one by its index.
    pub leaders: usize,
    /// How long a leader may hold a poll that has nothing new; also the interval of polls that aren't held.
    pub hold: Duration,
    /// Polls are never held.
    pub plain: bool,
    /// How long readiness waits for a leader's state at boot.
    pub boot_wait: Duration,
    pub backoff: Backoff,
}

impl Settings {
    /// A hold of 25 s, a boot wait of 5 s, retries from 0.25 s to 3 s, so that a leader that is back is found soon.
    pub const fn new(leaders: usize) -> Self {
        Self {
            leaders,
            hold: Duration::from_secs(25),
            plain: false,
            boot_wait: Duration::from_secs(5),
            backoff: Backoff { base: Duration::from_millis(250), factor: 2, cap: Duration::from_secs(3) },
        }
    }
}

/// What is in service.
#[derive(Clone, Debug)]
struct Applied {
    snapshot: Snapshot,
    rejected: Vec<(Key, String)>,
    source: Source,
}

#[derive(Debug)]
pub struct Subscription {
    settings: Settings,
    leaders: Leaders,
    polling: Polling,
    holding: Holding,
    contact: Contact,
    applied: Option<Applied>,
    applying: Applying,
    acking: Acking,
    ack_failures: u32,
    persisting: Persisting,
    refusal: Option<Refusal>,
    outlived: Option<Outlived>,
    readiness: Readiness,
    booting_until: Duration,
    attempts: u64,
    actions: Vec<Action>,
}

impl Subscription {
    pub fn new(settings: Settings) -> Self {
        Self {
            leaders: Leaders::new(settings.leaders, settings.backoff),
            polling: Polling::Idle,
            holding: Holding::Held { cuts: 0 },
            contact: Contact::None,
            applied: None,
            applying: Applying::Idle,
            acking: Acking::Idle,
            ack_failures: 0,
            persisting: Persisting::Idle,
            refusal: None,
            outlived: None,
            readiness: Readiness::NotReady(Unready::WaitingForLeader),
            booting_until: settings.boot_wait,
            attempts: 0,
            actions: Vec::new(),
            settings,
        }
    }

    /// Takes one event and gives what is to be done now, in this order.
    pub fn handle(&mut self, event: Event, at: Moment) -> Vec<Action> {
        match event {
            Event::Started { disk } => self.start(disk, at),
            Event::Answer { attempt, answer } => self.on_answer(attempt, answer, at),
            Event::Applied { root, rejected } => self.on_applied(root, rejected, at),
            Event::ApplyFailed { root, reason } => self.on_apply_failed(root, reason, at),
            Event::AckDelivered { attempt } => self.on_ack_delivered(attempt),
            Event::AckFailed { attempt } => self.on_ack_failed(attempt, at),
            Event::Persisted { root } => self.on_persisted(root),
            Event::PersistFailed { root, reason } => self.on_persist_failed(root, reason, at),
            Event::Timer => self.on_timer(at),
        }
        self.settle_readiness(at.now);
        self.actions.extend(self.next_deadline(at.now).map(Action::SetTimer));
        std::mem::take(&mut self.actions)
    }

    fn start(&mut self, disk: Option<Snapshot>, at: Moment) {
        self.booting_until = at.now + self.settings.boot_wait;
        self.leaders.begin(at.random);
        if let Some(snapshot) = disk {
            self.apply(snapshot, Source::Disk);
        }
        self.poll(at);
    }

    fn on_timer(&mut self, at: Moment) {
        if matches!(self.polling, Polling::BackingOff { until } if until <= at.now) {
            self.polling = Polling::Idle;
            self.poll(at);
        }
        if matches!(self.acking, Acking::Owed { from } if from <= at.now) {
            self.acking = Acking::Idle;
            self.owe_ack();
        }
        if matches!(self.persisting, Persisting::Failed { retry_at, .. } if retry_at <= at.now) {
            self.persist();
        }
    }

    fn next_deadline(&self, now: Duration) -> Option<Duration> {
        let polling = match self.polling {
            Polling::BackingOff { until } => Some(until),
            _ => None,
        };
        let acking = match self.acking {
            Acking::Owed { from } => Some(from),
            _ => None,
        };
        let persisting = match self.persisting {
            Persisting::Failed { retry_at, .. } => Some(retry_at),
            _ => None,
        };
        let boot = Some(self.booting_until).filter(|until| now < *until);
        [polling, acking, persisting, boot].into_iter().flatten().min()
    }

    /// The newest state that was accepted, applied or not.
    pub fn newest(&self) -> Option<&Snapshot> {
        self.applying.newest().or_else(|| self.applied.as_ref().map(|applied| &applied.snapshot))
    }

    const fn next_attempt(&mut self) -> Attempt {
        self.attempts += 1;
        Attempt(self.attempts)
    }
}
