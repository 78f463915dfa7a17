use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dataplane_core::served::Served;
use dataplane_core::stored::as_of_in_service;
use dataplane_core::subscription::{Action, Answer, Attempt, Event, Leader, Moment, Subscription};
use dataplane_snapshot::{AsOf, Root, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::acknowledge::{self, Content, Delivery};
use super::applier::listener_rejection;
use super::client::{Client, Poll};
use super::report;
use super::retry::retry;
use super::state_file::StateFileError;
use super::{Applier, LeaderContact, Service, StateFile, WorkerHealth, WorkerSettings};

/// Why a worker can't follow anybody.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("no leader: give at least one URL, as in http://host:port")]
    NoLeader,
    #[error("the worker's name {0:?} must be visible ASCII without spaces")]
    Name(String),
}

/// Follows the leaders until `shutdown` changes or its sender is gone, then tells the leader that it leaves.
pub async fn run<S: Service>(
    settings: WorkerSettings,
    applier: Arc<Applier<S>>,
    health: watch::Sender<WorkerHealth>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), WorkerError> {
    let mut retry = pin!(retry(applier.clone()));
    let mut unopened = applier.unopened();
    let (mut worker, mut events) = Worker::new(settings, applier, health)?;
    worker.start().await;
    loop {
        let deadline = worker.deadline;
        let due = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => if let Some(event) = event { worker.handle(event) },
            () = due => {
                worker.deadline = None;
                worker.handle(Event::Timer);
            }
            Ok(()) = unopened.changed() => worker.on_unopened(),
            never = &mut retry => match never {},
            _ = shutdown.changed() => break,
        }
    }
    worker.leave().await;
    Ok(())
}

struct Worker<S: Service> {
    settings: Arc<WorkerSettings>,
    client: Arc<Client>,
    applier: Arc<Applier<S>>,
    state_file: Option<Arc<Mutex<StateFile>>>,
    /// What the state file held; taken by the first apply.
    restored: Option<Served>,
    subscription: Subscription,
    health: watch::Sender<WorkerHealth>,
    events: mpsc::UnboundedSender<Event>,
    acks: mpsc::UnboundedSender<Delivery>,
    /// What the subscription last wanted to be told.
    told: Option<Content>,
    tasks: JoinSet<()>,
    deadline: Option<Instant>,
    started: Instant,
}

