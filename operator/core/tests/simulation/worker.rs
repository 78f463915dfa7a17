//! A worker: the subscription, fetching, what is served and what is stored of the product, moved by events.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dataplane_core::served::Served;
use dataplane_core::stored::as_of_in_service;
use dataplane_core::subscription::{
    self, Action, Answer, Ask, Attempt, Failure, Moment, Outcome, Settings, Subscription, decode,
};
use dataplane_snapshot::{AsOf, Key, Kind, Object, Root, Scope, Snapshot, manifest, wire};
use operator_core::programmed::Applied;
use operator_core::session::Identity;

use crate::check::Record;
use crate::disk::Disk;
use crate::leader::short;
use crate::message::{Ack, Event, Exchange, LeaderIndex, Life, Request, Response, WorkerIndex};
use crate::world::World;

/// What the client of the product adds to the hold.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) struct Worker {
    /// Of an earlier version: it can't use some objects, and asks for the whole state only.
    pub(crate) is_older: bool,
    pub(crate) life: Life,
    pub(crate) is_up: bool,
    /// Added to the time of the simulation.
    pub(crate) clock: Duration,
    pub(crate) paused_until: Duration,
    pub(crate) subscription: Subscription,
    timer: Option<Duration>,
    pub(crate) served: Served,
    restored: Option<Served>,
    fetching: Option<Fetching>,
    exchanges: u64,
    acks: VecDeque<Ack>,
    writing: Option<Write>,
    pub(crate) disk: Disk,
    pub(crate) record: Record,
}

/// A write that is under way.
struct Write {
    root: Root,
    served: Served,
    as_of: AsOf,
    goods: Goods,
}

struct Fetching {
    attempt: Attempt,
    leader: LeaderIndex,
    known: Option<Root>,
    hold: Duration,
    base: Snapshot,
    ask: Ask,
    exchange: u64,
}

impl Worker {
    pub(crate) fn new(is_older: bool, leaders: usize) -> Self {
        Self {
            is_older,
            life: 0,
            is_up: false,
            clock: Duration::ZERO,
            paused_until: Duration::ZERO,
            subscription: Subscription::new(Settings::new(leaders)),
            timer: None,
            served: Served::default(),
            restored: None,
            fetching: None,
            exchanges: 0,
            acks: VecDeque::new(),
            writing: None,
            disk: Disk::default(),
            record: Record::default(),
        }
    }
}

impl World {
    pub(crate) fn start_worker(&mut self, index: WorkerIndex) {
        let leaders = self.leaders.len();
        let worker = &mut self.workers[index];
        let (mut disk, mut record) = (std::mem::take(&mut worker.disk), std::mem::take(&mut worker.record));
        let restored = disk.open();
        record.begin(restored.as_ref());
        let life = worker.life + 1;
        let fresh = Worker::new(worker.is_older, leaders);
        let clock = worker.clock;
        let found = restored.as_ref().map(|served| served.snapshot().clone());
        *worker = Worker { life, clock, is_up: true, restored, disk, record, ..fresh };
        self.trace(|| format!("worker {index} starts with {:?}", found.as_ref().map(|it| short(it.root()))));
        self.tell(index, subscription::Event::Started { disk: found });
    }

    pub(crate) fn stop_worker(&mut self, index: WorkerIndex) {
        let is_torn = self.bad && self.dice.is(0.3);
        let is_written = self.dice.is(0.5);
        let worker = &mut self.workers[index];
        worker.is_up = false;
        if let Some(Write { served, as_of, goods, .. }) = worker.writing.take() {
            if is_written {
                worker.disk.write(&served, &as_of);
                worker.record.written(goods, as_of);
            } else if is_torn {
                worker.disk.tear();
            }
        }
        let fetching = worker.fetching.take();
        let life = worker.life;
        if let Some(Fetching { exchange, .. }) = fetching {
            self.hang_up(Exchange { worker: index, life, number: exchange });
        }
    }

    /// It says that it ends, to one leader.
    pub(crate) fn leave(&mut self, index: WorkerIndex) {
        let (leader, id) = (self.dice.index(self.leaders.len()), member(index, self.workers[index].life).id);
        self.send(Event::Leave(leader, id));
    }

    pub(crate) fn worker_now(&self, index: WorkerIndex) -> Duration {
        self.now + self.workers[index].clock
    }

    pub(crate) fn on_worker_timer(&mut self, index: WorkerIndex) {
        let now = self.worker_now(index);
        if self.workers[index].timer.is_some_and(|timer| timer <= now) {
            self.workers[index].timer = None;
            self.tell(index, subscription::Event::Timer);
        }
    }

