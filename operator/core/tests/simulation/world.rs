//! Leaders, workers and a bad network, in simulated time.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use dataplane_snapshot::Root;
use operator_core::ListenerSettings;
use operator_core::session::{self, Reach};

use crate::check::{Lives, Writes};
use crate::dice::Dice;
use crate::leader::{Leader, Version, listeners};
use crate::message::{Event, Exchange, LeaderIndex, Response, WorkerIndex};
use crate::truth::Truth;
use crate::worker::Worker;

/// How long faults go on.
const BAD_TIME: Duration = Duration::from_secs(300);

/// How long it may take after the last fault until all is as it should be: a member that is gone is waited for a minute,
/// and what arrived damaged isn't asked for again for as long; before and after that a poll may be held or time out.
const RECOVERY: Duration = Duration::from_secs(240);

/// What is due, and when; the earliest is the greatest, for the heap.
struct Due {
    at: Duration,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now: Duration,
    /// Whether there are faults.
    pub(crate) bad: bool,
    pub(crate) truth: Truth,
    /// Each leader has a state store of its own, with an epoch that has nothing to do with that of the others.
    pub(crate) have_own_stores: bool,
    pub(crate) listeners: Arc<Vec<ListenerSettings>>,
    pub(crate) leaders: Vec<Leader>,
    pub(crate) workers: Vec<Worker>,
    /// By worker and leader.
    reaches: Vec<Vec<Reach>>,
    /// How likely a message is lost, repeated, delayed for long, or damaged.
    loss: f64,
    repeats: f64,
    delays: f64,
    damage: f64,
    due: BinaryHeap<Due>,
    numbers: u64,
    pub(crate) published: BTreeSet<Root>,
    pub(crate) writes: Writes,
    pub(crate) lives: Lives,
    is_traced: bool,
}

/// Runs one simulation to its end; panics where something doesn't hold. Gives the number of events.
pub(crate) fn run(seed: u64, is_traced: bool) -> u64 {
    let mut world = World::new(seed, is_traced);
    world.begin();
    while world.now < BAD_TIME {
        world.step();
    }
    world.recover();
    let end = world.now + RECOVERY;
    while world.due.peek().is_some_and(|due| due.at <= end) {
        world.step();
    }
    world.check_converged();
    world.numbers
}

impl World {
    fn new(seed: u64, is_traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let leaders = 1 + dice.index(2);
        let workers = 1 + dice.index(5);
        let mut version = |index| match dice.index(8) {
            0 => Version::Newer,
            1 => Version::Older,
            2 if index > 0 => Version::Foreign,
            _ => Version::Current,
        };
        let leaders: Vec<_> = (0..leaders).map(|index| Leader::new(version(index))).collect();
        let is_older = |dice: &mut Dice| dice.is(0.15);
        let workers: Vec<_> = (0..workers).map(|_| Worker::new(is_older(&mut dice), leaders.len())).collect();
        let reach = |dice: &mut Dice| if dice.is(0.5) { Reach::Machine } else { Reach::Network };
        let reaches = workers.iter().map(|_| leaders.iter().map(|_| reach(&mut dice)).collect()).collect();
        let have_own_stores = dice.is(0.3);
        let mut chance = |most: f64| if dice.is(0.3) { 0.0 } else { dice.roll() * most };
        let (loss, repeats, delays, damage) = (chance(0.4), chance(0.3), chance(0.2), chance(0.2));
        Self {
            dice,
            now: Duration::ZERO,
            bad: true,
            truth: Truth::new(),
            have_own_stores,
            listeners: listeners(),
            leaders,
            workers,
            reaches,
            loss,
            repeats,
            delays,
            damage,
            due: BinaryHeap::new(),
            numbers: 0,
            published: BTreeSet::new(),
            writes: Writes::default(),
            lives: Lives::new(),
            is_traced,
        }
    }

