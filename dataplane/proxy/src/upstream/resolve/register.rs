use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane_core::Moment;
use dataplane_core::names::{Answer as Told, Known, Pace};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::lookups::Around;
use super::servers::Servers;
use super::system::System;
use super::{Addresses, Answer, Name, Names, ResolveError};
use crate::LookupOutcome;

/// Look-ups at a time of names that are new, and of those that are known: many names don't become a storm of questions, and
/// none that somebody waits for waits behind those that nobody waits for.
const NEW_AT_ONCE: usize = 64;
const KNOWN_AT_ONCE: usize = 16;
/// A look-up that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(30);

type Found = (Arc<str>, Told);

/// All names that are used, and when they are looked up again.
pub(super) struct Register {
    around: Around,
    subjects: HashMap<Arc<str>, Subject>,
    schedule: BTreeSet<(Instant, Arc<str>)>,
    system: System,
    servers: Rc<RefCell<Rc<Servers>>>,
    new: Rc<Semaphore>,
    known: Rc<Semaphore>,
    done: mpsc::UnboundedSender<Found>,
}

struct Subject {
    known: Known,
    /// Its place in the schedule; `None`: it is being looked up.
    due: Option<Instant>,
    /// When it was last seen to be in use.
    used: Instant,
    waiting: Vec<oneshot::Sender<Answer>>,
    /// The system's files changed while it was being looked up.
    outdated: bool,
}