    pub(crate) fn tell(&mut self, index: WorkerIndex, event: subscription::Event) {
        let at = Moment { now: self.worker_now(index), random: self.dice.roll() };
        let actions = self.workers[index].subscription.handle(event, at);
        self.check_accepted(index);
        for action in actions {
            self.act(index, action, at.now);
        }
    }

    fn act(&mut self, index: WorkerIndex, action: Action, now: Duration) {
        let life = self.workers[index].life;
        match action {
            Action::SetTimer(at) => {
                if self.workers[index].timer.replace(at) != Some(at) {
                    self.later(at.saturating_sub(now), Event::WorkerTimer(index, life));
                }
            }
            Action::Poll { attempt, leader, known, hold } => {
                let newest = self.workers[index].subscription.newest().cloned().unwrap_or_default();
                let base = if self.workers[index].is_older { Snapshot::default() } else { newest };
                let ask = Ask::first(&base);
                let fetching = Fetching { attempt, leader, known, hold, base, ask, exchange: 0 };
                self.workers[index].fetching = Some(fetching);
                self.ask(index);
            }
            Action::Apply(snapshot) => {
                let longest = if self.bad { Duration::from_secs(2) } else { Duration::from_millis(20) };
                let delay = self.dice.below(longest);
                self.later(delay, Event::Compiled(index, life, Box::new(snapshot)));
            }
            Action::Persist { root, as_of } => {
                let worker = &mut self.workers[index];
                let as_of = as_of_in_service(&worker.served, (root, as_of));
                let (served, goods) = (worker.served.clone(), worker.record.goods.clone());
                worker.writing = Some(Write { root, served, as_of, goods });
                let longest = if self.bad { Duration::from_secs(1) } else { Duration::from_millis(10) };
                let delay = self.dice.below(longest);
                self.later(delay, Event::Written(index, life));
            }
            Action::Ack { attempt, leader, root, as_of, rejected, refused } => {
                let applied =
                    Applied { root, as_of, rejected: rejected.into_iter().collect(), more_rejected: false };
                let (member, refused) = (member(index, life), refused.map(|(_, reason)| reason));
                let ack = Ack { worker: index, life, attempt, leader, member, applied, refused };
                self.workers[index].acks.push_back(ack);
                if self.workers[index].acks.len() == 1 {
                    self.send_ack(index);
                }
            }
        }
    }

    /// Sends what is to be asked now.
    fn ask(&mut self, index: WorkerIndex) {
        let worker = &mut self.workers[index];
        let Some(fetching) = &mut worker.fetching else { return };
        worker.exchanges += 1;
        fetching.exchange = worker.exchanges;
        let exchange = Exchange { worker: index, life: worker.life, number: worker.exchanges };
        let has_base = matches!(fetching.ask, Ask::Change | Ask::Difference);
        let hold = match fetching.ask {
            Ask::Change | Ask::Whole => fetching.hold,
            Ask::Difference | Ask::WholeAfterAll => Duration::ZERO,
        };
        let request = Request {
            exchange,
            member: member(index, worker.life),
            known: fetching.known.filter(|_| fetching.ask != Ask::Difference),
            hold,
            base: has_base.then(|| fetching.base.root()),
            manifest: (fetching.ask == Ask::Difference).then(|| manifest::manifest(&fetching.base)),
        };
        let leader = fetching.leader;
        let (ask, known) = (fetching.ask, fetching.known);
        self.trace(|| {
            format!("worker {index} asks leader {leader} for {ask:?}, knows {:?}", known.map(short))
        });
        self.send(Event::Request(leader, Box::new(request)));
        self.later(hold + ANSWER_TIMEOUT, Event::TimedOut(exchange));
    }

    pub(crate) fn on_response(&mut self, exchange: Exchange, response: Response) {
        let index = exchange.worker;
        let worker = &mut self.workers[index];
        let Some(fetching) = worker.fetching.as_mut().filter(|it| it.exchange == exchange.number) else {
            return;
        };
        let failed = |failure| Outcome::Answer(Answer::Failed(failure));
        let outcome = match response {
            Response::State { root, bytes } => match decode(bytes, root, &fetching.base) {
                Ok(state) => Outcome::Answer(Answer::State(state)),
                Err(failure) => failed(failure),
            },
            Response::NotModified if fetching.known.is_some() => Outcome::Answer(Answer::NotModified),
            Response::UnknownBase => Outcome::UnknownBase,
            Response::Busy => failed(Failure::Busy { retry_after: Duration::from_secs(1) }),
            Response::NotModified | Response::Broken => failed(Failure::Unreachable("broken".to_owned())),
        };
        match fetching.ask.then(outcome) {
            Ok(answer) => {
                let attempt = fetching.attempt;
                worker.fetching = None;
                self.trace(|| format!("worker {index} has {}", what(&answer)));
                self.tell(index, subscription::Event::Answer { attempt, answer });
            }
            Err(next) => {
                fetching.ask = next;
                self.ask(index);
            }
        }
    }