    pub(crate) fn reach(&self, worker: WorkerIndex, leader: LeaderIndex) -> Reach {
        self.reaches[worker][leader]
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>10.3} {}", self.now.as_secs_f64(), line());
        }
    }

    pub(crate) fn later(&mut self, delay: Duration, event: Event) {
        self.numbers += 1;
        self.due.push(Due { at: self.now + delay, number: self.numbers, event });
    }

    /// Over the network, where it may be lost, repeated, delayed so that it is overtaken, and damaged.
    pub(crate) fn send(&mut self, event: Event) {
        if self.bad && self.dice.is(self.repeats) {
            let delay = self.delay() * 2;
            self.later(delay, event.clone());
        }
        if self.bad && self.dice.is(self.loss) {
            return;
        }
        let event = if self.bad && self.dice.is(self.damage) { self.damaged(event) } else { event };
        let delay = self.delay();
        self.later(delay, event);
    }

    fn delay(&mut self) -> Duration {
        let is_long = self.bad && self.dice.is(self.delays);
        self.dice.below(if is_long { Duration::from_secs(40) } else { Duration::from_millis(40) })
    }

    fn damaged(&mut self, event: Event) -> Event {
        let Event::Response(exchange, Response::State { root, bytes }) = event else { return event };
        let place = self.dice.index(bytes.len());
        let mut bytes = bytes.to_vec();
        if self.dice.is(0.5) {
            bytes.truncate(place);
        } else if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 0x10;
        }
        Event::Response(exchange, Response::State { root, bytes: bytes.into() })
    }

    /// Plans the faults and the edits of the bad time.
    fn begin(&mut self) {
        for leader in 0..self.leaders.len() {
            let delay = self.dice.below(Duration::from_secs(3));
            self.later(delay, Event::StartLeader(leader));
        }
        for worker in 0..self.workers.len() {
            let delay = self.dice.below(Duration::from_secs(3));
            self.later(delay, Event::StartWorker(worker));
        }
        self.sprinkle(25, |_| Event::Edit);
        self.sprinkle(1, |_| Event::Restore);
        self.sprinkle(50, |world| Event::See(world.dice.index(world.leaders.len())));
        self.sprinkle(2, |world| Event::StopLeader(world.dice.index(world.leaders.len())));
        self.sprinkle(5, |world| Event::StopWorker(world.dice.index(world.workers.len())));
        self.sprinkle(2, |world| Event::Pause(world.dice.index(world.workers.len())));
        self.sprinkle(1, |world| Event::LeaderClock(world.dice.index(world.leaders.len())));
    }

    /// Up to so many events, at any time.
    fn sprinkle(&mut self, most: usize, event: impl Fn(&mut Self) -> Event) {
        for _ in 0..self.dice.index(most + 1) {
            let event = event(self);
            let delay = self.dice.below(BAD_TIME);
            self.later(delay, event);
        }
    }

    /// The last fault is over: all are up, and one more edit is made.
    fn recover(&mut self) {
        self.trace(|| "the faults are over".to_owned());
        self.bad = false;
        let edit = self.truth.last_edit();
        self.trace(|| format!("the source {edit}"));
        for leader in 0..self.leaders.len() {
            let event =
                if self.leaders[leader].is_up { Event::See(leader) } else { Event::StartLeader(leader) };
            self.later(Duration::from_secs(1), event);
        }
        for worker in 0..self.workers.len() {
            self.workers[worker].paused_until = self.now;
            if !self.workers[worker].is_up {
                self.later(Duration::from_secs(1), Event::StartWorker(worker));
            }
        }
    }

    fn step(&mut self) {
        let Some(Due { at, event, .. }) = self.due.pop() else { return self.now = BAD_TIME };
        self.now = at;
        let paused = self.worker_of(&event).map(|worker| self.workers[worker].paused_until);
        match paused.filter(|until| *until > at) {
            Some(until) => self.later(until - at, event),
            None => self.handle(event),
        }
    }

    /// The worker that is to handle it.
    const fn worker_of(&self, event: &Event) -> Option<WorkerIndex> {
        match event {
            Event::Response(Exchange { worker, .. }, _) | Event::TimedOut(Exchange { worker, .. }) => {
                Some(*worker)
            }
            Event::AckEnded(worker, ..)
            | Event::WorkerTimer(worker, _)
            | Event::Compiled(worker, ..)
            | Event::Written(worker, _)
            | Event::Tell(worker, ..) => Some(*worker),
            _ => None,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Edit => {
                let edit = self.truth.edit(&mut self.dice);
                self.trace(|| format!("the source {edit}"));
            }
            Event::Restore => {
                let restore = self.truth.restore(&mut self.dice);
                self.trace(|| format!("the source {restore}"));
            }
            Event::See(leader) => self.see(leader),
            Event::Publish(leader, life, snapshot) if self.is_led(leader, life) => {
                self.publish(leader, *snapshot)
            }
            Event::LeaderTimer(leader, life) if self.is_led(leader, life) => self.on_leader_timer(leader),
            Event::Hangup(leader, life, poll) if self.is_led(leader, life) => self.on_hangup(leader, poll),
            Event::Request(leader, request) => self.on_request(leader, *request),
            Event::Ack(ack) => self.on_ack(*ack),
            Event::Leave(leader, id) => self.lead(leader, session::Event::Forget { id }),
            Event::StopLeader(leader) => self.fell(leader),
            Event::StartLeader(leader) if !self.leaders[leader].is_up => self.start_leader(leader),
            Event::LeaderClock(leader) => {
                self.leaders[leader].clock += self.dice.below(Duration::from_secs(120));
                self.on_leader_timer(leader);
            }
            event => self.handle_at_worker(event),
        }
    }

    fn handle_at_worker(&mut self, event: Event) {
        match event {
            Event::Response(exchange, response) if self.works(exchange.worker, exchange.life) => {
                self.on_response(exchange, response);
            }
            Event::TimedOut(exchange) if self.works(exchange.worker, exchange.life) => {
                self.on_timed_out(exchange)
            }
            Event::AckEnded(worker, life, attempt, is_delivered) if self.works(worker, life) => {
                self.on_ack_ended(worker, attempt, is_delivered);
            }
            Event::WorkerTimer(worker, life) if self.works(worker, life) => self.on_worker_timer(worker),
            Event::Compiled(worker, life, snapshot) if self.works(worker, life) => {
                self.on_compiled(worker, *snapshot);
            }
            Event::Written(worker, life) if self.works(worker, life) => self.on_written(worker),
            Event::Tell(worker, life, event) if self.works(worker, life) => self.tell(worker, *event),
            Event::StopWorker(worker) => self.fall(worker),
            Event::StartWorker(worker) if !self.workers[worker].is_up => self.start_worker(worker),
            Event::Pause(worker) => {
                let pause = self.dice.below(Duration::from_secs(180));
                self.trace(|| format!("worker {worker} is stopped for {pause:?}"));
                // Some machines count the time that they sleep, others don't.
                self.workers[worker].paused_until =
                    self.now + if self.dice.is(0.7) { pause } else { Duration::ZERO };
                if self.dice.is(0.5) {
                    self.workers[worker].clock += pause;
                    self.on_worker_timer(worker);
                }
            }
            _ => {}
        }
    }

    fn is_led(&self, leader: LeaderIndex, life: u32) -> bool {
        self.leaders[leader].is_up && self.leaders[leader].life == life
    }

    fn works(&self, worker: WorkerIndex, life: u32) -> bool {
        self.workers[worker].is_up && self.workers[worker].life == life
    }

    /// A leader crashes, and comes back.
    fn fell(&mut self, leader: LeaderIndex) {
        if self.bad && self.leaders[leader].is_up {
            self.trace(|| format!("leader {leader} crashes"));
            self.stop_leader(leader);
            let delay = self.dice.below(Duration::from_secs(60));
            self.later(delay, Event::StartLeader(leader));
        }
    }

    /// A worker crashes or ends, and comes back.
    fn fall(&mut self, worker: WorkerIndex) {
        if self.bad && self.workers[worker].is_up {
            self.trace(|| format!("worker {worker} crashes"));
            if self.dice.is(0.3) {
                self.leave(worker);
            }
            self.stop_worker(worker);
            self.workers[worker].paused_until = self.now;
            let delay = self.dice.below(Duration::from_secs(30));
            self.later(delay, Event::StartWorker(worker));
        }
    }
}