impl<S: Service> Worker<S> {
    fn new(
        settings: WorkerSettings,
        applier: Arc<Applier<S>>,
        health: watch::Sender<WorkerHealth>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), WorkerError> {
        if settings.leaders.is_empty() {
            return Err(WorkerError::NoLeader);
        }
        let name = settings.name.clone();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WorkerError::Name(name));
        }
        let settings = Arc::new(settings);
        let client = Client::new(settings.clone(), settings.id.clone().unwrap_or_else(new_id))
            .ok_or(WorkerError::Name(name))?;
        // At most one poll, apply, acknowledgement and write at a time: it holds a handful of events.
        let (sender, receiver) = mpsc::unbounded_channel();
        let client = Arc::new(client);
        let (acks, deliveries) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(acknowledge::deliver(client.clone(), deliveries, sender.clone()));
        if let Some(look) = settings.look.clone() {
            tasks.spawn(report::run(client.clone(), health.subscribe(), look));
        }
        let worker = Self {
            subscription: Subscription::new(settings.subscription()),
            client,
            applier,
            state_file: None,
            restored: None,
            health,
            events: sender,
            acks,
            told: None,
            tasks,
            deadline: None,
            started: Instant::now(),
            settings,
        };
        Ok((worker, receiver))
    }

    async fn start(&mut self) {
        let mut disk = None;
        if let Some(path) = self.settings.state_file.clone()
            && let scope = self.settings.scope.clone()
            && let Ok((file, served)) = spawn_blocking(move || StateFile::of_scope(path, scope)).await
        {
            disk = served.as_ref().map(|served| served.snapshot().clone());
            self.restored = served;
            self.health.send_modify(|health| health.tell_of_disk(file.contact(), SystemTime::now()));
            self.state_file = Some(Arc::new(Mutex::new(file)));
        }
        if let Some(snapshot) = &disk {
            tracing::info!(root = %snapshot.root(), objects = snapshot.len(), "serving from the state file");
        }
        self.handle(Event::Started { disk });
    }

    fn handle(&mut self, event: Event) {
        self.count(&event);
        while self.tasks.try_join_next().is_some() {}
        let at = Moment { now: self.started.elapsed(), random: random() };
        for action in self.subscription.handle(event, at) {
            self.act(action);
        }
        self.show();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Poll { attempt, leader, known, hold } => self.poll(attempt, leader, known, hold),
            Action::Apply(snapshot) => self.apply(snapshot),
            Action::Persist { root, as_of } => self.persist(root, as_of),
            Action::Ack { attempt, leader, root, as_of, rejected, refused } => {
                let content = Content { leader, root, as_of, rejected, refused };
                self.told = Some(content.clone());
                self.acknowledge(Some(attempt), content);
            }
            Action::SetTimer(at) => self.deadline = Some(self.started + at),
        }
    }

    fn poll(&mut self, attempt: Attempt, leader: usize, known: Option<Root>, hold: Duration) {
        let Some(url) = self.settings.leaders.get(leader).cloned() else { return };
        let (client, events) = (self.client.clone(), self.events.clone());
        let base = self.subscription.newest().cloned().unwrap_or_default();
        let poll = Poll { url, known, hold, base };
        self.tasks.spawn(async move {
            let answer = client.poll(poll).await;
            let _ = events.send(Event::Answer { attempt, answer });
        });
    }

    fn apply(&mut self, snapshot: Snapshot) {
        let (applier, events) = (self.applier.clone(), self.events.clone());
        let root = snapshot.root();
        let restored = self.restored.take().filter(|served| served.snapshot().root() == root);
        spawn_blocking(move || {
            let applied = match restored {
                Some(served) => applier.restore(served),
                None => applier.apply(snapshot),
            };
            let _ = events.send(match applied {
                Ok(applied) => Event::Applied { root, rejected: applied.rejected },
                Err(error) => Event::ApplyFailed { root, reason: error.to_string() },
            });
        });
    }

    fn persist(&mut self, root: Root, as_of: AsOf) {
        let events = self.events.clone();
        let Some(file) = self.state_file.clone() else {
            let _ = events.send(Event::Persisted { root });
            return;
        };
        let (served, as_of) = in_service(&self.applier, (root, as_of));
        let contact = self.health.borrow().contact_at(SystemTime::now());
        spawn_blocking(move || {
            let written = write(&file, &served, &as_of, contact);
            let _ = events.send(match written {
                Ok(()) => Event::Persisted { root },
                Err(error) => Event::PersistFailed { root, reason: error.to_string() },
            });
        });
    }

    async fn persist_last(&self) {
        let applied = self.subscription.status().applied;
        let (Some(file), Some((root, as_of, _))) = (self.state_file.clone(), applied) else { return };
        let (served, as_of) = in_service(&self.applier, (root, as_of));
        let contact = self.health.borrow().contact_at(SystemTime::now());
        if let Ok(Err(error)) = spawn_blocking(move || write(&file, &served, &as_of, contact)).await {
            tracing::error!(%error, "the state file can't be written");
        }
    }

    /// Goes after the ones before. What isn't delivered is owed, if there is an attempt.
    fn acknowledge(&self, attempt: Option<Attempt>, content: Content) {
        let Some(url) = self.settings.leaders.get(content.leader).cloned() else { return };
        let listeners: Vec<_> = self.applier.unopened().borrow().iter().map(listener_rejection).collect();
        let ack = acknowledge::encode(content, listeners);
        let _ = self.acks.send(Delivery { attempt, url, ack });
    }

    /// Other listeners than before can't be opened.
    fn on_unopened(&mut self) {
        self.show();
        // The subscription doesn't know of listeners: what it last told is told again, with them. A leader that is found
        // later is told everything then.
        let Leader::Following { leader, .. } = self.subscription.status().leader else { return };
        if let Some(content) = self.told.clone().filter(|told| told.leader == leader) {
            self.acknowledge(None, content);
        }
    }

    fn count(&self, event: &Event) {
        match event {
            Event::Answer { answer: Answer::Failed(failure), .. } => {
                let reason = failure.reason();
                self.health.send_modify(|health| {
                    health.poll_failures += 1;
                    *health.poll_failure_reasons.entry(reason).or_default() += 1;
                });
            }
            Event::PersistFailed { reason, .. } => {
                tracing::error!(reason, "the state file can't be written; traffic is served all the same");
                self.health.send_modify(|health| health.persist_failures += 1);
            }
            Event::Applied { root, rejected } => {
                tracing::info!(%root, rejected = rejected.len(), "a state is in service");
            }
            Event::ApplyFailed { root, reason } => {
                tracing::error!(%root, reason, "a state was refused; the one before still serves");
            }
            _ => {}
        }
    }

    fn show(&self) {
        let (before, was_plain) = self.contact();
        let status = self.subscription.status();
        let (unopened, leaders) = (self.applier.unopened(), &self.settings.leaders);
        let update = |health: &mut WorkerHealth| {
            health.update(status, &unopened.borrow(), leaders, self.started);
        };
        self.health.send_modify(update);
        let (now, is_plain) = self.contact();
        if was_plain != is_plain {
            self.tell_polling(is_plain);
        }
        if before == now {
            return;
        }
        match now {
            LeaderContact::Following(url) => tracing::info!(%url, "following a leader"),
            LeaderContact::Failing { url, reason } => tracing::warn!(%url, reason, "a leader failed"),
            LeaderContact::Stale(url) => {
                tracing::warn!(%url, "StaleLeader: it has less than what is in service, and is refused");
            }
            LeaderContact::Local | LeaderContact::Unknown => {}
        }
    }

    fn contact(&self) -> (LeaderContact, bool) {
        let health = self.health.borrow();
        (health.leader.clone(), health.plain_polling)
    }

    fn tell_polling(&self, is_plain: bool) {
        let seconds = self.settings.hold.as_secs();
        match is_plain {
            true if self.settings.plain => {
                tracing::info!(seconds, "plain polling: a leader is asked at this interval")
            }
            true => tracing::warn!(
                seconds,
                "held polls are cut on the way: a leader is asked at this interval instead, and changes arrive that much later; \
                 holding is tried again after a while"
            ),
            false => tracing::info!("polls are held again, and changes arrive at once"),
        }
    }

    /// Nothing more comes: what is in service is written, and the leader is told.
    async fn leave(mut self) {
        self.tasks.abort_all();
        self.persist_last().await;
        let leader = self.health.borrow().leader.clone();
        if let LeaderContact::Following(url) | LeaderContact::Stale(url) = leader {
            self.client.leave(&url).await;
        }
    }
}

/// Writes the state file, with the last contact if there was one since the start. Blocks.
fn write(
    file: &Mutex<StateFile>,
    served: &Served,
    as_of: &AsOf,
    contact: Option<SystemTime>,
) -> Result<(), StateFileError> {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = contact {
        file.contacted(at);
    }
    file.write(served, as_of)
}

/// What is in service, as of what.
fn in_service<S: Service>(applier: &Applier<S>, known: (Root, AsOf)) -> (Served, AsOf) {
    let served = applier.served();
    let as_of = as_of_in_service(&served, known);
    (served, as_of)
}

/// Uniform in [0, 1).
fn random() -> f64 {
    // Without randomness workers are in step, which is worse but works.
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// An id that no other process has.
pub fn new_id() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        let since = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        bytes = (since.as_nanos() ^ u128::from(std::process::id())).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