impl Register {
    pub(super) fn new(around: Around) -> (Self, mpsc::UnboundedReceiver<Found>) {
        let (done, results) = mpsc::unbounded_channel();
        let system = System::read(&around.settings);
        let servers = Rc::new(RefCell::new(Rc::new(Servers::new(&around.settings, &system))));
        let permits = |count| Rc::new(Semaphore::new(count));
        let (subjects, schedule) = Default::default();
        let (new, known) = (permits(NEW_AT_ONCE), permits(KNOWN_AT_ONCE));
        (Self { around, subjects, schedule, system, servers, new, known, done }, results)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// When the next name is to be looked up.
    pub(super) fn due(&self) -> Option<Instant> {
        self.schedule.first().map(|(due, _)| *due)
    }

    /// Somebody asks for a name that wasn't known a moment ago.
    pub(super) fn ask(&mut self, host: Arc<str>, sender: oneshot::Sender<Answer>) {
        if let Some(name) = self.around.names.load().get(&host) {
            let _ = sender.send(name.find());
            return;
        }
        if let Some(subject) = self.subjects.get_mut(&host) {
            subject.waiting.push(sender);
            return;
        }
        if self.is_empty() {
            self.look_at_files();
        }
        let (used, waiting) = (Instant::now(), vec![sender]);
        let subject = Subject { known: Known::default(), due: None, used, waiting, outdated: false };
        self.subjects.insert(host.clone(), subject);
        self.around.counters.names.add(1);
        self.look_up(host, &self.new);
    }

    fn look_up(&self, host: Arc<str>, permits: &Rc<Semaphore>) {
        let (permits, servers, done) = (permits.clone(), self.servers.clone(), self.done.clone());
        tokio::task::spawn_local(async move {
            let _permit = permits.acquire().await;
            let servers = servers.borrow().clone();
            let late = |_| Told::failed(format!("no answer within {LONGEST:?}"));
            let told = timeout(LONGEST, servers.look_up(&host)).await.unwrap_or_else(late);
            let _ = done.send((host, told));
        });
    }

    /// Follows what was found, and publishes all of it at once.
    pub(super) fn settle(&mut self, found: Vec<Found>) {
        let now = Instant::now();
        let mut names = None;
        let hosts: Vec<_> = found.iter().map(|(host, _)| host.clone()).collect();
        for (host, told) in found {
            self.follow(host, told, now, &mut names);
        }
        if let Some(names) = names {
            self.around.names.store(Arc::new(names));
        }
        let names = self.around.names.load();
        for host in hosts {
            let (Some(subject), Some(name)) = (self.subjects.get_mut(&host), names.get(&host)) else {
                continue;
            };
            subject.waiting.drain(..).for_each(|sender| drop(sender.send(name.find())));
        }
    }

    fn follow(&mut self, host: Arc<str>, told: Told, now: Instant, names: &mut Option<Names>) {
        let Some(subject) = self.subjects.get_mut(&host) else { return };
        let Around { settings, epoch, draw, counters, .. } = &self.around;
        counters.lookup(outcome(&told));
        let troubled = subject.known.trouble().is_some();
        let pace = Pace { min_ttl: settings.min_ttl, max_ttl: settings.max_ttl, hold: settings.hold };
        let moment = Moment::default().after(now.saturating_duration_since(*epoch));
        let step = subject.known.follow(told, moment, &pace, draw.next());
        match (troubled, subject.known.trouble().is_some()) {
            (false, true) => counters.names_failing.add(1),
            (true, false) => counters.names_failing.sub(1),
            _ => {}
        }
        report(&host, &subject.known, troubled, step.changed);
        let wait = if std::mem::take(&mut subject.outdated) { Duration::ZERO } else { step.wait };
        let due = now + wait;
        subject.due = Some(due);
        self.schedule.insert((due, host.clone()));
        let current = self.around.names.load();
        let before = current.get(&host);
        if let Some(name) = next(&host, &subject.known, step.changed, before) {
            names.get_or_insert_with(|| Names::clone(&current)).insert(host, Arc::new(name));
        }
    }

    /// Looks up again what is due and in use, and forgets what is due and unused.
    pub(super) fn refresh(&mut self) {
        let now = Instant::now();
        let current = self.around.names.load_full();
        let mut left = Vec::new();
        while self.due().is_some_and(|due| due <= now) {
            let Some((_, host)) = self.schedule.pop_first() else { break };
            let Some(subject) = self.subjects.get_mut(&host) else { continue };
            if current.get(&host).is_some_and(|name| name.is_used()) {
                subject.used = now;
            }
            if now.duration_since(subject.used) >= self.around.settings.forget_after {
                left.push(host);
            } else {
                subject.due = None;
                self.look_up(host, &self.known);
            }
        }
        if !left.is_empty() {
            self.forget(&left);
        }
    }

    fn forget(&mut self, hosts: &[Arc<str>]) {
        let mut names = Names::clone(&self.around.names.load());
        for host in hosts {
            // Whoever has them still may connect: such a connection isn't kept, as nobody would hear of its address.
            if let Some(Ok(addresses)) = names.remove(host).map(|name| name.found.clone()) {
                addresses.leave();
            }
            let subject = self.subjects.remove(host);
            self.around.counters.names.sub(1);
            if subject.is_some_and(|subject| subject.known.trouble().is_some()) {
                self.around.counters.names_failing.sub(1);
            }
        }
        self.around.names.store(Arc::new(names));
    }

    /// Follows the system's files. If they changed, all names are looked up anew.
    pub(super) fn look_at_files(&mut self) {
        let system = System::read(&self.around.settings);
        if system == self.system {
            return;
        }
        tracing::info!("the system's files about names have changed: all names are looked up again");
        *self.servers.borrow_mut() = Rc::new(Servers::new(&self.around.settings, &system));
        self.system = system;
        let now = Instant::now();
        for (host, subject) in &mut self.subjects {
            match &mut subject.due {
                None => subject.outdated = true,
                Some(due) => {
                    self.schedule.remove(&(*due, host.clone()));
                    *due = now;
                    self.schedule.insert((now, host.clone()));
                }
            }
        }
    }
}

const fn outcome(told: &Told) -> LookupOutcome {
    match () {
        () if told.is_found() => LookupOutcome::Found,
        () if told.is_denied() => LookupOutcome::Denied,
        () => LookupOutcome::Failed,
    }
}

/// What is published; `None`: what is there is right.
fn next(host: &str, known: &Known, changed: bool, before: Option<&Arc<Name>>) -> Option<Name> {
    let addresses = before.and_then(|name| name.found.as_deref().ok());
    if known.ips().is_empty() {
        let reason = known.trouble().unwrap_or("it has no addresses").to_owned();
        let error = ResolveError { host: host.to_owned(), reason };
        if before.is_some_and(|name| name.found.as_ref().err() == Some(&error)) {
            return None;
        }
        if let Some(addresses) = addresses {
            addresses.leave();
        }
        return Some(Name::new(Err(error)));
    }
    (changed || addresses.is_none())
        .then(|| Name::new(Ok(Arc::new(Addresses::following(known.ips(), addresses)))))
}

/// Says once what is wrong with a name, and once that it isn't any more.
fn report(host: &str, known: &Known, troubled: bool, changed: bool) {
    let kept = known.ips().len();
    match known.trouble() {
        Some(reason) if kept == 0 && (changed || !troubled) => {
            tracing::warn!(name = host, reason, "a name has no addresses");
        }
        Some(reason) if !troubled => {
            tracing::warn!(
                name = host,
                reason,
                kept,
                "a name can't be looked up: its last addresses are used"
            );
        }
        None if troubled => tracing::info!(name = host, addresses = kept, "a name can be looked up again"),
        _ => {}
    }
}
