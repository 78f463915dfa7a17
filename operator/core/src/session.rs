//! The leader's side of the protocol, without I/O: which poll is answered when, and which workers there are.
//!
//! A poll that names the current root is held until the root changes or its time is over; any other gets the state at
//! once. Times are measured from any fixed moment and never go back.

mod bearer;
mod history;
mod members;
mod offer;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane_snapshot::{Root, Scope};

use crate::programmed::Applied;
use crate::scoped::Part;

pub use bearer::{Bearer, Place, Role};
pub use history::{History, MAX_CHANGES, MAX_KEYS};
pub use members::{
    Identity, LOST_AFTER, MAX_MEMBERS, MAX_MEMBERS_OF_CLIENT, MEMBER_TTL, MemberStatus, Members, Relayed,
    SUPERSEDED_AFTER, WorkerPods,
};
pub use offer::{Offer, Reach};

/// The longest time that a poll is held. Below the 30 s after which many intermediaries close an idle connection.
pub const MAX_HOLD: Duration = Duration::from_secs(25);

/// The most polls held at once; further ones are asked to come back.
pub const MAX_HELD: usize = 16_384;

/// How often members are looked through for those that went away.
const SWEEP: Duration = Duration::from_secs(1);

/// Numbers the polls of one leader process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollId(pub u64);

#[derive(Clone, Debug)]
pub enum Event {
    /// A worker asks for a state other than `known`, and is ready to wait for `hold`.
    Poll {
        poll: PollId,
        member: Identity,
        known: Option<Root>,
        hold: Duration,
    },
    /// The connection of a poll is gone.
    Cancelled {
        poll: PollId,
    },
    /// A worker says what it has in service; `refused` is why it refused a state as a whole.
    Ack {
        member: Identity,
        applied: Applied,
        refused: Option<String>,
    },
    /// The worker in this process says the same. It doesn't poll and is never lost.
    LocalAck {
        member: Identity,
        applied: Applied,
        refused: Option<String>,
    },
    /// A worker spoke of something else.
    Heard {
        member: Identity,
    },
    /// Another leader tells of one of its workers.
    Relayed(Relayed),
    /// Another leader tells that one of its workers has left.
    LeftElsewhere {
        id: String,
    },
    /// The current state has this root.
    Published {
        root: Root,
    },
    /// Those with this scope, which isn't everything, should have this part of the current state; `None`: nobody has the scope
    /// any more.
    Narrowed {
        scope: Scope,
        part: Option<Part>,
    },
    /// The member with this id is gone for good.
    Forget {
        id: String,
    },
    Timer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Answer {
        poll: PollId,
        reply: Reply,
    },
    /// Something in [`Session::members`] is other than before.
    MembersChanged,
    /// Send [`Event::Timer`] at this time; replaces the one before.
    SetTimer(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The current state, which isn't what the worker has.
    State,
    /// What the worker has is current.
    NotModified,
    /// There is no state yet, or there are too many polls or members: come back.
    NotNow,
}

#[derive(Debug, Default)]
pub struct Session {
    held: BTreeMap<PollId, Held>,
    held_of: BTreeMap<String, PollId>,
    deadlines: BTreeSet<(Duration, PollId)>,
    members: Members,
    next_sweep: Option<Duration>,
}

#[derive(Debug)]
struct Held {
    member: String,
    scope: Scope,
    known: Option<Root>,
    until: Duration,
}

impl Session {
    /// Takes one event and gives what is to be done now.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let before = self.members.changes();
        let mut actions = Vec::new();
        match event {
            Event::Poll { poll, member, known, hold } => {
                self.on_poll(poll, member, known, hold, now, &mut actions);
            }
            Event::Cancelled { poll } => {
                if let Some(held) = self.release(poll) {
                    self.members.left(&held.member, now);
                }
            }
            Event::Ack { member, applied, refused } => self.members.ack(member, applied, refused, now),
            Event::LocalAck { member, applied, refused } => {
                self.members.local_ack(member, applied, refused, now);
            }
            Event::Heard { member } => {
                self.members.heard(member, now);
            }
            Event::Relayed(relayed) => self.members.relayed(relayed, now),
            Event::LeftElsewhere { id } => self.members.left_elsewhere(&id),
            Event::Published { root } => {
                self.members.published(root, now);
                self.tell(&Scope::default(), now, &mut actions);
            }
            Event::Narrowed { scope, part } => {
                self.members.narrowed(scope.clone(), part, now);
                self.tell(&scope, now, &mut actions);
            }
            Event::Forget { id } => self.members.forget(&id),
            Event::Timer => self.on_timer(now, &mut actions),
        }
        if self.members.changes() != before {
            actions.push(Action::MembersChanged);
        }
        actions.extend(self.next_timer(now).map(Action::SetTimer));
        actions
    }

    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// The root of the whole current state, if there is one yet.
    pub fn current(&self) -> Option<Root> {
        self.members.current(&Scope::default())
    }