    pub(crate) fn on_timed_out(&mut self, exchange: Exchange) {
        let fetching = &self.workers[exchange.worker].fetching;
        if fetching.as_ref().is_some_and(|it| it.exchange == exchange.number) {
            self.hang_up(exchange);
            self.on_response(exchange, Response::Broken);
        }
    }

    fn send_ack(&mut self, index: WorkerIndex) {
        let Some(ack) = self.workers[index].acks.front().cloned() else { return };
        let ended = Event::AckEnded(index, ack.life, ack.attempt, false);
        self.send(Event::Ack(Box::new(ack)));
        self.later(ANSWER_TIMEOUT, ended);
    }

    /// One is delivered, or not, before the next is sent.
    pub(crate) fn on_ack_ended(&mut self, index: WorkerIndex, attempt: Attempt, is_delivered: bool) {
        let worker = &mut self.workers[index];
        if worker.acks.front().is_none_or(|ack| ack.attempt != attempt) {
            return;
        }
        worker.acks.pop_front();
        self.send_ack(index);
        self.tell(
            index,
            if is_delivered {
                subscription::Event::AckDelivered { attempt }
            } else {
                subscription::Event::AckFailed { attempt }
            },
        );
    }

    pub(crate) fn on_compiled(&mut self, index: WorkerIndex, snapshot: Snapshot) {
        let root = snapshot.root();
        let is_panic = self.bad && self.dice.is(0.05);
        let worker = &mut self.workers[index];
        let restored = worker.restored.take().filter(|served| served.snapshot().root() == root);
        let event = if is_panic {
            self.trace(|| format!("worker {index} fails to apply {}", short(root)));
            subscription::Event::ApplyFailed { root, reason: "a panic".to_owned() }
        } else {
            if restored.is_some() {
                worker.record.restored();
            }
            let mut served = restored.unwrap_or_else(|| worker.served.advance(snapshot));
            let is_older = worker.is_older;
            let ((), rejected) = served.settle(|served| ((), compile(served, is_older)));
            worker.served = served;
            self.trace(|| format!("worker {index} serves {} without {rejected:?}", short(root)));
            self.check_served(index, &rejected);
            subscription::Event::Applied { root, rejected }
        };
        let (delay, life) = (self.dice.below(Duration::from_millis(20)), self.workers[index].life);
        self.later(delay, Event::Tell(index, life, Box::new(event)));
    }

    pub(crate) fn on_written(&mut self, index: WorkerIndex) {
        let is_full = self.bad && self.dice.is(0.1);
        let worker = &mut self.workers[index];
        let Some(Write { root, served, as_of, goods }) = worker.writing.take() else { return };
        let event = if is_full {
            worker.disk.fail();
            subscription::Event::PersistFailed { root, reason: "full".to_owned() }
        } else {
            worker.disk.write(&served, &as_of);
            worker.record.written(goods, as_of);
            subscription::Event::Persisted { root }
        };
        self.tell(index, event);
    }
}

pub(crate) fn member(index: WorkerIndex, life: Life) -> Identity {
    Identity {
        id: format!("w{index}-{life}"),
        name: format!("w{index}"),
        version: "1".to_owned(),
        scope: Scope::default(),
        client: None,
        pod: None,
    }
}

/// In the place of the router: rejects backends without their password, and what an older worker doesn't know.
fn compile(served: &Served, is_older: bool) -> Vec<(Key, String)> {
    let reason = |key: &Key, object: &Object| match (key.kind(), served.payload(key)?.ok()?) {
        (Kind::Route, wire::Payload::Route(_)) => {
            let is_new = object.bytes().windows(4).any(|window| window == b"/new");
            (is_new && is_older).then(|| "it isn't known here".to_owned())
        }
        (Kind::Backend, wire::Payload::Backend(backend)) => {
            let password = backend.client?.proxy?.password.parse::<Key>().ok()?;
            served.object(&password).is_none().then(|| format!("{password} isn't here"))
        }
        _ => None,
    };
    served.iter().filter_map(|(key, object)| Some((key.clone(), reason(key, object)?))).collect()
}

fn what(answer: &Answer) -> String {
    match answer {
        Answer::State(state) => format!("{} as of {:?}", short(state.root()), state.as_of()),
        Answer::NotModified => "nothing new".to_owned(),
        Answer::Failed(failure) => failure.to_string(),
    }
}

/// The last good version of each object, by key.
pub(crate) type Goods = BTreeMap<Key, Object>;
