//! A leader: the planning, session, offer and ledger of the product, moved by events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataplane_snapshot::{Epoch, Key, Object, Root, Snapshot, wire};
use operator_core::programmed::{Ledger, Verdicts};
use operator_core::session::{self, Action, Offer, PollId, Reach, Reply, Session};
use operator_core::{ListenerSettings, Memo, Statuses, World as Planned, plan};
use prost::Message as _;

use crate::message::{Ack, Event, Exchange, LeaderIndex, Life, Request, Response};
use crate::truth::Position;
use crate::world::World;

/// Which version of the program a leader runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Current,
    /// Sends fields and an object of a kind that nobody here knows.
    Newer,
    /// Knows no bases.
    Older,
    /// Writes another format, which is refused.
    Foreign,
}

pub(crate) struct Leader {
    pub(crate) version: Version,
    pub(crate) life: Life,
    pub(crate) is_up: bool,
    pub(crate) position: Position,
    /// Added to the time of the simulation.
    pub(crate) clock: Duration,
    timer: Option<Duration>,
    memo: Memo,
    pub(crate) planned: Option<Pass>,
    pub(crate) offer: Option<Offer>,
    pub(crate) session: Session,
    ledger: Ledger,
    waiting: BTreeMap<PollId, Request>,
    polls: u64,
    /// The writes that it has said to be programmed.
    pub(crate) told: BTreeSet<u64>,
    pub(crate) verdicts: Verdicts,
}

/// The result of planning.
pub(crate) struct Pass {
    pub(crate) world: Planned,
    pub(crate) statuses: Statuses,
    pub(crate) snapshot: Snapshot,
}

impl Leader {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            life: 0,
            is_up: false,
            position: Position::default(),
            clock: Duration::ZERO,
            timer: None,
            memo: Memo::default(),
            planned: None,
            offer: None,
            session: Session::default(),
            ledger: Ledger::default(),
            waiting: BTreeMap::new(),
            polls: 0,
            told: BTreeSet::new(),
            verdicts: Verdicts::default(),
        }
    }

    fn encode(&self, state: wire::State) -> Bytes {
        let mut state = state;
        if self.version == Version::Foreign {
            state.format_version += 1;
        }
        let mut bytes = state.encode_to_vec();
        if self.version == Version::Newer {
            // Field 100, a number.
            bytes.extend([0xa0, 0x06, 0x01]);
        }
        bytes.into()
    }

    fn answer(&self, reply: Reply, request: &Request, reach: Reach) -> Response {
        let Some(offer) = &self.offer else { return Response::Busy };
        let root = offer.snapshot(reach).root();
        let state = |state| Response::State { root, bytes: self.encode(state) };
        match (reply, &request.manifest, request.base.filter(|_| self.version != Version::Older)) {
            (Reply::NotNow, ..) => Response::Busy,
            (_, Some(manifest), Some(base)) => state(offer.difference(reach, base, manifest)),
            (Reply::NotModified, ..) => Response::NotModified,
            (Reply::State, _, Some(base)) => offer.change(reach, base).map_or(Response::UnknownBase, state),
            (Reply::State, _, None) => state(wire::State::from_snapshot(offer.snapshot(reach))),
        }
    }
}

impl World {
    pub(crate) fn start_leader(&mut self, index: LeaderIndex) {
        let position = if self.bad { self.truth.somewhere(&mut self.dice) } else { self.truth.newest() };
        let before = &self.leaders[index];
        let (life, clock) = (before.life + 1, before.clock);
        let fresh = Leader::new(before.version);
        self.leaders[index] = Leader { life, clock, is_up: true, position, ..fresh };
        self.plan(index);
    }

    pub(crate) fn stop_leader(&mut self, index: LeaderIndex) {
        let leader = &mut self.leaders[index];
        leader.is_up = false;
        let waiting = std::mem::take(&mut leader.waiting);
        for request in waiting.into_values() {
            self.send(Event::Response(request.exchange, Response::Broken));
        }
    }

    /// The leader sees more of the truth.
    pub(crate) fn see(&mut self, index: LeaderIndex) {
        if !self.leaders[index].is_up {
            return;
        }
        let from = self.leaders[index].position;
        let to = if self.bad { self.truth.further(from, &mut self.dice) } else { self.truth.newest() };
        if from != to {
            self.leaders[index].position = to;
            self.plan(index);
        }
    }

    /// One pass of planning, judged at once and published a moment later.
    fn plan(&mut self, index: LeaderIndex) {
        let leader = &mut self.leaders[index];
        let mut view = self.truth.view(leader.position);
        if self.have_own_stores {
            // What is the same folder for all of them is numbered by each in its own way.
            let Epoch { id, created_at } = &mut view.as_of.epoch;
            *id = id.replacen("e.", &format!("s{index}."), 1);
            *created_at += 100 * index as u64;
        }
        let world = Planned::join(self.listeners.clone(), [&view]);
        let (plan, memo) = plan(&world, &leader.memo);
        leader.memo = memo;
        leader.ledger.record(&plan.statuses, &plan.snapshot);
        let snapshot = match leader.version {
            Version::Newer => with_later_kind(&plan.snapshot),
            _ => plan.snapshot,
        };
        leader.planned = Some(Pass { world, statuses: plan.statuses, snapshot: snapshot.clone() });
        let life = leader.life;
        self.trace(|| {
            format!("leader {index} plans {} as of {:?}", short(snapshot.root()), snapshot.as_of())
        });
        self.note_planned(index);
        self.judge(index);
        let delay = self.dice.below(Duration::from_millis(5));
        self.later(delay, Event::Publish(index, life, Box::new(snapshot)));
    }