    /// How many polls are held now.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn on_poll(
        &mut self,
        poll: PollId,
        member: Identity,
        known: Option<Root>,
        hold: Duration,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let (id, scope) = (member.id.clone(), member.scope.clone());
        if !self.members.seen(member, now) {
            return actions.push(Action::Answer { poll, reply: Reply::NotNow });
        }
        // A worker polls once at a time: the connection of an older poll is dead, though nobody has noticed.
        if let Some(older) = self.held_of.get(&id).copied() {
            self.release(older);
            actions.push(Action::Answer { poll: older, reply: Reply::NotModified });
        }
        let idle = self.idle_reply(known, &scope);
        let reply = match idle {
            None => Reply::State,
            Some(reply) if hold.is_zero() => reply,
            // Nothing will be told of a part that isn't there.
            Some(Reply::NotNow) if !scope.is_all() => Reply::NotNow,
            Some(_) if self.held.len() >= MAX_HELD => Reply::NotNow,
            Some(_) => {
                let until = now + hold.min(MAX_HOLD);
                self.members.waits(&id);
                self.deadlines.insert((until, poll));
                self.held_of.insert(id.clone(), poll);
                self.held.insert(poll, Held { member: id, scope, known, until });
                return;
            }
        };
        actions.push(Action::Answer { poll, reply });
    }

    /// What a poll is told if nothing changes; `None` if there is something new for it.
    fn idle_reply(&self, known: Option<Root>, scope: &Scope) -> Option<Reply> {
        match self.members.current(scope) {
            None => Some(Reply::NotNow),
            Some(root) if known == Some(root) => Some(Reply::NotModified),
            Some(_) => None,
        }
    }

    /// Answers the polls to whose scope there is something new, or no part any more.
    fn tell(&mut self, scope: &Scope, now: Duration, actions: &mut Vec<Action>) {
        let current = self.members.current(scope);
        let reply = if current.is_some() { Reply::State } else { Reply::NotNow };
        let is_told = |held: &Held| held.scope == *scope && (current.is_none() || held.known != current);
        let told: Vec<_> =
            self.held.iter().filter(|(_, held)| is_told(held)).map(|(poll, _)| *poll).collect();
        for poll in told {
            self.answer(poll, reply, now, actions);
        }
    }

    fn on_timer(&mut self, now: Duration, actions: &mut Vec<Action>) {
        while let Some((until, poll)) = self.deadlines.first().copied().filter(|(until, _)| *until <= now) {
            let idle = self.held.get(&poll).and_then(|held| self.idle_reply(held.known, &held.scope));
            let reply = idle.unwrap_or(Reply::State);
            self.answer(poll, reply, now, actions);
            self.deadlines.remove(&(until, poll));
        }
        if self.next_sweep.is_some_and(|sweep| sweep <= now) {
            self.members.sweep(now);
            self.next_sweep = None;
        }
    }

    fn answer(&mut self, poll: PollId, reply: Reply, now: Duration, actions: &mut Vec<Action>) {
        if let Some(held) = self.release(poll) {
            self.members.left(&held.member, now);
            actions.push(Action::Answer { poll, reply });
        }
    }

    fn release(&mut self, poll: PollId) -> Option<Held> {
        let held = self.held.remove(&poll)?;
        self.held_of.remove(&held.member);
        self.deadlines.remove(&(held.until, poll));
        Some(held)
    }

    fn next_timer(&mut self, now: Duration) -> Option<Duration> {
        if self.members.is_empty() {
            self.next_sweep = None;
        } else {
            self.next_sweep.get_or_insert(now + SWEEP);
        }
        let poll = self.deadlines.first().map(|(until, _)| *until);
        [poll, self.next_sweep].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