    pub(crate) fn publish(&mut self, index: LeaderIndex, snapshot: Snapshot) {
        let root = snapshot.root();
        let leader = &mut self.leaders[index];
        leader.offer = Some(Offer::new(Arc::new(snapshot), leader.offer.as_ref()));
        self.lead(index, session::Event::Published { root });
    }

    pub(crate) fn on_request(&mut self, index: LeaderIndex, request: Request) {
        let reach = self.reach(request.exchange.worker, index);
        let leader = &mut self.leaders[index];
        if !leader.is_up {
            return self.send(Event::Response(request.exchange, Response::Broken));
        }
        let poll = PollId(leader.polls);
        leader.polls += 1;
        let at = |root| leader.offer.as_ref().map_or(root, |offer| offer.whole_root(root, reach));
        let (known, hold) = match &request.manifest {
            Some(_) => (None, Duration::ZERO),
            None => (request.known.map(at), request.hold),
        };
        let member = request.member.clone();
        leader.waiting.insert(poll, request);
        self.lead(index, session::Event::Poll { poll, member, known, hold });
    }

    pub(crate) fn on_ack(&mut self, ack: Ack) {
        let reach = self.reach(ack.worker, ack.leader);
        let leader = &self.leaders[ack.leader];
        let ended = Event::AckEnded(ack.worker, ack.life, ack.attempt, leader.is_up);
        if leader.is_up {
            let mut applied = ack.applied;
            if let Some(offer) = &leader.offer {
                applied.root = offer.whole_root(applied.root, reach);
            }
            self.lead(ack.leader, session::Event::Ack { member: ack.member, applied, refused: ack.refused });
        }
        self.send(ended);
    }

    /// The other side of a poll is gone.
    pub(crate) fn hang_up(&mut self, worker: Exchange) {
        for index in 0..self.leaders.len() {
            let leader = &self.leaders[index];
            let mut gone = leader.waiting.iter().filter(|(_, request)| request.exchange == worker);
            let (Some((poll, _)), life) = (gone.next().map(|(poll, _)| (*poll, ())), leader.life) else {
                continue;
            };
            let delay = self.dice.below(Duration::from_secs(20));
            self.later(delay, Event::Hangup(index, life, poll));
        }
    }

    pub(crate) fn on_hangup(&mut self, index: LeaderIndex, poll: PollId) {
        if self.leaders[index].waiting.remove(&poll).is_some() {
            self.lead(index, session::Event::Cancelled { poll });
        }
    }

    pub(crate) fn on_leader_timer(&mut self, index: LeaderIndex) {
        let now = self.leader_now(index);
        if self.leaders[index].timer.is_some_and(|timer| timer <= now) {
            self.leaders[index].timer = None;
            self.lead(index, session::Event::Timer);
        }
    }

    pub(crate) fn leader_now(&self, index: LeaderIndex) -> Duration {
        self.now + self.leaders[index].clock
    }

    pub(crate) fn lead(&mut self, index: LeaderIndex, event: session::Event) {
        let now = self.leader_now(index);
        let leader = &mut self.leaders[index];
        if !leader.is_up {
            return;
        }
        let mut is_changed = false;
        for action in leader.session.handle(event, now) {
            match action {
                Action::Answer { poll, reply } => self.answer(index, poll, reply),
                Action::MembersChanged => is_changed = true,
                Action::SetTimer(at) => {
                    let life = self.leaders[index].life;
                    if self.leaders[index].timer.replace(at) != Some(at) {
                        self.later(at.saturating_sub(now), Event::LeaderTimer(index, life));
                    }
                }
            }
        }
        if is_changed {
            self.judge(index);
        }
    }

    fn answer(&mut self, index: LeaderIndex, poll: PollId, reply: Reply) {
        let leader = &mut self.leaders[index];
        let Some(request) = leader.waiting.remove(&poll) else { return };
        let worker = request.exchange.worker;
        let reach = self.reach(worker, index);
        let response = self.leaders[index].answer(reply, &request, reach);
        self.trace(|| match &response {
            Response::State { root, bytes } => {
                format!("leader {index} gives worker {worker} {} in {} bytes", short(*root), bytes.len())
            }
            other => format!("leader {index} tells worker {worker} {other:?}"),
        });
        self.send(Event::Response(request.exchange, response));
    }

    fn judge(&mut self, index: LeaderIndex) {
        let now = self.leader_now(index);
        let leader = &mut self.leaders[index];
        let Some(planned) = &leader.planned else { return };
        let counted = leader.session.members().counted(None, now);
        leader.verdicts = leader.ledger.verdicts(&counted, planned.snapshot.root()).clone();
        self.check_programmed(index);
    }
}

pub(crate) fn listeners() -> Arc<Vec<ListenerSettings>> {
    Arc::new(vec![ListenerSettings::http("http", 8080)])
}

pub(crate) fn short(root: Root) -> String {
    root.to_string()[..8].to_owned()
}

/// One object more, which is another one as of each state of the sources.
fn with_later_kind(snapshot: &Snapshot) -> Snapshot {
    let key = Key::of_any_kind("shoe/default/x").expect("a key");
    let object = Object::new(key, format!("{:?}", snapshot.as_of()).into());
    snapshot.edit([object], &[], snapshot.as_of().clone())
}
